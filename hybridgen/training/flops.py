"""Floating-point operations of a training step, and how much of a GPU's peak a run makes of them.

`torch.utils.flop_counter` counts the step itself, run on the meta device, which computes nothing: matrix products,
convolutions and attention, forward and backward. Norms, rotations, softmax, lookups and Fourier transforms are not
counted, nor is anything that is computed twice: these are the model's operations, so waste lowers the utilization.
Attention counts every pair of slots, because the planner's masks skip no work. Activation checkpointing runs the blocks
forward again; `Flops.recomputed` says how much that is.

All figures are for one song, window or crop; a batch of n costs n times as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import ceil, comb, prod
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.note_grammar import N_LIKENESS, SOURCES
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner, PlannerConfig, Steps
from hybridgen.quantizer import Quantizer, QuantizerConfig
from hybridgen.renderer import Condition, Renderer, RendererConfig, no_notes
from hybridgen.training import losses, objectives
from hybridgen.training.discriminators import DiscriminatorConfig, Discriminators
from hybridgen.training.losses import SpectralLoss
from hybridgen.training.objectives import FlowBatch
from hybridgen.training.planner_data import PlannerBatch

SUBTOKENS = 5  # of a step of notes, about the mean of composed songs
# Dense bfloat16 operations a second, from the vendor's data sheets; random numbers at full power reach less (the best
# matrix product that we measured on an H200 was 790e12). The first name that the device's name contains counts.
PEAKS = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Flops:
    """Operations of a training step."""

    forward: float = 0
    backward: float = 0  # recomputation excluded
    recomputed: float = 0  # what activation checkpointing adds

    @property
    def total(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.forward + other.forward, self.backward + other.backward, self.recomputed + other.recomputed)

    def __mul__(self, n: float) -> "Flops":
        return Flops(self.forward * n, self.backward * n, self.recomputed * n)


def peak_flops(device_name: str) -> float | None:
    """Dense bfloat16 operations a second of a device, as `torch.cuda.get_device_name` calls it; None if unknown."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)


def utilization(flops: float, seconds: float, device_name: str, n_devices: int = 1) -> float | None:
    """Share of the devices' peak that a step of `flops` operations in `seconds` makes; None for an unknown device."""
    peak = peak_flops(device_name)
    return None if peak is None else flops / (seconds * peak * n_devices)


def count(model: nn.Module, loss: Callable[[], Tensor]) -> Flops:
    """Operations of `loss` and of its backward pass; those of `model.blocks`, where it has some, can be recomputed."""
    forward, backward = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH):  # the counter does not know the CPU's fused attention
        with forward:
            value = loss()
        with backward:
            value.backward()
    prefix = f"{type(model).__name__}.blocks."
    blocks = {name: found for name, found in forward.get_flop_counts().items() if name.removeprefix(prefix).isdecimal()}
    recomputed = sum(sum(found.values()) for found in blocks.values())
    return Flops(forward.get_total_flops(), backward.get_total_flops(), recomputed)


def extrapolated(counted: Callable[..., Flops], sizes: Sequence[int]) -> Flops:
    """`counted(*sizes)`, exactly, from counts at sizes 1 to 3.

    Every count is a polynomial of degree two: products are linear in a length, attention is quadratic. So Newton's
    forward differences up to the second give it at any size, also where counting at each step of a run would be slow.
    """
    total = Flops()
    for order in product(range(3), repeat=len(sizes)):
        if sum(order) > 2:
            continue
        weight = prod(_binomial(size - 1, k) for size, k in zip(sizes, order, strict=True))
        for below in product(*(range(k + 1) for k in order)):
            sign = (-1) ** (sum(order) - sum(below))
            ways = prod(comb(k, j) for k, j in zip(order, below, strict=True))
            total += counted(*(1 + j for j in below)) * (sign * ways * weight)
    return total


