"""Trains adapters (LoRA) of planner and renderer on a prepared folder; the models' own weights stay as they are.

An adapter is small, so one process trains it. The same call resumes a stopped run. At the end the averaged adapters and
a record of what they were trained on are in `run.out`, ready for `hybridgen generate --adapter`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hybridgen import adapters, config, files, weights
from hybridgen.adapters import LoRA
from hybridgen.config import Share, Size, Steps, Weight, Width
from hybridgen.data.prepared_dataset import PreparedDataset
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.renderer import Renderer, RendererConfig
from hybridgen.text.encoder import TextConfig
from hybridgen.training import objectives, planner_data
from hybridgen.training.dataset import Phase, WindowBatch, WindowBatches
from hybridgen.training.engine import Engine, EngineConfig, OptimConfig
from hybridgen.training.objectives import ConditioningDropout
from hybridgen.training.planner_data import PlannerBatch, SongBatches
from hybridgen.training.run import Run, RunConfig

N_EVAL_BATCHES = 4  # for the loss before and after; their noise is always the same
WORK = "training"  # folder of the runs inside the adapter's; not needed once they are finished

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class AdapterConfig:
    """Shapes of an adapter."""

    rank: Width
    alpha: float  # a pair's output is scaled by alpha / rank
    targets: tuple[str, ...]  # endings of the names of linear layers


@dataclass(frozen=True)
class PlannerAdapterConfig:
    """How an adapter of the planner is trained."""

    adapter: AdapterConfig
    steps: Steps
    frames: Size  # code frames in a step, about: as many whole songs as fit, at least one
    score_weight: Weight  # of a score token in the loss, where a code counts 1; 0 where most labels are unknown
    label_smoothing: Share  # of codes
    optim: OptimConfig


@dataclass(frozen=True)
class RendererAdapterConfig:
    """How an adapter of the renderer is trained."""

    adapter: AdapterConfig
    steps: Steps
    window: Size  # latent frames; shorter songs are left out
    frames: Size  # latent frames in a step: as many windows as fit
    dropout: ConditioningDropout
    optim: OptimConfig


@dataclass(frozen=True)
class LoraTrainConfig:
    """One adapter, of the planner, of the renderer, or of both; `run.out` is its folder."""

    run: RunConfig
    prepared: str  # folder that train/prepare.py wrote, with codes
    planner: PlannerAdapterConfig | None
    renderer: RendererAdapterConfig | None
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
    """What may not change when a run is resumed."""

    base: str  # SHA-256 of the model's weights
    adapter: AdapterConfig
    prepared: tuple[str, ...]  # digests of its shards


@dataclass(frozen=True)
class Trained:
    """An adapter of one stage, and its mean loss on the same batches without and with it."""

    lora: LoRA
    steps: int
    before: float
    after: float


@dataclass(frozen=True)
class Objective:
    """What one stage is trained for: the frozen model, the batch of a step, and the loss () of a model on a batch."""

    model: nn.Module
    batch: Callable[[int], Any]
    loss: Callable[[Any, Any], Tensor]


def train_adapters(train: LoraTrainConfig) -> dict[str, Trained] | None:
    """Trains and writes what the config asks for; stage -> result, or None if a signal stopped it before the end."""
    folder, songs = weights.resolve(train.run.model), PreparedDataset(train.prepared, "train")
    base, results = {}, {}
    for stage, own in (("planner", train.planner), ("renderer", train.renderer)):
        if own is None:
            continue
        if isinstance(own, PlannerAdapterConfig):
            objective = planner_objective(folder, songs, own, train)
        else:
            objective = renderer_objective(folder, songs, own, train)
        base[stage] = files.sha256(folder / f"{stage}.safetensors")
        trained = fit(stage, objective, own, train, base[stage], songs)
        if trained is None:
            return None
        results[stage] = trained
    facts = {
        stage: {"songs": len(songs), "steps": t.steps, "loss": [round(loss, 4) for loss in (t.before, t.after)]}
        for stage, t in results.items()
    }
    adapters.save(train.run.out, {stage: t.lora for stage, t in results.items()}, base, train.run.model, facts)
    return results


def fit(
    stage: str,
    objective: Objective,
    own: PlannerAdapterConfig | RendererAdapterConfig,
    train: LoraTrainConfig,
    base: str,
    songs: PreparedDataset,
) -> Trained | None:
    """Trains one stage's adapter, or resumes its run; None if a signal stopped it before the last step."""
    shape, rng = own.adapter, torch.Generator().manual_seed(train.run.seed)
    lora = adapters.create(objective.model, shape.targets, shape.rank, shape.alpha, rng)
    model = adapters.adapt(objective.model, [(lora, 1.0)])
    blocks = model.get_submodule("blocks")
    assert isinstance(blocks, nn.ModuleList)
    engine = Engine(lora, own.optim, train.engine, layers=blocks)
    model.to(engine.device)
    own_train = replace(train, run=replace(train.run, out=str(Path(train.run.out) / WORK / stage)))
    identity = Identity(base, shape, tuple(entry["latents"] for entry in songs.index["shards"]))

    with Run(stage, own_train, own.steps, identity, __file__, {stage: engine}) as run:
        before = mean_loss(objective, objective.model, engine)
        for step, [batch] in run.steps([objective.batch]):
            with engine.autocast():
                loss = objective.loss(model, batch)
            engine.backward(loss)
            norm = engine.step(own.optim.rate(step, own.steps), run.accept_step(step, loss))  # clip, then step
            run.log_step(step, {"loss": loss}, {"norm": norm}, {"steps": 1})
        if not run.is_finished:
            return None
        with engine.averaged() as average:
            assert isinstance(average, LoRA)
            after = mean_loss(objective, adapters.adapt(objective.model, [(average, 1.0)]), engine)
        return Trained(average, own.steps, before, after)


