"""What codec, planner and renderer are trained for, from nothing or by an adapter.

Shapes: B batch, N samples, J tones, T latent frames, C latent channels, Q codebooks, P code frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen import flow, spectra
from hybridgen.codecs.own import TONES_PER_SEMITONE, SpectralCodec, mid_side
from hybridgen.config import Share, Weight
from hybridgen.note_grammar import COPY, MOVED, N_LIKENESS, SOURCES
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner, PlannerConfig, Steps
from hybridgen.renderer import PARTS, Condition, Renderer, RendererConfig
from hybridgen.training import losses
from hybridgen.training.dataset import WindowBatch
from hybridgen.training.losses import SpectralLoss
from hybridgen.training.planner_data import PlannerBatch

N_SEMANTICS = 13  # twelve pitch classes and a level
TOLD_SHARES = (0.3, 0.25, 0.45)  # of windows of which all kinds of sound are told, some, and some that are wanted
ZERO_TIMES = 0.25  # of windows that are told of their sound the share trained where it is decided, see `sample_t`
KNOWN = ("none", "start", "end", "sides")  # which frames of a window are known


def planner_losses(model: Planner, batch: PlannerBatch, label_smoothing: float) -> dict[str, Tensor]:
    """Mean cross-entropy in nats of a score token, and of a code and of a note's sub-token where there are some."""
    counts = planner_counts(batch)
    return {name: total / counts[name] for name, total in planner_sums(model, batch, label_smoothing).items()}


def planner_sums(model: Callable[..., Any], batch: PlannerBatch, label_smoothing: float) -> dict[str, Tensor]:
    """Cross-entropy in nats, summed over all but padding: `score`, and `codes` and `notes` where there are some."""
    score_logits, code_logits, note_logits = model(*vars(batch).values())
    sums = {"score": _cross_entropy(score_logits.transpose(1, 2), batch.tokens, 0.0)}
    if batch.codes is not None:
        targets = batch.codes.transpose(1, 2)  # (B, P, Q)
        sums["codes"] = _cross_entropy(code_logits.permute(0, 3, 1, 2), targets, label_smoothing)
    if batch.steps is not None:
        sums["notes"] = _cross_entropy(note_logits, batch.steps.tokens.flatten()[batch.steps.written], 0.0)
    return sums


def planner_counts(batch: PlannerBatch) -> dict[str, Tensor]:
    """The numbers of score tokens, codes and sub-tokens that `planner_sums` sums over."""
    counts = {"score": (batch.tokens >= 0).sum()}
    if batch.codes is not None:
        counts["codes"] = (batch.codes >= 0).sum()
    if batch.steps is not None:
        counts["notes"] = torch.tensor(len(batch.steps.written), device=batch.tokens.device)
    return counts


def copies_found(model: Planner, batch: PlannerBatch) -> Tensor:
    """(2,): of how many bars that repeat another one the source is the likeliest choice, and how many there are."""
    assert batch.steps is not None
    written = batch.steps.tokens.flatten()[batch.steps.written]
    is_copy = (written >= COPY.start) & (written < MOVED.stop)
    found = model(*vars(batch).values())[2].argmax(-1) == written
    return torch.stack([(found & is_copy).sum(), is_copy.sum()])


def completed(batch: PlannerBatch, config: PlannerConfig) -> PlannerBatch:
    """A batch with a padding code frame or a padding step of notes where it has none, so that every weight has a
    gradient: ZeRO needs the same weights in every step. What is real does not see them.
    """
    n = len(batch.tokens)
    added: dict[str, Any] = {}
    if batch.instruments is None:
        added["instruments"] = torch.zeros(n, len(ROLES), dtype=torch.int64)
    if batch.codes is None:
        added["codes"] = torch.full((n, config.n_codebooks, 1), -1)
        added["features"] = torch.zeros(n, 1, N_FEATURES)
    if batch.steps is None and config.notes:
        none, nothing = torch.zeros(n, 1, 1, dtype=torch.int64), torch.zeros(0, SOURCES, N_LIKENESS)
        features = torch.zeros(n, 1, N_BAR_FEATURES)
        added["steps"] = Steps(none - 1, none, none[..., 0], features, none[:0, 0, 0], nothing)
    return replace(batch, **added)


def _cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    return F.cross_entropy(logits.float(), targets, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing)


