"""Diffusion transformer: the velocity of the latents, given the plan (Peebles & Xie, https://arxiv.org/abs/2212.09748).

Two latent frames make a token. Controls, notes, codes and the clean frames of the context are added at the input, text
is looked at by cross-attention, time, timbre and kinds of sound set scales, shifts and gates (adaLN-single,
https://arxiv.org/abs/2310.00426). Everything that a condition may lack has a learned stand-in: text a null token, codes
a null entry, controls absent instruments, notes their own flag, kinds of sound a zero,
timbre what its layers make of zeros. Of the roles of
a plan all are heard, or some: nothing that the plan says of the others alone reaches the model.

Shapes: B batch, T latent frames (a multiple of R, the latent frames in a code frame), N = T / 2 tokens, C latent
channels, S prompt tokens, E text width, F control features, Q codebooks, P = T / R code frames, K entries of the notes'
rolls, X kinds of sound, D width.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hybridgen.config import Count, Width
from hybridgen.layers import AdaNorm, Attention, SwiGLU, rotary
from hybridgen.ops import Rotary
from hybridgen.plan.features import N_FEATURES, N_INSTRUMENTS, NO_INSTRUMENT, ROLE_FEATURES, columns
from hybridgen.plan.parts import ROLES
from hybridgen.plan.rolls import N_PITCHES, STRENGTHS
from hybridgen.plan.sounds import SOUNDS

PATCH = 2  # latent frames in a token
CROSS_EVERY = 2  # layers from one that looks at the text to the next, the first included
SOUND_SCALE = 32.0  # few inputs, each seldom set, learn as fast as the others only where they are large
ROLES_KNOWN = columns("roles_known")
# what a condition may lack, in the order of `Condition.dropped`
PARTS = ("text", "codes", "controls", "timbre", "notes", "sound")


@dataclass(frozen=True)
class RendererConfig:
    """Shapes of the renderer; the first four belong to the codec, the text encoder and the quantizer."""

    latent_dim: Width
    text_dim: Width
    n_codebooks: Count
    codebook_size: Width
    dim: Width
    n_layers: Count
    n_heads: Count
    ffn_dim: Width  # inner width of SwiGLU
    frames_per_code: Count = 4  # latent frames in a code frame, older files do not say it; windows start and end on one
    notes: bool = False  # whether it knows notes and which roles are heard; older files do not say it
    sound: bool = False  # whether it knows kinds of sound; older files do not say it

    RETIRED: ClassVar = {"cross_every": CROSS_EVERY}  # see `config.build`

    def __post_init__(self) -> None:
        if self.frames_per_code % PATCH:
            raise ValueError(f"frames_per_code {self.frames_per_code} is not a multiple of {PATCH}, frames in a token")
        if self.n_heads < 1 or self.frames_per_code < 1:
            raise ValueError(f"n_heads {self.n_heads} and frames_per_code {self.frames_per_code} must be at least 1")
        if self.dim % (2 * self.n_heads):
            raise ValueError(f"dim {self.dim} is not a multiple of twice n_heads {self.n_heads}")


@dataclass(frozen=True)
class Condition:
    """What the renderer is conditioned on, for B windows of T frames."""

    text: Tensor  # (B, S, E) hidden states of the prompt
    text_mask: Tensor  # (B, S) bool, True where there is a token
    codes: Tensor  # (B, Q, P) integers, -1 unset
    features: Tensor  # (B, T, F) frame_controls of the plan
    instruments: Tensor  # (B, 9) instrument_ids of the plan
    context: Tensor  # (B, T, C) clean latents; read where known
    known: Tensor  # (B, T) bool
    timbre: Tensor  # (B, 2C) from `Renderer.timbre`; zeros = free
    notes: Tensor  # (B, K, 3) int64: frame, role, pitch, in order of frames, as `plan.rolls.NoteRolls` has them
    strengths: Tensor  # (B, K, 4) of these; zeros are padding
    notes_known: Tensor  # (B, T, 9) bool: of which roles the notes are known
    heard: Tensor  # (B, 9) bool: the roles that are to be heard
    sound: Tensor  # (B, X) of each kind of sound 1 wanted, -1 not wanted, 0 free, as `plan.sounds` has them

    def dropped(self, keep: Tensor | None = None) -> "Condition":
        """Without the parts for which `keep` (B, 6) bool, in the order of `PARTS`, is False; None drops all of them.

        The context and which roles are heard stay: these are given, not requested. `dropped()` and `unplayed()` are the
        unconditional sides of guidance.
        """
        if keep is None:
            keep = torch.zeros(len(self.text), len(PARTS), dtype=torch.bool, device=self.text.device)
        text, codes, controls, timbre, notes, sound = keep.unbind(1)  # (B,) each
        return replace(
            self,
            text_mask=self.text_mask & text[:, None],
            codes=self.codes.masked_fill(~codes[:, None, None], -1),
            features=self.features * controls[:, None, None],
            instruments=self.instruments.masked_fill(~controls[:, None], NO_INSTRUMENT),
            timbre=self.timbre * timbre[:, None],
            strengths=self.strengths * notes[:, None, None],
            notes_known=self.notes_known & notes[:, None, None],
            sound=self.sound * sound[:, None],
        )

    def unplayed(self) -> "Condition":
        """Without codes and notes: the same score and sound, and nothing said of what is played."""
        keep = torch.tensor([part not in ("codes", "notes") for part in PARTS], device=self.text.device)
        return self.dropped(keep.expand(len(self.text), -1))

    def cat(self, other: "Condition") -> "Condition":
        """The rows of both, one batch; their prompts must be equally long."""
        return Condition(**{name: torch.cat([value, getattr(other, name)]) for name, value in vars(self).items()})


def no_notes(n: int, n_frames: int, device: torch.device | str | None = None) -> dict[str, Tensor]:
    """The fields of a `Condition` that say that no notes are known, all roles are heard, and any sound will do."""
    return {
        "notes": torch.zeros(n, 0, 3, dtype=torch.int64, device=device),
        "strengths": torch.zeros(n, 0, len(STRENGTHS), device=device),
        "notes_known": torch.zeros(n, n_frames, len(ROLES), dtype=torch.bool, device=device),
        "heard": torch.ones(n, len(ROLES), dtype=torch.bool, device=device),
        "sound": torch.zeros(n, len(SOUNDS), device=device),
    }


class Block(nn.Module):
    """Self-attention, cross-attention in some, feed-forward; scaled, shifted and gated by time and timbre."""

    def __init__(self, config: RendererConfig, has_cross: bool):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, config.dim))
        self.attention_norm = AdaNorm(config.dim)
        self.attention = Attention(config.dim, config.n_heads, config.n_heads)
        self.cross_norm = AdaNorm(config.dim) if has_cross else None
        self.cross = Attention(config.dim, config.n_heads, config.n_heads) if has_cross else None
        self.ffn_norm = AdaNorm(config.dim)
        self.ffn = SwiGLU(config.dim, config.ffn_dim)
        if self.cross is not None:
            nn.init.zeros_(self.cross.wo.weight)

    def forward(self, x: Tensor, modulation: Tensor, cos_sin: Rotary, text: Tensor, text_mask: Tensor) -> Tensor:
        """x (B, N, D), modulation (B, 6, D), text (B, 1 + S, D), text_mask (B, 1, 1, 1 + S) -> (B, N, D)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation + self.table)[:, :, None].unbind(1)
        _, normed = self.attention_norm(x, shift=shift_a, scale=scale_a)
        update: Tensor = self.attention(normed, cos_sin)
        gate: Tensor | None = gate_a
        if self.cross is not None and self.cross_norm is not None:
            x, normed = self.cross_norm(x, update, gate)
            update, gate = self.cross(normed, mask=text_mask, context=text), None
        x, normed = self.ffn_norm(x, update, gate, shift_f, scale_f)
        return x + gate_f * self.ffn(normed)


