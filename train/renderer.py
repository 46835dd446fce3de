"""Trains the renderer on prepared songs: python train/renderer.py configs/train/renderer.yaml prepared=... out=...

Every window is met with random frames known (inpainting) and not quite clean, codes partly wrong (the planner's will
be), and parts of the condition dropped (guidance). A stopped run continues with the same command; each checkpoint also
writes the averaged weights as `renderer.safetensors` into `out`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from hybridgen import config, flow
from hybridgen.renderer import PARTS, Renderer, RendererConfig
from hybridgen.training import checkpoints, dataset
from hybridgen.training.dataset import Track
from hybridgen.training.log import Log
from hybridgen.training.objectives import Gaps, condition, renderer_loss
from hybridgen.training.state import OptimConfig, TrainState
from hybridgen.weights import load_weights, save_weights

VALID_TIMES = (0.1, 0.35, 0.6, 0.85)


@dataclass(frozen=True)
class Phase:
    """So many steps on windows of one length."""

    steps: int
    window: int  # latent frames
    batch_size: int


@dataclass(frozen=True)
class TrainConfig:
    """One run."""

    model: str  # preset or YAML file whose `renderer` section has the shapes
    corpus: str  # folder of songs
    prepared: str  # folder that train/prepare.py wrote, with codes
    out: str  # folder of the run
    start: str | None  # weights to begin with
    threads: int  # CPU threads
    bfloat16: bool  # matrix products in bfloat16: faster where the hardware has it, 12 times slower elsewhere
    seed: int
    phases: tuple[Phase, ...]
    optim: OptimConfig
    gaps: Gaps
    log_every: int  # steps
    valid_every: int
    save_every: int

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """The phase of a step, counted from 1."""
        for phase in self.phases:
            if step <= phase.steps:
                return phase
            step -= phase.steps
        raise AssertionError(f"step {step} lies past the last phase")


@torch.no_grad()
def validate(model: Renderer, held_out: list[Track], window: int) -> dict[str, float]:
    """Loss on 8 held-out windows at fixed times and noise: told everything, without one part each, told nothing."""
    batch = dataset.batch(held_out, 8, window, seed=0, step=0)
    known = torch.zeros(batch.inside.shape, dtype=torch.bool)
    cond, x_0 = condition(batch, known), torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    keep = {"loss": torch.ones(len(PARTS), dtype=torch.bool), "told_nothing": torch.zeros(len(PARTS), dtype=torch.bool)}
    keep |= {f"without_{part}": torch.arange(len(PARTS)) != i for i, part in enumerate(PARTS)}
    values = {f"valid/{name}": 0.0 for name in keep}
    for t in VALID_TIMES:
        times = torch.full((len(x_0),), t)
        x_t, velocity = flow.path(x_0, batch.latents, times)
        for name, parts in keep.items():
            said = model(x_t, times, cond.dropped(parts.expand(len(x_0), -1)))
            values[f"valid/{name}"] += flow.loss(said, velocity, batch.inside.float()).item() / len(VALID_TIMES)
    return values


def main(path: str, *overrides: str) -> None:
    """Trains until the last phase ends or a signal comes."""
    train = config.load(TrainConfig, path, overrides)
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)
    preset = Path(train.model) if train.model.endswith(".yaml") else config.preset(f"models/{train.model}")
    model = Renderer(config.build(RendererConfig, config.read(preset)["renderer"]))
    if train.start is not None:
        load_weights(model, train.start)
    state = TrainState(model, train.optim)
    out = Path(train.out)
    first = state.resume(out)
    tracks, held_out = dataset.load(train.corpus, train.prepared)

    with Log(out) as log, checkpoints.stop_on_signal() as stop:
        bar = tqdm(range(first + 1, train.steps + 1), "renderer", initial=first, total=train.steps, mininterval=5)
        for step in bar:
            phase, (_, rng) = train.phase(step), checkpoints.generators(train.seed, step)
            state.set_rate(step, train.steps)
            batch = dataset.batch(tracks, phase.batch_size, phase.window, train.seed, step)
            with torch.autocast("cpu", torch.bfloat16, enabled=train.bfloat16):
                loss = renderer_loss(model, batch, train.gaps, rng)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), train.optim.clip)
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.ema.update(model)

            if step % train.log_every == 0:
                bar.set_postfix(loss=loss.item(), refresh=False)
                log.write(step, {"loss": loss.item(), "norm": norm.item(), "window": phase.window})
            is_end = step == train.steps or stop.asked
            if step % train.valid_every == 0 or is_end:
                with state.ema.applied(model):
                    log.write(step, validate(model, held_out, train.phases[-1].window))
            if step % train.save_every == 0 or is_end:
                state.save(out, step)
                with state.ema.applied(model):
                    save_weights(model, out / "renderer.safetensors")
            if stop.asked:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
