"""What planner and renderer are trained for, whoever trains them: a lab from nothing, or a musician an adapter.

Shapes: B batch, T latent frames, C latent channels, Q codebooks, P code frames.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridgen import flow
from hybridgen.planner import Planner
from hybridgen.renderer import PARTS, Condition, Renderer
from hybridgen.training.dataset import Batch as Windows
from hybridgen.training.planner_data import Batch as Scores

KNOWN = ("none", "start", "end", "sides")  # which frames of a window are given


def planner_losses(model: Planner, batch: Scores, label_smoothing: float) -> dict[str, Tensor]:
    """Cross-entropy in nats, a mean over what is no padding: of a score token, and of a code where there are codes."""
    score_logits, code_logits = model(*vars(batch).values())
    values = {"score": F.cross_entropy(score_logits.transpose(1, 2), batch.tokens, ignore_index=-1)}
    if code_logits is not None:
        targets = batch.codes.transpose(1, 2)  # (B, P, Q)
        values["codes"] = F.cross_entropy(
            code_logits.permute(0, 3, 1, 2), targets, ignore_index=-1, label_smoothing=label_smoothing
        )
    return values


@dataclass(frozen=True)
class Gaps:
    """What a renderer in training is not told, or told wrongly; shares are probabilities."""

    known_shares: tuple[float, float, float, float]  # of nothing, the start, the end, both sides
    known_weight: float  # of a known frame in the loss; an unknown one counts 1
    wrong_codes: float  # share of codes that are replaced by random ones; a window has 0 to twice as many
    context_noise: float  # on known frames, whose deviation is 1: a window has 0 to this much
    drop_shares: tuple[float, float, float, float]  # of text, codes, controls, timbre
    drop_all: float  # share of windows without any of them

    def __post_init__(self) -> None:
        if abs(sum(self.known_shares) - 1) > 1e-6:
            raise ValueError(f"known_shares {self.known_shares} sum to {sum(self.known_shares):g}, not to 1")


def renderer_loss(model: Renderer, batch: Windows, gaps: Gaps, rng: torch.Generator) -> Tensor:
    """Flow matching on unknown frames, mostly, under a condition with random gaps and errors."""
    n, n_frames, _ = batch.latents.shape
    known = known_frames(n, n_frames, gaps.known_shares, rng)
    cond = condition(batch, known)
    cond = replace(
        cond,
        codes=spoil_codes(batch.codes, model.config.codebook_size, gaps.wrong_codes, rng),
        context=spoil_context(batch.latents, gaps.context_noise, rng),
    )
    t = flow.sample_t(n, rng)
    x_t, velocity = flow.path(torch.randn(batch.latents.shape, generator=rng), batch.latents, t)
    weight = batch.inside * torch.where(known, gaps.known_weight, 1.0)
    said = model(x_t, t, cond.dropped(keep_parts(n, gaps, rng)))
    return flow.loss(said.float(), velocity, weight)


def condition(batch: Windows, known: Tensor) -> Condition:
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


def keep_parts(n: int, gaps: Gaps, rng: torch.Generator) -> Tensor:
    """(n, 4) bool: which parts of the condition each row is told."""
    dropped = torch.rand(n, len(PARTS), generator=rng) < torch.tensor(gaps.drop_shares)
    return ~(dropped | (torch.rand(n, 1, generator=rng) < gaps.drop_all))
