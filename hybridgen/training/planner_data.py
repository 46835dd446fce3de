"""What the planner learns from: scores without end from the composer, and rendered songs with their codes.

A score costs milliseconds and no sound, so every step of the score stage sees songs that no step saw before; a process
beside the training composes them ahead. No step meets a song that another met, resumed or not.

Shapes: B batch, S text tokens, E text width, L score tokens, P code frames, Q codebooks, F control features, R roles.
"""

import itertools
import multiprocessing
import queue
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue

import numpy as np
import torch
from torch import Tensor, nn

from hybridgen import grammar
from hybridgen.data.captions import caption
from hybridgen.data.composer import compose
from hybridgen.plan import CODE_HOP, SAMPLE_RATE, Bar, Plan, Section
from hybridgen.planner import pad_scores
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.training.dataset import CODE_FRAMES, Track

FIRST_TRAIN, FIRST_VALID = 10_000_000, 5_000_000  # indices of composed songs; no rendered corpus is so large
POOL = 4  # batches whose songs are sorted by length together, so that little is padding
AHEAD = 2  # pools composed before they are asked for
NEIGHBOURS = 6  # a batch of rendered songs is drawn among so many times its size of like length
NO_TEXT, EMPTY_TEXT = 0.06, 0.04  # shares of songs that are told nothing, or the empty prompt
HIDDEN = 0.15  # share of rendered songs of whose score a part is hidden, as real recordings lack labels


@dataclass(frozen=True)
class ScoreConfig:
    """Which songs are composed; a share of long ones teaches form over minutes."""

    seed: int
    batch_size: int  # songs; long ones a quarter of it
    seconds: tuple[float, float]
    long_seconds: tuple[float, float]
    long_share: float  # of batches

    def __post_init__(self) -> None:
        if self.batch_size < 4:
            raise ValueError(f"batch_size {self.batch_size} must be at least 4")
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


@dataclass(frozen=True)
class Example:
    """A score and what is said of it, small enough to be handed from one process to another."""

    text: np.ndarray  # (S, E) float16; S = 0: told nothing
    tokens: list[int]


def collate(examples: Sequence[Example]) -> Batch:
    """Scores as one batch."""
    text, text_mask = _pad_texts([torch.from_numpy(example.text) for example in examples])
    return Batch(text, text_mask, *pad_scores([example.tokens for example in examples]))


def _pad_texts(texts: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(text) for text in texts])
    padded = nn.utils.rnn.pad_sequence([text.float() for text in texts], batch_first=True)
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]


def compose_pool(cfg: ScoreConfig, encoder: TextEncoder, first: int, number: int) -> list[list[Example]]:
    """Pool `number` (from 0) of the songs from index `first` on: `POOL` batches, each of songs of like length."""
    rng = random.Random(f"pool {cfg.seed} {first} {number}")
    is_long = rng.random() < cfg.long_share
    n_songs = cfg.batch_size // 4 if is_long else cfg.batch_size
    seconds = cfg.long_seconds if is_long else cfg.seconds
    start = first + number * POOL * cfg.batch_size
    songs = [compose(cfg.seed, start + i, seconds) for i in range(POOL * n_songs)]
    prompts = ["" if rng.random() < EMPTY_TEXT else caption(song, rng) for song in songs]
    texts = [text[: 0 if rng.random() < NO_TEXT else None] for text in encode(encoder, prompts)]
    examples = [Example(text, grammar.tokens(song.plan)) for text, song in zip(texts, songs, strict=True)]
    examples.sort(key=lambda example: len(example.tokens))
    batches = [examples[i : i + n_songs] for i in range(0, len(examples), n_songs)]
    rng.shuffle(batches)
    return batches


def encode(encoder: TextEncoder, prompts: Sequence[str]) -> list[np.ndarray]:
    """States (S, E) float16 of each prompt."""
    states, mask = encoder.encode(list(prompts))
    return [row[keep].half().numpy() for row, keep in zip(states, mask, strict=True)]


