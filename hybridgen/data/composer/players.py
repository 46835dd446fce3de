"""Players of bass, chords, arpeggios and drums: from figures and chords to notes.

Each player is a function (part, context, passage) -> events for one section. The track
ends in the same way for all: its last bar is one chord that rings (`ring`).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from hybridgen.data.composer.context import PHRASE, Event, Passage, SongContext
from hybridgen.data.composer.harmony import ladder, scale_over, voicings
from hybridgen.data.composer.rhythm import STEP, Stroke, between_kicks, fit, strokes, text_of_bar, with_kick
from hybridgen.plan.harmony import chord_pitches, split_chord
from hybridgen.plan.notes import VELOCITY_STEP

Player = Callable[["Part", SongContext, Passage], list[Event]]
GHOST = 28  # velocity by which a ghost note is softer
TURNS = 0.55  # share of the ends of phrases at which a figure turns


@dataclass(frozen=True)
class Groove:
    """One drum of a pattern: General MIDI percussion `pitch`, its figure, and the least energy at which it plays."""

    pitch: int
    figure: str
    enters: int = 0
    velocity: int = 0


@dataclass(frozen=True)
class Fills:
    """How drums lead on: bars of `drums.SIGNS`, denser to their ends; the groove goes on up to the first sign."""

    full: tuple[str, ...]  # before a stronger section
    half: tuple[str, ...]  # before another section, and at ends of phrases
    landing: tuple[int, ...]  # drums on the first beat of what they lead to


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
    kits: tuple[tuple[Groove, ...], ...] = ()  # of drums: one is drawn for each song
    fills: Fills | None = None  # of drums: None plays the groove alone
    voices: int = 4  # notes that a chord has at most
    is_open: bool = False  # wide voicings
    turns: bool = False  # a melody: parts with melodies take turns, one to a section


def loudness(part: Part, context: SongContext, passage: Passage, step: int, accent: bool) -> int:
    """Velocity 20-127 of a note at `step`, from energy, metrical weight and accent."""
    level = 64 + VELOCITY_STEP * passage.energy + part.velocity
    level += (-12, -6, 3, 10)[context.weight(step)] + (9 if accent else 0)
    return max(20, min(127, level))


def stroke_level(part: Part, context: SongContext, passage: Passage, stroke: Stroke) -> int:
    """The velocity of a struck sign of a figure; g is a ghost note."""
    level = loudness(part, context, passage, stroke.step, stroke.accent)
    return max(12, level - GHOST) if stroke.sign == "g" else level


def figures_for(part: Part, context: SongContext, passage: Passage) -> tuple[str, ...]:
    """The figures that the part has at this energy, calmer ones in slow songs; a section that returns keeps its own."""
    level = min(len(part.figures) - 1, passage.first_energy * len(part.figures) // 7)
    return part.figures[max(0, level - context.is_slow)]


def bar_texts(part: Part, context: SongContext, passage: Passage) -> list[str]:
    """The 16 signs of each bar of a section that is played in full.

    All bars play one figure, which sections of similar energy share; the end of a phrase often turns elsewhere.
    """
    pool = figures_for(part, context, passage)
    figure = context.choices("figure", part.role, part.center, *pool).choice(pool)
    texts = []
    for bar in range(passage.n_played):
        text = text_of_bar(figure, context.grid.meter, bar)
        if (end := passage.phrase_end(bar)) is not None:
            text = _turned(context.choices("turn", part.role, part.center, *end), text, pool)
        texts.append(text)
    return texts


def bar_strokes(part: Part, context: SongContext, passage: Passage) -> list[tuple[Stroke, ...]]:
    """The notes of each bar of a section, struck again where a chord changes under a held note."""
    return _fitted(bar_texts(part, context, passage), context, passage)


def _fitted(texts: list[str], context: SongContext, passage: Passage) -> list[tuple[Stroke, ...]]:
    meter = context.grid.meter
    return [strokes(fit(text, meter, bar), passage.breaks(bar, context.grid)) for bar, text in enumerate(texts)]


def _turned(rng: random.Random, text: str, pool: tuple[str, ...]) -> str:
    """A bar of a figure that ends, as often as not, like another one of the pool or with an earlier beat of its own."""
    if rng.random() > TURNS:
        return text
    tails = [figure[-size:] for figure in pool for size in (4, 8)] + [text[i : i + 4].lower() for i in (0, 4, 8)]
    others = sorted({text[: -len(tail)] + tail for tail in tails} - {text})
    return rng.choice(others) if others else text


def near(pitch_class: int, center: int) -> int:
    """The pitch of a class nearest to `center`, at most a tritone away."""
    return center + (pitch_class - center + 6) % 12 - 6


def bass(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs: r root, o octave above, f fifth, t third, s seventh or sixth, g ghost note, a a step to the next root."""
    events = []
    for bar, own in enumerate(_bass_strokes(part, context, passage)):
        for stroke in own:
            chord = passage.chord_at(bar, stroke.step, context.grid)
            following = _following_chord(passage, bar, stroke.step + stroke.length, context)
            pitch = _bass_pitch(stroke.sign, chord, following, part.center)
            level = stroke_level(part, context, passage, stroke)
            length = stroke.length * STEP * (0.95 if stroke.length > 1 else 0.85)
            events.append(Event(pitch, context.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        root = split_chord(passage.bars[-1][0])[0]
        events.append(ring(part, context, passage, near(root, part.center)))
    return events


def _bass_strokes(part: Part, context: SongContext, passage: Passage) -> list[tuple[Stroke, ...]]:
    """The figure's notes with the kick or between its strokes, steps into other roots, and rests to breathe."""
    texts = []
    for bar, text in enumerate(bar_texts(part, context, passage)):
        if context.kick and context.bass.kick != "free":
            kick = text_of_bar(context.kick, context.grid.meter, bar)
            text = with_kick(text, kick) if context.bass.kick == "with" else between_kicks(text, kick)
        chord, following = passage.bars[bar][-1], _following_chord(passage, bar, context.grid.steps, context)
        rng = context.choices("lead on", part.role, passage.label, bar % (2 * PHRASE))
        share = context.bass.approach * (1.0 if bar % 2 else 0.4)
        if split_chord(chord)[0] != split_chord(following)[0] and rng.random() < share:
            text = text[:14] + "a-"
        elif passage.phrase_end(bar) is not None and rng.random() < context.bass.rest:
            text = text[:12] + "...."
        texts.append(text)
    return _fitted(texts, context, passage)


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
    index = {"r": 0, "g": 0, "t": 1, "f": 2, "s": 3}[sign]
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


def shapes_for(part: Part, passage: Passage) -> dict[str, tuple[int, ...]]:
    """The voicing of each chord of a section."""
    return voicings(tuple(chord for bar in passage.bars for chord in bar), part.center, part.voices, part.is_open)


def chords(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs: x the chord, u it strummed upwards, lighter, b its root below, c it without its root, g a ghost note."""
    events, shapes = [], shapes_for(part, passage)
    for bar, own in enumerate(bar_strokes(part, context, passage)):
        for stroke in own:
            chord = passage.chord_at(bar, stroke.step, context.grid)
            level = stroke_level(part, context, passage, stroke)
            start = context.quarter(passage, bar, stroke.step)
            length = stroke.length * STEP * (0.97 if stroke.length > 1 else 0.8)
            pitches = shapes[chord]
            if stroke.sign == "b":
                pitches = (near(split_chord(chord)[0], part.center - 14),)
            elif stroke.sign == "c" and len(pitches) > 3:
                pitches = tuple(p for p in pitches if p % 12 != split_chord(chord)[0])
            elif stroke.sign == "g":
                pitches = pitches[-2:]
            elif stroke.sign == "u":
                level, pitches = level - 8, pitches[::-1]
            events += [Event(pitch, start, length, level) for pitch in pitches]
    if passage.closing:
        events += [ring(part, context, passage, pitch) for pitch in shapes[passage.bars[-1][0]]]
    return events


def power_chords(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Root, fifth and octave in the rhythm of the figure."""
    events = []
    for bar, own in enumerate(bar_strokes(part, context, passage)):
        for stroke in own:
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
    return _broken(part, context, passage, lambda chord: ladder(chord, part.center - 6))


def broken_chords(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Signs 0-9: tones counted upwards from the lowest of a voicing that moves little from chord to chord."""
    shapes = shapes_for(part, passage)
    return _broken(part, context, passage, lambda chord: [p + 12 * i for i in range(5) for p in shapes[chord]])


def _broken(
    part: Part, context: SongContext, passage: Passage, rungs_of: Callable[[str], Sequence[int]]
) -> list[Event]:
    events = []
    for bar, own in enumerate(bar_strokes(part, context, passage)):
        for stroke in own:
            pitch = rungs_of(passage.chord_at(bar, stroke.step, context.grid))[int(stroke.sign)]
            level = loudness(part, context, passage, stroke.step, stroke.accent)
            length = stroke.length * STEP * (0.98 if stroke.length > 1 else 0.9)
            events.append(Event(pitch, context.quarter(passage, bar, stroke.step), length, level))
    if passage.closing:
        spread = 0.25 if context.grid.quarters > 1.75 else 0.125
        rungs = rungs_of(passage.bars[-1][0])[:4]
        events += [ring(part, context, passage, p, after=spread * i) for i, p in enumerate(rungs)]
    return events


def pad(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """Every chord held for as long as it lasts."""
    events, shapes = [], shapes_for(part, passage)
    for bar in range(passage.n_played):
        for step, length, chord in passage.spans(bar, context.grid):
            level = loudness(part, context, passage, step, False)
            start = context.quarter(passage, bar, step)
            events += [Event(pitch, start, 0.98 * length * STEP, level) for pitch in shapes[chord]]
    if passage.closing:
        events += [ring(part, context, passage, pitch) for pitch in shapes[passage.bars[-1][0]]]
    return events