def _binomial(n: int, k: int) -> int:
    """n over k for any integer n, and k up to 2."""
    return (1, n, n * (n - 1) // 2)[k]


def _on_meta(make: Callable[[], Model]) -> Model:
    with torch.device("meta"):
        return make().to("meta")  # buffers that are made from arrays too


def planner(config: PlannerConfig, n_text: int, n_tokens: int, n_frames: int, n_steps: int = 0) -> Flops:
    """A step on one sequence of (padded) text tokens, a start slot, score tokens, code frames and steps of notes.

    A step of the notes counts as one of `SUBTOKENS` sub-tokens, about the mean.
    """
    if not n_steps:
        return extrapolated(lambda *sizes: _planner(config, *sizes, 0), (n_text, n_tokens, n_frames))
    return extrapolated(lambda *sizes: _planner(config, *sizes), (n_text, n_tokens, n_frames, n_steps))


@cache
def _planner(config: PlannerConfig, n_text: int, n_tokens: int, n_frames: int, n_steps: int) -> Flops:
    model = _on_meta(lambda: Planner(config))
    with torch.device("meta"):
        batch = PlannerBatch(
            text=torch.empty(1, n_text, config.text_dim),
            text_mask=torch.empty(1, n_text, dtype=torch.bool),
            tokens=torch.empty(1, n_tokens, dtype=torch.int64),
            bars_left=torch.empty(1, n_tokens, 2, dtype=torch.int64),
            codes=torch.empty(1, config.n_codebooks, n_frames, dtype=torch.int64),
            features=torch.empty(1, n_frames, N_FEATURES),
            instruments=torch.empty(1, len(ROLES), dtype=torch.int64),
        )
        steps = Steps(
            tokens=torch.empty(1, n_steps, SUBTOKENS, dtype=torch.int64),
            places=torch.empty(1, n_steps, SUBTOKENS, dtype=torch.int64),
            kinds=torch.empty(1, n_steps, dtype=torch.int64),
            features=torch.empty(1, n_steps, N_BAR_FEATURES),
            written=torch.empty(n_steps * SUBTOKENS, dtype=torch.int64),
            likeness=torch.empty(n_steps * SUBTOKENS, SOURCES, N_LIKENESS),
        )
    if n_steps:
        batch = replace(batch, steps=steps)
    return count(model, lambda: sum_of(objectives.planner_sums(model, batch, 0.0)))


def renderer(config: RendererConfig, n_text: int, n_frames: int) -> Flops:
    """A step on one window of `n_frames` latent frames, a multiple of `frames_per_code`, with (padded) text tokens."""
    return extrapolated(lambda *sizes: _renderer(config, *sizes), (n_text, n_frames // config.frames_per_code))


@cache
def _renderer(config: RendererConfig, n_text: int, n_code_frames: int) -> Flops:
    model, n_frames = _on_meta(lambda: Renderer(config)), config.frames_per_code * n_code_frames
    with torch.device("meta"):
        latents = torch.empty(1, n_frames, config.latent_dim)
        cond = Condition(
            text=torch.empty(1, n_text, config.text_dim),
            text_mask=torch.empty(1, n_text, dtype=torch.bool),
            codes=torch.empty(1, config.n_codebooks, n_code_frames, dtype=torch.int64),
            features=torch.empty(1, n_frames, N_FEATURES),
            instruments=torch.empty(1, len(ROLES), dtype=torch.int64),
            context=latents,
            known=torch.empty(1, n_frames, dtype=torch.bool),
            timbre=torch.empty(1, 2 * config.latent_dim),
            **no_notes(1, n_frames),
        )
        flow_batch = FlowBatch(latents, torch.empty(1), cond, latents, torch.empty(1, n_frames))
    return count(model, lambda: objectives.renderer_sum(model, flow_batch))


@cache
def quantizer(config: QuantizerConfig, n_frames: int) -> Flops:
    """A step on one window of latent frames."""
    model = _on_meta(lambda: Quantizer(config))
    latents = torch.empty(1, n_frames, config.latent_dim, device="meta")

    def loss() -> Tensor:
        out = model(latents)
        predictions = {name: part.sum() for name, part in vars(out.note_targets).items()}
        return out.latents.sum() + out.codebook_loss + out.commitment_loss + sum_of(predictions)

    return count(model, loss)


@cache
def codec(
    config: SpectralCodecConfig,
    n_samples: int,
    windows: tuple[int, ...],
    mels: tuple[int, ...],
    freeze_encoder: bool = False,
    discriminators: DiscriminatorConfig | None = None,
) -> Flops:
    """A step on one crop: the codec with its spectral losses, and its discriminators and what they teach it if any.

    windows, mels: those of `SpectralLoss`; without any, no loss but a sum of the samples is counted.
    """
    model, spectral_loss = _on_meta(lambda: SpectralCodec(config)), SpectralLoss(config.sample_rate, windows, mels)
    model.encoder.requires_grad_(not freeze_encoder)
    samples = torch.empty(1, 2, n_samples, device="meta")
    noise = torch.empty(1, ceil(n_samples / config.hop_length), config.latent_dim, device="meta")

    def loss() -> Tensor:
        output, mean, logvar = model(samples, noise)
        if not windows:
            return output.sum()
        output = output[..., :n_samples]
        parts = objectives.codec_losses(model, spectral_loss, output, samples, (mean, logvar))
        return sum_of(parts)

    flops = count(model, loss)
    return flops if discriminators is None else flops + adversarial(discriminators, n_samples)


@cache
def adversarial(config: DiscriminatorConfig, n_samples: int) -> Flops:
    """What discriminators add to a step on one crop: they learn from two sounds, then the codec learns from them."""
    model = _on_meta(lambda: Discriminators(config))
    sound = torch.empty(1, 2, n_samples, device="meta")
    learned = count(model, lambda: losses.discriminator_loss(model(sound)[0], model(sound)[0]))
    model.requires_grad_(False)
    sound.requires_grad_(True)

    def loss() -> Tensor:
        scores, features = model(sound)
        return losses.generator_loss(scores) + losses.feature_loss(features, features)

    return learned + count(model, loss)


def sum_of(parts: dict[str, Tensor]) -> Tensor:
    """The sum () of losses."""
    return torch.stack([*parts.values()]).sum()
