"""Batches of windows of prepared tracks: the global batch is a pure function of (seed, step).

The order is a pseudo-random permutation of all windows, another one each epoch, computed for one index in constant
time: a run resumes at sample 10^9 as fast as at the first. Where a window starts, and whatever else is drawn for it,
depends on (seed, epoch, window). So ranks, workers and prefetching change nothing but the speed: rank r of w takes rows
r B/w to (r+1) B/w of the global batch. A micro-batch of gradient accumulation counts as a rank.

Shapes: B batch, T latent frames (a multiple of K, the latent frames in a code frame), P = T / K code frames, C latent
channels, Q codebooks, S text tokens, E text width, F control features, R roles, K entries of the notes' rolls,
X kinds of sound.
"""

import hashlib
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hybridgen.config import Size, Steps
from hybridgen.data.prepared_dataset import Notes, PreparedDataset, PreparedTrack
from hybridgen.plan.parts import ROLES
from hybridgen.plan.rolls import STRENGTHS
from hybridgen.plan.time_base import TimeBase
from hybridgen.quantizer import NoteTargets

DRUM_ROLES = ("drums", "percussion")
TONAL = [i for i, role in enumerate(ROLES) if role not in DRUM_ROLES]
EDGE_SHARE = 0.1  # of windows that start with the track, and as many end with it
ROUNDS = 6  # of the Feistel network
MAX_TRIES = 100  # tracks in a row that may be corrupt
PREFETCH = 2  # batches that each worker prepares ahead

Item = TypeVar("Item")


def load(folder: str | Path, subsets: bool = False) -> tuple[PreparedDataset, PreparedDataset]:
    """The training tracks and the held-out tracks of a prepared folder; ValueError unless there are some of both.

    subsets: whether the training tracks include those with some of a song's roles.
    """
    train, held_out = PreparedDataset(folder, "train", subsets=subsets), PreparedDataset(folder, "test")
    if not len(train) or not len(held_out):
        raise ValueError(
            f"prepared {folder} has {len(train)} tracks to train on and {len(held_out)} held out: too few, for about "
            "one song in twenty is held out"
        )
    return train, held_out


class Permutation:
    """A pseudo-random bijection of range(n), one for each key: a Feistel network with cycle walking.

    Constant time and no table: the domain is a power of two below 2n, so two passes suffice on average.
    """

    def __init__(self, n: int, *key: int):
        if n < 1:
            raise ValueError(f"a permutation of {n}: at least 1")
        self.n = n
        self.right_bits = (n - 1).bit_length() // 2
        self.left_bits = (n - 1).bit_length() - self.right_bits
        stream = hashlib.shake_128(repr(key).encode()).digest(8 * ROUNDS)
        self.keys = [int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)]

    def __call__(self, i: int) -> int:
        """What index i of range(n) is mapped to."""
        if not 0 <= i < self.n:
            raise ValueError(f"index {i} is outside a permutation of {self.n}")
        i = self._shuffle(i)
        while i >= self.n:  # the cycle through i returns to range(n), at i itself at the latest
            i = self._shuffle(i)
        return i

    def _shuffle(self, i: int) -> int:
        left, right = i >> self.right_bits, i & ((1 << self.right_bits) - 1)
        for even, odd in zip(self.keys[::2], self.keys[1::2], strict=True):
            left ^= _mix(right ^ even) >> (64 - self.left_bits)
            right ^= _mix(left ^ odd) >> (64 - self.right_bits)
        return left << self.right_bits | right


def _mix(x: int) -> int:
    """64 bits that depend on every bit of x (the finalizer of MurmurHash3)."""
    x = ((x ^ x >> 33) * 0xFF51AFD7ED558CCD) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ x >> 33) * 0xC4CEB9FE1A85EC53) & 0xFFFFFFFFFFFFFFFF
    return x ^ x >> 33


def rank_rows(n: int, rank: int, world_size: int) -> range:
    """The rows of a global batch of `n` that a rank takes; ValueError where the ranks cannot share it evenly."""
    if n % world_size or not 0 <= rank < world_size:
        raise ValueError(f"a global batch of {n} rows cannot be shared evenly: rank {rank} of {world_size}")
    share = n // world_size
    return range(rank * share, (rank + 1) * share)


@dataclass(frozen=True)
class Phase:
    """A number of steps on windows of a few lengths, one length a step, all of them equally often."""

    steps: Steps
    windows: tuple[Size, ...]  # latent frames, multiples of those in a code frame
    frames: Size  # latent frames of a global batch: as many windows as fit

    def __post_init__(self) -> None:
        if not self.windows:
            raise ValueError("windows are empty: a phase needs at least one")
        for window in self.windows:
            if not 0 < window <= self.frames:
                raise ValueError(f"window of {window} frames is outside 1-{self.frames}, the frames of a batch")