def scores(cfg: ScoreConfig, text: TextConfig, first_step: int) -> Iterator[Batch]:
    """Batches of composed songs for steps first_step, first_step + 1, ... (from 1), made ahead by a process of its own.

    The process starts with the first batch and ends when the iterator is closed; RuntimeError if it ends before.
    """
    number, skip = divmod(first_step - 1, POOL)
    context = multiprocessing.get_context("spawn")  # a forked child would inherit PyTorch's threads, broken
    pools = context.Queue(AHEAD)
    process = context.Process(target=_compose_on, args=(cfg, text, number, pools), daemon=True)
    process.start()
    try:
        while True:
            for examples in _next_pool(pools, process)[skip:]:
                yield collate(examples)
            skip = 0
    finally:
        process.terminate()
        process.join()


def _compose_on(cfg: ScoreConfig, text: TextConfig, number: int, pools: Queue) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training decides when to stop
    torch.set_num_threads(1)
    encoder = TextEncoder(text)
    for i in itertools.count(number):
        pools.put(compose_pool(cfg, encoder, FIRST_TRAIN, i))


def _next_pool(pools: Queue, process: BaseProcess) -> list[list[Example]]:
    while True:
        try:
            return pools.get(timeout=5)
        except queue.Empty:
            if not process.is_alive():
                raise RuntimeError(f"the composing process ended with code {process.exitcode}") from None


def rendered(tracks: Sequence[Track], n_frames: int, empty_text: Tensor, seed: int, step: int) -> Batch:
    """Whole rendered songs of like length, about `n_frames` code frames in all: a pure function of its arguments.

    empty_text (S, E): the states of the empty prompt. ValueError for a track that was prepared without a quantizer.
    """
    rng = random.Random(f"rendered {seed} {step}")
    by_length = sorted(tracks, key=lambda track: track.n_frames)
    middle = rng.randrange(len(by_length))
    n = min(max(1, CODE_FRAMES * n_frames // by_length[middle].n_frames), len(by_length))
    start = max(0, min(middle - NEIGHBOURS * n // 2, len(by_length) - NEIGHBOURS * n))
    chosen = rng.sample(by_length[start : start + NEIGHBOURS * n], n)
    plans = [hide(track.record.plan, rng) if rng.random() < HIDDEN else track.record.plan for track in chosen]
    text, text_mask = _pad_texts([_text(track, empty_text, rng) for track in chosen])
    return Batch(text, text_mask, *pad_scores([grammar.tokens(plan) for plan in plans]), *_frames(chosen, plans))


def _text(track: Track, empty_text: Tensor, rng: random.Random) -> Tensor:
    text, chance = rng.choice(track.prepared.texts), rng.random()
    return text[:0] if chance < NO_TEXT else empty_text if chance < NO_TEXT + EMPTY_TEXT else text


def _frames(tracks: Sequence[Track], plans: Sequence[Plan]) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (B, Q, P), features (B, P, F) and instruments (B, R)."""
    for track in tracks:
        if track.prepared.codes is None:
            raise ValueError(f"song {track.record.index} has no codes: prepare it with a quantizer first")
    codes = [track.prepared.codes.long().T for track in tracks]  # (P, Q) each
    features = [torch.from_numpy(plan.frame_controls(CODE_HOP)) for plan in plans]
    return (
        nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=-1).transpose(1, 2),
        nn.utils.rnn.pad_sequence(features, batch_first=True),
        torch.from_numpy(np.stack([plan.instrument_ids() for plan in plans])),
    )


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
    beats = (*plan.beat_starts().tolist(), int(plan.bar_starts()[-1]))
    return replace(
        plan,
        sections=sections,
        key=plan.key if keep["key"] else None,
        instruments=plan.instruments if keep["programs"] else tuple((role, None) for role, _ in plan.instruments),
        tempo=plan.tempo if keep["tempo"] else (),
        beats=() if keep["tempo"] else tuple(sample / SAMPLE_RATE for sample in beats),
        n_samples=plan.length,
    )
