"""Melodies: a motif of rhythm and contour per section label, repeated with variation over the chords."""

import random
from dataclasses import dataclass, replace
from functools import partial

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.harmony import scale_over
from hybridgen.data.composer.players import Part, Player, loudness, near, ring
from hybridgen.data.composer.rhythm import STEP, Stroke, fit, strokes
from hybridgen.plan.harmony import chord_pitches, split_chord

# one beat each, calm to busy; the first sign of a bar's first beat is usually struck
CELLS = {
    0: ("x---", "----", "x---", "x-x-", "....", "----"),
    1: ("x---", "x-x-", "x-x-", "--x-", "x--x", "..x-", "----"),
    2: ("x-x-", "x-x-", "x--x", "x-xx", "xxx-", "--x-", "x---", ".xx-"),
    3: ("x-x-", "xxxx", "x-xx", "xxx-", "-xx-", "x-x-", "..xx"),
}
# lowest and highest MIDI pitch of programs with a limited range
RANGES = {
    22: (60, 86),
    27: (52, 84),
    29: (50, 84),
    30: (48, 84),
    40: (57, 93),
    41: (50, 80),
    42: (40, 70),
    56: (56, 82),
    57: (43, 70),
    60: (48, 76),
    61: (50, 80),
    64: (58, 84),
    65: (52, 80),
    66: (46, 74),
    68: (59, 86),
    71: (52, 86),
    73: (60, 93),
    74: (62, 91),
}
PICK_UP = (-2, -1)  # scale steps of the two eighth notes that may lead into a phrase
PHRASES = ("abac", "abac", "aabc", "aaac")  # what each bar of four plays: a the call, b its answer, c a close
CLOSES = {
    "o": (1, 2),
    "h": (0,),
}  # signs of a last, held note: the chord tones on which a phrase stays open, or is home
PICKED, PICK_SOFTER = 4, 8  # steps of a note from which a pick goes to and fro; velocity of its way back
SAME = 1.5  # semitones further that a note seems that would only repeat the one before it


