"""Whether planner and renderer learn the same however they are trained: python tools/parity.py --out parity

Alone, the script trains both for some steps with plain PyTorch and writes losses and a checkpoint. Then, in two or
more processes, it does so from the same start with each file of configs/deepspeed, prints all losses side by side, and
carries the checkpoint from one to the other, where not one bit may change:

    torchrun --standalone --nproc-per-node 2 tools/parity.py --out parity
"""

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hybridgen import config, grammar, note_grammar
from hybridgen.data.composer import compose
from hybridgen.plan.features import N_FEATURES, N_INSTRUMENTS
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, PlannerConfig, pad_scores, pad_steps
from hybridgen.renderer import Renderer, RendererConfig, no_notes
from hybridgen.training import checkpoints, distributed, objectives
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.dataset import WindowBatch, rank_rows
from hybridgen.training.engine import Engine, EngineConfig, OptimConfig, Tensors
from hybridgen.training.objectives import ConditioningDropout
from hybridgen.training.planner_data import PlannerBatch

ROWS, WINDOW, TEXT = 4, 64, 6  # of the global batch; latent frames and text tokens of a row
OPTIM = OptimConfig(learning_rate=1e-3, warm_up=2, cool_down=1, weight_decay=0.01, clip=1.0, ema=0.99)
DROPOUT = ConditioningDropout((0.4, 0.35, 0.1, 0.15), 0.1, 0.1, 0.2, (0.12, 0.12, 0.1, 0.3, 0.15, 0.1), 0.06, 0.1, 0.15)
FILES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs/deepspeed").glob("*.json"))}


def planner_row(shapes: PlannerConfig, plan: Plan, seed: int) -> tuple[Tensor, list[int], Tensor, Tensor, Tensor]:
    """A composed song: text states, score, codes, features and instruments; text and codes are noise."""
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randint(shapes.codebook_size, (plan.n_code_frames, shapes.n_codebooks), generator=rng)
    features = torch.from_numpy(plan.frame_controls(plan.time_base.code_hop))
    text = torch.randn(TEXT, shapes.text_dim, generator=rng)
    return text, grammar.tokens(plan), codes, features, torch.from_numpy(plan.instrument_ids())


def planner_batch(shapes: PlannerConfig, seeds: list[int]) -> PlannerBatch:
    """Rows of songs, with their notes where the planner writes some."""
    plans = [compose(0, seed, (5.0, 9.0)).plan for seed in seeds]
    rows = [planner_row(shapes, plan, seed) for plan, seed in zip(plans, seeds, strict=True)]
    texts, tokens, codes, features, instruments = zip(*rows, strict=True)
    codes = nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=-1).transpose(1, 2)
    features = nn.utils.rnn.pad_sequence(features, batch_first=True)
    text_mask = torch.ones(len(seeds), TEXT, dtype=torch.bool)
    songs = [(note_grammar.steps(plan), plan.bar_controls()) for plan in plans]
    return PlannerBatch(
        torch.stack(texts),
        text_mask,
        *pad_scores(tokens),
        codes,
        features,
        torch.stack(instruments),
        steps=pad_steps(songs) if shapes.notes else None,
    )


def planner_shares(engine: Engine, shapes: PlannerConfig, parts: list[list[int]]) -> list[Callable[[], Tensor]]:
    """For each micro-batch its share of the loss, to be computed when called."""
    batches = [planner_batch(shapes, seeds) for seeds in parts]
    rows = [objectives.planner_counts(batch) for batch in batches]
    counts = {name: engine.all_reduce(sum(row[name] for row in rows)) for name in rows[0]}

    def share(batch: PlannerBatch) -> Tensor:
        sums = objectives.planner_sums(engine, batch, 0.02)
        return sum(sums[name] / counts[name] for name in sums)

    return [partial(share, batch) for batch in batches]


