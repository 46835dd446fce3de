"""Trains adapters of planner and renderer on a prepared folder: the models stay as they are, only A and B learn.

An adapter is small, so one process trains it whole. A stopped run goes on with the same call; when it is over, the
averaged adapters and what they were trained on stand in `out`, ready for `hybridgen generate --adapter`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridgen import adapters, config, files, weights
from hybridgen.adapters import LoRA
from hybridgen.data.prepared import Songs
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.renderer import Renderer, RendererConfig
from hybridgen.text import TextConfig
from hybridgen.training import dataset, objectives, planner_data
from hybridgen.training.dataset import Phase, WindowBatches
from hybridgen.training.engine import Engine, EngineConfig, OptimConfig
from hybridgen.training.objectives import Gaps
from hybridgen.training.planner_data import SongBatches
from hybridgen.training.run import Run, RunConfig

JUDGED = 4  # batches whose loss is told before and after; their noise is always the same
WORK = "training"  # folder of runs inside an adapter's; what is in it may be removed when all is trained


@dataclass(frozen=True)
class Size:
    """What an adapter holds."""

    rank: int
    alpha: float  # alpha / rank is what a pair's output is scaled by
    targets: tuple[str, ...]  # endings of the names of linear layers


@dataclass(frozen=True)
class PlannerStage:
    """How an adapter of the planner learns."""

    size: Size
    steps: int
    frames: int  # code frames of a step, about: whole songs as far as they fit, at least one
    score_weight: float  # of a score token in the loss, where a code counts 1; 0 where most labels are unknown
    label_smoothing: float  # of codes
    optim: OptimConfig


@dataclass(frozen=True)
class RendererStage:
    """How an adapter of the renderer learns."""

    size: Size
    steps: int
    window: int  # latent frames; a shorter song is not learned
    frames: int  # latent frames of a step: as many windows as they hold
    gaps: Gaps
    optim: OptimConfig


@dataclass(frozen=True)
class LoraTrainConfig:
    """One adapter, of the planner, of the renderer, or of both; `run.out` is its folder."""

    run: RunConfig
    prepared: str  # folder that train/prepare.py wrote, with codes
    planner: PlannerStage | None
    renderer: RendererStage | None
    engine: EngineConfig

    def __post_init__(self) -> None:
        if given := [name for name in ("start", "valid_every", "best_metric") if getattr(self.run, name) is not None]:
            raise ValueError(f"run: {given} are not for adapters, which start from nothing and have no validation")
        if self.planner is None and self.renderer is None:
            raise ValueError("planner and renderer are both null: nothing to train")
        if self.engine.deepspeed is not None or self.engine.micro_batches != 1:
            raise ValueError("engine: an adapter is trained by one process, deepspeed null and micro_batches 1")


@dataclass(frozen=True)
class Identity:
    """What a run may not change when it goes on."""

    base: str  # SHA-256 of the model's weights
    size: Size
    prepared: tuple[str, ...]  # digests of its shards


@dataclass(frozen=True)
class Trained:
    """An adapter of one stage, and its mean loss on the same batches without and with it."""

    lora: LoRA
    before: float
    after: float


@dataclass(frozen=True)
class Lesson:
    """What one stage learns from: the frozen model, the batch of a step, and the loss of a batch."""

    model: nn.Module
    batch: Callable[[int], Any]
    loss: Callable[[nn.Module, Any], Tensor]


def main(train: LoraTrainConfig) -> dict[str, Trained] | None:
    """Trains what the config asks for and writes the adapter; stage -> result, None if a signal came before the end."""
    folder = weights.resolve(train.run.model)
    songs = Songs(train.prepared, "train")
    lessons = {"planner": planner_lesson, "renderer": renderer_lesson}
    chosen = {stage: getattr(train, stage) for stage in adapters.STAGES if getattr(train, stage) is not None}
    base = {stage: files.sha256(folder / f"{stage}.safetensors") for stage in chosen}
    results = {}
    for stage, own in chosen.items():
        trained = fit(stage, lessons[stage](folder, songs, own, train), own, train, base[stage], songs)
        if trained is None:
            return None
        results[stage] = trained
    facts = {
        stage: {"songs": len(songs), "steps": chosen[stage].steps, "loss": [round(x, 4) for x in (t.before, t.after)]}
        for stage, t in results.items()
    }
    adapters.save(train.run.out, {stage: t.lora for stage, t in results.items()}, base, train.run.model, facts)
    return results


def fit(
    stage: str, lesson: Lesson, own: PlannerStage | RendererStage, train: LoraTrainConfig, base: str, songs: Songs
) -> Trained | None:
    """Trains one stage's adapter from where its run stopped; None if a signal came before the last step."""
    size, rng = own.size, torch.Generator().manual_seed(train.run.seed)
    lora = adapters.create(lesson.model, size.targets, size.rank, size.alpha, rng)
    model = adapters.adapt(lesson.model, [(lora, 1.0)])
    engine = Engine(lora, own.optim, train.engine, layers=model.blocks)
    model.to(engine.device)
    own_run = replace(train, run=replace(train.run, out=str(Path(train.run.out) / WORK / stage)))
    identity = Identity(base, size, tuple(entry["latents"] for entry in songs.facts["shards"]))

    with Run(stage, own_run, own.steps, identity, __file__, {stage: engine}) as run:
        before = judge(lesson, lesson.model, engine)
        for step, [batch] in run.steps([lesson.batch]):
            with engine.autocast():
                loss = lesson.loss(model, batch)
            engine.backward(loss)
            norm = engine.step(own.optim.rate(step, own.steps), run.accept_step(step, loss))  # clip, then step
            run.log_step(step, {"loss": loss}, {"norm": norm}, {"steps": 1})
        if not run.is_finished:
            return None
        with engine.averaged() as average:
            after = judge(lesson, adapters.adapt(lesson.model, [(average, 1.0)]), engine)
        return Trained(average, before, after)


