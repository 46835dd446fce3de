"""Trains the quantizer: python train/quantizer.py configs/train/quantizer.yaml prepared=... run.out=...

Codes should say which notes sound, so the heads' predictions weigh more than the coarse latents, and entries that are
never chosen are reset to current outputs of the encoder. The same command resumes a stopped run; the weights of the
best validation are `run.out`/quantizer.safetensors.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridgen import config
from hybridgen.quantizer import NoteTargets, Quantized, Quantizer, QuantizerConfig
from hybridgen.training import checkpoints, dataset, flops
from hybridgen.training.configs import QuantizerTrainConfig
from hybridgen.training.dataset import NoteBatches, Phase
from hybridgen.training.engine import Engine
from hybridgen.training.run import Run, new_model, run_script

VALID_WINDOWS = 64


def to_device(batch: tuple[Tensor, NoteTargets], device: torch.device) -> tuple[Tensor, NoteTargets]:
    """Latents and their notes, on a device."""
    latents, target = batch
    return latents.to(device), NoteTargets(**{name: part.to(device) for name, part in vars(target).items()})


def losses(out: Quantized, latents: Tensor, target: NoteTargets, train: QuantizerTrainConfig) -> dict[str, Tensor]:
    """Each part of the loss, not yet weighted."""
    positive = torch.tensor(train.positive_weight, device=latents.device)
    predicted = out.note_targets
    return {
        "codebook": out.codebook_loss,
        "commitment": out.commitment_loss,
        "latents": F.mse_loss(out.latents, latents),
        "onsets": F.binary_cross_entropy_with_logits(predicted.onsets, target.onsets, pos_weight=positive),
        "pitches": F.binary_cross_entropy_with_logits(predicted.pitches, target.pitches, pos_weight=positive),
        "chroma": F.binary_cross_entropy_with_logits(predicted.chroma, target.chroma),
        "loudness": F.mse_loss(predicted.loudness, target.loudness),
    }


def total(parts: dict[str, Tensor], train: QuantizerTrainConfig) -> Tensor:
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
    predicted = logits > 0
    hits = (predicted & (target > 0.5)).sum()
    return (2 * hits / (predicted.sum() + target.sum()).clamp(min=1)).item()


def validate(batch: tuple[Tensor, NoteTargets], train: QuantizerTrainConfig, model: Quantizer) -> dict[str, float]:
    """Losses, F scores and codebook usage on a fixed batch of held-out windows."""
    latents, target = to_device(batch, next(model.parameters()).device)
    out = model(latents)
    parts = losses(out, latents, target, train)
    values = {f"valid/{name}": part.item() for name, part in parts.items()}
    values["valid/loss"] = total(parts, train).item()
    for name in ("onsets", "pitches", "chroma"):
        values[f"valid/{name}_f"] = f_score(getattr(out.note_targets, name), getattr(target, name))
    for q, use in enumerate(usage_of(out.codes, model.config.codebook_size)):
        values[f"valid/perplexity_{q}"] = torch.special.entr(use).sum().exp().item()
    return values


def usage_of(codes: Tensor, codebook_size: int) -> Tensor:
    """Share (Q, K) of each entry in codes (B, Q, P)."""
    return F.one_hot(codes, codebook_size).float().mean(dim=(0, 2))


def main(path: str, *overrides: str) -> None:
    """Trains to the last step, or until a signal."""
    train = config.load(QuantizerTrainConfig, path, overrides)
    shapes, n_steps = config.shapes(QuantizerConfig, train.run.model, "quantizer"), dataset.n_steps(train.phases)
    engine = Engine(new_model(Quantizer, shapes, train), train.optim, train.engine)
    songs, held_out = dataset.load(train.prepared)
    batch_fns = [NoteBatches(songs, train.phases, train.run.seed, *place) for place in engine.micro_ranks()]
    window = train.phases[-1].windows[-1]
    held = NoteBatches(held_out, (Phase(1, (window,), VALID_WINDOWS * window),), 0)(1)
    usage = torch.full((shapes.n_codebooks, shapes.codebook_size), 1 / shapes.codebook_size, device=engine.device)
    n_parts = engine.world_size * train.engine.micro_batches  # of the global batch, all of one size

    with Run("quantizer", train, n_steps, shapes, __file__, {"quantizer": engine}, {"usage": usage}) as run:
        for step, batches in run.steps(batch_fns):
            batches = [to_device(batch, engine.device) for batch in batches]
            rate, phase = train.optim.rate(step, n_steps), dataset.phase_number(train.phases, step)
            used, shares = torch.zeros_like(usage), {}
            for latents, target in batches:
                quantized = engine(latents)
                parts = losses(quantized, latents, target, train)
                loss = total(parts, train) / n_parts  # this part's share of it
                engine.backward(loss)
                used += usage_of(quantized.codes, shapes.codebook_size) / n_parts
                for name, part in (parts | {"loss": loss * n_parts}).items():
                    shares[name] = shares.get(name, 0.0) + part.detach() / n_parts
            norm = engine.step(rate, run.accept_step(step, shares["loss"], phase))  # clip, then step

            usage.lerp_(engine.all_reduce(used), 0.05)
            n_dead = 0
            if step % train.revive_every == 0 and step < n_steps - train.optim.cool_down:
                dead = usage < train.revive_below / shapes.codebook_size
                latents = engine.all_gather(torch.cat([latents for latents, _ in batches]))
                with engine.rewriting() as model:
                    model.revive(latents, dead, checkpoints.generators(train.run.seed, step)[1])
                usage[dead] = 1 / shapes.codebook_size
                n_dead = int(dead.sum())
            n_rows, n_frames = n_parts * len(batches[0][0]), batches[0][0].shape[1]
            hours = n_rows * n_frames * songs.time_base.latent_hop / songs.time_base.sample_rate / 3600
            work = {"windows": n_rows, "audio_hours": hours}
            work["flops"] = flops.quantizer(shapes, n_frames).total * n_rows
            run.log_step(step, shares, {"norm": norm, "rate": rate, "revived": n_dead}, work)
            if run.should_validate(step):
                run.validate(step, partial(validate, held, train))


if __name__ == "__main__":
    run_script(main, __doc__)