class NoteEmbedding(nn.Module):
    """Notes and which roles are heard: an embedding of each entry of the rolls, summed by token; at first zero.

    A dense layer on rolls of 9 roles x 128 pitches would cost more than a block of the transformer; here a token costs
    what sounds in it.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(PATCH * len(ROLES) * N_PITCHES * len(STRENGTHS), dim))
        self.known = nn.Linear(PATCH * len(ROLES), dim, bias=False)
        self.unheard = nn.Parameter(torch.zeros(len(ROLES), dim))
        nn.init.zeros_(self.known.weight)

    def forward(self, cond: Condition) -> Tensor:
        """(B, N, D)."""
        known = (cond.notes_known & cond.heard[:, None]).to(self.table.dtype)
        absent = (~cond.heard).to(self.table.dtype) @ self.unheard
        return self.known(_patches(known)) + absent[:, None] + self._rolls(cond, known.shape[1] // PATCH)

    def _rolls(self, cond: Condition, n_tokens: int) -> Tensor:
        """(B, N, D): the sum over the entries of a token, of the rows of the table at their strengths."""
        frame, role, pitch = cond.notes.unbind(-1)  # (B, K) each
        strengths = cond.strengths * cond.heard.gather(1, role)[..., None]
        row = ((frame % PATCH) * len(ROLES) + role) * N_PITCHES + pitch
        rows = row[..., None] * len(STRENGTHS) + torch.arange(len(STRENGTHS), device=row.device)  # (B, K, 4)
        batch = torch.arange(len(frame), device=frame.device)[:, None]
        token = (batch * n_tokens + frame // PATCH).flatten()  # in order
        tokens = torch.arange(len(frame) * n_tokens, device=frame.device)
        starts = torch.searchsorted(token, tokens) * len(STRENGTHS)
        weights = strengths.to(self.table.dtype).flatten()
        x = F.embedding_bag(rows.flatten(), self.table, starts, mode="sum", per_sample_weights=weights)
        return x.unflatten(0, (len(frame), n_tokens))


class Embedding(nn.Module):
    """Noisy frames, context, controls, notes and codes, summed into one vector a token."""

    def __init__(self, config: RendererConfig):
        super().__init__()
        self.codebook_size = config.codebook_size
        self.frames = nn.Linear(PATCH * (2 * config.latent_dim + 1), config.dim)
        self.features = nn.Linear(PATCH * N_FEATURES, config.dim)
        self.instruments = _table(len(ROLES), N_INSTRUMENTS, config.dim)
        self.codes = _table(config.n_codebooks, config.codebook_size + 1, config.dim)
        n_places = config.frames_per_code // PATCH  # of a token in its code frame
        self.place = nn.Parameter(torch.zeros(n_places, config.dim))
        self.notes = NoteEmbedding(config.dim) if config.notes else None

    def forward(self, x_t: Tensor, cond: Condition) -> Tensor:
        """x_t (B, T, C) -> (B, N, D)."""
        known = cond.known[..., None].to(x_t.dtype)
        frames = torch.cat([x_t, cond.context * known, known], dim=-1)
        features, instruments = cond.features.to(x_t.dtype), cond.instruments
        notes = 0.0
        if self.notes is not None:
            notes = self.notes(cond)
            features = _of_heard(features, cond.heard)
            instruments = instruments.where(cond.heard, NO_INSTRUMENT)
        x = self.frames(_patches(frames)) + self.features(_patches(features))
        return x + self._instruments(features, instruments) + self._codes(cond.codes) + notes

    def _instruments(self, features: Tensor, ids: Tensor) -> Tensor:
        """(B, N, D): the instruments of the roles that play, or of all roles where it is unknown which do."""
        programs = self.instruments[torch.arange(len(ROLES), device=ids.device), ids]  # (B, 9, D)
        plays = torch.where(features[..., ROLES_KNOWN] > 0, features[..., ROLE_FEATURES], 1.0)
        return plays.unflatten(1, (-1, PATCH)).mean(dim=2) @ programs

    def _codes(self, codes: Tensor) -> Tensor:
        """(B, N, D): each code frame's entries for all of its tokens, and which token of the frame it is."""
        entries = codes.long().where(codes >= 0, self.codebook_size)  # the last row of each table is the null entry
        parts = [F.embedding(entries[:, q], table) for q, table in enumerate(self.codes)]
        x = sum(parts[1:], start=parts[0])  # (B, P, D)
        return (x[:, :, None] + self.place).flatten(1, 2)


