"""Trains the renderer on prepared songs: python train/renderer.py configs/train/renderer.yaml prepared=... out=...

Every window is met with random frames known (inpainting) and not quite clean, codes partly wrong (the planner's will
be), and parts of the condition dropped (guidance). A stopped run continues with the same command; each checkpoint also
writes the averaged weights as `renderer.safetensors` into `out`.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybridgen import config, flow
from hybridgen.renderer import PARTS, Condition, Renderer, RendererConfig
from hybridgen.training import checkpoints, dataset
from hybridgen.training.dataset import Batch, Track
from hybridgen.training.log import Log
from hybridgen.training.state import OptimConfig, TrainState
from hybridgen.weights import load_weights, save_weights

KNOWN = ("none", "start", "end", "sides")  # which frames of a window are given
VALID_TIMES = (0.1, 0.35, 0.6, 0.85)


@dataclass(frozen=True)
class Phase:
    """So many steps on windows of one length."""

    steps: int
    window: int  # latent frames
    batch_size: int


@dataclass(frozen=True)
class TrainConfig:
    """One run; shares are probabilities."""

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
    known_shares: tuple[float, float, float, float]  # of nothing, the start, the end, both sides
    known_weight: float  # of a known frame in the loss; an unknown one counts 1
    wrong_codes: float  # share of codes that are replaced by random ones; a window has 0 to twice as many
    context_noise: float  # on known frames, whose deviation is 1: a window has 0 to this much
    drop_shares: tuple[float, float, float, float]  # of text, codes, controls, timbre
    drop_all: float  # share of windows without any of them
    log_every: int  # steps
    valid_every: int
    save_every: int

    def __post_init__(self) -> None:
        if abs(sum(self.known_shares) - 1) > 1e-6:
            raise ValueError(f"known_shares {self.known_shares} sum to {sum(self.known_shares):g}, not to 1")

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


def known_frames(n: int, n_frames: int, shares: tuple[float, ...], rng: torch.Generator) -> Tensor:
    """(n, n_frames) bool: nothing, up to half from the start, up to half from the end, or both; never everything."""
    kinds = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=rng)
    lengths = (torch.rand(n, 2, generator=rng) * 0.5 * n_frames).long().clamp(min=1)
    start = torch.isin(kinds, torch.tensor([KNOWN.index("start"), KNOWN.index("sides")]))
    end = torch.isin(kinds, torch.tensor([KNOWN.index("end"), KNOWN.index("sides")]))
    frames = torch.arange(n_frames)
    known_start = (frames < lengths[:, :1]) & start[:, None]
    known_end = (frames >= n_frames - lengths[:, 1:] + 1) & end[:, None]
    return known_start | known_end


def spoil_codes(codes: Tensor, codebook_size: int, share: float, rng: torch.Generator) -> Tensor:
    """Codes (B, Q, P) of which a share is random; each row draws its own share from 0 to twice `share`."""
    shares = 2 * share * torch.rand(len(codes), 1, 1, generator=rng)
    wrong = torch.rand(codes.shape, generator=rng) < shares
    return torch.where(wrong, torch.randint(codebook_size, codes.shape, generator=rng), codes)


def spoil_context(latents: Tensor, deviation: float, rng: torch.Generator) -> Tensor:
    """Latents (B, T, C) as far from clean as rendered ones may be: each row noisy by 0 to `deviation`."""
    deviations = deviation * torch.rand(len(latents), 1, 1, generator=rng)
    return latents + deviations * torch.randn(latents.shape, generator=rng)


def keep_parts(n: int, train: TrainConfig, rng: torch.Generator) -> Tensor:
    """(n, 4) bool: which parts of the condition each row is told."""
    dropped = torch.rand(n, len(PARTS), generator=rng) < torch.tensor(train.drop_shares)
    return ~(dropped | (torch.rand(n, 1, generator=rng) < train.drop_all))


def condition(batch: Batch, known: Tensor) -> Condition:
    """All that there is to say about a batch."""
    return Condition(
        text=batch.text,
        text_mask=batch.text_mask,
        codes=batch.codes,
        features=batch.features,
        instruments=batch.instruments,
        context=batch.latents,
        known=known,
        timbre=Renderer.timbre(batch.reference),
    )


def training_loss(model: Renderer, batch: Batch, train: TrainConfig, rng: torch.Generator) -> Tensor:
    """Flow matching on unknown frames, mostly, under a condition with random gaps and errors."""
    n, n_frames, _ = batch.latents.shape
    known = known_frames(n, n_frames, train.known_shares, rng)
    cond = condition(batch, known)
    cond = replace(
        cond,
        codes=spoil_codes(batch.codes, model.config.codebook_size, train.wrong_codes, rng),
        context=spoil_context(batch.latents, train.context_noise, rng),
    )
    t = flow.sample_t(n, rng)
    x_t, velocity = flow.path(torch.randn(batch.latents.shape, generator=rng), batch.latents, t)
    weight = batch.inside * torch.where(known, train.known_weight, 1.0)
    with torch.autocast("cpu", torch.bfloat16, enabled=train.bfloat16):
        said = model(x_t, t, cond.dropped(keep_parts(n, train, rng)))
    return flow.loss(said.float(), velocity, weight)


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
            loss = training_loss(model, batch, train, rng)
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