def check_phases(phases: Sequence[Phase]) -> None:
    """ValueError where there are none."""
    if not phases:
        raise ValueError("phases are empty: a run needs at least one")


def n_steps(phases: Sequence[Phase]) -> int:
    """Steps of all phases together."""
    return sum(phase.steps for phase in phases)


def phase_number(phases: Sequence[Phase], step: int) -> int:
    """Which phase, from 0, a step from 1 belongs to; the last phase has no end."""
    return sum(step > end for end in accumulate(phase.steps for phase in phases[:-1]))


@dataclass(frozen=True)
class Row:
    """One window of a batch, and what else was drawn for it."""

    song: int
    start: int  # first latent frame
    reference: int  # first frame of another window of the same track
    caption: float  # 0-1: which of the captions
    seed: int  # for noise that does not depend on the number of ranks


@dataclass(frozen=True)
class WindowBatch:
    """Windows of tracks, for the renderer."""

    latents: Tensor  # (B, T, C)
    inside: Tensor  # (B, T) bool: the frame is not past the end of the track
    reference: Tensor  # (B, T, C) another window of the same track, whose timbre is the condition
    text: Tensor  # (B, S, E) of a random caption
    text_mask: Tensor  # (B, S) bool
    codes: Tensor  # (B, Q, P) int64
    features: Tensor  # (B, T, F)
    instruments: Tensor  # (B, R) int64
    notes: Tensor  # (B, K, 3) int64, as `renderer.Condition` has them
    strengths: Tensor  # (B, K, 4)
    notes_known: Tensor  # (B, T, R) bool
    heard: Tensor  # (B, R) bool
    sound: Tensor  # (B, X)
    seeds: Tensor  # (B,) int64, a function of (seed, epoch, window)


