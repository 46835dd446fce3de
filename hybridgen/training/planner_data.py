"""What the planner learns from: scores without end from the composer, and rendered songs with their codes.

A score costs milliseconds and no sound, so every step of the score stage sees songs that no step saw before. All
batches are pure functions of (seed, step), shared among ranks as those of `dataset` are.

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

from hybridgen import grammar
from hybridgen.data.captions import caption
from hybridgen.data.composer import compose
from hybridgen.data.prepared_dataset import Labels, PreparedDataset, PreparedTrack
from hybridgen.plan import Bar, Plan, Section
from hybridgen.planner import pad_scores
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.training.dataset import TRIES, Permutation, check_codes, pad_texts, rank_rows

FIRST_TRAIN, FIRST_VALID = 10_000_000, 5_000_000  # indices of composed songs; no rendered corpus is so large
LONG = 4  # songs of the longer range are a batch of so many times fewer
SPREAD = 1.25  # songs of a batch differ in length by about so much, that little may be padding
NO_TEXT, EMPTY_TEXT = 0.06, 0.04  # shares of songs that are told nothing, or the empty prompt
HIDDEN = 0.15  # share of rendered songs of whose score a part is hidden, as real recordings lack labels


@dataclass(frozen=True)
class ScoreConfig:
    """Which songs are composed; a share of long ones teaches form over minutes."""

    seed: int
    batch_size: int  # songs of a global batch; long ones a quarter of it
    seconds: tuple[float, float]
    long_seconds: tuple[float, float]
    long_share: float  # of batches

    def __post_init__(self) -> None:
        if self.batch_size < LONG or self.batch_size % LONG:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of {LONG}")
        if not 0 <= self.long_share <= 1:
            raise ValueError(f"long_share {self.long_share} is outside 0-1")


@dataclass(frozen=True)
class Batch:
    """The arguments of `Planner.forward`."""

    text: Tensor  # (B, S, E)
    text_mask: Tensor  # (B, S) bool
    tokens: Tensor  # (B, L), -1 behind the end
    places: Tensor  # (B, L, 2)
    codes: Tensor | None = None  # (B, Q, P), -1 behind the end
    features: Tensor | None = None  # (B, P, F)
    instruments: Tensor | None = None  # (B, R)
    told: Tensor | None = None  # (B, Q, P): the codes as the frames after them hear them, some of them wrong

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(**{name: None if part is None else part.to(device) for name, part in vars(self).items()})


def encode(encoder: TextEncoder, prompts: Sequence[str]) -> list[np.ndarray]:
    """States (S, E) float16 of each prompt."""
    states, mask = encoder.encode(list(prompts))
    return [row[keep].half().numpy() for row, keep in zip(states, mask, strict=True)]


@functools.cache
def text_encoder(text: TextConfig) -> TextEncoder:
    """This process's encoder: it loads for a second, and batches are made in any process."""
    return TextEncoder(text)


