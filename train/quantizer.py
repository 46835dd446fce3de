"""Trains the quantizer on prepared songs: python train/quantizer.py configs/train/quantizer.yaml prepared=... out=...

Codes are to say what is played. So the heads' predictions weigh more than the coarse latents, and entries that nobody
uses are set to what the encoder says now. A stopped run continues with the same command; a finished one leaves
`quantizer.safetensors` in `out`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from hybridgen import config
from hybridgen.quantizer import CODE_FRAMES, Played, Quantized, Quantizer, QuantizerConfig
from hybridgen.training import checkpoints, dataset
from hybridgen.training.dataset import Track
from hybridgen.training.log import Log
from hybridgen.training.state import OptimConfig, TrainState
from hybridgen.weights import save_weights


@dataclass(frozen=True)
class TrainConfig:
    """One run; the weights of the losses are relative to the codebook loss."""

    model: str  # preset or YAML file whose `quantizer` section has the shapes
    corpus: str  # folder of songs
    prepared: str  # folder that train/prepare.py wrote
    out: str  # folder of the run
    threads: int  # CPU threads
    seed: int
    steps: int
    batch_size: int
    window: int  # latent frames
    optim: OptimConfig
    commitment_weight: float
    latents_weight: float
    onsets_weight: float
    pitches_weight: float
    chroma_weight: float
    loudness_weight: float
    positive_weight: float  # what plays is rarer than what rests: it counts this many times
    revive_every: int  # steps
    revive_below: float  # share of a codebook's even use below which an entry is dead
    log_every: int  # steps
    valid_every: int
    save_every: int


@dataclass(frozen=True)
class Example:
    """A track and what is played in each of its code frames."""

    track: Track
    played: Played


def examples(tracks: list[Track]) -> list[Example]:
    """Each track with its targets, which take a second for a hundred songs."""
    songs = tqdm(tracks, "targets", mininterval=2)
    return [Example(t, dataset.played(t.record.song().notes, t.prepared.loudness)) for t in songs]


def draw(examples: list[Example], n: int, n_frames: int, rng: np.random.Generator) -> tuple[Tensor, Played]:
    """`n` windows of latents (B, T, C) and what is played in them."""
    by_index = {example.track.record.index: example for example in examples}
    items = dataset.draw([example.track for example in examples], n, n_frames, rng)
    latents = torch.stack([track.prepared.latents[start : start + n_frames] for track, start in items]).float()
    parts = []
    for track, start in items:
        span = slice(start // CODE_FRAMES, (start + n_frames) // CODE_FRAMES)
        parts.append([target[0, span] for target in vars(by_index[track.record.index].played).values()])
    return latents, Played(*(torch.stack(column) for column in zip(*parts, strict=True)))


def losses(out: Quantized, latents: Tensor, target: Played, train: TrainConfig) -> dict[str, Tensor]:
    """Each part of the loss, not yet weighted."""
    positive = torch.tensor(train.positive_weight)
    said = out.played
    return {
        "codebook": out.codebook_loss,
        "commitment": out.commitment_loss,
        "latents": F.mse_loss(out.latents, latents),
        "onsets": F.binary_cross_entropy_with_logits(said.onsets, target.onsets, pos_weight=positive),
        "pitches": F.binary_cross_entropy_with_logits(said.pitches, target.pitches, pos_weight=positive),
        "chroma": F.binary_cross_entropy_with_logits(said.chroma, target.chroma),
        "loudness": F.mse_loss(said.loudness, target.loudness),
    }


def total(parts: dict[str, Tensor], train: TrainConfig) -> Tensor:
    """The weighted sum."""
    weights = {
        "codebook": 1.0,
        "commitment": train.commitment_weight,
        "latents": train.latents_weight,
        "onsets": train.onsets_weight,
        "pitches": train.pitches_weight,
        "chroma": train.chroma_weight,
        "loudness": train.loudness_weight,
    }
    return sum(weights[name] * part for name, part in parts.items())


def f_score(logits: Tensor, target: Tensor) -> float:
    """Harmonic mean of precision and recall at a probability of one half."""
    said = logits > 0
    hits = (said & (target > 0.5)).sum()
    return (2 * hits / (said.sum() + target.sum()).clamp(min=1)).item()


@torch.no_grad()
def validate(model: Quantizer, held_out: list[Example], train: TrainConfig) -> dict[str, float]:
    """Losses, F scores and use of the codebooks on 64 windows of held-out songs, always the same ones."""
    latents, target = draw(held_out, 64, train.window, np.random.default_rng(0))
    out = model(latents)
    values = {f"valid/{name}": part.item() for name, part in losses(out, latents, target, train).items()}
    for name in ("onsets", "pitches", "chroma"):
        values[f"valid/{name}_f"] = f_score(getattr(out.played, name), getattr(target, name))
    for q, use in enumerate(usage_of(out.codes, model.config.codebook_size)):
        values[f"valid/perplexity_{q}"] = torch.special.entr(use).sum().exp().item()
    return values


def usage_of(codes: Tensor, codebook_size: int) -> Tensor:
    """Share (Q, K) of each entry in codes (B, Q, P)."""
    return F.one_hot(codes, codebook_size).float().mean(dim=(0, 2))


def main(path: str, *overrides: str) -> None:
    """Trains until `steps` or a signal."""
    train = config.load(TrainConfig, path, overrides)
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)
    preset = Path(train.model) if train.model.endswith(".yaml") else config.preset(f"models/{train.model}")
    model = Quantizer(config.build(QuantizerConfig, config.read(preset)["quantizer"]))
    state = TrainState(model, train.optim)
    out = Path(train.out)
    first = state.resume(out)
    seen, held_out = (examples(tracks) for tracks in dataset.load(train.corpus, train.prepared))
    usage = torch.full((model.config.n_codebooks, model.config.codebook_size), 1 / model.config.codebook_size)
    dead_below = train.revive_below / model.config.codebook_size

    with Log(out) as log, checkpoints.stop_on_signal() as stop:
        bar = tqdm(range(first + 1, train.steps + 1), "quantizer", initial=first, total=train.steps, mininterval=5)
        for step in bar:
            state.set_rate(step, train.steps)
            latents, target = draw(seen, train.batch_size, train.window, np.random.default_rng([train.seed, step]))
            quantized = model(latents)
            parts = losses(quantized, latents, target, train)
            loss = total(parts, train)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), train.optim.clip)
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.ema.update(model)

            usage.lerp_(usage_of(quantized.codes, model.config.codebook_size), 0.05)
            if step % train.revive_every == 0 and step < train.steps - train.optim.cool_down:
                dead = usage < dead_below
                model.revive(latents, dead, checkpoints.generators(train.seed, step)[1])
                usage[dead] = 1 / model.config.codebook_size
                parts["revived"] = dead.sum()
            if step % train.log_every == 0:
                bar.set_postfix(loss=loss.item(), refresh=False)
                log.write(step, {"loss": loss.item(), "norm": norm.item()} | {k: v.item() for k, v in parts.items()})
            if step % train.valid_every == 0 or step == train.steps:
                with state.ema.applied(model):
                    log.write(step, validate(model, held_out, train))
            if step % train.save_every == 0 or step == train.steps or stop.asked:
                state.save(out, step)
            if stop.asked:
                return

    with state.ema.applied(model):
        save_weights(model, out / "quantizer.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
