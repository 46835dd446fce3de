"""Text states -> score -> codes: a LLaMA-style decoder that writes the plan.

One sequence a track: text states (projected; the last real one at position -1), a start slot, the score's tokens, then
one slot a code frame. A frame's slot is told everything that follows from the score there (beat and bar phase, chord,
section, roles, how much is left) and the codes of the frame before; a small depth head then writes the frame's codes
one after the other. The heads cover plan tokens only.

Shapes: B batch, S text tokens, L score tokens, P code frames, Q codebooks of K codes, V score vocabulary, D width,
F control features, R roles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen import decoding, grammar
from hybridgen.decoding import SamplingParams
from hybridgen.layers import Attention, KVCache, RMSNorm, Rotary, SwiGLU, rotary
from hybridgen.plan import N_FEATURES, N_INSTRUMENTS, ROLE_FEATURES, ROLES, Controls

SCORE_STREAM, CODES_STREAM = 1, 2  # which noise a choice takes, see decoding.gumbel
EXACT_BARS, OCTAVE_STEPS, OCTAVES = 64, 4, 6  # bars left: each number up to 64, then four steps an octave to 4095
N_BUCKETS = 2 + EXACT_BARS + OCTAVE_STEPS * OCTAVES
KITS = tuple(role in ("drums", "percussion") for role in ROLES)  # their programs are kits, not instruments

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True)
class PlannerConfig:
    """Shape of a planner; a head is dim / n_heads wide."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    hidden_dim: int  # of SwiGLU
    depth_dim: int  # width of the depth head
    depth_hidden_dim: int
    text_dim: int
    n_codebooks: int  # Q
    codebook_size: int  # K


class Block(nn.Module):
    """Attention and SwiGLU, each normalised before and added."""

    def __init__(self, cfg: PlannerConfig):
        super().__init__()
        self.attention_norm, self.ffn_norm = RMSNorm(cfg.dim), RMSNorm(cfg.dim)
        self.attention = Attention(cfg.dim, cfg.n_heads, cfg.n_kv_heads)
        self.ffn = SwiGLU(cfg.dim, cfg.hidden_dim)

    def forward(self, x: Tensor, cos_sin: Rotary, mask: Tensor | None, cache: KVCache | None = None) -> Tensor:
        """x (B, L, D) -> (B, L, D); the rest as in `Attention`."""
        x = x + self.attention(self.attention_norm(x), cos_sin, mask, cache)
        return x + self.ffn(self.ffn_norm(x))


