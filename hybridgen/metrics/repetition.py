"""Form, from a plan's notes: whether a section that returns is played as it was."""

import numpy as np

from hybridgen.plan.harmony import NO_CHORD, split_chord
from hybridgen.plan.notes import UNPITCHED, NoteBar, transposed
from hybridgen.plan.plan import Plan


def returning(plan: Plan) -> float:
    """The share of bars of roles in sections whose label was there before that are played as in the last such section.

    Bar i is compared with bar i of the earlier section, where there is one; velocities do not count, and where the
    chord is another, moved by the interval of the roots is as good. NaN where no section returns or no notes are known.
    """
    parts, chords, same = [part for part in plan.notes if any(part.bars)], [bar.chords for bar in plan.bars], []
    first, before = 0, dict[str | None, tuple[int, int]]()  # label -> first bar and bars of its last section
    for section in plan.sections:
        earlier, length = before.get(section.label, (0, 0))
        if section.label is not None:
            for i in range(min(len(section.bars), length)):
                moves = _interval(chords[earlier + i], chords[first + i])
                same += [
                    _alike(part.bars[earlier + i], part.bars[first + i], 0 if part.role in UNPITCHED else moves)
                    for part in parts
                    if part.bars[earlier + i] and part.bars[first + i]
                ]
        before[section.label] = first, len(section.bars)
        first += len(section.bars)
    return float(np.mean(same)) if same else float("nan")


def _alike(earlier: NoteBar, bar: NoteBar, semitones: int) -> bool:
    def shape(notes: NoteBar) -> list[tuple[int, int, int]]:
        return [(note.tick, note.length, note.pitch) for note in notes or ()]

    return shape(bar) in (shape(earlier), sorted(shape(transposed(earlier, semitones))))


def _interval(earlier: tuple[str, ...] | None, chords: tuple[str, ...] | None) -> int:
    """Semitones, -6 to 5, from the root of one bar's first chord to the other's; 0 where either is unknown."""
    if not earlier or not chords or NO_CHORD in (earlier[0], chords[0]):
        return 0
    return (split_chord(chords[0])[0] - split_chord(earlier[0])[0] + 6) % 12 - 6