@torch.no_grad()
def mean_loss(objective: Objective, model: nn.Module, engine: Engine) -> float:
    """Mean loss on the batches of the first steps."""
    with engine.autocast():
        losses = [objective.loss(model, objective.batch(step)).item() for step in range(1, N_EVAL_BATCHES + 1)]
    return sum(losses) / len(losses)


def planner_objective(
    folder: Path, songs: PreparedDataset, own: PlannerAdapterConfig, train: LoraTrainConfig
) -> Objective:
    """Whole songs, their codes and as much of their scores as is known."""
    shapes = folder / "config.yaml"
    model = Planner(config.shapes(PlannerConfig, shapes, "planner"))
    encoder = planner_data.text_encoder(config.shapes(TextConfig, shapes, "text"))
    [empty_text] = planner_data.encode(encoder, [""])
    batches = SongBatches(songs, own.frames, 1, train.run.seed, empty_text)

    def loss(model: Planner, batch: PlannerBatch) -> Tensor:
        parts = objectives.planner_losses(model, batch.to(model.start.device), own.label_smoothing)
        return parts["codes"] + own.score_weight * parts["score"]

    return Objective(frozen(model, folder / "planner.safetensors", train), batches, loss)


def renderer_objective(
    folder: Path, songs: PreparedDataset, own: RendererAdapterConfig, train: LoraTrainConfig
) -> Objective:
    """Windows of songs, with dropout in their conditions."""
    model = Renderer(config.shapes(RendererConfig, folder / "config.yaml", "renderer"))
    batches = WindowBatches(songs, (Phase(own.steps, (own.window,), own.frames),), train.run.seed)

    def loss(model: Renderer, batch: WindowBatch) -> Tensor:
        return objectives.renderer_loss(model, batch, own.dropout)

    return Objective(frozen(model, folder / "renderer.safetensors", train), batches, loss)


def frozen(model: Model, path: Path, train: LoraTrainConfig) -> Model:
    """The model with the weights of a file, on the device of the training, with no weight that learns."""
    weights.load_weights(model, path)
    return model.requires_grad_(False).to(train.engine.device)


def summary(results: dict[str, Trained]) -> Sequence[str]:
    """A line for each stage: its loss without and with the adapter."""
    return [f"{stage}: loss {t.before:.3f} -> {t.after:.3f} on its own songs" for stage, t in results.items()]
