"""Latents <-> codes: R latent frames become one code frame of Q residual codes, about what is played and not how loud.

Residual vector quantization with the factorized, L2-normalized lookups of DAC (https://arxiv.org/abs/2306.06546). Heads
predict from the codes alone which notes begin and sound in every role; with them codes carry music rather than noise.

Shapes: B batch, T latent frames, R of them in a code frame (4 in the shipped preset), P = ceil(T / R) code frames,
C latent channels, D width, Q codebooks of K entries, G width of a lookup.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hybridgen.config import Count, Width
from hybridgen.layers import RMSNorm
from hybridgen.plan.parts import ROLES

N_PITCHES = 12


@dataclass(frozen=True)
class QuantizerConfig:
    """Shapes of the quantizer."""

    latent_dim: Width
    n_codebooks: Count
    codebook_size: Width
    code_dim: Width  # width of a lookup (G)
    dim: Width
    frames_per_code: Count = 4  # latent frames in a code frame (older files do not say it)


@dataclass(frozen=True)
class NoteTargets:
    """Which notes sound in each code frame: targets, or predictions (onsets, pitches and chroma as logits)."""

    onsets: Tensor  # (B, P, R) 0-1: a note of the role begins
    pitches: Tensor  # (B, P, R, 12) 0-1: a pitch class of the role sounds; for drums the key number modulo 12
    chroma: Tensor  # (B, P, 12) 0-1: a pitch class sounds in any role that has pitch
    loudness: Tensor  # (B, P) level of the frame, about -2 … 2


@dataclass(frozen=True)
class Quantized:
    """A training pass: codes, what is decoded and predicted from them, and the losses of the lookups."""

    codes: Tensor  # (B, Q, P) int64
    latents: Tensor  # (B, T, C) coarse reconstruction
    note_targets: NoteTargets  # as predicted from the codes: logits, but for the loudness
    codebook_loss: Tensor  # () entries move to the vectors they encode
    commitment_loss: Tensor  # () the encoder moves to its entries


class Mixer(nn.Module):
    """Residual block over (B, P, D); each code frame sees its two neighbors."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = RMSNorm(dim)
        self.conv = nn.Conv1d(dim, dim, kernel_size=3, padding=1)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.out(F.silu(y))


class Codebook(nn.Module):
    """One lookup: project to G dimensions, take the entry of the smallest angle, project back."""

    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.down = nn.Linear(config.dim, config.code_dim)
        self.entries = nn.Parameter(torch.randn(config.codebook_size, config.code_dim))
        self.up = nn.Linear(config.code_dim, config.dim)

    def nearest(self, z: Tensor) -> Tensor:
        """Index (B, P) of the entry for each z (B, P, G)."""
        return (F.normalize(z, dim=-1) @ F.normalize(self.entries, dim=-1).T).argmax(dim=-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors that codes (B, P) encode, (B, P, D)."""
        return self.up(F.embedding(codes, self.entries))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x (B, P, D) -> its stand-in (gradients pass straight through), codes, codebook loss, commitment loss."""
        z = self.down(x)
        codes = self.nearest(z)
        entry = F.embedding(codes, self.entries)
        codebook_loss, commitment_loss = F.mse_loss(entry, z.detach()), F.mse_loss(z, entry.detach())
        return self.up(z + (entry - z).detach()), codes, codebook_loss, commitment_loss


class Quantizer(nn.Module):
    """Latents (B, T, C) <-> codes (B, Q, P)."""

    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.config = config
        dim, frame_dim = config.dim, config.frames_per_code * config.latent_dim
        self.encoder = nn.Sequential(nn.Linear(frame_dim, dim), Mixer(dim), RMSNorm(dim))
        self.codebooks = nn.ModuleList(Codebook(config) for _ in range(config.n_codebooks))
        self.decoder = nn.Sequential(Mixer(dim), RMSNorm(dim), nn.Linear(dim, frame_dim))
        self.sizes = (len(ROLES), len(ROLES) * N_PITCHES, N_PITCHES, 1)  # onsets, pitches, chroma, loudness
        self.heads = nn.Sequential(Mixer(dim), RMSNorm(dim), nn.Linear(dim, sum(self.sizes)))

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """Codes (B, Q, P) int64 of latents (B, T, C); the last code frame of a track may be partly past its end."""
        return self._quantize(self._embed(latents))[1]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Coarse latents (B, R * P, C) of codes (B, Q, P), each 0-K-1."""
        parts = [book.lookup(codes[:, q]) for q, book in enumerate(self._books)]
        return self._unfold(sum(parts[1:], start=parts[0]))

    def forward(self, latents: Tensor) -> Quantized:
        """Latents (B, T, C) through the codes and back, with what a training step needs."""
        x, codes, codebook_loss, commitment_loss = self._quantize(self._embed(latents))
        coarse = self._unfold(x)[:, : latents.shape[1]]
        return Quantized(codes, coarse, self._note_targets(x), codebook_loss, commitment_loss)

    @torch.no_grad()
    def revive(self, latents: Tensor, dead: Tensor, rng: torch.Generator) -> None:
        """Set unused entries, `dead` (Q, K) bool, to what the encoder says for random code frames."""
        residual = self._embed(latents).flatten(0, 1)[None]  # (1, B * P, D)
        for book, is_dead in zip(self._books, dead, strict=True):
            z = book.down(residual)[0]
            chosen = torch.randint(len(z), (int(is_dead.sum()),), generator=rng)
            book.entries[is_dead] = z[chosen]
            residual = residual - book(residual)[0]

    @property
    def _books(self) -> list[Codebook]:
        return cast(list[Codebook], list(self.codebooks))

    def _embed(self, latents: Tensor) -> Tensor:
        """(B, T, C) -> (B, P, D); a last incomplete group repeats its last frame."""
        missing = -latents.shape[1] % self.config.frames_per_code
        whole = torch.cat([latents, latents[:, -1:].expand(-1, missing, -1)], dim=1)
        return self.encoder(rearrange(whole, "b (p r) c -> b p (r c)", r=self.config.frames_per_code))

    def _quantize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        residual, total, codes, losses = x, torch.zeros_like(x), [], []
        for book in self._books:
            part, code, codebook_loss, commitment_loss = book(residual)
            residual, total = residual - part, total + part
            codes.append(code)
            losses.append(torch.stack([codebook_loss, commitment_loss]))
        codebook_loss, commitment_loss = torch.stack(losses).mean(dim=0).unbind()
        return total, torch.stack(codes, dim=1), codebook_loss, commitment_loss

    def _unfold(self, x: Tensor) -> Tensor:
        return rearrange(self.decoder(x), "b p (r c) -> b (p r) c", r=self.config.frames_per_code)

    def _note_targets(self, x: Tensor) -> NoteTargets:
        onsets, pitches, chroma, loudness = self.heads(x).split(self.sizes, dim=-1)
        return NoteTargets(onsets, pitches.unflatten(-1, (-1, N_PITCHES)), chroma, loudness[..., 0])
