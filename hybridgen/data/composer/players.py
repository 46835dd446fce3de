"""Players of bass, chords, arpeggios and drums: from figures and chords to notes.

Each player is a function (part, stage, passage) -> events for one section. What ends the track is the same for all:
the last bar is one chord that rings (`ending` in each).
"""

import random
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from hybridgen.data.composer.harmony import ladder, scale_over, voicing
from hybridgen.data.composer.rhythm import STEP, Stroke, fit, strokes
from hybridgen.data.composer.stage import Event, Passage, Stage
from hybridgen.plan import chord_pitches, split_chord

Player = Callable[["Part", Stage, Passage], list[Event]]


@dataclass(frozen=True)
class Part:
    """What one role does in a genre: who plays, on what, when, and how it stands in the mix."""

    role: str
    player: Player
    programs: tuple[int, ...]  # General MIDI; one is drawn a song (parts of one role share it)
    _: KW_ONLY
    figures: tuple[tuple[str, ...], ...] = ()  # calm to busy; one of each is drawn a song
    centre: int = 60  # MIDI pitch around which it plays
    chance: float = 1.0  # of being in a song at all
    enters: int = 0  # energy from which it plays
    rests: tuple[str, ...] = ()  # section labels in which it is silent
    velocity: int = 0  # added to what energy asks for
    gain_db: float = 0.0
    pan: float = 0.0
    reverb: float = 0.25
    chorus: float = 0.0
    is_open: bool = False  # wide voicings
    turns: bool = False  # a melody: of those that could, one plays in a section


@dataclass(frozen=True)
class Groove:
    """One drum of a pattern: General MIDI percussion `pitch`, its figure, and the energy from which it plays."""

    pitch: int
    figure: str
    enters: int = 0
    velocity: int = 0


def loudness(part: Part, stage: Stage, passage: Passage, step: int, accent: bool, rng: random.Random) -> int:
    """Velocity 1-127 of a note at `step`: energy, weight in the bar, accent, and a human spread."""
    level = 62 + 5 * passage.energy + part.velocity
    level += (-12, -6, 3, 10)[stage.weight(step)] + (9 if accent else 0) + rng.randint(-4, 4)
    return max(20, min(127, level))