def codec_losses(
    codec: SpectralCodec,
    spectral_loss: SpectralLoss,
    output: Tensor,
    target: Tensor,
    posterior: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """Losses () of sounds (B, 2, N): `mel`, `magnitude`, `texture`, `attacks`, `tones`, and `kl` of the posterior."""
    return sound_losses(codec, spectral_loss, output, target) | {"kl": losses.kl_divergence(*posterior)}


def sound_losses(
    codec: SpectralCodec, spectral_loss: SpectralLoss, output: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """Losses () of sounds (B, 2, N): `mel`, `magnitude`, `texture`, `attacks` and `tones`."""
    return spectral_loss(output, target) | {
        "attacks": losses.attack_loss(output, target, codec.sample_rate),
        "tones": losses.tone_loss(tone_power(codec, output), tone_power(codec, target)),
    }


def tone_power(codec: SpectralCodec, samples: Tensor) -> Tensor:
    """Power (B, 2, T, J) of the tones in the mid and side of samples (B, 2, N)."""
    return codec.tones.power(F.pad(mid_side(samples), (codec.tones.pad, codec.tones.pad)))


class SemanticHead(nn.Module):
    """What should be easy to read from a latent frame: its chroma and its level. Latents that say them plainly are
    easier to generate (arXiv 2410.06940 aligns features for that); the head is thrown away after training.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.linear = nn.Linear(latent_dim, N_SEMANTICS)

    def forward(self, latents: Tensor) -> Tensor:
        """Predictions (B, T, 13) of `semantics` from latents (B, T, C)."""
        return self.linear(latents)


@torch.no_grad()
def semantics(codec: SpectralCodec, samples: Tensor) -> Tensor:
    """Of each latent frame of samples (B, 2, N): the shares of twelve pitch classes, and its level in units of 10 dB.

    (B, T, 13); the shares have norm 1, the level is 0 at -40 dB. N is a multiple of the hop.
    """
    chroma = spectra.pitch_classes(tone_power(codec, samples), TONES_PER_SEMITONE)
    power = samples.unflatten(-1, (-1, codec.hop_length)).square().mean((1, 3))
    return torch.cat([chroma, torch.log10(power + 1e-7)[..., None] + 4], -1)


@dataclass(frozen=True)
class ConditioningDropout:
    """How the renderer's conditions are dropped and corrupted in training; shares are probabilities."""

    known_shares: tuple[float, float, float, float]  # of windows of which nothing, the start, the end, both are known
    known_weight: Weight  # of a known frame in the loss; an unknown one counts 1
    corrupted_codes: Share  # share of codes that are replaced by random ones; a window has 0 to twice this share
    context_noise: Weight  # deviation of the noise on known frames, whose own is 1; a window has 0 to this much
    drop_shares: tuple[float, float, float, float, float, float]  # of text, codes, controls, timbre, notes, sound
    drop_all: Share  # share of windows without any of them
    unknown_roles: Share  # share of roles whose notes are unknown in a window; each window has 0 to twice this share
    unknown_spans: Share  # share of windows in which the notes of a stretch of frames are unknown

    def __post_init__(self) -> None:
        if abs(sum(self.known_shares) - 1) > 1e-6:
            raise ValueError(f"known_shares {self.known_shares} sum to {sum(self.known_shares):g}, not to 1")


@dataclass(frozen=True)
class FlowBatch:
    """A training batch of the renderer: points on the path from noise to data, and their conditions."""

    x_t: Tensor  # (B, T, C)
    t: Tensor  # (B,)
    cond: Condition
    velocity: Tensor  # (B, T, C) the target
    weight: Tensor  # (B, T) of a frame in the loss

    def to(self, device: torch.device) -> "FlowBatch":
        """The same on a device."""
        cond = Condition(**{name: value.to(device) for name, value in vars(self.cond).items()})
        parts = {name: value.to(device) for name, value in vars(self).items() if name != "cond"}
        return FlowBatch(**parts, cond=cond)


def make_flow_batch(batch: WindowBatch, dropout: ConditioningDropout, shapes: RendererConfig) -> FlowBatch:
    """A batch with random dropout, errors, times and noise; those of a row are functions of its seed alone."""
    rows = [
        _draw_row(batch.latents[row], batch.codes[row], batch.sound[row], dropout, shapes, seed)
        for row, seed in ((slice(i, i + 1), seed) for i, seed in enumerate(batch.seeds.tolist()))
    ]
    known, codes, context, t, x_0, keep, told, sound = (torch.cat(column) for column in zip(*rows, strict=True))
    x_t, velocity = flow.path(x_0, batch.latents, t)
    cond = replace(condition(batch, known), codes=codes, context=context, sound=sound)
    cond = with_notes(cond, batch.notes_known & told)
    weight = batch.inside * torch.where(known, dropout.known_weight, 1.0)
    return FlowBatch(x_t, t, cond.dropped(keep), velocity, weight)


def _draw_row(
    latents: Tensor, codes: Tensor, sound: Tensor, dropout: ConditioningDropout, shapes: RendererConfig, seed: int
) -> tuple[Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    keep = keep_mask(1, dropout, rng)
    sound = sound * told_sound(sound, rng)
    is_told = shapes.sound and keep[0, PARTS.index("sound")] and sound.any()
    return (
        known_frames(1, latents.shape[1], dropout.known_shares, rng),
        corrupt_codes(codes, shapes.codebook_size, dropout.corrupted_codes, rng),
        noise_context(latents, dropout.context_noise, rng),
        flow.sample_t(1, rng, zero=ZERO_TIMES if is_told else 0.0),
        torch.randn(latents.shape, generator=rng),
        keep,
        told_notes(1, latents.shape[1], dropout, rng),
        sound,
    )


def renderer_sum(model: Callable[..., Tensor], batch: FlowBatch) -> Tensor:
    """Flow matching: the squared error of a frame's velocity, weighted and summed over all frames."""
    error = (model(batch.x_t, batch.t, batch.cond).float() - batch.velocity).square().mean(dim=-1)  # (B, T)
    return (error * batch.weight).sum()


def renderer_loss(model: Renderer, windows: WindowBatch, dropout: ConditioningDropout) -> Tensor:
    """Flow matching, mostly on unknown frames, under a condition with random dropout and errors: a mean over frames."""
    batch = make_flow_batch(windows, dropout, model.config).to(model.out.weight.device)
    return renderer_sum(model, batch) / batch.weight.sum()


def condition(batch: WindowBatch, known: Tensor) -> Condition:
    """The complete condition of a batch."""
    return Condition(
        text=batch.text,
        text_mask=batch.text_mask,
        codes=batch.codes,
        features=batch.features,
        instruments=batch.instruments,
        context=batch.latents,
        known=known,
        timbre=Renderer.timbre(batch.reference),
        notes=batch.notes,
        strengths=batch.strengths,
        notes_known=batch.notes_known,
        heard=batch.heard,
        sound=batch.sound,
    )


def with_notes(cond: Condition, told: Tensor) -> Condition:
    """A condition whose notes are known where `told` (B, T, 9) bool alone; what sounds elsewhere is not said."""
    frame, role, _ = cond.notes.unbind(-1)  # (B, K)
    said = told.flatten(1).gather(1, frame * told.shape[2] + role)
    return replace(cond, notes_known=told, strengths=cond.strengths * said[..., None])


def known_frames(n: int, n_frames: int, shares: tuple[float, ...], rng: torch.Generator) -> Tensor:
    """(n, n_frames) bool: none, up to half from the start, up to half from the end, or both; never all."""
    kinds = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=rng)
    lengths = (torch.rand(n, 2, generator=rng) * 0.5 * n_frames).long().clamp(min=1)
    start = torch.isin(kinds, torch.tensor([KNOWN.index("start"), KNOWN.index("sides")]))
    end = torch.isin(kinds, torch.tensor([KNOWN.index("end"), KNOWN.index("sides")]))
    frames = torch.arange(n_frames)
    known_start = (frames < lengths[:, :1]) & start[:, None]
    known_end = (frames >= n_frames - lengths[:, 1:] + 1) & end[:, None]
    return known_start | known_end


def corrupt_codes(codes: Tensor, codebook_size: int, share: float, rng: torch.Generator) -> Tensor:
    """Codes (B, Q, P), a share of those that are set replaced by random ones; each row draws 0 to twice `share`."""
    shares = 2 * share * torch.rand(len(codes), 1, 1, generator=rng)
    wrong = (torch.rand(codes.shape, generator=rng) < shares) & (codes >= 0)
    return torch.where(wrong, torch.randint(codebook_size, codes.shape, generator=rng), codes)


def noise_context(latents: Tensor, deviation: float, rng: torch.Generator) -> Tensor:
    """Latents (B, T, C) plus noise, as rendered ones are not clean: each row draws its deviation, 0 to `deviation`."""
    deviations = deviation * torch.rand(len(latents), 1, 1, generator=rng)
    return latents + deviations * torch.randn(latents.shape, generator=rng)


def keep_mask(n: int, dropout: ConditioningDropout, rng: torch.Generator) -> Tensor:
    """(n, 6) bool: which parts of the condition each row keeps."""
    dropped = torch.rand(n, len(PARTS), generator=rng) < torch.tensor(dropout.drop_shares)
    return ~(dropped | (torch.rand(n, 1, generator=rng) < dropout.drop_all))


def told_notes(n: int, n_frames: int, dropout: ConditioningDropout, rng: torch.Generator) -> Tensor:
    """(n, n_frames, 9) bool: which roles' notes are told, all or some, and in some rows none of them for a stretch."""
    shares = 2 * dropout.unknown_roles * torch.rand(n, 1, generator=rng)
    roles = torch.rand(n, len(ROLES), generator=rng) >= shares
    borders = (torch.rand(n, 2, generator=rng) * (n_frames + 1)).long().sort(dim=1).values
    frames = torch.arange(n_frames)
    unknown = (frames >= borders[:, :1]) & (frames < borders[:, 1:])
    unknown &= torch.rand(n, 1, generator=rng) < dropout.unknown_spans
    return roles[:, None] & ~unknown[..., None]


def told_sound(sound: Tensor, rng: torch.Generator) -> Tensor:
    """(n, X) bool: which kinds of sound (n, X) are told: in some rows all, in some a share that the row draws, of them
    all, or, as people ask, of those alone that are wanted.
    """
    kind = torch.multinomial(torch.tensor(TOLD_SHARES), len(sound), replacement=True, generator=rng)
    shares = torch.rand(len(sound), 1, generator=rng)
    told = torch.rand(sound.shape, generator=rng) < torch.where(kind[:, None] == 0, 1.0, shares)
    return told & ((sound > 0) | (kind[:, None] < 2))