@dataclass(frozen=True)
class Motif:
    """A bar of melody: its rhythm (signs: those of `CLOSES`, x any other) and the pitch of each note, in scale steps
    from the bar's first.
    """

    strokes: tuple[Stroke, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Voice:
    """How a melody sings: density 0-3, whether it keeps to five notes, and whether a pick strikes held ones again."""

    density: int
    pentatonic: bool = False
    is_picked: bool = False


def melody(density: int, pentatonic: bool = False, is_picked: bool = False) -> Player:
    """A player of themes; density 0 (long notes) to 3 (runs)."""
    return partial(_play_melody, voice=Voice(density, pentatonic, is_picked))


def center_for(program: int, center: int) -> int:
    """`center` moved so that a melody that reaches an octave either way mostly stays in the instrument's range."""
    low, high = RANGES.get(program, (36, 96))
    return max(low + 9, min(high - 9, center))


def _play_melody(part: Part, context: SongContext, passage: Passage, voice: Voice) -> list[Event]:
    theme, anchor = _write_theme(part, context, passage, voice)
    home = split_chord(passage.bars[0][0])[0]
    events: list[Event] = []
    for bar in range(passage.n_played):
        is_last = bar == passage.n_played - 1
        motif = theme[-1] if is_last else theme[bar % len(theme)]
        if bar >= len(theme) or (passage.turn and bar >= passage.n_played - 2):
            motif = _vary(context.choices("vary", part.role, passage.label, bar, passage.turn * is_last), motif)
        moved = anchor + _sequence(home, split_chord(passage.bars[bar][0])[0])
        events += _sing(part, context, passage, bar, motif, voice, moved, events[-1].pitch if events else anchor)
    if passage.closing:
        chord = chord_pitches(passage.bars[-1][0])
        tone = context.choices("last note", part.role).choice((0, 0, 2, 1))
        last = events[-1].pitch if events else part.center
        events.append(ring(part, context, passage, _in_range(near(chord[tone], last), part.center)))
    return events


def _write_theme(part: Part, context: SongContext, passage: Passage, voice: Voice) -> tuple[tuple[Motif, ...], int]:
    """Two phrases of four bars, alike but for their ends, and the pitch around which they start: the same for all
    sections of one label. The first phrase stays open, the second comes home.
    """
    rng = context.choices("theme", part.role, passage.label)
    density = min(3, voice.density + (passage.label == "solo") + (passage.first_energy >= 6))
    call = _write_motif(rng, context, density)
    motifs = {"a": call, "b": _answer(rng, call, _write_motif(rng, context, density), context)}
    phrase = rng.choice(PHRASES)
    picks_up = density > 0 and rng.random() < 0.5
    phrases = []
    for sign in CLOSES:
        motifs["c"] = _closing_motif(call, context, sign, picks_up)
        phrases += [motifs[name] for name in phrase]
    return tuple(phrases), part.center + rng.choice((-3, 0, 2, 4))


def _sequence(home: int, root: int) -> int:
    """Semitones by which a motif moves with the chord, from the root of the section's first: less than it does."""
    return round(0.7 * ((root - home + 6) % 12 - 6))


def _answer(rng: random.Random, call: Motif, other: Motif, context: SongContext) -> Motif:
    """A motif that begins as the call does and ends otherwise, often with a rest."""
    middle = context.grid.beats[len(context.grid.beats) // 2]
    first = [i for i, stroke in enumerate(call.strokes) if stroke.step + stroke.length <= middle]
    end = context.grid.beats[-1] if rng.random() < 0.6 else context.grid.steps
    rest = [i for i, stroke in enumerate(other.strokes) if middle <= stroke.step < end]
    if not first or not rest:
        return _unlike(call, other)
    last = call.steps[first[-1]]
    steps = [last + other.steps[i] - other.steps[rest[0]] + rng.choice((-1, 1)) for i in rest]
    strokes = [
        replace(other.strokes[i], length=min(other.strokes[i].length, end - other.strokes[i].step)) for i in rest
    ]
    begun = Motif((*(call.strokes[i] for i in first), *strokes), (*(call.steps[i] for i in first), *steps))
    return _unlike(call, begun)


def _unlike(call: Motif, answer: Motif) -> Motif:
    """The answer, without its last note where that is just where the call has its own."""
    places = [(motif.strokes[-1].step, motif.strokes[-1].length) for motif in (call, answer)]
    if places[0] != places[1] or len(answer.strokes) == 1:
        return answer
    return Motif(answer.strokes[:-1], answer.steps[:-1])


def _write_motif(rng: random.Random, context: SongContext, density: int) -> Motif:
    cells = [rng.choice(CELLS[density]) for _ in range(4)]
    if rng.random() < 0.8 or not cells[0].strip("-."):
        cells[0] = rng.choice([cell for cell in CELLS[density] if cell[0] == "x"])
    notes = strokes(fit("".join(cells), context.grid.meter)) or strokes(fit("x-x-" * 4, context.grid.meter))
    steps, here = [0], 0
    for _ in notes[1:]:
        move = rng.choice((-2, -1, -1, -1, 0, 1, 1, 1, 2, 3, -3))
        here += -move if abs(here + move) > 5 else move
        steps.append(here)
    return Motif(notes, tuple(steps))


def _closing_motif(call: Motif, context: SongContext, sign: str, picks_up: bool) -> Motif:
    """The opening of the call, one longer note and a rest in which to breathe, perhaps with a pick-up to the next."""
    grid = context.grid
    middle = grid.beats[len(grid.beats) // 2]
    opening = [stroke for stroke in call.strokes if stroke.step + stroke.length <= middle][:3]
    room = grid.steps - middle
    last = Stroke(middle, room - min(4, room // 2), sign, False)
    picks_up = picks_up and room >= 8
    pick_up = [Stroke(grid.steps + 2 * step, 2, "x", False) for step in PICK_UP] if picks_up else []
    steps = (*call.steps[: len(opening)], 0, *(PICK_UP if picks_up else ()))
    return Motif((*opening, last, *pick_up), steps)


def _vary(rng: random.Random, motif: Motif) -> Motif:
    """The same rhythm with some other notes, the first and those that close aside."""
    steps = [
        step + (rng.choice((-1, 1, 2)) if i and stroke.sign not in CLOSES and rng.random() < 0.4 else 0)
        for i, (step, stroke) in enumerate(zip(motif.steps, motif.strokes, strict=True))
    ]
    return Motif(motif.strokes, tuple(steps))


def _sing(
    part: Part,
    context: SongContext,
    passage: Passage,
    bar: int,
    motif: Motif,
    voice: Voice,
    anchor: int,
    last: int,
) -> list[Event]:
    """A motif over the chords of a bar: chord tones on beats and long notes, scale tones between, small steps."""
    events = []
    for stroke, offset in zip(motif.strokes, motif.steps, strict=True):
        chord = passage.chord_at(bar, stroke.step, context.grid)
        target = anchor + round(offset * 12 / (5 if voice.pentatonic else 7))
        strong = stroke.length >= 4 or stroke.step in context.grid.beats
        choice = chord_pitches(chord) if strong else scale_over(context.key, chord, voice.pentatonic)
        if stroke.sign in CLOSES:
            choice = tuple(choice[i] for i in CLOSES[stroke.sign] if i < len(choice))
        options = [near(pitch, target) for pitch in choice]
        costs = [abs(pitch - target) + 0.4 * abs(pitch - last) + SAME * (pitch == last) for pitch in options]
        last = _in_range(options[costs.index(min(costs))], part.center)
        level = loudness(part, context, passage, stroke.step, stroke.accent)
        is_picked = voice.is_picked and stroke.length >= PICKED and stroke.sign not in CLOSES
        times = stroke.length if is_picked else 1
        length = stroke.length * STEP / times
        for i in range(times):
            start = context.quarter(passage, bar, stroke.step) + i * length
            events.append(Event(last, start, 0.95 * length, level - PICK_SOFTER * (i % 2)))
    return events


def _in_range(pitch: int, center: int) -> int:
    while pitch > center + 11:
        pitch -= 12
    while pitch < center - 11:
        pitch += 12
    return pitch