@torch.no_grad()
def judge(lesson: Lesson, model: nn.Module, engine: Engine) -> float:
    """Mean loss on the batches of the first steps."""
    with engine.autocast():
        losses = [lesson.loss(model, lesson.batch(step)).item() for step in range(1, JUDGED + 1)]
    return sum(losses) / len(losses)


def planner_lesson(folder: Path, songs: Songs, own: PlannerStage, train: LoraTrainConfig) -> Lesson:
    """Whole songs, their codes and as much of their scores as is known."""
    shapes = config.read(folder / "config.yaml")
    model = frozen(Planner(config.build(PlannerConfig, shapes["planner"])), folder / "planner.safetensors", train)
    encoder = planner_data.text_encoder(config.build(TextConfig, shapes["text"]))
    [empty_text] = planner_data.encode(encoder, [""])
    batches = SongBatches(songs, own.frames, 1, train.run.seed, empty_text)

    def loss(model: nn.Module, batch: planner_data.Batch) -> Tensor:
        device = model.start.device
        batch = batch.to(device)
        parts = objectives.planner_losses(model, batch, own.label_smoothing)
        return parts["codes"] + own.score_weight * parts["score"]

    return Lesson(model, batches, loss)


def renderer_lesson(folder: Path, songs: Songs, own: RendererStage, train: LoraTrainConfig) -> Lesson:
    """Windows of songs, with random gaps in what is told of them."""
    shapes = config.read(folder / "config.yaml")
    model = frozen(Renderer(config.build(RendererConfig, shapes["renderer"])), folder / "renderer.safetensors", train)
    batches = WindowBatches(songs, (Phase(own.steps, (own.window,), own.frames),), train.run.seed)

    def loss(model: nn.Module, batch: dataset.Batch) -> Tensor:
        return objectives.renderer_loss(model, batch, own.gaps)

    return Lesson(model, batches, loss)


def frozen(model: nn.Module, path: Path, train: LoraTrainConfig) -> nn.Module:
    """A model with the weights of a file, on the device of the training, none of which learns."""
    weights.load_weights(model, path)
    return model.requires_grad_(False).to(train.engine.device)


def summary(results: dict[str, Trained]) -> Sequence[str]:
    """A line for each stage: what its loss was without the adapter, and is with it."""
    return [f"{stage}: loss {t.before:.3f} -> {t.after:.3f} on its own songs" for stage, t in results.items()]
