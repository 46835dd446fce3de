"""Players of bass, chords, arpeggios and drums: from figures and chords to notes.

Each player is a function (part, context, passage) -> events for one section. The track
ends in the same way for all: its last bar is one chord that rings (`ring`).
"""

import random
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.harmony import ladder, scale_over, voicing
from hybridgen.data.composer.rhythm import STEP, Stroke, fit, strokes
from hybridgen.plan.harmony import chord_pitches, split_chord
from hybridgen.plan.notes import VELOCITY_STEP

Player = Callable[["Part", SongContext, Passage], list[Event]]


@dataclass(frozen=True)
class Part:
    """What one role does in a genre: who plays, on what, when, and its place in the mix."""

    role: str
    player: Player
    programs: tuple[int, ...]  # General MIDI; one is drawn for each song, and shared by all parts of a role
    _: KW_ONLY
    figures: tuple[tuple[str, ...], ...] = ()  # calm to busy; of each level one is drawn for each song
    center: int = 60  # MIDI pitch around which it plays
    chance: float = 1.0  # probability of being in a song at all
    enters: int = 0  # least energy at which it plays
    rests: tuple[str, ...] = ()  # section labels in which it is silent
    velocity: int = 0  # added to the velocity that follows from the energy
    gain_db: float = 0.0
    pan: float = 0.0
    reverb: float = 0.25
    chorus: float = 0.0
    is_open: bool = False  # wide voicings
    turns: bool = False  # a melody: parts with melodies take turns, one to a section


@dataclass(frozen=True)
class Groove:
    """One drum of a pattern: General MIDI percussion `pitch`, its figure, and the least energy at which it plays."""

    pitch: int
    figure: str
    enters: int = 0
    velocity: int = 0


def loudness(part: Part, context: SongContext, passage: Passage, step: int, accent: bool) -> int:
    """Velocity 20-127 of a note at `step`, from energy, metrical weight and accent."""
    level = 64 + VELOCITY_STEP * passage.energy + part.velocity
    level += (-12, -6, 3, 10)[context.weight(step)] + (9 if accent else 0)
    return max(20, min(127, level))


