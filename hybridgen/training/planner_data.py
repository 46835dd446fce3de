"""The planner's training data: any number of scores and notes from the composer, and rendered songs with their codes.

A song takes milliseconds to compose and needs no sound, so no step of the score stage repeats a song. All batches are
pure functions of (seed, step), shared among ranks as those of `dataset` are.

Shapes: B batch, S text tokens, E text width, L score tokens, P code frames, Q codebooks, F control features, R roles.
"""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from hybridgen import grammar, note_grammar
from hybridgen.config import Share, Size
from hybridgen.data.captions import caption
from hybridgen.data.composer import compose
from hybridgen.data.prepared_dataset import Labels, PreparedDataset, PreparedTrack
from hybridgen.plan.notes import Part
from hybridgen.plan.parts import Bar, Section
from hybridgen.plan.plan import Plan
from hybridgen.planner import Steps, pad_scores, pad_steps
from hybridgen.text.encoder import TextConfig, TextEncoder
from hybridgen.training.dataset import MAX_TRIES, Permutation, check_codes, known_codes, pad_texts, rank_rows

FIRST_TRAIN, FIRST_VALID = 10_000_000, 5_000_000  # indices of composed songs; no rendered corpus is so large
LONG_DIVISOR = 4  # a batch of long songs has so many times fewer
LENGTH_SPREAD = 1.25  # longest over shortest song of a batch, about: so that little is padding
NO_TEXT, EMPTY_TEXT = 0.06, 0.04  # shares of songs without any prompt, or with the empty one
UNKNOWN_PARTS = 0.1  # share of composed songs with some roles whose notes are unknown
MASKED = 0.15  # share of rendered songs with partly masked scores, as real recordings lack labels


@dataclass(frozen=True)
class ScoreConfig:
    """Which songs are composed; a share of long ones teaches form over minutes."""

    seed: int
    batch_size: Size  # songs of a global batch; long ones a quarter of it
    seconds: tuple[float, float]
    long_seconds: tuple[float, float]
    long_share: Share  # of batches

    def __post_init__(self) -> None:
        if self.batch_size < LONG_DIVISOR or self.batch_size % LONG_DIVISOR:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of {LONG_DIVISOR}")
        if not 0 <= self.long_share <= 1:
            raise ValueError(f"long_share {self.long_share} is outside 0-1")


@dataclass(frozen=True)
class PlannerBatch:
    """The arguments of `Planner.forward`."""

    text: Tensor  # (B, S, E)
    text_mask: Tensor  # (B, S) bool
    tokens: Tensor  # (B, L), -1 after the end
    bars_left: Tensor  # (B, L, 2)
    codes: Tensor | None = None  # (B, Q, P), -1 after the end
    features: Tensor | None = None  # (B, P, F)
    instruments: Tensor | None = None  # (B, R)
    context_codes: Tensor | None = None  # (B, Q, P): codes as later frames see them, some corrupted
    steps: Steps | None = None  # notes

    def to(self, device: torch.device) -> "PlannerBatch":
        """The same on a device."""
        return replace(self, **{name: part.to(device) for name, part in vars(self).items() if part is not None})


def encode(encoder: TextEncoder, prompts: Sequence[str]) -> list[np.ndarray]:
    """States (S, E) float16 of each prompt."""
    states, mask = encoder.encode(list(prompts))
    return [row[keep].half().numpy() for row, keep in zip(states, mask, strict=True)]


@functools.cache
def text_encoder(text: TextConfig) -> TextEncoder:
    """This process's encoder, which takes a second to load; batches are made in any process."""
    return TextEncoder(text)