def figure_for(part: Part, stage: Stage, passage: Passage) -> str:
    """The part's figure at this energy, calmer in slow songs; sections of like energy share it."""
    level = min(len(part.figures) - 1, passage.energy * len(part.figures) // 7)
    level = max(0, level - stage.is_slow)
    return stage.choices("figure", part.role, part.centre, level).choice(part.figures[level])


def bar_strokes(figure: str, stage: Stage, passage: Passage, bar: int) -> tuple[Stroke, ...]:
    """The notes of a figure in one bar of a section, struck again where a chord changes under a held note."""
    return strokes(fit(figure, stage.grid.meter, bar), passage.breaks(bar, stage.grid))


def near(pitch_class: int, centre: int) -> int:
    """The pitch of a class nearest to `centre`, at most a tritone away."""
    return centre + (pitch_class - centre + 6) % 12 - 6


def bass(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """Signs: r root, o octave above, f fifth, t third, s seventh or sixth, a a step that leads to the next root."""
    figure, rng = figure_for(part, stage, passage), stage.choices("bass", part.role, part.centre, passage.first_bar)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, stage, passage, bar):
            chord = passage.chord_at(bar, stroke.step, stage.grid)
            following = _following_chord(passage, bar, stroke.step + stroke.length, stage)
            pitch = _bass_pitch(stroke.sign, chord, following, part.centre)
            level = loudness(part, stage, passage, stroke.step, stroke.accent, rng)
            length = stroke.length * STEP * (0.95 if stroke.length > 1 else 0.85)
            events.append(Event(pitch, stage.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        root = split_chord(passage.bars[-1][0])[0]
        events.append(ring(part, stage, passage, near(root, part.centre), rng))
    return events


def _following_chord(passage: Passage, bar: int, step: int, stage: Stage) -> str:
    if step < stage.grid.steps:
        return passage.chord_at(bar, step, stage.grid)
    return passage.bars[bar + 1][0] if bar + 1 < len(passage.bars) else passage.bars[0][0]


def _bass_pitch(sign: str, chord: str, following: str, centre: int) -> int:
    pitches = chord_pitches(chord)
    root = near(pitches[0], centre)
    if sign == "a":
        target = near(chord_pitches(following)[0], centre)
        return root if target == root else target - 1 if target > root else target + 1
    if sign == "o":
        return root + 12
    index = {"r": 0, "t": 1, "f": 2, "s": 3}[sign]
    if index >= len(pitches):
        return root + 12
    return root + (pitches[index] - pitches[0]) % 12


def ring(part: Part, stage: Stage, passage: Passage, pitch: int, rng: random.Random, after: float = 0.0) -> Event:
    """A note of the chord that ends the track, held through its last bar."""
    start = stage.quarter(passage, len(passage.bars) - 1)
    return Event(pitch, start + after, stage.grid.quarters - after, loudness(part, stage, passage, 0, False, rng))


def walking_bass(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """A note on every beat: the root on the chord, then through chord and scale, a step into the next root."""
    rng = stage.choices("walk", passage.first_bar)
    events: list[Event] = []
    for bar in range(passage.n_played):
        lengths = stage.grid.beat_lengths
        for i, (step, length) in enumerate(zip(stage.grid.beats, lengths, strict=True)):
            chord = passage.chord_at(bar, step, stage.grid)
            following = _following_chord(passage, bar, step + length, stage)
            is_start = step == 0 or step in passage.breaks(bar, stage.grid)
            last = events[-1].pitch if events else part.centre
            leads = i == len(lengths) - 1 and following != chord
            pitch = _walk_pitch(rng, stage.key, chord, following, last, part.centre, is_start, leads)
            level = loudness(part, stage, passage, step, False, rng)
            events.append(Event(pitch, stage.quarter(passage, bar, step), 0.92 * length * STEP, level))
    if passage.closing:
        events.append(ring(part, stage, passage, near(split_chord(passage.bars[-1][0])[0], part.centre), rng))
    return events


def _walk_pitch(
    rng: random.Random, key: str, chord: str, following: str, last: int, centre: int, is_start: bool, leads: bool
) -> int:
    pitches = chord_pitches(chord)
    if is_start:
        return near(pitches[0], centre)
    if leads:
        target = near(chord_pitches(following)[0], centre)
        return target + (1 if last > target else -1)
    tones = [near(p, last) for p in (pitches if rng.random() < 0.75 else scale_over(key, chord))]
    tones = [p for p in tones if p != last and abs(p - centre) <= 10] or [near(pitches[2 % len(pitches)], centre)]
    return min(tones, key=lambda p: abs(p - last) + rng.random() * 4)


def chords(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """Signs: x the chord, u the chord strummed upwards and lighter, b its root below, c the chord without its root."""
    figure, rng = figure_for(part, stage, passage), stage.choices("chords", part.role, part.centre, passage.first_bar)
    events, top = [], part.centre + 5
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, stage, passage, bar):
            chord = passage.chord_at(bar, stroke.step, stage.grid)
            level = loudness(part, stage, passage, stroke.step, stroke.accent, rng)
            start = stage.quarter(passage, bar, stroke.step)
            length = stroke.length * STEP * (0.97 if stroke.length > 1 else 0.8)
            pitches = voicing(chord, part.centre, top, 4, part.is_open)
            top = pitches[-1]
            if stroke.sign == "b":
                pitches = (near(split_chord(chord)[0], part.centre - 14),)
            elif stroke.sign == "c" and len(pitches) > 3:
                pitches = tuple(p for p in pitches if p % 12 != split_chord(chord)[0])
            elif stroke.sign == "u":
                level, pitches = level - 8, pitches[::-1]
            events += [Event(pitch, start, length, level) for pitch in pitches]
    if passage.closing:
        final = voicing(passage.bars[-1][0], part.centre, top, 4, part.is_open)
        events += [ring(part, stage, passage, pitch, rng) for pitch in final]
    return events


def power_chords(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """Root, fifth and octave in the rhythm of the figure."""
    figure, rng = figure_for(part, stage, passage), stage.choices("power", passage.first_bar)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, stage, passage, bar):
            root = near(split_chord(passage.chord_at(bar, stroke.step, stage.grid))[0], part.centre)
            level = loudness(part, stage, passage, stroke.step, stroke.accent, rng)
            start = stage.quarter(passage, bar, stroke.step)
            length = stroke.length * STEP * 0.93
            events += [Event(root + interval, start, length, level) for interval in (0, 7, 12)]
    if passage.closing:
        root = near(split_chord(passage.bars[-1][0])[0], part.centre)
        events += [ring(part, stage, passage, root + interval, rng) for interval in (0, 7, 12)]
    return events


def arpeggio(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """Signs 0-9: chord tones counted upwards from the root near `part.centre`."""
    figure, rng = figure_for(part, stage, passage), stage.choices("arp", part.role, part.centre, passage.first_bar)
    events = []
    for bar in range(passage.n_played):
        for stroke in bar_strokes(figure, stage, passage, bar):
            chord = passage.chord_at(bar, stroke.step, stage.grid)
            pitch = ladder(chord, part.centre - 6)[int(stroke.sign)]
            level = loudness(part, stage, passage, stroke.step, stroke.accent, rng)
            length = stroke.length * STEP * (0.98 if stroke.length > 1 else 0.9)
            events.append(Event(pitch, stage.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        spread = 0.25 if stage.grid.quarters > 1.75 else 0.125
        rungs = ladder(passage.bars[-1][0], part.centre - 6)[:4]
        events += [ring(part, stage, passage, p, rng, after=spread * i) for i, p in enumerate(rungs)]
    return events


def pad(part: Part, stage: Stage, passage: Passage) -> list[Event]:
    """Every chord held for as long as it lasts."""
    rng = stage.choices("pad", part.role, passage.first_bar)
    events, top = [], part.centre + 5
    for bar in range(passage.n_played):
        for step, length, chord in passage.spans(bar, stage.grid):
            pitches = voicing(chord, part.centre, top, 4, part.is_open)
            top = pitches[-1]
            level = loudness(part, stage, passage, step, False, rng)
            start = stage.quarter(passage, bar, step)
            events += [Event(pitch, start, 0.98 * length * STEP, level) for pitch in pitches]
    if passage.closing:
        final = voicing(passage.bars[-1][0], part.centre, top, 4, part.is_open)
        events += [ring(part, stage, passage, pitch, rng) for pitch in final]
    return events
