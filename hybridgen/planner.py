"""Text states -> score -> notes, and codes: a LLaMA-style decoder that writes the plan.

One sequence a track: text states (projected; the last real one at position -1), a start slot, the score's tokens, then
one slot a step of the notes, or one a code frame; these two do not see each other. A step's slot is given what is
written in it, what the score says of its bar, and the step before; its sub-tokens come from a small head
(`note_stage`). A frame's slot is given everything that follows from the score there (beat and bar phase, chord,
section, roles, how much is left) and the codes of the frame before; a small depth head then writes the frame's codes
one after the other. The heads cover plan tokens only.

Shapes: B batch, S text tokens, L score tokens, P code frames, Q codebooks of K codes, V score vocabulary, D width,
F control features, R roles, N steps of notes of at most W sub-tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen import grammar, note_grammar
from hybridgen.config import Count, Width
from hybridgen.layers import AdaNorm, Attention, KVCache, RMSNorm, SwiGLU, rotary
from hybridgen.note_stage import NoteStage, harmony
from hybridgen.ops import Rotary
from hybridgen.plan.features import N_FEATURES, N_INSTRUMENTS, ROLE_FEATURES
from hybridgen.plan.parts import ROLES

EXACT_BARS, OCTAVE_STEPS, OCTAVES = 64, 4, 6  # bars left: each number up to 64, then four steps an octave to 4095
N_BUCKETS = 2 + EXACT_BARS + OCTAVE_STEPS * OCTAVES
KITS = tuple(role in ("drums", "percussion") for role in ROLES)  # their programs are kits, not instruments


@dataclass(frozen=True)
class PlannerConfig:
    """Shape of a planner; a head is dim / n_heads wide."""

    dim: Width
    n_layers: Count
    n_heads: Count
    n_kv_heads: Count
    ffn_dim: Width  # inner width of SwiGLU
    depth_dim: Width  # width of the depth head
    depth_ffn_dim: Width
    text_dim: Width
    n_codebooks: Count  # Q
    codebook_size: Width  # K
    notes: bool = False  # whether it writes notes; older files do not say it

    RENAMED: ClassVar = {"hidden_dim": "ffn_dim", "depth_hidden_dim": "depth_ffn_dim"}  # see `config.build`


@dataclass(frozen=True)
class Steps:
    """The notes of B songs, as `note_grammar.steps` has them."""

    tokens: Tensor  # (B, N, W) int64, -1 behind the end
    places: Tensor  # (B, N, W) int64
    kinds: Tensor  # (B, N) int64
    features: Tensor  # (B, N, 3 F) of the bar of each step
    written: Tensor  # (M,) int64: where in B x N x W there is a sub-token
    likeness: Tensor  # (M, SOURCES, N_LIKENESS) of those that are decisions, 0 of others

    def to(self, device: torch.device) -> "Steps":
        """The same on a device."""
        return Steps(**{name: part.to(device) for name, part in vars(self).items()})


class Block(nn.Module):
    """Attention and SwiGLU, each normalized before and added."""

    def __init__(self, config: PlannerConfig):
        super().__init__()
        self.attention_norm, self.ffn_norm = RMSNorm(config.dim), AdaNorm(config.dim)
        self.attention = Attention(config.dim, config.n_heads, config.n_kv_heads)
        self.ffn = SwiGLU(config.dim, config.ffn_dim)

    def forward(self, x: Tensor, cos_sin: Rotary, mask: Tensor | None, cache: KVCache | None = None) -> Tensor:
        """x (B, L, D) -> (B, L, D); the rest as in `Attention`."""
        x, normed = self.ffn_norm(x, self.attention(self.attention_norm(x), cos_sin, mask, cache))
        return x + self.ffn(normed)

    def step(self, x: Tensor, cos_sin: Rotary, cache: KVCache, slot: Tensor, visible: Tensor | None) -> Tensor:
        """x (B, 1, D) -> (B, 1, D); the rest as in `Attention.step`."""
        x, normed = self.ffn_norm(x, self.attention.step(self.attention_norm(x), cos_sin, cache, slot, visible))
        return x + self.ffn(normed)


class DepthHead(nn.Module):
    """The Q codes of a frame, each given the frame's state and the codes before it."""

    def __init__(self, config: PlannerConfig):
        super().__init__()
        self.n_codebooks, self.codebook_size = config.n_codebooks, config.codebook_size
        self.start = nn.Linear(config.dim, config.n_codebooks * config.depth_dim, bias=False)
        self.embedding = nn.Embedding((config.n_codebooks - 1) * config.codebook_size, config.depth_dim)
        self.norm, self.ffn = RMSNorm(config.depth_dim), SwiGLU(config.depth_dim, config.depth_ffn_dim)
        self.out_norm = RMSNorm(config.depth_dim)
        self.heads = nn.ModuleList(
            nn.Linear(config.depth_dim, config.codebook_size, bias=False) for _ in range(config.n_codebooks)
        )

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Logits (B, P, Q, K) of all levels at once, from states (B, P, D) and codes (B, Q, P)."""
        x = self.start(hidden).unflatten(-1, (self.n_codebooks, -1))  # (B, P, Q, depth_dim)
        before = self.embed(codes[:, :-1].transpose(1, 2)).cumsum(dim=2)
        x = x + F.pad(before, (0, 0, 1, 0))
        return torch.stack([self.logits(x[:, :, level], level) for level in range(self.n_codebooks)], dim=2)

    def embed(self, codes: Tensor) -> Tensor:
        """Embeddings (..., Q - 1, depth_dim) of codes (..., Q - 1) of all levels but the last."""
        return self.embedding(codes + self.codebook_size * torch.arange(codes.shape[-1], device=codes.device))

    def logits(self, x: Tensor, level: int) -> Tensor:
        """(..., K) of one level from its input (..., depth_dim)."""
        return self.heads[level](self.out_norm(x + self.ffn(self.norm(x))))


class Planner(nn.Module):
    """The decoder. `forward` is the training pass; `planning` decodes with the parts it is made of."""

    OPTIONAL_TENSORS: ClassVar = ("notes.",)  # a training may start from weights without them

    def __init__(self, config: PlannerConfig):
        super().__init__()
        self.config = config
        self.text_in = nn.Linear(config.text_dim, config.dim)
        self.start = nn.Parameter(torch.zeros(config.dim))
        self.token_embedding = nn.Embedding(grammar.VOCAB_SIZE, config.dim)
        self.bars_embedding = nn.Embedding(N_BUCKETS, config.dim)
        self.section_bars_embedding = nn.Embedding(N_BUCKETS, config.dim)
        self.first_frame = nn.Parameter(torch.zeros(config.dim))
        self.code_embedding = nn.Embedding(config.n_codebooks * config.codebook_size, config.dim)
        self.features_in = nn.Linear(N_FEATURES, config.dim)
        self.instrument_embedding = nn.Embedding(2 * N_INSTRUMENTS, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.dim)
        self.score_head = nn.Linear(config.dim, grammar.VOCAB_SIZE, bias=False)
        self.depth_head = DepthHead(config)
        self.notes = NoteStage(config.dim, config.depth_dim, config.depth_ffn_dim) if config.notes else None
        self._init_weights()

    def _init_weights(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_residual = name.endswith(("wo.weight", "ffn.w_out.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * self.config.n_layers) ** 0.5 if into_residual else 0.02)

    def forward(
        self,
        text: Tensor,
        text_mask: Tensor,
        tokens: Tensor,
        bars_left: Tensor,
        codes: Tensor | None = None,
        features: Tensor | None = None,
        instruments: Tensor | None = None,
        context_codes: Tensor | None = None,
        steps: "Steps | None" = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Logits of all that is written, each from what comes before it: of score tokens (B, L, V); of codes
        (B, P, Q, K) and of the sub-tokens of notes (M, sub-vocabulary), as `NoteStage` gives them, where there are any.

        text (B, S, text_dim), text_mask (B, S) bool; a row that is False throughout is unconditional. tokens (B, L)
        int64, -1 behind the end; bars_left (B, L, 2) from `grammar.bars_left_after`. instruments (B, R) int64, with
        codes or steps. codes (B, Q, P) int64, -1 behind the end; features (B, P, F) of code frames; context_codes
        (B, Q, P): the codes as the frames after them see them, where some are corrupted on purpose.
        """
        length, n_text = tokens.shape[1], text.shape[1]
        parts = [self.embed_text(text), self.embed_score(tokens, bars_left)]
        valid = [text_mask, score_mask(tokens)]
        positions = [text_positions(text_mask), count(tokens, 0, length + 1)]
        n_frames = n_steps = 0
        if codes is not None:
            assert features is not None and instruments is not None
            controls = self.embed_controls(features, instruments)
            context = codes if context_codes is None else context_codes
            parts.append(self.embed_frames(controls, context[:, :, :-1].clamp(min=0)))
            n_frames = codes.shape[2]
        if steps is not None:
            assert self.notes is not None and instruments is not None
            controls = self.embed_note_controls(steps.features, steps.kinds, instruments)
            parts.append(self.notes.embed_steps(controls, steps.tokens[:, :-1]))
            n_steps = steps.tokens.shape[1]
        for n in (n_frames, n_steps):
            valid.append(torch.ones(len(tokens), n, dtype=torch.bool, device=tokens.device))
            positions.append(count(tokens, 1, n + 1) + (tokens >= 0).sum(1, keepdim=True))
        mask = causal_mask(torch.cat(valid, dim=1))
        if n_frames and n_steps:
            first = n_text + length + 1 + n_frames
            mask[:, :, first:, first - n_frames : first] = False
        x = torch.cat(parts, dim=1)
        cos_sin = self.rotary(torch.cat(positions, dim=1))
        for block in self.blocks:
            x = block(x, cos_sin, mask)
        score, frames, written = self.norm(x)[:, n_text:].split((length + 1, n_frames, n_steps), dim=1)
        code_logits = None if codes is None else self.depth_head(frames, codes.clamp(min=0))
        note_logits = None
        if steps is not None and self.notes is not None:
            of_bars = harmony(steps.features, steps.kinds)
            note_logits = self.notes(written, steps.tokens, steps.places, steps.written, of_bars, steps.likeness)
        return self.score_head(score[:, :length]), code_logits, note_logits

    def embed_text(self, text: Tensor) -> Tensor:
        """(B, S, D) from text states (B, S, text_dim)."""
        return self.text_in(text.to(self.start.dtype))

    def embed_score(self, tokens: Tensor, bars_left: Tensor) -> Tensor:
        """The start slot and the tokens (B, L), -1 behind the end: (B, 1 + L, D)."""
        start = self.start.expand(len(tokens), 1, -1)
        return torch.cat((start, self.embed_tokens(tokens.clamp(min=0), bars_left)), dim=1)

    def embed_tokens(self, tokens: Tensor, bars_left: Tensor) -> Tensor:
        """(B, L, D) from tokens (B, L) and the bars left in the track and in the section, (B, L, 2)."""
        bars, section_bars = _bucket(bars_left).unbind(-1)
        return self.token_embedding(tokens) + self.bars_embedding(bars) + self.section_bars_embedding(section_bars)

    def embed_controls(self, features: Tensor, instruments: Tensor) -> Tensor:
        """(B, P, D): the features of each frame, and the instruments of the roles that play in it."""
        kits = torch.tensor(KITS, device=instruments.device)
        features = features.to(self.start.dtype)
        playing = features[..., ROLE_FEATURES] @ self.instrument_embedding(instruments + N_INSTRUMENTS * kits)
        return self.features_in(features) + playing

    def embed_note_controls(self, features: Tensor, kinds: Tensor, instruments: Tensor) -> Tensor:
        """(B, N, D): features (B, N, 3 F) of the bars of steps, their kinds (B, N), and the instruments (B, R) of the
        roles that play, that of the role which is written once more."""
        assert self.notes is not None
        kits = torch.tensor(KITS, device=instruments.device)
        own = self.instrument_embedding(instruments + N_INSTRUMENTS * kits)  # (B, R, D)
        is_written = F.one_hot(kinds, 1 + len(ROLES))[..., 1:]
        plays = features[..., ROLE_FEATURES].to(own.dtype) + is_written
        return self.notes.embed_controls(features, kinds) + plays @ own

    def embed_frames(self, controls: Tensor, before: Tensor) -> Tensor:
        """Slots of n frames: controls (B, n, D), and the codes (B, Q, n) of the frame before each; (B, Q, n - 1)
        where the first of them is the first of the track."""
        offsets = self.config.codebook_size * torch.arange(before.shape[1], device=before.device)
        x = self.code_embedding(before.transpose(1, 2) + offsets).sum(dim=2)
        if x.shape[1] < controls.shape[1]:
            x = torch.cat((self.first_frame.expand(len(x), 1, -1), x), dim=1)
        return controls + x

    def rotary(self, positions: Tensor) -> Rotary:
        """Cosines and sines of positions (B, L) for the heads of this planner."""
        return rotary(positions, self.config.dim // self.config.n_heads)


def pad_scores(scores: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Scores of any lengths as one batch: tokens (B, L) int64, -1 behind the end, and bars left (B, L, 2)."""
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(score) for score in scores], True, -1)
    bars_left = [torch.from_numpy(grammar.bars_left_after(score)) for score in scores]
    return tokens, nn.utils.rnn.pad_sequence(bars_left, True, -1)


def pad_steps(songs: Sequence[tuple[note_grammar.NoteSteps, np.ndarray]]) -> Steps:
    """Notes of any lengths, each with the controls of its bars (bars, 3 F), as one batch."""
    width = max(steps.tokens.shape[1] for steps, _ in songs)

    def padded(arrays: Iterable[np.ndarray], value: int) -> Tensor:
        rows = [torch.from_numpy(array) for array in arrays]
        wide = [F.pad(row, (0, width - row.shape[1]), value=value) for row in rows]
        return nn.utils.rnn.pad_sequence(wide, True, value)

    tokens = padded((steps.tokens for steps, _ in songs), -1)
    places = padded((steps.places for steps, _ in songs), 0)
    kinds = nn.utils.rnn.pad_sequence([torch.from_numpy(steps.kinds) for steps, _ in songs], True)
    written = (tokens.flatten() >= 0).nonzero().flatten()
    is_decision = ((kinds == 0)[..., None] & (places % 2 == 0)).flatten()[written]
    likeness = torch.zeros(len(written), note_grammar.SOURCES, note_grammar.N_LIKENESS)
    likeness[is_decision] = torch.from_numpy(np.concatenate([steps.likeness for steps, _ in songs]))
    return Steps(
        tokens,
        places,
        kinds,
        nn.utils.rnn.pad_sequence([torch.from_numpy(table[steps.bars]) for steps, table in songs], True),
        written,
        likeness,
    )


def text_positions(text_mask: Tensor) -> Tensor:
    """(B, S): the last real text token of a row is at -1, the one before it at -2."""
    return text_mask.cumsum(1) - 1 - text_mask.sum(1, keepdim=True)


def count(like: Tensor, start: int, stop: int) -> Tensor:
    """start ... stop - 1 for every row of `like`: (B, stop - start)."""
    return torch.arange(start, stop, device=like.device).expand(len(like), -1)


def score_mask(tokens: Tensor) -> Tensor:
    """(B, 1 + L) bool: the start slot and the tokens that are not padding."""
    return F.pad(tokens >= 0, (1, 0), value=True)


def causal_mask(valid: Tensor) -> Tensor:
    """(B, 1, M, M) bool: a slot sees itself and what is valid (B, M) before it."""
    n = valid.shape[1]
    causal = torch.ones(n, n, dtype=torch.bool, device=valid.device).tril()
    return (causal & valid[:, None] | torch.eye(n, dtype=torch.bool, device=valid.device))[:, None]


def _bucket(n_bars: Tensor) -> Tensor:
    """Rows of the bars-left embeddings: -1 (not known), each number up to 64, then quarters of an octave."""
    octaves = (n_bars.clamp(min=1) / EXACT_BARS).log2()
    return torch.where(n_bars <= EXACT_BARS, n_bars + 1, EXACT_BARS + 2 + (OCTAVE_STEPS * octaves).long())