@dataclass(frozen=True)
class WindowSampler:
    """Which windows a step (from 1) trains on. Long tracks come more often, tracks shorter than the window never.

    In an epoch of windows of one length each track comes once for every whole window that fits into it; the windows
    may start anywhere, some at its very start and some at its end. A corrupt track is replaced by others.
    """

    songs: PreparedDataset
    phases: tuple[Phase, ...]
    seed: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        longest, ratio = self.songs.n_frames.max(initial=0), self.songs.time_base.frames_per_code
        for phase in self.phases:
            for window in phase.windows:
                if window % ratio:
                    raise ValueError(f"window of {window} frames is not a multiple of {ratio}, the frames of a code")
                rank_rows(phase.frames // window, self.rank, self.world_size)
                if window > longest:
                    raise ValueError(f"window of {window} frames is longer than each of the {len(self.songs)} tracks")

    def rows(self, step: int) -> tuple[int, list[Row]]:
        """The window's length at a step, and this rank's rows, if no track is corrupt."""
        window, keys = self._keys(step)
        return window, [self._row(*key) for key in keys]

    def read(self, step: int) -> tuple[int, list[tuple[Row, PreparedTrack]]]:
        """The window's length at a step, and this rank's rows with their tracks."""
        window, keys = self._keys(step)
        return window, [self._read_row(*key) for key in keys]

    def _keys(self, step: int) -> tuple[int, list[tuple[int, int, int, int]]]:
        """The window's length, and (phase, number of the length, epoch, slot) of each row; slots number all windows."""
        number = phase_number(self.phases, step)
        phase = self.phases[number]
        block, index = divmod(step - 1 - n_steps(self.phases[:number]), len(phase.windows))
        which = Permutation(len(phase.windows), self.seed, number, block)(index)
        window = phase.windows[which]
        n_rows, n_slots = phase.frames // window, int(self._stops[window][-1])
        keys = []
        for row in rank_rows(n_rows, self.rank, self.world_size):
            epoch, index = divmod(block * n_rows + row, n_slots)
            keys.append((number, which, epoch, Permutation(n_slots, self.seed, number, which, epoch)(index)))
        return window, keys

    @cached_property
    def _stops(self) -> dict[int, np.ndarray]:
        """Window -> for each track the slot after its last one."""
        windows = {window for phase in self.phases for window in phase.windows}
        return {window: np.cumsum(self.songs.n_frames // window) for window in windows}

    def _row(self, number: int, which: int, epoch: int, slot: int) -> Row:
        window = self.phases[number].windows[which]
        song = int(np.searchsorted(self._stops[window], slot, side="right"))
        rng = np.random.default_rng([self.seed, number, which, epoch, slot])
        start, reference = (self._draw_start(song, window, rng) for _ in range(2))
        return Row(song, start, reference, rng.random(), int(rng.integers(2**63)))

    def _draw_start(self, song: int, window: int, rng: np.random.Generator) -> int:
        """First frame of a window of a track, where a code frame begins."""
        ratio = self.songs.time_base.frames_per_code
        return ratio * draw_start((int(self.songs.n_frames[song]) - window) // ratio, rng)

    def _read_row(self, number: int, which: int, epoch: int, slot: int) -> tuple[Row, PreparedTrack]:
        """The row of a slot and its track; where that is corrupt, those of another slot, a function of the first."""
        others = np.random.default_rng([self.seed, number, which, epoch, slot, 1])
        n_slots = int(self._stops[self.phases[number].windows[which]][-1])
        for _ in range(MAX_TRIES):
            row = self._row(number, which, epoch, slot)
            track = self.songs.read_or_skip(row.song, self.songs.__getitem__)
            if track is not None:
                return row, track
            slot = int(others.integers(n_slots))
        raise ValueError(f"prepared {self.songs.folder}: {MAX_TRIES} tracks in a row are corrupt")


def draw_start(last: int, rng: np.random.Generator) -> int:
    """One of 0 ... last, the first and the last more often than any other."""
    edge, start = rng.random(), int(rng.integers(last + 1))
    return 0 if edge < EDGE_SHARE else last if edge < 2 * EDGE_SHARE else start


@dataclass(frozen=True)
class WindowBatches(WindowSampler):
    """The renderer's batches; ValueError for songs that were prepared without a quantizer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_codes(self.songs)

    def __call__(self, step: int) -> WindowBatch:
        """This rank's rows of the batch of a step, counted from 1."""
        window, rows = self.read(step)
        spans = [slice(row.start, row.start + window) for row, _ in rows]
        base = self.songs.time_base
        ratio = base.frames_per_code
        code_spans = [slice(span.start // ratio, span.stop // ratio) for span in spans]
        tracks, codes = [track for _, track in rows], [codes_of_all(track) for _, track in rows]
        rolls = [track.notes.rolls(span.start, span.stop) for track, span in _pairs(tracks, spans)]
        n_inside = torch.tensor([base.n_frames(track.length) - span.start for track, span in _pairs(tracks, spans)])
        text, text_mask = pad_texts([track.texts[int(row.caption * len(track.texts))] for row, track in rows])
        return WindowBatch(
            latents=_stack([track.latents[span] for track, span in _pairs(tracks, spans)]).float(),
            inside=torch.arange(window) < n_inside[:, None],
            reference=_stack([track.latents[row.reference : row.reference + window] for row, track in rows]).float(),
            text=text,
            text_mask=text_mask,
            codes=_stack([own[:, span] for own, span in zip(codes, code_spans, strict=True)]).long(),
            features=_stack([track.controls[span] for track, span in _pairs(tracks, spans)]).float(),
            instruments=_stack([track.instruments for track in tracks]).long(),
            notes=pad_rows([roll.entries for roll in rolls], (window - 1, 0, 0)),
            strengths=pad_rows([roll.strengths for roll in rolls], (0.0,) * len(STRENGTHS)),
            notes_known=_stack([roll.known for roll in rolls]),
            heard=_stack([track.heard for track in tracks]),
            sound=_stack([track.sound for track in tracks]),
            seeds=torch.tensor([row.seed for row, _ in rows]),
        )


@dataclass(frozen=True)
class NoteBatches(WindowSampler):
    """The quantizer's batches: latents (B, T, C), and the notes that sound in them."""

    def __call__(self, step: int) -> tuple[Tensor, NoteTargets]:
        """This rank's rows of the batch of a step, counted from 1; ValueError for a track whose notes are unknown."""
        window, rows = self.read(step)
        latents = _stack([track.latents[row.start : row.start + window] for row, track in rows]).float()
        parts = []
        ratio = self.songs.time_base.frames_per_code
        for row, track in rows:
            span = slice(row.start // ratio, (row.start + window) // ratio)
            parts.append([target[:, span] for target in vars(self._targets(row.song, track)).values()])
        return latents, NoteTargets(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _targets(self, song: int, track: PreparedTrack) -> NoteTargets:
        notes = self.songs.notes(song)
        if notes is None:
            raise ValueError(f"track {track.name} has no notes, which the quantizer is trained on")
        return note_targets(notes, track.loudness, self.songs.time_base)


def note_targets(notes: Notes, loudness: np.ndarray, time_base: TimeBase) -> NoteTargets:
    """Targets for the quantizer, a batch of one: which notes start and which sound in each of the P code frames."""
    n_code_frames, rate = len(loudness), time_base.sample_rate / time_base.code_hop
    first = (notes.starts * rate).astype(int)
    after = ((notes.starts + notes.durations) * rate).astype(int) + 1
    inside = first < n_code_frames
    onsets = np.zeros((n_code_frames, len(ROLES)), dtype=np.float32)
    onsets[first[inside], notes.roles[inside]] = 1
    changes = np.zeros((n_code_frames + 1, len(ROLES), 12), dtype=np.int32)  # in how many notes sound
    np.add.at(changes, (np.minimum(first, n_code_frames), notes.roles, notes.pitches % 12), 1)
    np.add.at(changes, (np.minimum(after, n_code_frames), notes.roles, notes.pitches % 12), -1)
    pitches = (changes.cumsum(axis=0)[:-1] > 0).astype(np.float32)
    parts = (onsets, pitches, pitches[:, TONAL].max(axis=1), loudness.astype(np.float32))
    return NoteTargets(*(torch.from_numpy(part)[None] for part in parts))


def codes_of_all(track: PreparedTrack) -> np.ndarray:
    """The codes (Q, P) of a mix; unset (-1) where only some roles are heard, as a plan's codes are those of its mix."""
    codes = known_codes(track)
    return codes if track.heard.all() else np.full_like(codes, -1)


def known_codes(track: PreparedTrack) -> np.ndarray:
    """The codes (Q, P) of a track of songs that passed `check_codes`."""
    assert track.codes is not None, track.name
    return track.codes


def check_codes(songs: PreparedDataset) -> None:
    """ValueError for songs that were prepared without a quantizer, or with two."""
    if songs.index["quantizer"] is None:
        raise ValueError(f"prepared {songs.folder} has no codes of one quantizer: prepare it with --quantizer first")


def pad_texts(texts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Text states (S, E) of several lengths as float32 (B, S, E), zero where there is no token, and a mask (B, S)."""
    lengths = torch.tensor([len(text) for text in texts])
    padded = nn.utils.rnn.pad_sequence([torch.tensor(text).float() for text in texts], batch_first=True)
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]


def pad_rows(arrays: list[np.ndarray], value: tuple[float, ...]) -> Tensor:
    """Arrays (K, n) of several lengths as one tensor, short ones ending in rows of `value` (n,)."""
    longest = max(map(len, arrays))
    filler = np.array(value, dtype=arrays[0].dtype)
    return _stack([np.concatenate([array, np.tile(filler, (longest - len(array), 1))]) for array in arrays])


def _stack(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _pairs(tracks: list[PreparedTrack], spans: list[slice]) -> Iterator[tuple[PreparedTrack, slice]]:
    return zip(tracks, spans, strict=True)


def stream(batch_fns: Sequence[Callable[[int], Item]], steps: range, workers: int) -> Generator[list[Item], None, None]:
    """What each of `batch_fns` returns for each step, in order, whatever the number of workers.

    batch_fns: pure functions of the step, one for each micro-batch. workers: processes that prepare whole steps ahead,
    0 for none; they end when the generator is closed. A ValueError of theirs is raised here.
    """
    if workers == 0:
        yield from ([batch_fn(step) for batch_fn in batch_fns] for step in steps)
        return
    loader = DataLoader(
        _Steps(batch_fns),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=PREFETCH,
        collate_fn=_identity,
        worker_init_fn=_ignore_signals,
        multiprocessing_context="spawn",  # a forked child would inherit PyTorch's threads, broken
        generator=torch.Generator(),  # otherwise it draws from the global one, and workers change what is drawn there
    )
    for items in loader:
        if isinstance(items, ValueError):
            raise items
        yield items


class _Steps(Dataset, Generic[Item]):
    """A step's batches by its number."""

    def __init__(self, batch_fns: Sequence[Callable[[int], Item]]):
        self.batch_fns = batch_fns

    def __getitem__(self, step: int) -> list[Item] | ValueError:
        try:
            return [batch_fn(step) for batch_fn in self.batch_fns]
        except ValueError as error:  # raised in a worker, it would arrive as a page of text
            return ValueError(str(error))


def _identity(items: Item) -> Item:
    return items


def _ignore_signals(worker: int) -> None:
    """The training process decides when to stop, and needs its workers until then."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