@dataclass(frozen=True)
class ScoreBatches:
    """Songs composed for a step, counted from 1: no other step meets them. Those of a batch last about as long."""

    config: ScoreConfig
    text: TextConfig
    first: int = FIRST_TRAIN  # index of the first song
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        rank_rows(self.config.batch_size // LONG, self.rank, self.world_size)

    def __call__(self, step: int) -> Batch:
        """This rank's rows of the batch of a step."""
        cfg, rng = self.config, random.Random(f"scores {self.config.seed} {self.first} {step}")
        is_long = rng.random() < cfg.long_share
        low, high = cfg.long_seconds if is_long else cfg.seconds
        middle = rng.uniform(low, high)
        span = (max(low, middle / SPREAD**0.5), min(high, middle * SPREAD**0.5))
        start = self.first + step * cfg.batch_size
        rows = rank_rows(cfg.batch_size // LONG if is_long else cfg.batch_size, self.rank, self.world_size)
        songs = [compose(cfg.seed, start + row, span) for row in rows]
        prompts, heard = [], []
        for song in songs:
            own = random.Random(f"prompt {cfg.seed} {song.index}")
            prompts.append("" if own.random() < EMPTY_TEXT else caption(song, own))
            heard.append(own.random() >= NO_TEXT)
        states = encode(text_encoder(self.text), prompts)
        texts = [text if hears else text[:0] for text, hears in zip(states, heard, strict=True)]
        return Batch(*pad_texts(texts), *pad_scores([grammar.tokens(song.plan) for song in songs]))


@dataclass(frozen=True)
class Mistakes:
    """Codes that the frame after them hears wrongly, as the planner's own will be: it learns to go on from them."""

    share: float  # of codes that are replaced by random ones; a song has 0 to twice as many
    codebook_size: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.5:
            raise ValueError(f"wrong_codes {self.share} is outside 0-0.5")

    def make(self, codes: np.ndarray, seed: int) -> np.ndarray:
        """Codes (Q, P) with some of them wrong."""
        rng = np.random.default_rng(seed)
        wrong = rng.random(codes.shape) < 2 * self.share * rng.random()
        return np.where(wrong, rng.integers(self.codebook_size, size=codes.shape), codes)


@dataclass(frozen=True)
class SongBatches:
    """Whole rendered songs of like length, about `frames` code frames in a global batch; steps count from 1.

    Songs are binned by length, each bin into batches; an epoch is a permutation of all batches, so that each song comes
    once in it (a few twice, where a bin's last batch is filled up). A damaged song is replaced by others of its bin.
    ValueError for songs that were prepared without a quantizer.
    """

    songs: PreparedDataset
    frames: int  # a batch of songs that are longer has one for each of `ranks`
    ranks: int  # a batch's songs are a multiple of this: so many ranks and micro-batches may share it
    seed: int
    empty_text: np.ndarray  # (S, E) states of the empty prompt
    mistakes: Mistakes | None = None  # None: every frame hears what was there
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        check_codes(self.songs)
        rank_rows(self.ranks, self.rank, self.world_size)

    @cached_property
    def _order(self) -> np.ndarray:
        """Songs by length."""
        return np.argsort(self.songs.n_frames, kind="stable")

    @cached_property
    def _bins(self) -> list[tuple[int, int, int]]:
        """(first, songs, songs of a batch) of each bin of `_order`."""
        lengths, bins, first = self.songs.n_frames[self._order], [], 0
        while first < len(lengths):
            stop = int(np.searchsorted(lengths, lengths[first] * SPREAD, side="right"))
            room = self.songs.time_base.frames_per_code * self.frames // int(lengths[stop - 1])
            fill = min(room, stop - first + self.ranks - 1) // self.ranks * self.ranks
            bins.append((first, stop - first, max(fill, self.ranks)))
            first = stop
        return bins

    @cached_property
    def _stops(self) -> np.ndarray:
        """For each bin the batch after its last one."""
        return np.cumsum([-(-n_songs // n_rows) for _, n_songs, n_rows in self._bins])

    def rows(self, step: int) -> list[int]:
        """The songs of this rank's rows, as if none were damaged."""
        return [int(self._order[place]) for place in self._places(step)[1]]

    def _places(self, step: int) -> tuple[int, list[int]]:
        """The epoch of a step, and where in `_order` this rank's rows are."""
        epoch, index = divmod(step - 1, int(self._stops[-1]))
        number = Permutation(int(self._stops[-1]), self.seed, epoch)(index)
        i = int(np.searchsorted(self._stops, number, side="right"))
        first, n_songs, n_rows = self._bins[i]
        begin = n_rows * (number - int(self._stops[i - 1] if i else 0))
        inside = Permutation(n_songs, self.seed, epoch, i)
        rows = rank_rows(n_rows, self.rank, self.world_size)
        return epoch, [first + inside((begin + row) % n_songs) for row in rows]

    def __call__(self, step: int) -> Batch:
        """This rank's rows of the batch of a step."""
        epoch, places = self._places(step)
        parts = [self._whole(epoch, place) for place in places]
        texts, plans, codes, told, features = zip(*parts, strict=True)
        return Batch(
            *pad_texts(list(texts)),
            *pad_scores([grammar.tokens(plan) for plan in plans]),
            codes=pad_codes(codes),
            features=nn.utils.rnn.pad_sequence(features, batch_first=True),
            instruments=torch.from_numpy(np.stack([plan.instrument_ids() for plan in plans])),
            told=None if self.mistakes is None else pad_codes(told),
        )

    def _whole(self, epoch: int, place: int) -> "Whole":
        """A song, or where it is damaged one of its bin."""
        rng = random.Random(f"song {self.seed} {epoch} {place}")
        first, n_songs, _ = next(entry for entry in reversed(self._bins) if entry[0] <= place)
        for _ in range(TRIES):
            found = self.songs.read_or_skip(int(self._order[place]), lambda i: (self.songs[i], self.songs.labels(i)))
            if found is not None:
                return self._told(*found, rng)
            place = first + rng.randrange(n_songs)
        raise ValueError(f"prepared {self.songs.folder}: {TRIES} songs in a row are damaged")

    def _told(self, track: PreparedTrack, labels: Labels, rng: random.Random) -> "Whole":
        text, chance = rng.choice(track.texts), rng.random()
        text = text[:0] if chance < NO_TEXT else self.empty_text if chance < NO_TEXT + EMPTY_TEXT else text
        plan = hide(labels.plan, rng) if rng.random() < HIDDEN else labels.plan
        base = plan.time_base
        features = (
            track.controls[:: base.frames_per_code] if plan is labels.plan else plan.frame_controls(base.code_hop)
        )
        told = track.codes if self.mistakes is None else self.mistakes.make(track.codes, rng.getrandbits(62))
        codes, told = (torch.tensor(part.T).long() for part in (track.codes, told))
        return text, plan, codes, told, torch.tensor(features).float()


Whole = tuple[np.ndarray, Plan, Tensor, Tensor, Tensor]  # text (S, E), plan, codes and told (P, Q), features (P, F)


def pad_codes(codes: Sequence[Tensor]) -> Tensor:
    """(B, Q, P) from codes (P, Q) of different lengths, -1 behind the end."""
    return nn.utils.rnn.pad_sequence(list(codes), batch_first=True, padding_value=-1).transpose(1, 2)


@dataclass(frozen=True)
class MixedBatches:
    """Of all steps a share, evenly spread, learns rendered songs; the others learn scores."""

    scores: ScoreBatches
    rendered: SongBatches
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share {self.share} of rendered songs is outside 0-1")

    def __call__(self, step: int) -> Batch:
        """This rank's rows of the batch of a step, counted from 1."""
        n_rendered = int(self.share * step)
        is_rendered = n_rendered > int(self.share * (step - 1))
        return self.rendered(n_rendered) if is_rendered else self.scores(step)


def hide(plan: Plan, rng: random.Random) -> Plan:
    """The plan with some of its score unknown, each part or not at random; its time and its bars stay."""
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
