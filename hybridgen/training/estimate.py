"""What a training run needs, before it is started: time and memory on a cluster, from its config and assumptions."""

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybridgen import config
from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.plan.time_base import TimeBase
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.quantizer import Quantizer, QuantizerConfig
from hybridgen.renderer import PATCH, Renderer, RendererConfig
from hybridgen.stages import time_base_of
from hybridgen.training import flops, memory
from hybridgen.training.configs import (
    CodecTrainConfig,
    PlannerTrainConfig,
    QuantizerTrainConfig,
    RendererTrainConfig,
    StageConfig,
)
from hybridgen.training.dataset import Phase
from hybridgen.training.flops import Flops
from hybridgen.training.memory import Activations, Memory
from hybridgen.training.planner_data import LONG_DIVISOR


@dataclass(frozen=True)
class Assumptions:
    """What the estimate takes for granted."""

    gpus: int = 1
    gpu: str = "H100"
    utilization: float = 0.4  # of the peak
    price: float | None = None  # of a GPU for an hour
    hours: float = 10_000.0  # of music
    offload: bool = False  # optimizer states on the host
    song_seconds: float = 180.0
    score_rate: float = 1.2  # tokens a second; the composer's songs have 2.3 in half a minute, 1.1 in four minutes
    note_rate: float = 4.7  # steps of notes a second; the composer's have 5.8 in half a minute, 4.2 in three minutes
    text_tokens: int = 32

    def __post_init__(self) -> None:
        if self.gpu not in memory.GPU_BYTES:
            raise ValueError(f"gpu {self.gpu!r} is none of {sorted(memory.GPU_BYTES)}")
        for name in ("gpus", "utilization", "hours", "song_seconds", "text_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)} must be above 0")
        if self.utilization > 1:
            raise ValueError(f"utilization {self.utilization} is over 1, the GPU's peak")


@dataclass(frozen=True)
class Step:
    """Steps of one shape: how many there are, and what one needs."""

    n_steps: float
    rows: int  # songs, windows or crops of the global batch
    flops: Callable[[], Flops]  # of a row
    activations: Callable[[int], Activations]  # given the number of rows
    seconds: float  # of music in a row
    tokens: float  # slots in a row that the model writes or renders


@dataclass(frozen=True)
class Estimate:
    """A run on a cluster."""

    stage: str
    train: StageConfig
    assumed: Assumptions
    n_params: int
    n_largest: int  # parameters of the largest layer
    steps: tuple[Step, ...]

    @property
    def n_steps(self) -> float:
        """Steps of the run."""
        return sum(step.n_steps for step in self.steps)

    def mean(self, value: Callable[[Step], float]) -> float:
        """Mean of a figure over all steps."""
        return sum(step.n_steps * value(step) for step in self.steps) / self.n_steps

    @property
    def parts(self) -> int:
        """Equal parts that a global batch is cut into: micro-batches of all ranks."""
        return self.assumed.gpus * self.train.engine.micro_batches

    @property
    def seconds(self) -> float:
        """Seconds a step, on average; where the rows cannot be shared evenly, some GPUs wait."""
        peak = flops.peak_flops(self.assumed.gpu)
        assert peak is not None, self.assumed.gpu

        def operations(step: Step) -> float:
            row = step.flops()
            per_row = row.total + (row.recomputed if self.train.engine.recompute else 0)
            return self.train.engine.micro_batches * ceil(step.rows / self.parts) * per_row

        return self.mean(operations) / (peak * self.assumed.utilization)

    def memory(self, stage: int | None, half: bool, offload: bool, recompute: bool) -> Memory:
        """Of the step that needs most."""
        states = memory.states(
            self.n_params, self.n_largest, self.assumed.gpus, stage, half, offload, autocast=self.train.engine.bfloat16
        )
        stream, narrow = (2, 2) if half else (4, 2 if self.train.engine.bfloat16 else 4)
        kept = (step.activations(ceil(step.rows / self.parts)) for step in self.steps if step.n_steps)
        return replace(states, activations=max(one.size(recompute, stream, narrow) for one in kept))

    @property
    def configured(self) -> Memory:
        """Memory as the config says."""
        stage, half, offload = read_zero(self.train.engine.deepspeed)
        return self.memory(stage, half, offload or self.assumed.offload, self.train.engine.recompute)


def read_zero(path: str | None) -> tuple[int | None, bool, bool]:
    """ZeRO stage, bfloat16 weights and optimizer offload of a DeepSpeed file; (None, False, False) for None."""
    if path is None:
        return None, False, False
    if not Path(path).is_file():
        raise ValueError(f"engine.deepspeed {path}: no such file")
    settings = json.loads(Path(path).read_text())
    zero = settings.get("zero_optimization", {})
    offloads = zero.get("offload_optimizer", {}).get("device", "none") != "none"
    return zero.get("stage", 0), settings.get("bf16", {}).get("enabled", False), offloads