class DepthHead(nn.Module):
    """The Q codes of a frame, each given the frame's state and the codes before it."""

    def __init__(self, cfg: PlannerConfig):
        super().__init__()
        self.n_codebooks, self.codebook_size = cfg.n_codebooks, cfg.codebook_size
        self.start = nn.Linear(cfg.dim, cfg.n_codebooks * cfg.depth_dim, bias=False)
        self.embedding = nn.Embedding((cfg.n_codebooks - 1) * cfg.codebook_size, cfg.depth_dim)
        self.norm, self.ffn = RMSNorm(cfg.depth_dim), SwiGLU(cfg.depth_dim, cfg.depth_hidden_dim)
        self.out_norm = RMSNorm(cfg.depth_dim)
        self.heads = nn.ModuleList(
            nn.Linear(cfg.depth_dim, cfg.codebook_size, bias=False) for _ in range(cfg.n_codebooks)
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
    """The decoder; `write_score` and `write_codes` run it, `forward` trains it."""

    def __init__(self, cfg: PlannerConfig):
        super().__init__()
        self.cfg = cfg
        self.text_in = nn.Linear(cfg.text_dim, cfg.dim)
        self.start = nn.Parameter(torch.zeros(cfg.dim))
        self.token_embedding = nn.Embedding(grammar.VOCAB_SIZE, cfg.dim)
        self.bars_embedding = nn.Embedding(N_BUCKETS, cfg.dim)
        self.section_bars_embedding = nn.Embedding(N_BUCKETS, cfg.dim)
        self.first_frame = nn.Parameter(torch.zeros(cfg.dim))
        self.code_embedding = nn.Embedding(cfg.n_codebooks * cfg.codebook_size, cfg.dim)
        self.features_in = nn.Linear(N_FEATURES, cfg.dim)
        self.instrument_embedding = nn.Embedding(2 * N_INSTRUMENTS, cfg.dim)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))
        self.norm = RMSNorm(cfg.dim)
        self.score_head = nn.Linear(cfg.dim, grammar.VOCAB_SIZE, bias=False)
        self.depth_head = DepthHead(cfg)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_residual = name.endswith(("wo.weight", "ffn.w_out.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * self.cfg.n_layers) ** 0.5 if into_residual else 0.02)

    # ---- training

    def forward(
        self,
        text: Tensor,
        text_mask: Tensor,
        tokens: Tensor,
        places: Tensor,
        codes: Tensor | None = None,
        features: Tensor | None = None,
        instruments: Tensor | None = None,
        told: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of every token and code from those before it: (B, L, V), and (B, P, Q, K) where codes are given.

        text (B, S, text_dim), text_mask (B, S) bool; a row that is False throughout is unconditional. tokens (B, L)
        int64, -1 behind the end; places (B, L, 2) from `grammar.positions`. codes (B, Q, P) int64, -1 behind the
        end; features (B, P, F) at 8,192 samples a frame; instruments (B, R) int64; told (B, Q, P): the codes as the
        frames after them hear them, where some are to be heard wrongly.
        """
        length, n_text = tokens.shape[1], text.shape[1]
        parts = [self._embed_text(text), self._embed_score(tokens, places)]
        valid = [text_mask, _score_mask(tokens)]
        positions = [_text_positions(text_mask), _count(tokens, 0, length + 1)]
        if codes is not None:
            controls = self._embed_controls(features, instruments)
            heard = codes if told is None else told
            parts.append(self._embed_frames(controls, heard[:, :, :-1].clamp(min=0)))
            valid.append(torch.ones_like(codes[:, 0], dtype=torch.bool))
            positions.append(_count(tokens, 1, codes.shape[2] + 1) + (tokens >= 0).sum(1, keepdim=True))
        x, mask = torch.cat(parts, dim=1), _causal_mask(torch.cat(valid, dim=1))
        cos_sin = self._rotary(torch.cat(positions, dim=1))
        for block in self.blocks:
            x = block(x, cos_sin, mask)
        x = self.norm(x)[:, n_text:]
        code_logits = None if codes is None else self.depth_head(x[:, length + 1 :], codes.clamp(min=0))
        return self.score_head(x[:, :length]), code_logits

    # ---- writing

    @torch.inference_mode()
    def write_score(
        self,
        text: Tensor,
        text_mask: Tensor,
        controls: Sequence[Controls],
        seeds: Sequence[int],
        params: SamplingParams,
        progress: Progress | None = None,
    ) -> list[list[int]]:
        """One score a row as tokens of the grammar, END last; each row obeys its controls, whatever the weights.

        text (B, S, text_dim), text_mask (B, S) bool. A row's score depends on its own text, controls and seed only.
        progress("planning", bars written, bars in all).
        """
        states = [grammar.State(row) for row in controls]
        text, text_mask = _with_unconditional(text, text_mask, params)
        run = Run(self, text, text_mask)
        copies, n_written = len(text) // len(states), 0

        def step(tokens: Tensor | None) -> Tensor:
            nonlocal n_written
            if tokens is None:
                return self._score_logits(run.hidden[:, -1], params)
            n_written += 1
            places = torch.tensor([[grammar.place(state)] for state in states], device=text.device)
            x = self._embed_tokens(tokens[:, None], places).repeat(copies, 1, 1)
            hidden = run.feed(x, _count(x, n_written, n_written + 1))
            _report(progress, states)
            return self._score_logits(hidden[:, -1], params)

        return decoding.write(step, states, seeds, SCORE_STREAM, params)

    @torch.inference_mode()
    def write_codes(
        self,
        text: Tensor,
        text_mask: Tensor,
        tokens: Sequence[Sequence[int]],
        features: Tensor,
        instruments: Tensor,
        codes: Tensor,
        seeds: Sequence[int],
        params: SamplingParams,
        progress: Progress | None = None,
    ) -> Tensor:
        """Codes (B, Q, P) with every -1 written and the rest kept; what is known before a frame is its context.

        text (B, S, text_dim), text_mask (B, S) bool; tokens: each row's whole score; features (B, P, F) at 8,192
        samples a frame; instruments (B, R) int64; codes (B, Q, P) int64. A row shorter than P is padded with code 0.
        progress("composing", frames written, frames to write).
        """
        codes = codes.clone()
        unset = (codes < 0).any(dim=1).any(dim=0).nonzero().flatten().tolist()
        text, text_mask = _with_unconditional(text, text_mask, params)
        copies = len(text) // len(codes)
        score, places = (part.to(text.device).repeat(copies, *[1] * (part.dim() - 1)) for part in pad_scores(tokens))
        run = Run(self, text, text_mask, score, places, room=codes.shape[2])
        n_tokens = (score >= 0).sum(1, keepdim=True)
        controls = self._embed_controls(features, instruments)
        fed = 0
        for i, frame in enumerate(unset):
            x = self._embed_frames(controls[:, fed : frame + 1], codes[:, :, max(fed - 1, 0) : frame])
            x = x.repeat(copies, 1, 1)
            hidden = run.feed(x, _count(x, fed + 1, frame + 2) + n_tokens)[:, -1]
            codes[:, :, frame] = self._write_frame(hidden, codes[:, :, frame], seeds, frame, params)
            fed = frame + 1
            if progress is not None:
                progress("composing", i + 1, len(unset))
        return codes

    def _write_frame(
        self, hidden: Tensor, known: Tensor, seeds: Sequence[int], frame: int, params: SamplingParams
    ) -> Tensor:
        """The codes (B, Q) of one frame from its state, (B, D) or with guidance (2 B, D), and what of it is known."""
        shape = (self.cfg.n_codebooks, self.cfg.codebook_size)
        noise = np.stack([decoding.gumbel(seed, CODES_STREAM, frame, shape) for seed in seeds])
        noise = torch.from_numpy(noise).to(hidden.device)
        x = self.depth_head.start(hidden).unflatten(-1, (shape[0], -1))  # (B or 2 B, Q, depth_dim)
        before, chosen = torch.zeros_like(x[:, 0]), []
        for level in range(shape[0]):
            logits = _guided(self.depth_head.logits(x[:, level] + before, level), params)
            code = decoding.choose(logits, noise[:, level], params)
            chosen.append(torch.where(known[:, level] < 0, code, known[:, level]))
            if level + 1 < shape[0]:
                embedded = self.depth_head.embedding(chosen[-1] + level * shape[1])
                before = before + embedded.repeat(len(x) // len(embedded), 1)
        return torch.stack(chosen, dim=1)

    def _score_logits(self, hidden: Tensor, params: SamplingParams) -> Tensor:
        return _guided(self.score_head(hidden), params)

    # ---- what goes in

    def _embed_text(self, text: Tensor) -> Tensor:
        return self.text_in(text.to(self.start.dtype))

    def _embed_score(self, tokens: Tensor, places: Tensor) -> Tensor:
        """The start slot and the tokens (B, L), -1 behind the end: (B, 1 + L, D)."""
        start = self.start.expand(len(tokens), 1, -1)
        return torch.cat((start, self._embed_tokens(tokens.clamp(min=0), places)), dim=1)

    def _embed_tokens(self, tokens: Tensor, places: Tensor) -> Tensor:
        bars, section_bars = _bucket(places).unbind(-1)
        return self.token_embedding(tokens) + self.bars_embedding(bars) + self.section_bars_embedding(section_bars)

    def _embed_controls(self, features: Tensor, instruments: Tensor) -> Tensor:
        """(B, P, D): the features of each frame, and the instruments of the roles that play in it."""
        kits = torch.tensor(KITS, device=instruments.device)
        features = features.to(self.start.dtype)
        playing = features[..., ROLE_FEATURES] @ self.instrument_embedding(instruments + N_INSTRUMENTS * kits)
        return self.features_in(features) + playing

    def _embed_frames(self, controls: Tensor, before: Tensor) -> Tensor:
        """Slots of n frames: controls (B, n, D), and the codes (B, Q, n) of the frame before each; (B, Q, n - 1)
        where the first of them is the first of the track."""
        offsets = self.cfg.codebook_size * torch.arange(before.shape[1], device=before.device)
        x = self.code_embedding(before.transpose(1, 2) + offsets).sum(dim=2)
        if x.shape[1] < controls.shape[1]:
            x = torch.cat((self.first_frame.expand(len(x), 1, -1), x), dim=1)
        return controls + x

    def _rotary(self, positions: Tensor) -> Rotary:
        return rotary(positions, self.cfg.dim // self.cfg.n_heads)


class Run:
    """The blocks with their caches: what is fed piece by piece sees all that was fed before it, but no padding."""

    def __init__(
        self,
        planner: Planner,
        text: Tensor,
        text_mask: Tensor,
        tokens: Tensor | None = None,
        places: Tensor | None = None,
        room: int = 512,
    ):
        """Feeds the text, the start slot and, where given, a whole score; `hidden` is what comes out.

        text (B, S, text_dim), text_mask (B, S); tokens (B, L), places (B, L, 2); room: slots expected to follow.
        """
        cfg = planner.cfg
        tokens = text_mask.new_zeros(len(text), 0, dtype=torch.int64) if tokens is None else tokens
        places = tokens.new_zeros(*tokens.shape, 2) if places is None else places
        x = torch.cat((planner._embed_text(text), planner._embed_score(tokens, places)), dim=1)
        slots = x.shape[1] + room
        self.planner = planner
        self.caches = [
            KVCache(len(x), cfg.n_kv_heads, slots, cfg.dim // cfg.n_heads, like=x) for _ in range(cfg.n_layers)
        ]
        self.prefix = torch.cat((text_mask, _score_mask(tokens)), dim=1)
        self.has_padding = not bool(self.prefix.all())
        self.hidden = self.feed(x, torch.cat((_text_positions(text_mask), _count(tokens, 0, tokens.shape[1] + 1)), 1))

    def feed(self, x: Tensor, positions: Tensor) -> Tensor:
        """The next slots x (B, n, D) at positions (B, n) -> their states (B, n, D)."""
        n_seen = self.caches[0].length + x.shape[1]
        mask = None
        if self.has_padding or x.shape[1] > 1:
            valid = F.pad(self.prefix, (0, n_seen - self.prefix.shape[1]), value=True)
            mask = _causal_mask(valid)[:, :, -x.shape[1] :] if x.shape[1] > 1 else valid[:, None, None]
        cos_sin = self.planner._rotary(positions)
        for block, cache in zip(self.planner.blocks, self.caches, strict=True):
            x = block(x, cos_sin, mask, cache)
        return self.planner.norm(x)


def pad_scores(scores: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Scores of any lengths as one batch: tokens (B, L) int64, -1 behind the end, and places (B, L, 2)."""
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(score) for score in scores], True, -1)
    places = [torch.from_numpy(grammar.positions(score)) for score in scores]
    return tokens, nn.utils.rnn.pad_sequence(places, True, -1)


def _with_unconditional(text: Tensor, text_mask: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The rows, followed by the same rows without text where guidance needs them."""
    if params.guidance_scale == 1:
        return text, text_mask
    return text.repeat(2, 1, 1), torch.cat((text_mask, torch.zeros_like(text_mask)))


def _guided(logits: Tensor, params: SamplingParams) -> Tensor:
    """(B, V) from the rows of `_with_unconditional`."""
    if params.guidance_scale == 1:
        return logits
    return decoding.guide(*logits.chunk(2), params.guidance_scale)


def _text_positions(text_mask: Tensor) -> Tensor:
    """(B, S): the last real text token of a row is at -1, the one before it at -2."""
    return text_mask.cumsum(1) - 1 - text_mask.sum(1, keepdim=True)


def _count(like: Tensor, start: int, stop: int) -> Tensor:
    """start ... stop - 1 for every row of `like`: (B, stop - start)."""
    return torch.arange(start, stop, device=like.device).expand(len(like), -1)


def _score_mask(tokens: Tensor) -> Tensor:
    """(B, 1 + L) bool: the start slot and the tokens that are no padding."""
    return F.pad(tokens >= 0, (1, 0), value=True)


def _causal_mask(valid: Tensor) -> Tensor:
    """(B, 1, M, M) bool: a slot sees itself and what is valid (B, M) before it."""
    n = valid.shape[1]
    causal = torch.ones(n, n, dtype=torch.bool, device=valid.device).tril()
    return (causal & valid[:, None] | torch.eye(n, dtype=torch.bool, device=valid.device))[:, None]


def _bucket(n_bars: Tensor) -> Tensor:
    """Rows of the bars-left embeddings: -1 (not known), each number up to 64, then quarters of an octave."""
    octaves = (n_bars.clamp(min=1) / EXACT_BARS).log2()
    return torch.where(n_bars <= EXACT_BARS, n_bars + 1, EXACT_BARS + 2 + (OCTAVE_STEPS * octaves).long())


def _report(progress: Progress | None, states: Sequence[grammar.State]) -> None:
    if progress is not None and all(state.bars_left is not None for state in states):
        n_bars = sum(state.n_bars for state in states)
        progress("planning", n_bars - sum(state.bars_left for state in states), n_bars)
