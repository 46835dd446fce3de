"""Figures: rhythms written as text, and how a figure in 4/4 is played in any meter.

A figure is a string of sixteenth notes, four to a beat and sixteen to a bar: "." is silence, "-" holds what sounds, any
other sign is struck, upper case louder. "R--.r-..R--.r-f-" is a bass of roots and a fifth. In another meter each beat
plays the cell of the 4/4 beat that has the same weight (`BEAT_CELLS`), and a dotted beat stretches its cell to
three eighth notes, so a figure keeps its character and takes the accents of the meter.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

from hybridgen.plan.harmony import METER_BEATS, meter_quarters

STEP = 0.25  # quarter notes in a step

# which beat of a 4/4 figure each beat plays, bar by bar in turn; 0 carries the downbeat, 1 and 3 the backbeat
BEAT_CELLS: dict[str, tuple[tuple[int, ...], ...]] = {
    "2/4": ((0, 1), (2, 3)),
    "3/4": ((0, 1, 3),),
    "4/4": ((0, 1, 2, 3),),
    "5/4": ((0, 1, 3, 2, 3),),
    "6/8": ((0, 1), (2, 3)),
    "7/8": ((0, 2, 3),),
    "9/8": ((0, 1, 3),),
    "12/8": ((0, 1, 2, 3),),
}


@dataclass(frozen=True)
class Grid:
    """A bar of a meter in steps of a sixteenth note."""

    meter: str
    steps: int  # in a bar
    beats: tuple[int, ...]  # step at which each beat starts

    @property
    def quarters(self) -> float:
        """Quarter notes in a bar."""
        return self.steps * STEP

    @property
    def halves(self) -> bool:
        """Whether the middle of the bar is a beat, so that two chords can share it."""
        return self.steps % 2 == 0 and self.steps // 2 in self.beats

    @property
    def compound(self) -> bool:
        """Whether every beat has three eighth notes."""
        return self.meter in ("6/8", "9/8", "12/8")

    @property
    def beat_lengths(self) -> tuple[int, ...]:
        """Steps in each beat."""
        return tuple(b - a for a, b in zip(self.beats, (*self.beats[1:], self.steps), strict=True))


@cache
def grid(meter: str) -> Grid:
    """The grid of one of the eight meters."""
    beats = tuple(round(beat / STEP) for beat in METER_BEATS[meter])
    return Grid(meter, round(meter_quarters(meter) / STEP), beats)


@dataclass(frozen=True)
class Stroke:
    """One struck sign of a figure."""

    step: int
    length: int  # steps
    sign: str  # lower case
    accent: bool


def with_kick(text: str, kick: str) -> str:
    """The signs of a bar, each note moved to a stroke of the kick where one is free at most two steps away."""
    kicks = [step for step, sign in enumerate(kick) if struck(sign)]
    notes = {note.step: note for note in strokes(text)}
    moved: dict[int, Stroke] = {}
    for step, note in notes.items():
        free = [k for k in kicks if abs(k - step) <= 2 and k not in notes and k not in moved]
        moved[step if step in kicks or not free else min(free, key=lambda k: abs(k - step))] = note
    return _written(moved, len(text))


def between_kicks(text: str, kick: str) -> str:
    """The signs of a bar, each note on a stroke of the kick moved into the gap after it, or left out."""
    notes = {note.step: note for note in strokes(text)}
    moved = {step: note for step, note in notes.items() if not struck(kick[step])}
    for step, note in notes.items():
        gaps = [place for place in (step + 2, step + 1) if place < len(text) and not struck(kick[place])]
        if struck(kick[step]) and gaps and not moved.keys() & {step + 1, step + 2}:
            moved[gaps[0]] = note
    return _written(moved, len(text)) if moved else text


def _written(notes: dict[int, Stroke], length: int) -> str:
    """Signs of notes by their steps, each as long as it was or until the next."""
    signs = ["."] * length
    for step in sorted(notes):
        note = notes[step]
        end = min(step + note.length, length)
        signs[step:end] = [note.sign.upper() if note.accent else note.sign, *("-" * (end - step - 1))]
        signs[end:] = ["."] * (length - end)
    return "".join(signs)


def struck(sign: str) -> bool:
    """Whether a sign starts a note."""
    return sign not in ".-"


def stretch(cell: str) -> str:
    """A cell of four sixteenths as three eighths (six signs)."""
    first, second, third, fourth = tuple(cell)
    last = third if struck(third) else fourth if struck(fourth) else third
    if struck(second):
        middle = second
    elif struck(first) and struck(third):
        middle = third
        if first.isdigit() and third.isdigit():  # an arpeggio continues in its direction
            last = str(max(0, int(third) + (1 if third > first else -1)))
    else:
        middle = "-" if second == "-" else "."
    after = "-" if "-" in cell else "."
    return "".join(eighth + after if struck(eighth) else eighth * 2 for eighth in (first, middle, last))


def text_of_bar(figure: str, meter: str, bar: int) -> str:
    """The 16 signs of a figure of any number of bars that bar `bar` (from 0) takes its beats from."""
    place = 16 * (bar // len(BEAT_CELLS[meter])) % len(figure)
    return figure[place : place + 16]


@lru_cache(maxsize=8192)
def fit(figure: str, meter: str, bar: int = 0) -> str:
    """The signs of bar `bar` (from 0) of `figure` (16 signs a bar, any number of bars) in `meter`, one a step.

    Where two bars share those of one in 4/4, what is held over the line between them is struck again.
    """
    cells = BEAT_CELLS[meter][bar % len(BEAT_CELLS[meter])]
    text = text_of_bar(figure, meter, bar)
    lengths = grid(meter).beat_lengths
    held = text[: 4 * cells[0]].rstrip("-")[-1:] if text[4 * cells[0]] == "-" else ""
    if held and struck(held):
        text = text[: 4 * cells[0]] + held.lower() + text[4 * cells[0] + 1 :]
    parts = [text[4 * cell : 4 * cell + 4] for cell in cells]
    return "".join(part if length == 4 else stretch(part) for part, length in zip(parts, lengths, strict=True))


@lru_cache(maxsize=8192)
def strokes(signs: str, breaks: tuple[int, ...] = ()) -> tuple[Stroke, ...]:
    """The notes in one bar of signs; a note that would be held over a step of `breaks` is struck again there."""
    out: list[Stroke] = []
    start, sign = 0, "."
    for step, char in enumerate(signs + "."):
        again = char == "-" and step in breaks and struck(sign)
        if char == "-" and not again:
            continue
        if struck(sign):
            out.append(Stroke(start, step - start, sign.lower(), sign.isupper()))
        start, sign = step, sign if again else char
    return tuple(out)