def renderer_batch(shapes: RendererConfig, seeds: list[int]) -> WindowBatch:
    """Rows of noise, some of which end before the window does."""
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]

    def normal(*shape: int) -> Tensor:
        return torch.stack([torch.randn(shape, generator=rng) for rng in rngs])

    def whole(limit: int, *shape: int) -> Tensor:
        return torch.stack([torch.randint(limit, shape, generator=rng) for rng in rngs])

    return WindowBatch(
        latents=normal(WINDOW, shapes.latent_dim),
        inside=torch.arange(WINDOW) < whole(WINDOW, 1) + 8,
        reference=normal(WINDOW, shapes.latent_dim),
        text=normal(TEXT, shapes.text_dim),
        text_mask=torch.ones(len(seeds), TEXT, dtype=torch.bool),
        codes=whole(shapes.codebook_size, shapes.n_codebooks, WINDOW // shapes.frames_per_code),
        features=normal(WINDOW, N_FEATURES),
        instruments=whole(N_INSTRUMENTS, len(ROLES)),
        **no_notes(len(seeds), WINDOW),
        seeds=torch.tensor(seeds),
    )


def renderer_shares(engine: Engine, shapes: RendererConfig, parts: list[list[int]]) -> list[Callable[[], Tensor]]:
    """As `planner_shares`."""
    batches = [objectives.make_flow_batch(renderer_batch(shapes, seeds), DROPOUT, shapes) for seeds in parts]
    weight = engine.all_reduce(sum(batch.weight.sum() for batch in batches))
    return [partial(lambda batch: objectives.renderer_sum(engine, batch) / weight, batch) for batch in batches]


@dataclass(frozen=True)
class Kind:
    """A model, and how its loss is made."""

    model: Callable[..., nn.Module]
    config_class: type
    shares: Callable[..., list[Callable[[], Tensor]]]


KINDS = {
    "planner": Kind(Planner, PlannerConfig, planner_shares),
    "renderer": Kind(Renderer, RendererConfig, renderer_shares),
}


def new_engine(name: str, model_path: Path, file: Path | None, micro_batches: int = 1) -> tuple[Engine, object]:
    """The model with its first weights, the same for all, by a file of DeepSpeed's or plain; and its config."""
    kind = KINDS[name]
    shapes = config.build(kind.config_class, config.read(model_path)[name])
    torch.manual_seed(0)
    model = kind.model(shapes)
    settings = EngineConfig("cpu", 1, False, micro_batches, micro_batches > 1, None if file is None else str(file))
    return Engine(model, OPTIM, settings, layers=model.blocks), shapes


def steps(engine: Engine, name: str, shapes: object, first: int, n: int) -> list[float]:
    """The loss of `n` steps from `first` on, each on a batch of its own."""
    values = []
    for step in range(first, first + n):
        parts = [[step * ROWS + row for row in rank_rows(ROWS, *place)] for place in engine.micro_ranks()]
        total = torch.zeros(())
        for share in KINDS[name].shares(engine, shapes, parts):
            loss = share()
            engine.backward(loss)
            total += loss.detach()
        engine.step(OPTIM.rate(step, first + n))  # clip, then step
        values.append(engine.all_reduce(total).item())
    return values


def digest(tensors: Tensors) -> str:
    """SHA-256 of every bit."""
    sha = hashlib.sha256()
    for part, values in sorted(tensors.items()):
        for name, value in sorted(values.items()):
            sha.update(f"{part} {name} ".encode() + np.ascontiguousarray(value.numpy()).tobytes())
    return sha.hexdigest()


def alone(name: str, args: argparse.Namespace) -> dict[str, list[float]]:
    """Plain PyTorch, whole batches, and in two parts with recomputed activations; the checkpoint is its middle."""
    losses = {}
    for way, micro_batches in (("plain", 1), ("plain, 2 micro-batches, recomputed", 2)):
        engine, shapes = new_engine(name, args.model, None, micro_batches)
        before = steps(engine, name, shapes, 1, args.steps)
        if way == "plain":
            checkpoints.save(args.out / name, Checkpoint(args.steps, engine.tensors(), engine.state()))
        losses[way] = before + steps(engine, name, shapes, args.steps + 1, args.steps)
    return losses


def together(name: str, args: argparse.Namespace) -> dict[str, list[float]]:
    """Every file, from the start and from the checkpoint that the one before left; AssertionError if a bit changes."""
    checkpoint = checkpoints.load(checkpoints.newest(args.out / name))
    wanted = digest(checkpoint.tensors)
    tensors, state, losses = checkpoint.tensors, checkpoint.state, {}
    for way in args.files:
        engine, shapes = new_engine(name, args.model, FILES[way])
        before = steps(engine, name, shapes, 1, args.steps)
        engine.load(tensors, state)
        tensors, state = engine.tensors(), engine.state()
        same = engine.rank > 0 or digest(tensors) == wanted
        assert same and state == checkpoint.state, f"{name}: the checkpoint changed on its way through {way}"
        losses[way] = before + steps(engine, name, shapes, args.steps + 1, args.steps)
    return losses


def main(argv: list[str] | None = None) -> None:
    """Plain in one process, ZeRO in several."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of losses and checkpoints")
    parser.add_argument("--model", type=Path, default=config.preset("models/tiny"), help="YAML with the shapes")
    parser.add_argument(
        "--steps", type=int, default=3, help="before the checkpoint, and after it (default %(default)s)"
    )
    parser.add_argument("--files", nargs="+", choices=FILES, default=list(FILES), help="of DeepSpeed's (default: all)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    here = distributed.rank_info()
    record = args.out / "losses.json"
    found = json.loads(record.read_text()) if here.world_size > 1 else {}
    for name in KINDS:
        found[name] = found.get(name, {}) | (alone if here.world_size == 1 else together)(name, args)
    if here.rank == 0:
        record.write_text(json.dumps(found, indent=1) + "\n")
        print(f"| {' | '.join(['way', *KINDS])} |\n|{'---|' * (1 + len(KINDS))}")
        for way in found["planner"]:
            print(f"| {way} | {' | '.join(f'{found[name][way][-1]:.6f}' for name in KINDS)} |")
    distributed.shutdown()


if __name__ == "__main__":
    main()
