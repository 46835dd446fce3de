"""What the notes of a plan say about every frame: what sounds, what begins where inside the frame, and how loud."""

from dataclasses import dataclass

import numpy as np

from hybridgen.plan.parts import ROLES
from hybridgen.plan.score import Score

N_PITCHES = 128
STRENGTHS = ("sounds", "begins", "place", "velocity")  # columns of `NoteRolls.strengths`


@dataclass(frozen=True, eq=False)
class NoteRolls:
    """The known notes of a stretch of T frames, sparse: K entries, one where a role sounds a pitch in a frame."""

    entries: np.ndarray  # (K, 3) int64: frame, role, pitch; each once, in order
    strengths: np.ndarray  # (K, 4) float32, 0-1: 1; whether a note begins, where inside the frame, its velocity / 127
    known: np.ndarray  # (T, 9) bool: whether the role's notes are known in the bar of the frame's middle


@dataclass(frozen=True, eq=False)
class NoteSpans:
    """The known notes of a whole track of T frames, an entry a note: what is stored of them for training."""

    frames: np.ndarray  # (n, 2) int32: the first and the last frame in which it sounds
    keys: np.ndarray  # (n, 2) int16: role, pitch
    onsets: np.ndarray  # (n, 2) float32, 0-1: where inside the first frame it begins, velocity / 127
    known: np.ndarray  # (T, 9) bool, as in `NoteRolls`

    def rolls(self, start: int, stop: int) -> NoteRolls:
        """What they say of frames start ... stop - 1.

        Where two onsets of a role and pitch fall into one frame the louder counts.
        """
        inside = (self.frames[:, 1] >= start) & (self.frames[:, 0] < stop)
        first, last = self.frames[inside].astype(np.int64).T - start
        key = self.keys[inside].astype(np.int64) @ np.array([N_PITCHES, 1])
        size = len(ROLES) * N_PITCHES
        sounding = _spread(key, np.maximum(first, 0), np.minimum(last, stop - start - 1), size)
        begins = first >= 0
        onset, strengths = (first * size + key)[begins], self.onsets[inside][begins]
        order = np.lexsort((-strengths[:, 0], strengths[:, 1], onset))  # the loudest of equal ones is the last
        onset, strengths = onset[order], strengths[order]
        loudest = np.append(onset[1:] != onset[:-1], np.ones(min(len(onset), 1), dtype=bool))
        values = np.zeros((len(sounding), len(STRENGTHS)), dtype=np.float32)
        values[:, 0] = 1
        at = np.searchsorted(sounding, onset[loudest])
        values[at, 1], values[at, 2:] = 1, strengths[loudest]
        entries = np.stack([sounding // size, sounding % size // N_PITCHES, sounding % N_PITCHES], axis=1)
        return NoteRolls(entries, values, self.known[start:stop])


def _spread(key: np.ndarray, first: np.ndarray, last: np.ndarray, size: int) -> np.ndarray:
    """frame x size + key, each once and in order, of all frames first ... last of each key below `size`.

    Spans that overlap are joined before they are spread, so that memory is bounded by what comes out.
    """
    order = np.lexsort((first, key))
    key, first, last = key[order], first[order], last[order]
    stride = int(last.max(initial=0)) + 2  # keys lie one after the other on one line, with a gap between them
    reach = np.maximum.accumulate(key * stride + last)
    opens = np.ones(len(key), dtype=bool)
    opens[1:] = key[1:] * stride + first[1:] > reach[:-1]
    heads = np.flatnonzero(opens)
    begins, ends = (key * stride + first)[heads], np.maximum.reduceat(reach, heads) if len(heads) else reach
    lengths = ends - begins + 1
    places = np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    return np.sort(places % stride * size + places // stride)


def _gone_round(rows: np.ndarray, length: int, stop: int) -> np.ndarray:
    """The notes of a loop, first and last sample in the first columns, as often as they sound in samples 0..stop-1."""
    shifts = range(-(-stop // length))
    turns = np.concatenate([rows + np.array([turn * length, turn * length, 0, 0, 0]) for turn in (-1, *shifts)])
    turns = turns[(turns[:, 1] > 0) & (turns[:, 0] < stop)]
    turns[:, 0] = np.maximum(turns[:, 0], 0)
    return turns


def note_spans(plan: Score, hop: int, n_frames: int | None = None) -> NoteSpans:
    """The known notes of a plan, by frames of `hop` samples; `n_frames` of them (default: all of the track).

    A note sounds in every frame that it touches. After the last bar a role is as known as in it.
    """
    n_frames = -(-(plan.pre_roll + plan.length) // hop) if n_frames is None else n_frames
    known = np.zeros((n_frames, len(ROLES)), dtype=bool)
    middles = plan.frame_starts(hop, 0, n_frames) + 0.5 * hop
    bar_of = np.clip(np.searchsorted(plan.bar_starts(), middles, side="right") - 1, 0, max(plan.n_bars - 1, 0))
    rows: list[np.ndarray] = []
    for part in plan.notes:
        role = ROLES.index(part.role)
        known[:, role] = np.array([bar is not None for bar in part.bars])[bar_of]
        samples, notes = plan.note_samples(part.role)
        sounds = np.array([(role, note.pitch, note.velocity) for note in notes], dtype=np.int64).reshape(-1, 3)
        rows.append(np.concatenate([samples, sounds], axis=1)[samples[:, 0] < plan.length])
        rows[-1][:, :2] += plan.pre_roll
        if plan.is_loop:
            rows[-1] = _gone_round(rows[-1], plan.length, n_frames * hop)
    begin, end, roles, pitches, velocities = np.concatenate([np.zeros((0, 5), dtype=np.int64), *rows]).T
    frames = np.stack([begin // hop, np.maximum(end - 1, begin) // hop], axis=1)
    return NoteSpans(
        frames.astype(np.int32),
        np.stack([roles, pitches], axis=1).astype(np.int16),
        np.stack([begin % hop / hop, velocities / 127], axis=1).astype(np.float32),
        known,
    )