def planner_steps(
    train: PlannerTrainConfig, shapes: PlannerConfig, time_base: TimeBase, assumed: Assumptions
) -> list[Step]:
    """Composed scores, short and long, and rendered songs where the config names a folder of them."""
    share = train.rendered_share if train.prepared is not None else 0.0

    def scores(n_songs: int, seconds: tuple[float, float], n_steps: float) -> Step:
        mean = sum(seconds) / 2
        n_notes = ceil(mean * assumed.note_rate) if shapes.notes else 0
        return songs(n_steps, n_songs, mean, 1, n_notes)  # and the empty frame that follows a score

    def songs(n_steps: float, n_songs: int, seconds: float, n_frames: int, n_notes: int) -> Step:
        n_tokens = ceil(seconds * assumed.score_rate)
        shape = (assumed.text_tokens, n_tokens, n_frames, n_notes)
        return Step(
            n_steps,
            n_songs,
            lambda: flops.planner(shapes, *shape),
            lambda n: memory.planner(shapes, n, *shape),
            seconds,
            n_tokens + n_frames + n_notes,
        )

    n_frames = time_base.n_code_frames(round(assumed.song_seconds * time_base.sample_rate))
    multiple = train.rendered_multiple
    n_songs = max(1, round(train.rendered_frames / n_frames / multiple)) * multiple
    composed, drawn = (1 - share) * train.steps, train.scores
    return [
        scores(drawn.batch_size, drawn.seconds, composed * (1 - drawn.long_share)),
        scores(drawn.batch_size // LONG_DIVISOR, drawn.long_seconds, composed * drawn.long_share),
        songs(share * train.steps, n_songs, assumed.song_seconds, n_frames, int(shapes.notes)),  # and an empty step
    ]


def window_steps(
    phases: Iterable[Phase],
    time_base: TimeBase,
    row_flops: Callable[[int], Flops],
    activations: Callable[[int, int], Activations],  # given the frames of a window and the number of windows
    frames_per_token: int,
) -> list[Step]:
    """Each phase on each of its windows, given what windows need."""
    return [
        Step(
            phase.steps / len(phase.windows),
            phase.frames // window,
            partial(row_flops, window),
            partial(activations, window),
            window * time_base.latent_hop / time_base.sample_rate,
            window / frames_per_token,
        )
        for phase in phases
        for window in phase.windows
    ]


def codec_steps(train: CodecTrainConfig, shapes: SpectralCodecConfig) -> list[Step]:
    """Crops, all of one length."""
    discriminators = train.discriminators if train.adversarial_weight > 0 else None
    shape = (train.crop, train.windows, train.mels, train.freeze_encoder, discriminators)
    return [
        Step(
            train.steps,
            train.batch_size,
            lambda: flops.codec(shapes, *shape),
            lambda n: memory.codec(shapes, n, *shape),
            train.crop / shapes.sample_rate,
            train.crop / shapes.hop_length,
        )
    ]


def estimate(path: str, overrides: Iterable[str], assumed: Assumptions) -> Estimate:
    """The run that a training script would make of `path` and `overrides`; ValueError for what it would refuse."""
    stage = Path(path).stem
    if stage not in BUILDERS:
        raise ValueError(f"{path}: not named after one of the stages {', '.join(BUILDERS)}")
    return BUILDERS[stage](path, overrides, assumed)


def _planner(path: str, overrides: Iterable[str], assumed: Assumptions) -> Estimate:
    train = config.load(PlannerTrainConfig, path, overrides)
    shapes = config.shapes(PlannerConfig, train.run.model, "planner")
    steps = planner_steps(train, shapes, time_base_of(train.run.model), assumed)
    return Estimate("planner", train, assumed, *sizes(Planner, shapes), tuple(steps))


def _renderer(path: str, overrides: Iterable[str], assumed: Assumptions) -> Estimate:
    train = config.load(RendererTrainConfig, path, overrides)
    shapes = config.shapes(RendererConfig, train.run.model, "renderer")
    steps = window_steps(
        train.phases,
        time_base_of(train.run.model),
        lambda window: flops.renderer(shapes, assumed.text_tokens, window),
        lambda window, n: memory.renderer(shapes, n, assumed.text_tokens, window),
        PATCH,
    )
    return Estimate("renderer", train, assumed, *sizes(Renderer, shapes), tuple(steps))


def _codec(path: str, overrides: Iterable[str], assumed: Assumptions) -> Estimate:
    train = config.load(CodecTrainConfig, path, overrides)
    shapes = config.shapes(SpectralCodecConfig, train.run.model, "codec")
    return Estimate("codec", train, assumed, *sizes(SpectralCodec, shapes), tuple(codec_steps(train, shapes)))


def _quantizer(path: str, overrides: Iterable[str], assumed: Assumptions) -> Estimate:
    train = config.load(QuantizerTrainConfig, path, overrides)
    shapes = config.shapes(QuantizerConfig, train.run.model, "quantizer")
    steps = window_steps(
        train.phases,
        time_base_of(train.run.model),
        lambda window: flops.quantizer(shapes, window),
        lambda window, n: memory.quantizer(shapes, n, window),
        shapes.frames_per_code,
    )
    return Estimate("quantizer", train, assumed, *sizes(Quantizer, shapes), tuple(steps))


BUILDERS = {"planner": _planner, "renderer": _renderer, "codec": _codec, "quantizer": _quantizer}  # by stage


@functools.cache
def sizes(model: Callable[[Any], nn.Module], shapes: Any) -> tuple[int, int]:
    """Parameters of a model and of its largest layer, counted without memory for them."""
    with torch.device("meta"):
        return memory.sizes(model(shapes))