class Renderer(nn.Module):
    """Velocity of the latents on the way from noise to music."""

    OPTIONAL_TENSORS: ClassVar = ("embedding.notes.", "sound.")  # a training may start from weights without them

    def __init__(self, config: RendererConfig):
        super().__init__()
        self.config = config
        dim = config.dim
        self.embedding = Embedding(config)
        self.text = nn.Linear(config.text_dim, dim)
        self.null_text = _table(1, 1, dim)
        self.time = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.timbre_in = nn.Sequential(nn.Linear(2 * config.latent_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.sound = nn.Linear(2 * len(SOUNDS), dim, bias=False) if config.sound else None
        self.modulation = nn.Linear(dim, 6 * dim)
        self.blocks = nn.ModuleList(Block(config, i % CROSS_EVERY == 0) for i in range(config.n_layers))
        self.table = nn.Parameter(torch.zeros(2, dim))
        self.norm = AdaNorm(dim)
        self.out = nn.Linear(dim, PATCH * config.latent_dim)
        for layer in (self.modulation, self.out):  # every block starts as the identity, every velocity as zero
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if self.sound is not None:
            nn.init.zeros_(self.sound.weight)

    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """Velocity (B, T, C) at x_t (B, T, C) and t (B,) in 0-1; ValueError unless T is a multiple of R."""
        if x_t.shape[1] % self.config.frames_per_code:
            raise ValueError(f"frames {x_t.shape[1]} are not a multiple of {self.config.frames_per_code}")
        global_state = self.time(sinusoids(t, self.config.dim).to(x_t.dtype)) + self._timbre(cond)  # (B, D)
        modulation = self.modulation(F.silu(global_state)).unflatten(-1, (6, -1))
        text = torch.cat([self.null_text.expand(len(x_t), -1, -1), self.text(cond.text)], dim=1)
        text_mask = F.pad(cond.text_mask, (1, 0), value=True)[:, None, None]  # the null token is always there
        x = self.embedding(x_t, cond)
        positions = torch.arange(x.shape[1], device=x.device)[None]
        cos_sin = rotary(positions, self.config.dim // self.config.n_heads)
        for block in self.blocks:
            x = block(x, modulation, cos_sin, text, text_mask)
        shift, scale = (global_state[:, None] + self.table)[:, :, None].unbind(1)
        _, normed = self.norm(x, shift=shift, scale=scale)
        velocity = self.out(normed)
        return rearrange(velocity, "b n (p c) -> b (n p) c", p=PATCH)

    def _timbre(self, cond: Condition) -> Tensor:
        """(B, D): the timbre of a reference, and of the kinds of sound, which are learned as shifts of a timbre."""
        first, activation, last = self.timbre_in
        hidden: Tensor = first(cond.timbre)
        if self.sound is not None:
            said = torch.cat([cond.sound.clamp(min=0), -cond.sound.clamp(max=0)], dim=1)  # wanted; not wanted
            hidden = hidden + self.sound(SOUND_SCALE * said.to(hidden.dtype))
        out: Tensor = last(activation(hidden))
        return out

    @staticmethod
    def timbre(latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """What `Condition.timbre` holds, (B, 2C): mean and deviation of each channel over the frames of a reference.

        latents (B, T, C); mask (B, T) bool, True where a frame counts, at least one in a row; None = all.
        """
        weight = torch.ones_like(latents[..., :1]) if mask is None else mask[..., None].to(latents.dtype)
        share = weight / weight.sum(dim=1, keepdim=True)
        mean = (latents * share).sum(dim=1)
        deviation = ((latents - mean[:, None]).square() * share).sum(dim=1).sqrt()
        return torch.cat([mean, deviation], dim=-1)


def _table(*shape: int) -> nn.Parameter:
    """Embeddings, random at first."""
    table = nn.Parameter(torch.empty(shape))
    nn.init.normal_(table, std=0.1)
    return table


def _of_heard(features: Tensor, heard: Tensor) -> Tensor:
    """Control features (B, T, F) in which only the roles that are heard (B, 9) play."""
    before, roles, after = features.split(
        [ROLE_FEATURES.start, len(ROLES), features.shape[-1] - ROLE_FEATURES.stop], dim=-1
    )
    return torch.cat([before, roles * heard[:, None], after], dim=-1)


def _patches(frames: Tensor) -> Tensor:
    """(B, T, ·) -> (B, N, 2·): two frames side by side."""
    return rearrange(frames, "b (n p) c -> b n (p c)", p=PATCH)


def sinusoids(t: Tensor, dim: int) -> Tensor:
    """(B,) in 0-1 -> (B, dim) cosines and sines of t at frequencies from 1 to 1000 radians."""
    frequencies = torch.exp(torch.linspace(0, math.log(1000), dim // 2, device=t.device))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