def figure_for(part: Part, context: SongContext, passage: Passage) -> str:
    """The part's figure at this energy, calmer in slow songs; sections of similar energy share it."""
    level = min(len(part.figures) - 1, passage.energy * len(part.figures) // 7)
    level = max(0, level - context.is_slow)
    return context.choices("figure", part.role, part.center, level).choice(part.figures[level])


def bar_strokes(figure: str, context: SongContext, passage: Passage, bar: int) -> tuple[Stroke, ...]:
    """The notes of a figure in one bar of a section, struck again where a chord changes under a held note."""
    return strokes(fit(figure, context.grid.meter, bar), passage.breaks(bar, context.grid))


def near(pitch_class: int, center: int) -> int:
    """The pitch of a class nearest to `center`, at most a tritone away."""
    return center + (pitch_class - center + 6) % 12 - 6


def bass(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs: r root, o octave above, f fifth, t third, s seventh or sixth, a a step that leads to the next root."""
    figure = figure_for(part, context, passage)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, context, passage, bar):
            chord = passage.chord_at(bar, stroke.step, context.grid)
            following = _following_chord(passage, bar, stroke.step + stroke.length, context)
            pitch = _bass_pitch(stroke.sign, chord, following, part.center)
            level = loudness(part, context, passage, stroke.step, stroke.accent)
            length = stroke.length * STEP * (0.95 if stroke.length > 1 else 0.85)
            events.append(Event(pitch, context.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        root = split_chord(passage.bars[-1][0])[0]
        events.append(ring(part, context, passage, near(root, part.center)))
    return events


def _following_chord(passage: Passage, bar: int, step: int, context: SongContext) -> str:
    if step < context.grid.steps:
        return passage.chord_at(bar, step, context.grid)
    return passage.bars[bar + 1][0] if bar + 1 < len(passage.bars) else passage.bars[0][0]


def _bass_pitch(sign: str, chord: str, following: str, center: int) -> int:
    pitches = chord_pitches(chord)
    root = near(pitches[0], center)
    if sign == "a":
        target = near(chord_pitches(following)[0], center)
        return root if target == root else target - 1 if target > root else target + 1
    if sign == "o":
        return root + 12
    index = {"r": 0, "t": 1, "f": 2, "s": 3}[sign]
    if index >= len(pitches):
        return root + 12
    return root + (pitches[index] - pitches[0]) % 12


def ring(part: Part, context: SongContext, passage: Passage, pitch: int, after: float = 0.0) -> Event:
    """A note of the chord that ends the track, held through its last bar."""
    start = context.quarter(passage, len(passage.bars) - 1)
    return Event(pitch, start + after, context.grid.quarters - after, loudness(part, context, passage, 0, False))


def walking_bass(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """A note on every beat: the root on the chord, then through chord and scale, a step into the next root."""
    rng = context.choices("walk", passage.first_bar)
    events: list[Event] = []
    for bar in range(passage.n_played):
        lengths = context.grid.beat_lengths
        for i, (step, length) in enumerate(zip(context.grid.beats, lengths, strict=True)):
            chord = passage.chord_at(bar, step, context.grid)
            following = _following_chord(passage, bar, step + length, context)
            is_start = step == 0 or step in passage.breaks(bar, context.grid)
            last = events[-1].pitch if events else part.center
            leads = i == len(lengths) - 1 and following != chord
            pitch = _walk_pitch(rng, context.key, chord, following, last, part.center, is_start, leads)
            level = loudness(part, context, passage, step, False)
            events.append(Event(pitch, context.quarter(passage, bar, step), 0.92 * length * STEP, level))
    if passage.closing:
        events.append(ring(part, context, passage, near(split_chord(passage.bars[-1][0])[0], part.center)))
    return events


def _walk_pitch(
    rng: random.Random, key: str, chord: str, following: str, last: int, center: int, is_start: bool, leads: bool
) -> int:
    pitches = chord_pitches(chord)
    if is_start:
        return near(pitches[0], center)
    if leads:
        target = near(chord_pitches(following)[0], center)
        return target + (1 if last > target else -1)
    tones = [near(p, last) for p in (pitches if rng.random() < 0.75 else scale_over(key, chord))]
    tones = [p for p in tones if p != last and abs(p - center) <= 10] or [near(pitches[2 % len(pitches)], center)]
    return min(tones, key=lambda p: abs(p - last) + rng.random() * 4)


def chords(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs: x the chord, u the chord strummed upwards and lighter, b its root below, c the chord without its root."""
    figure = figure_for(part, context, passage)
    events, top = [], part.center + 5
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, context, passage, bar):
            chord = passage.chord_at(bar, stroke.step, context.grid)
            level = loudness(part, context, passage, stroke.step, stroke.accent)
            start = context.quarter(passage, bar, stroke.step)
            length = stroke.length * STEP * (0.97 if stroke.length > 1 else 0.8)
            pitches = voicing(chord, part.center, top, 4, part.is_open)
            top = pitches[-1]
            if stroke.sign == "b":
                pitches = (near(split_chord(chord)[0], part.center - 14),)
            elif stroke.sign == "c" and len(pitches) > 3:
                pitches = tuple(p for p in pitches if p % 12 != split_chord(chord)[0])
            elif stroke.sign == "u":
                level, pitches = level - 8, pitches[::-1]
            events += [Event(pitch, start, length, level) for pitch in pitches]
    if passage.closing:
        final = voicing(passage.bars[-1][0], part.center, top, 4, part.is_open)
        events += [ring(part, context, passage, pitch) for pitch in final]
    return events


def power_chords(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Root, fifth and octave in the rhythm of the figure."""
    figure = figure_for(part, context, passage)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, context, passage, bar):
            root = near(split_chord(passage.chord_at(bar, stroke.step, context.grid))[0], part.center)
            level = loudness(part, context, passage, stroke.step, stroke.accent)
            start = context.quarter(passage, bar, stroke.step)
            length = stroke.length * STEP * 0.93
            events += [Event(root + interval, start, length, level) for interval in (0, 7, 12)]
    if passage.closing:
        root = near(split_chord(passage.bars[-1][0])[0], part.center)
        events += [ring(part, context, passage, root + interval) for interval in (0, 7, 12)]
    return events


def arpeggio(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs 0-9: chord tones counted upwards from the root near `part.center`."""
    figure = figure_for(part, context, passage)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, context, passage, bar):
            chord = passage.chord_at(bar, stroke.step, context.grid)
            pitch = ladder(chord, part.center - 6)[int(stroke.sign)]
            level = loudness(part, context, passage, stroke.step, stroke.accent)
            length = stroke.length * STEP * (0.98 if stroke.length > 1 else 0.9)
            events.append(Event(pitch, context.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        spread = 0.25 if context.grid.quarters > 1.75 else 0.125
        rungs = ladder(passage.bars[-1][0], part.center - 6)[:4]
        events += [ring(part, context, passage, p, after=spread * i) for i, p in enumerate(rungs)]
    return events


def pad(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Every chord held for as long as it lasts."""
    events, top = [], part.center + 5
    for bar in range(passage.n_played):
        for step, length, chord in passage.spans(bar, context.grid):
            pitches = voicing(chord, part.center, top, 4, part.is_open)
            top = pitches[-1]
            level = loudness(part, context, passage, step, False)
            start = context.quarter(passage, bar, step)
            events += [Event(pitch, start, 0.98 * length * STEP, level) for pitch in pitches]
    if passage.closing:
        final = voicing(passage.bars[-1][0], part.center, top, 4, part.is_open)
        events += [ring(part, context, passage, pitch) for pitch in final]
    return events
