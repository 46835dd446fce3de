"""Melodies: a motif of rhythm and contour per section label, repeated with variation over the chords."""

import random
from dataclasses import dataclass
from functools import partial

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.harmony import scale_over
from hybridgen.data.composer.players import Part, Player, loudness, near, ring
from hybridgen.data.composer.rhythm import STEP, Stroke, fit, strokes
from hybridgen.plan.harmony import chord_pitches

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
PHRASES = ("abac", "aabc", "abab", "aaac", "abcb")  # which motif each bar of four plays; c breathes


@dataclass(frozen=True)
class Motif:
    """A bar of melody: its rhythm and the pitch of each note, in scale steps from the bar's first."""

    strokes: tuple[Stroke, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Voice:
    """How a melody sings: density 0-3, and whether it keeps to five notes."""

    density: int
    pentatonic: bool = False


def melody(density: int, pentatonic: bool = False) -> Player:
    """A player of themes; density 0 (long notes) to 3 (runs)."""
    return partial(_play_melody, voice=Voice(density, pentatonic))


def center_for(program: int, center: int) -> int:
    """`center` moved so that a melody that reaches an octave either way mostly stays in the instrument's range."""
    low, high = RANGES.get(program, (36, 96))
    return max(low + 9, min(high - 9, center))


def _play_melody(part: Part, context: SongContext, passage: Passage, voice: Voice) -> list[Event]:
    rng = context.choices("melody", part.role, passage.first_bar)
    motifs, anchor = _write_theme(part, context, passage, voice)
    events: list[Event] = []
    for bar in range(passage.n_played):
        motif = motifs[-1] if bar == passage.n_played - 1 else motifs[bar % 4]
        if 4 <= bar < passage.n_played - 1:
            motif = _vary(rng, motif)
        line = _sing(part, context, passage, bar, motif, voice, anchor, events[-1].pitch if events else anchor, rng)
        events += line
        anchor = _drift(part, rng, line, anchor)
    if passage.closing:
        chord = chord_pitches(passage.bars[-1][0])
        last = events[-1].pitch if events else part.center
        pitch = _in_range(near(chord[rng.choice((0, 0, 2, 1))], last), part.center)
        events.append(ring(part, context, passage, pitch))
    return events


def _write_theme(part: Part, context: SongContext, passage: Passage, voice: Voice) -> tuple[tuple[Motif, ...], int]:
    """The motifs of four bars and the pitch around which they start; sections of one label share them."""
    rng = context.choices("theme", part.role, passage.label)
    density = min(3, voice.density + (passage.label == "solo") + (passage.energy >= 6))
    motifs = {name: _write_motif(rng, context, density) for name in "ab"}
    motifs["c"] = _closing_motif(motifs["a"], context, density > 0 and rng.random() < 0.5)
    phrase = rng.choice(PHRASES)
    return tuple(motifs[name] for name in phrase), part.center + rng.choice((-3, 0, 2, 4))


def _drift(part: Part, rng: random.Random, line: list[Event], anchor: int) -> int:
    last = line[-1].pitch if line else anchor
    return round(0.5 * anchor + 0.25 * last + 0.25 * part.center) + rng.choice((-1, 0, 1))


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


def _closing_motif(motif: Motif, context: SongContext, leads_on: bool) -> Motif:
    """The opening of a motif, then one long note so that the phrase breathes, perhaps with a pick-up to the next."""
    grid = context.grid
    middle = grid.beats[(len(grid.beats) + 1) // 2] if len(grid.beats) > 1 else 0
    opening = [stroke for stroke in motif.strokes if stroke.step + stroke.length <= middle][:3]
    picks_up = leads_on and grid.steps - middle >= 8
    last = Stroke(middle, max(2, grid.steps - middle - (4 if picks_up else 2)), "x", False)
    pick_up = [Stroke(grid.steps + 2 * step, 2, "x", False) for step in PICK_UP] if picks_up else []
    steps = (*motif.steps[: len(opening)], 0, *(PICK_UP if picks_up else ()))
    return Motif((*opening, last, *pick_up), steps)


def _vary(rng: random.Random, motif: Motif) -> Motif:
    steps = [step + (rng.choice((-1, 1)) if i and rng.random() < 0.2 else 0) for i, step in enumerate(motif.steps)]
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
    rng: random.Random,
) -> list[Event]:
    """A motif over the chords of a bar: chord tones on beats and long notes, scale tones between, small steps."""
    events = []
    for stroke, offset in zip(motif.strokes, motif.steps, strict=True):
        chord = passage.chord_at(bar, stroke.step, context.grid)
        target = anchor + round(offset * 12 / (5 if voice.pentatonic else 7))
        strong = stroke.length >= 4 or stroke.step in context.grid.beats
        choice = chord_pitches(chord) if strong else scale_over(context.key, chord, voice.pentatonic)
        options = [near(pitch, target) for pitch in choice]
        costs = [abs(pitch - target) + 0.4 * abs(pitch - last) for pitch in options]
        last = _in_range(options[costs.index(min(costs))], part.center)
        level = loudness(part, context, passage, stroke.step, stroke.accent)
        length = stroke.length * STEP * 0.95
        events.append(Event(last, context.quarter(passage, bar, stroke.step), length, level))
    return events


def _in_range(pitch: int, center: int) -> int:
    while pitch > center + 11:
        pitch -= 12
    while pitch < center - 11:
        pitch += 12
    return pitch
