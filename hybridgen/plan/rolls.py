"""What the notes of a plan say about every frame: what begins, how loud, and what sounds, by role and pitch."""

from dataclasses import dataclass

import numpy as np

from hybridgen.plan.parts import ROLES
from hybridgen.plan.score import Score


@dataclass(frozen=True, eq=False)
class NoteRolls:
    """The known notes of a stretch of T frames, sparse: n onsets, m frames in which a note sounds.

    A renderer sums an embedding of each entry; what it is told of a role in a frame is nothing where `known` is False.
    """

    onsets: np.ndarray  # (n, 3) int64: frame, role, pitch; each once
    strengths: np.ndarray  # (n, 2) float32: place of the onset inside the frame 0-1, velocity 0-1
    sounding: np.ndarray  # (m, 3) int64: frame, role, pitch; each once
    known: np.ndarray  # (T, 9) bool: whether the role's notes are known in the bar of the frame's middle


def note_rolls(plan: Score, hop: int, start: int = 0, stop: int | None = None) -> NoteRolls:
    """What the notes of a plan say of frames start..stop of `hop` samples.

    A note sounds in every frame that it touches. Where two onsets of a role and pitch fall into one frame the louder
    counts. After the last bar a role is as known as in it.
    """
    total = -(-plan.length // hop)
    stop = total if stop is None else stop
    n_frames = stop - start
    known = np.zeros((n_frames, len(ROLES)), dtype=bool)
    onsets: dict[tuple[int, int, int], tuple[float, float]] = {}
    sounding: set[tuple[int, int, int]] = set()
    middles = (np.arange(start, stop) + 0.5) * hop
    bar_of = np.clip(np.searchsorted(plan.bar_starts(), middles, side="right") - 1, 0, max(plan.n_bars - 1, 0))
    for part in plan.notes:
        role = ROLES.index(part.role)
        known[:, role] = np.array([bar is not None for bar in part.bars])[bar_of]
        samples, notes = plan.note_samples(part.role)
        for (begin, end), note in zip(samples.tolist(), notes, strict=True):
            first, last = begin // hop, max(end - 1, begin) // hop
            if start <= first < stop and begin < plan.length:
                place = (first - start, role, note.pitch)
                new = ((begin % hop) / hop, note.velocity / 127)
                onsets[place] = max(onsets.get(place, new), new, key=lambda one: one[1])
            sounding.update(
                (frame - start, role, note.pitch) for frame in range(max(first, start), min(last + 1, stop))
            )
    return NoteRolls(
        np.array(sorted(onsets), dtype=np.int64).reshape(-1, 3),
        np.array([onsets[place] for place in sorted(onsets)], dtype=np.float32).reshape(-1, 2),
        np.array(sorted(sounding), dtype=np.int64).reshape(-1, 3),
        known,
    )