@dataclass(frozen=True)
class ScoreBatches:
    """Songs composed for one step, counted from 1, and never repeated; those of a batch are of similar length."""

    config: ScoreConfig
    text: TextConfig
    notes: bool = False  # whether they come with their notes
    first: int = FIRST_TRAIN  # index of the first song
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        rank_rows(self.config.batch_size // LONG_DIVISOR, self.rank, self.world_size)

    def __call__(self, step: int) -> PlannerBatch:
        """This rank's rows of the batch of a step."""
        config, rng = self.config, random.Random(f"scores {self.config.seed} {self.first} {step}")
        is_long = rng.random() < config.long_share
        low, high = config.long_seconds if is_long else config.seconds
        middle = rng.uniform(low, high)
        span = (max(low, middle / LENGTH_SPREAD**0.5), min(high, middle * LENGTH_SPREAD**0.5))
        start = self.first + step * config.batch_size
        rows = rank_rows(
            config.batch_size // LONG_DIVISOR if is_long else config.batch_size, self.rank, self.world_size
        )
        songs = [compose(config.seed, start + row, span) for row in rows]
        prompts, has_text = [], []
        for song in songs:
            own = random.Random(f"prompt {config.seed} {song.index}")
            prompts.append("" if own.random() < EMPTY_TEXT else caption(song, own))
            has_text.append(own.random() >= NO_TEXT)
        states = encode(text_encoder(self.text), prompts)
        texts = [text if keep else text[:0] for text, keep in zip(states, has_text, strict=True)]
        batch = PlannerBatch(*pad_texts(texts), *pad_scores([grammar.tokens(song.plan) for song in songs]))
        if not self.notes:
            return batch
        plans = [hide_parts(song.plan, random.Random(f"notes {config.seed} {song.index}")) for song in songs]
        return replace(
            batch,
            instruments=torch.from_numpy(np.stack([plan.instrument_ids() for plan in plans])),
            steps=pad_steps([(note_grammar.steps(plan), plan.bar_controls()) for plan in plans]),
        )


@dataclass(frozen=True)
class CodeCorruption:
    """Random errors in the codes that later frames see, so that the planner learns to continue from its own."""

    share: float  # of codes that are replaced by random ones; a song has 0 to twice this share
    codebook_size: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.5:
            raise ValueError(f"corrupted_codes {self.share} is outside 0-0.5")

    def apply(self, codes: np.ndarray, seed: int) -> np.ndarray:
        """Codes (Q, P) with some of them replaced."""
        rng = np.random.default_rng(seed)
        wrong = rng.random(codes.shape) < 2 * self.share * rng.random()
        return np.where(wrong, rng.integers(self.codebook_size, size=codes.shape), codes)


@dataclass(frozen=True)
class SongBatches:
    """Whole rendered songs of similar length, about `frames` code frames in a global batch; steps count from 1.

    Songs are binned by length, and each bin is cut into batches. An epoch is a permutation of all batches, so that it
    has each song once (a few twice, where a bin's last batch is filled up). A corrupt song is replaced by others of its
    bin. ValueError for songs that were prepared without a quantizer.
    """

    songs: PreparedDataset
    frames: int  # of longer songs a batch has one for each of `ranks`
    ranks: int  # the songs of a batch are a multiple of this, for so many ranks and micro-batches to share
    seed: int
    empty_text: np.ndarray  # (S, E) states of the empty prompt
    corruption: CodeCorruption | None = None  # None: every frame sees the true codes
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        check_codes(self.songs)
        rank_rows(self.ranks, self.rank, self.world_size)

    @cached_property
    def _order(self) -> np.ndarray:
        """Indices of the songs, by length."""
        return np.argsort(self.songs.n_frames, kind="stable")

    @cached_property
    def _bins(self) -> list[tuple[int, int, int]]:
        """(first, songs, songs of a batch) of each bin of `_order`."""
        lengths, bins, first = self.songs.n_frames[self._order], [], 0
        while first < len(lengths):
            stop = int(np.searchsorted(lengths, lengths[first] * LENGTH_SPREAD, side="right"))
            room = self.songs.time_base.frames_per_code * self.frames // int(lengths[stop - 1])
            fill = min(room, stop - first + self.ranks - 1) // self.ranks * self.ranks
            bins.append((first, stop - first, max(fill, self.ranks)))
            first = stop
        return bins

    @cached_property
    def _stops(self) -> np.ndarray:
        """For each bin the number of the batch after its last one."""
        return np.cumsum([-(-n_songs // n_rows) for _, n_songs, n_rows in self._bins])

    def rows(self, step: int) -> list[int]:
        """The songs of this rank's rows, if none is corrupt."""
        return [int(self._order[i]) for i in self._positions(step)[1]]

    def _positions(self, step: int) -> tuple[int, list[int]]:
        """The epoch of a step, and the positions in `_order` of this rank's rows."""
        epoch, index = divmod(step - 1, int(self._stops[-1]))
        number = Permutation(int(self._stops[-1]), self.seed, epoch)(index)
        i = int(np.searchsorted(self._stops, number, side="right"))
        first, n_songs, n_rows = self._bins[i]
        begin = n_rows * (number - int(self._stops[i - 1] if i else 0))
        inside = Permutation(n_songs, self.seed, epoch, i)
        rows = rank_rows(n_rows, self.rank, self.world_size)
        return epoch, [first + inside((begin + row) % n_songs) for row in rows]

    def __call__(self, step: int) -> PlannerBatch:
        """This rank's rows of the batch of a step."""
        epoch, positions = self._positions(step)
        examples = [self._read(epoch, position) for position in positions]
        plans = [example.plan for example in examples]
        return PlannerBatch(
            *pad_texts([example.text for example in examples]),
            *pad_scores([grammar.tokens(plan) for plan in plans]),
            codes=pad_codes([example.codes for example in examples]),
            features=nn.utils.rnn.pad_sequence([example.features for example in examples], batch_first=True),
            instruments=torch.from_numpy(np.stack([plan.instrument_ids() for plan in plans])),
            context_codes=None if self.corruption is None else pad_codes([one.context_codes for one in examples]),
        )

    def _read(self, epoch: int, position: int) -> "SongExample":
        """The song at a position of `_order`, or where that is corrupt another one of its bin."""
        rng = random.Random(f"song {self.seed} {epoch} {position}")
        first, n_songs, _ = next(entry for entry in reversed(self._bins) if entry[0] <= position)
        for _ in range(MAX_TRIES):
            found = self.songs.read_or_skip(int(self._order[position]), lambda i: (self.songs[i], self.songs.labels(i)))
            if found is not None:
                return self._example(*found, rng)
            position = first + rng.randrange(n_songs)
        raise ValueError(f"prepared {self.songs.folder}: {MAX_TRIES} songs in a row are corrupt")

    def _example(self, track: PreparedTrack, labels: Labels, rng: random.Random) -> "SongExample":
        true_codes, text, chance = known_codes(track), rng.choice(track.texts), rng.random()
        text = text[:0] if chance < NO_TEXT else self.empty_text if chance < NO_TEXT + EMPTY_TEXT else text
        plan = mask_labels(labels.plan, rng) if rng.random() < MASKED else labels.plan
        base = plan.time_base
        features = plan.frame_controls(base.code_hop)
        if plan is labels.plan:
            features = track.controls[:: base.frames_per_code]
        context = true_codes if self.corruption is None else self.corruption.apply(true_codes, rng.getrandbits(62))
        codes, context_codes = (torch.tensor(part.T).long() for part in (true_codes, context))
        return SongExample(text, plan, codes, context_codes, torch.tensor(features).float())


@dataclass(frozen=True)
class SongExample:
    """One row of a batch of rendered songs."""

    text: np.ndarray  # (S, E)
    plan: Plan
    codes: Tensor  # (P, Q)
    context_codes: Tensor  # (P, Q)
    features: Tensor  # (P, F)


def pad_codes(codes: Sequence[Tensor]) -> Tensor:
    """(B, Q, P) from codes (P, Q) of different lengths, -1 after the end."""
    return nn.utils.rnn.pad_sequence(list(codes), batch_first=True, padding_value=-1).transpose(1, 2)


@dataclass(frozen=True)
class MixedBatches:
    """A share of all steps, evenly spread, is on rendered songs, the others on scores."""

    scores: ScoreBatches
    rendered: SongBatches
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share {self.share} of rendered songs is outside 0-1")

    def __call__(self, step: int) -> PlannerBatch:
        """This rank's rows of the batch of a step, counted from 1."""
        n_rendered = int(self.share * step)
        is_rendered = n_rendered > int(self.share * (step - 1))
        return self.rendered(n_rendered) if is_rendered else self.scores(step)


def hide_parts(plan: Plan, rng: random.Random) -> Plan:
    """The plan, in some songs with the notes of some roles unknown, as those of recordings are; never of all."""
    if rng.random() >= UNKNOWN_PARTS or len(plan.notes) < 2:
        return plan
    hidden = rng.sample(plan.notes, rng.randrange(1, len(plan.notes)))
    return plan.with_parts(Part(part.role, (None,) * plan.n_bars) for part in hidden)


def mask_labels(plan: Plan, rng: random.Random) -> Plan:
    """The plan with random parts of its score unknown; its bars and their time stay."""
    keep = {part: rng.random() < 0.4 for part in ("key", "tempo", "programs", "labels", "energy", "roles", "chords")}
    sections = tuple(
        Section(
            label=section.label if keep["labels"] else None,
            bars=section.bars if keep["chords"] else (Bar(None),) * len(section.bars),
            energy=section.energy if keep["energy"] else None,
            roles=section.roles if keep["roles"] else None,
        )
        for section in plan.sections
    )
    tempo, beats = plan.tempo, plan.beats
    if plan.tempo and not keep["tempo"]:
        samples = (*plan.beat_starts().tolist(), int(plan.bar_starts()[-1]))
        tempo, beats = (), tuple(sample / plan.time_base.sample_rate for sample in samples)
    return replace(
        plan,
        sections=sections,
        key=plan.key if keep["key"] else None,
        instruments=plan.instruments if keep["programs"] else tuple((role, None) for role, _ in plan.instruments),
        tempo=tempo,
        beats=beats,
        n_samples=plan.length,
    )
