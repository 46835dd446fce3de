"""What a training run needs: python train/estimate.py configs/train/renderer.yaml run.model=large gpus=64 price=2.5

Prints parameters, operations a step, memory on each GPU by ZeRO stage, how much music a day goes through, and what the
run costs. Takes what the training scripts take (a YAML file of configs/train, files of configs/runs, overrides such as
run.model=large), and these, each an assumption:

  gpus=8              GPUs that train together
  gpu=H100            H100, H200 or A100: its peak, from the vendor, and its memory
  utilisation=0.4     share of the peak that the step's operations reach; train/bench.py measures it
  price=2.5           of a GPU for an hour, in any currency
  hours=10000         of music, to be gone through once
  offload=true        optimizer states on the host, in stages 1-3
  song_seconds=180    length of a rendered song
  score_rate=1.2      tokens of a score for a second of music
  text_tokens=32      of a prompt

Examples:
  python train/estimate.py configs/train/renderer.yaml configs/runs/large-8xh100.yaml gpus=8 price=2.5
  python train/estimate.py configs/train/planner.yaml run.model=base gpus=1 gpu=A100 utilisation=0.3
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from hybridgen import config
from hybridgen.codec import Codec, CodecConfig
from hybridgen.plan import CODE_HOP, LATENT_HOP, SAMPLE_RATE
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.quantizer import CODE_FRAMES, Quantizer, QuantizerConfig
from hybridgen.renderer import PATCH, Renderer, RendererConfig
from hybridgen.training import cost
from hybridgen.training.configs import CodecTrainConfig, PlannerTrainConfig, QuantizerTrainConfig, RendererTrainConfig
from hybridgen.training.cost import Memory, Work
from hybridgen.training.planner_data import LONG

GB = 1e9
SECONDS_PER_FRAME = LATENT_HOP / SAMPLE_RATE  # of a latent frame
# stage -> the schema of its YAML, the model, and the schema of its shapes
STAGES = {
    "planner": (PlannerTrainConfig, Planner, PlannerConfig),
    "renderer": (RendererTrainConfig, Renderer, RendererConfig),
    "codec": (CodecTrainConfig, Codec, CodecConfig),
    "quantizer": (QuantizerTrainConfig, Quantizer, QuantizerConfig),
}

RECOMPUTED = ("planner", "renderer")  # whose scripts let `engine.recompute` run layers again


@dataclass(frozen=True)
class Assumed:
    """What the estimate takes for granted; the names are those of the command line."""

    gpus: int = 1
    gpu: str = "H100"
    utilisation: float = 0.4  # of the peak
    price: float | None = None  # of a GPU for an hour
    hours: float = 10_000.0  # of music
    offload: bool = False
    song_seconds: float = 180.0
    score_rate: float = 1.2  # tokens a second; of the composer's songs 2.3 in half a minute, 1.1 in four
    text_tokens: int = 32

    def __post_init__(self) -> None:
        if self.gpu not in cost.MEMORY:
            raise ValueError(f"gpu {self.gpu!r} is none of {sorted(cost.MEMORY)}")
        for name in ("gpus", "utilisation", "hours", "song_seconds", "text_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)} must be above 0")
        if self.utilisation > 1:
            raise ValueError(f"utilisation {self.utilisation} is over 1, the GPU's peak")


@dataclass(frozen=True)
class Step:
    """Steps of one shape: how many there are, and what one does."""

    n_steps: float
    rows: int  # songs, windows or crops of the global batch
    work: Callable[[int], Work]  # of so many rows
    seconds: float  # of music in a row
    tokens: float  # slots in a row that the model writes or renders


@dataclass(frozen=True)
class Estimate:
    """A run on a cluster."""

    stage: str
    train: Any
    shapes: Any
    assumed: Assumed
    n_params: int
    n_largest: int
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
        engine = self.train.engine
        speed = cost.peak_flops(self.assumed.gpu) * self.assumed.utilisation

        def one(step: Step) -> float:
            work = step.work(ceil(step.rows / self.parts))
            return engine.micro_batches * (work.flops + engine.recompute * work.recomputed) / speed

        return self.mean(one)

    def memory(self, stage: int | None, half: bool, offload: bool, recompute: bool) -> Memory:
        """Of the step that needs most."""
        engine = self.train.engine
        states = cost.states(
            self.n_params, self.n_largest, self.assumed.gpus, stage, half, offload, autocast=engine.bfloat16
        )
        stream, narrow = (2, 2) if half else (4, 2 if engine.bfloat16 else 4)
        works = (step.work(ceil(step.rows / self.parts)) for step in self.steps if step.n_steps)
        kept = max(work.activations(recompute, stream, narrow) for work in works)
        return Memory(**(vars(states) | {"activations": kept}))

    @property
    def configured(self) -> Memory:
        """Memory as the config says."""
        stage, half, offload = zero(self.train.engine.deepspeed)
        return self.memory(stage, half, offload or self.assumed.offload, self.train.engine.recompute)


def zero(path: str | None) -> tuple[int | None, bool, bool]:
    """Stage, bfloat16 weights and optimizer offload that a DeepSpeed file asks for; (None, False, False) for None."""
    if path is None:
        return None, False, False
    if not Path(path).is_file():
        raise ValueError(f"engine.deepspeed {path} is no file")
    settings = json.loads(Path(path).read_text())
    asked = settings.get("zero_optimization", {})
    offloads = asked.get("offload_optimizer", {}).get("device", "none") != "none"
    return asked.get("stage", 0), settings.get("bf16", {}).get("enabled", False), offloads


def planner_steps(train: PlannerTrainConfig, cfg: PlannerConfig, assumed: Assumed) -> list[Step]:
    """Composed scores, short and long, and rendered songs where the config names a folder of them."""
    share = train.rendered_share if train.prepared is not None else 0.0

    def scores(n_songs: int, seconds: tuple[float, float], n_steps: float) -> Step:
        length = sum(seconds) / 2
        n_tokens = ceil(length * assumed.score_rate)
        return Step(n_steps, n_songs, lambda n: cost.planner(cfg, n, assumed.text_tokens, n_tokens), length, n_tokens)

    n_frames = ceil(assumed.song_seconds * SAMPLE_RATE / CODE_HOP)
    n_tokens = ceil(assumed.song_seconds * assumed.score_rate)
    multiple = train.rendered_multiple
    n_songs = max(1, round(train.rendered_frames / n_frames / multiple)) * multiple
    composed, drawn = (1 - share) * train.steps, train.scores
    return [
        scores(drawn.batch_size, drawn.seconds, composed * (1 - drawn.long_share)),
        scores(drawn.batch_size // LONG, drawn.long_seconds, composed * drawn.long_share),
        Step(
            share * train.steps,
            n_songs,
            lambda n: cost.planner(cfg, n, assumed.text_tokens, n_tokens, n_frames),
            assumed.song_seconds,
            n_tokens + n_frames,
        ),
    ]


def window_steps(train: Any, work: Callable[[int, int], Work], frames_per_token: int) -> Iterable[Step]:
    """Each phase on each of its windows; `work` of so many windows of so many frames."""
    for phase in train.phases:
        for window in phase.windows:
            yield Step(
                phase.steps / len(phase.windows),
                phase.frames // window,
                lambda n, window=window: work(n, window),
                window * SECONDS_PER_FRAME,
                window / frames_per_token,
            )


def codec_steps(train: CodecTrainConfig, cfg: CodecConfig) -> list[Step]:
    """Crops, all of one length."""
    judges = train.discriminators if train.adversarial_weight > 0 else None

    def work(n: int) -> Work:
        return cost.codec(cfg, n, train.crop, train.windows, train.mels, frozen=train.freeze_encoder, judges=judges)

    seconds, tokens = train.crop / cfg.sample_rate, train.crop / cfg.hop_length
    return [Step(train.steps, train.batch_size, work, seconds, tokens)]


def estimate(path: str, overrides: Iterable[str], assumed: Assumed) -> Estimate:
    """The run that a training script would make of `path` and `overrides`; ValueError for what it would refuse."""
    stage = Path(path).stem
    if stage not in STAGES:
        raise ValueError(f"{path}: named after none of the stages {', '.join(STAGES)}")
    schema, model_class, shapes_class = STAGES[stage]
    train = config.load(schema, path, overrides)
    shapes = config.shapes(shapes_class, train.run.model, stage)
    if stage == "planner":
        steps = planner_steps(train, shapes, assumed)
    elif stage == "codec":
        steps = codec_steps(train, shapes)
    elif stage == "renderer":
        steps = window_steps(train, lambda n, t: cost.renderer(shapes, n, assumed.text_tokens, t), PATCH)
    else:
        steps = window_steps(train, lambda n, t: cost.quantizer(shapes, n, t), CODE_FRAMES)
    return Estimate(stage, train, shapes, assumed, *sizes(model_class, shapes), tuple(steps))


@functools.cache
def sizes(model_class: type[nn.Module], shapes: Any) -> tuple[int, int]:
    """Parameters of a model and of its largest layer, counted without memory for them."""
    with torch.device("meta"):
        return cost.sizes(model_class(shapes))


def model_lines(run: Estimate) -> Iterable[str]:
    """Parameters, and what a step does."""
    work = [step.work(step.rows) for step in run.steps]
    forward, backward, again = (
        sum(step.n_steps * getattr(one, name) for step, one in zip(run.steps, work, strict=True)) / run.n_steps / 1e12
        for name in ("forward", "backward", "recomputed")
    )
    yield f"{run.stage} of model {run.train.run.model} on {run.assumed.gpus} x {run.assumed.gpu}"
    yield ""
    yield f"parameters   {run.n_params / 1e6:,.1f} M, {run.n_largest / 1e6:,.1f} M in the largest layer"
    yield f"a step       {forward + backward:,.2f} TFLOP on average: forward {forward:,.2f}, backward {backward:,.2f}"
    if run.stage in RECOMPUTED:
        yield f"             (activation checkpointing, {on(run.train.engine.recompute)}, adds {again:,.2f})"
    rows, tokens = run.mean(lambda step: step.rows), run.mean(lambda step: step.rows * step.tokens)
    hours = run.mean(lambda step: step.rows * step.seconds) / 3600
    yield f"             {rows:,.0f} rows, {tokens:,.0f} tokens, {hours:,.2f} h of music"
    idle = [step.rows for step in run.steps if step.n_steps and step.rows % run.parts]
    if idle:
        yield f"             BATCH TOO SMALL: {idle[0]} rows are not to be shared evenly by {run.parts} micro-batches;"
        yield "             the training would refuse it, see configs/runs for batches of many GPUs"


def memory_lines(run: Estimate) -> Iterable[str]:
    """A row for each stage that the cluster can have, with and without checkpointing and offload."""
    names = ("weights", "gradients", "optimizer", "average", "buffers", "activations")
    limit = cost.MEMORY[run.assumed.gpu] / GB
    configured, half, _ = zero(run.train.engine.deepspeed)
    yield f"GB a GPU       {' '.join(f'{name:>11}' for name in (*names, 'in all'))}   of {limit:.0f}"
    stages = (None, 0, 1, 2, 3) if run.assumed.gpus == 1 else (0, 1, 2, 3)
    for offload in (False, True):
        for stage in stages if not offload else (2, 3):
            for recompute in (False, True) if run.stage in RECOMPUTED else (False,):
                memory = run.memory(stage, half and bool(stage), offload, recompute)
                label = "plain" if stage is None else f"ZeRO {stage}"
                label += " offload" if offload else ""
                values = " ".join(f"{getattr(memory, name) / GB:11.1f}" for name in names)
                verdict = "fits" if memory.gpu / GB <= limit else "no"
                chosen = "  <- configured" if (stage, recompute) == (configured, run.train.engine.recompute) else ""
                chosen = "" if offload and not run.assumed.offload else chosen
                mark = "*" if recompute else " "
                yield f"{label:<14}{mark}{values} {memory.gpu / GB:11.1f}   {verdict}{chosen}"
    yield f"             * with activation checkpointing; {cost.CONTEXT / GB:.0f} GB of all are the driver's"
    yield f"             rank 0 needs {4 * run.n_params / GB:.1f} GB more while it validates"


def cost_lines(run: Estimate) -> Iterable[str]:
    """Throughput, time and price."""
    assumed = run.assumed
    music = run.mean(lambda step: step.rows * step.seconds) / 3600  # hours a step
    per_day = 86_400 / run.seconds
    tokens = run.mean(lambda step: step.rows * step.tokens)
    yield f"speed        {1 / run.seconds:,.2f} steps a second; a day: {tokens * per_day:,.0f} tokens,"
    yield f"             {music * per_day:,.0f} h of music"
    for label, n_steps in (
        (f"{run.n_steps:,.0f} steps", run.n_steps),
        (f"{assumed.hours:,.0f} h once", assumed.hours / music),
    ):
        days = n_steps / per_day
        gpu_hours = 24 * days * assumed.gpus
        price = "" if assumed.price is None else f", costs {gpu_hours * assumed.price:,.0f}"
        yield f"{label:<20} {days:,.2f} days, {gpu_hours:,.1f} GPU-hours{price}"


def assumption_lines(run: Estimate) -> Iterable[str]:
    """Every figure that is not counted."""
    peak = cost.peak_flops(run.assumed.gpu)
    given = [f"{field.name}={getattr(run.assumed, field.name)}" for field in fields(Assumed)]
    yield f"assumed      {' '.join(given[:5])}"
    yield f"             {' '.join(given[5:])}"
    yield f"             peak {peak / 1e12:.0f} TFLOP/s; bfloat16 products {on(run.train.engine.bfloat16)};"
    yield "             communication and input are part of the utilisation, preparation and validation are not in"


def on(flag: bool) -> str:
    """A switch in words."""
    return "on" if flag else "off"


def main(*arguments: str) -> None:
    """Prints the table; one line on stderr and exit code 2 for what is wrong."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return
    path, *rest = arguments
    known = {field.name for field in fields(Assumed)}
    own = [argument for argument in rest if argument.partition("=")[0] in known]
    try:
        values = dict(argument.split("=", 1) for argument in own)
        assumed = config.build(Assumed, {name: yaml.safe_load(text) for name, text in values.items()})
        run = estimate(path, [argument for argument in rest if argument not in own], assumed)
        lines = [*model_lines(run), "", *memory_lines(run), "", *cost_lines(run), "", *assumption_lines(run)]
    except (ValueError, OSError, yaml.YAMLError) as error:
        print(f"estimate: {error}", file=sys.stderr)
        sys.exit(2)
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
