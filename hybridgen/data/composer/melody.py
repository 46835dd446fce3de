"""Melodies: a motif of rhythm and contour per section label, repeated with variation over the chords."""

import random
from dataclasses import dataclass
from functools import partial

from hybridgen.data.composer.harmony import scale_over
from hybridgen.data.composer.players import Part, Player, loudness, near, ring
from hybridgen.data.composer.rhythm import STEP, Stroke, fit, strokes
from hybridgen.data.composer.stage import Event, Passage, Stage
from hybridgen.plan import chord_pitches

# one beat each, calm to busy; the first sign of a bar's first beat is usually struck
CELLS = {
    0: ("x---", "----", "x---", "x-x-", "....", "----"),
    1: ("x---", "x-x-", "x-x-", "--x-", "x--x", "..x-", "----"),
    2: ("x-x-", "x-x-", "x--x", "x-xx", "xxx-", "--x-", "x---", ".xx-"),
    3: ("x-x-", "xxxx", "x-xx", "xxx-", "-xx-", "x-x-", "..xx"),
}
PHRASES = ("abac", "aabc", "abab", "aaac", "abcb")  # which motif each bar of four plays; c breathes


@dataclass(frozen=True)
class Motif:
    """A bar of melody: its rhythm and where each note lies, in scale steps from the bar's first."""

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


def _play_melody(part: Part, stage: Stage, passage: Passage, voice: Voice) -> list[Event]:
    theme_rng = stage.choices("theme", part.role, passage.label)
    rng = stage.choices("melody", part.role, passage.first_bar)
    density = min(3, voice.density + (passage.label == "solo") + (passage.energy >= 6))
    motifs = {name: _write_motif(theme_rng, stage, density) for name in "ab"}
    motifs["c"] = _closing_motif(motifs["a"], stage)
    phrase = theme_rng.choice(PHRASES)
    anchor = part.centre + theme_rng.choice((-3, 0, 2, 4))
    events: list[Event] = []
    for bar in range(passage.n_played):
        motif = motifs[phrase[bar % 4]]
        if bar == passage.n_played - 1:
            motif = motifs["c"]
        elif bar >= 4:
            motif = _vary(rng, motif)
        line = _sing(part, stage, passage, bar, motif, voice, anchor, rng)
        events += line
        anchor = _drift(part, rng, line, anchor)
    if passage.closing:
        tonic = chord_pitches(passage.bars[-1][0])
        last = events[-1].pitch if events else part.centre
        events.append(ring(part, stage, passage, near(tonic[rng.choice((0, 0, 2, 1))], last), rng))
    return events


def _drift(part: Part, rng: random.Random, line: list[Event], anchor: int) -> int:
    last = line[-1].pitch if line else anchor
    return round(0.5 * anchor + 0.25 * last + 0.25 * part.centre) + rng.choice((-1, 0, 1))


def _write_motif(rng: random.Random, stage: Stage, density: int) -> Motif:
    cells = [rng.choice(CELLS[density]) for _ in range(4)]
    if rng.random() < 0.8 or not cells[0].strip("-."):
        cells[0] = rng.choice([cell for cell in CELLS[density] if cell[0] == "x"])
    notes = strokes(fit("".join(cells), stage.grid.meter)) or strokes(fit("x-x-" * 4, stage.grid.meter))
    steps, here = [0], 0
    for _ in notes[1:]:
        move = rng.choice((-2, -1, -1, -1, 0, 1, 1, 1, 2, 3, -3))
        here += -move if abs(here + move) > 5 else move
        steps.append(here)
    return Motif(notes, tuple(steps))


def _closing_motif(motif: Motif, stage: Stage) -> Motif:
    """The opening of a motif and then one long note, so that a phrase breathes."""
    middle = stage.grid.beats[(len(stage.grid.beats) + 1) // 2] if len(stage.grid.beats) > 1 else 0
    opening = [s for s in motif.strokes if s.step + s.length <= middle][:3]
    last = Stroke(middle, max(2, stage.grid.steps - middle - 2), "x", False)
    return Motif((*opening, last), (*motif.steps[: len(opening)], 0))


def _vary(rng: random.Random, motif: Motif) -> Motif:
    steps = [step + (rng.choice((-1, 1)) if i and rng.random() < 0.2 else 0) for i, step in enumerate(motif.steps)]
    return Motif(motif.strokes, tuple(steps))


def _sing(part, stage: Stage, passage: Passage, bar: int, motif: Motif, voice: Voice, anchor: int, rng) -> list[Event]:
    events = []
    for stroke, offset in zip(motif.strokes, motif.steps, strict=True):
        chord = passage.chord_at(bar, stroke.step, stage.grid)
        target = anchor + round(offset * 12 / (5 if voice.pentatonic else 7))
        strong = stroke.length >= 4 or stroke.step in stage.grid.beats
        choice = chord_pitches(chord) if strong else scale_over(stage.key, chord, voice.pentatonic)
        pitch = _in_range(min((near(p, target) for p in choice), key=lambda p: (abs(p - target), p)), part.centre)
        level = loudness(part, stage, passage, stroke.step, stroke.accent, rng)
        length = stroke.length * STEP * 0.95
        events.append(Event(pitch, stage.quarter(passage, bar, stroke.step), length, level))
    return events


def _in_range(pitch: int, centre: int) -> int:
    while pitch > centre + 14:
        pitch -= 12
    while pitch < centre - 14:
        pitch += 12
    return pitch
