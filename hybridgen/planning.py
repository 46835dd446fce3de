"""Prompt and controls -> plan: the score, and later its codes, written token by token by the planner.

Shapes: B batch, S text tokens, L score tokens, P code frames, Q codebooks of K codes, V score vocabulary, D width,
F control features, R roles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridgen import decoding, grammar
from hybridgen.layers import KVCache
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import Ending, check_prompt, check_seed, whole
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, causal_mask, count, pad_scores, score_mask, text_positions
from hybridgen.progress import Progress, report
from hybridgen.request import resolve_controls
from hybridgen.sampling import SamplingParams
from hybridgen.stages import PromptStates, Stages
from hybridgen.text.controls import understand

SCORE_STREAM, CODES_STREAM = 1, 2  # which noise a choice takes, see decoding.gumbel
MAX_PLANS = 64


@dataclass(frozen=True)
class PlanResult(Sequence[Plan]):
    """Plans, indexed and iterated like a tuple of them, and notes on what of the request was not done."""

    plans: tuple[Plan, ...]
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Plan: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Plan, ...]: ...

    def __getitem__(self, index: int | slice) -> Plan | tuple[Plan, ...]:
        return self.plans[index]

    def __len__(self) -> int:
        return len(self.plans)

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)


# ---- for a model


def write_plans(
    stages: Stages,
    prompt: str,
    states: PromptStates,
    controls: Controls,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> PlanResult:
    """A score for each seed, without codes; `Pipeline.plan` is the public method."""
    understood = understand(prompt)
    controls, notes = resolve_controls(understood, controls)
    if understood.text != prompt:
        states = replace(stages.encode_prompt(understood.text), notes=states.notes)
    n, sampling = len(seeds), stages.config.sampling.score
    text, mask = states.text.expand(n, -1, -1), states.mask.expand(n, -1)
    rows = decode_scores(stages.planner, text, mask, [controls] * n, seeds, sampling, progress)
    rate = stages.time_base.sample_rate
    n_samples = None if controls.seconds is None else round(controls.seconds * rate)
    plans = [
        grammar.parse(row, prompt=prompt, seed=seed, n_samples=n_samples, time_base=stages.time_base)
        for row, seed in zip(rows, seeds, strict=True)
    ]
    plans, ending_notes = _end_plans(plans, controls.ending)
    return PlanResult(tuple(plans), (*notes, *ending_notes, *states.notes))


def _end_plans(plans: list[Plan], ending: Ending | None) -> tuple[list[Plan], list[str]]:
    """The plans with the ending that is fixed; a fade over more bars than there are fades all, with a note."""
    if ending is None:
        return plans, []
    ended, notes = [], []
    for plan in plans:
        fits = ending.bars is None or ending.bars <= plan.n_bars
        ended.append(replace(plan, ending=ending if fits else Ending("fade", plan.n_bars)))
        if not fits:
            notes.append(f"a fade over {ending.bars} bars is longer than the {plan.n_bars} bars: all of them fade")
    return ended, notes


def check_request(prompt: str, n: int, seed: int, controls: Controls) -> list[int]:
    """The seeds of `n` plans; ValueError for an empty or endless prompt, n outside 1-64, or impossible controls.

    Nothing is loaded for it. TypeError for what is no text or no whole number.
    """
    if not check_prompt(prompt).strip():
        raise ValueError("prompt is empty: say in words what the music should be")
    if not 1 <= whole(n, "n") <= MAX_PLANS:
        raise ValueError(f"n {n} is outside 1-{MAX_PLANS}")
    resolve_controls(understand(prompt), controls)
    return [check_seed(check_seed(seed) + i) for i in range(whole(n, "n"))]


def write_codes(stages: Stages, plan: Plan, states: PromptStates, progress: Progress | None = None) -> Plan:
    """The plan with every unset code written, the others as they are; itself where none is unset."""
    config, base = stages.config, plan.time_base
    codes = plan.codes or ((-1,) * plan.n_code_frames,) * config.quantizer.n_codebooks
    check_codes(stages, codes)
    if min(map(min, codes)) >= 0:
        return plan
    written = decode_codes(
        stages.planner,
        states.text,
        states.mask,
        [grammar.tokens(plan)],
        torch.from_numpy(plan.frame_controls(base.code_hop))[None].to(stages.device),
        torch.from_numpy(plan.instrument_ids())[None].to(stages.device),
        torch.tensor(codes, device=stages.device)[None],
        [plan.seed],
        config.sampling.codes,
        progress,
    )
    return replace(plan, codes=tuple(map(tuple, written[0].tolist())))


def check_codes(stages: Stages, codes: Sequence[Sequence[int]]) -> None:
    """ValueError unless the codes are those of the model's quantizer."""
    n_books, size = stages.config.quantizer.n_codebooks, stages.config.quantizer.codebook_size
    highest = max(map(max, codes))
    if len(codes) != n_books or highest >= size:
        found = f"{len(codes)} rows with values up to {highest}"
        raise ValueError(f"codes: {found}, the model has {n_books} codebooks of {size}")


# ---- for a planner


@torch.inference_mode()
def decode_scores(
    planner: Planner,
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
    session = DecoderSession(planner, text, text_mask)
    copies, n_written = len(text) // len(states), 0

    def step(tokens: Tensor | None) -> Tensor:
        nonlocal n_written
        if tokens is None:
            return _guided(planner.score_head(session.hidden[:, -1]), params)
        n_written += 1
        bars_left = torch.tensor([[grammar.bars_left(state)] for state in states], device=text.device)
        x = planner.embed_tokens(tokens[:, None], bars_left).repeat(copies, 1, 1)
        hidden = session.feed(x, count(x, n_written, n_written + 1))
        _report_bars(progress, states)
        return _guided(planner.score_head(hidden[:, -1]), params)

    return decoding.write(step, states, seeds, SCORE_STREAM, params)


@torch.inference_mode()
def decode_codes(
    planner: Planner,
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

    text (B, S, text_dim), text_mask (B, S) bool; tokens: each row's whole score; features (B, P, F) of code frames;
    instruments (B, R) int64; codes (B, Q, P) int64. A row shorter than P is padded with code 0.
    progress("composing", frames written, frames to write).
    """
    codes = codes.clone()
    unset = (codes < 0).any(dim=1).any(dim=0).nonzero().flatten().tolist()
    text, text_mask = _with_unconditional(text, text_mask, params)
    copies = len(text) // len(codes)
    padded = (part.to(text.device).repeat(copies, *[1] * (part.dim() - 1)) for part in pad_scores(tokens))
    score, bars_left = padded
    session = DecoderSession(planner, text, text_mask, score, bars_left, room=codes.shape[2])
    n_tokens = (score >= 0).sum(1, keepdim=True)
    controls = planner.embed_controls(features, instruments)
    fed = 0
    for i, frame in enumerate(unset):
        x = planner.embed_frames(controls[:, fed : frame + 1], codes[:, :, max(fed - 1, 0) : frame])
        x = x.repeat(copies, 1, 1)
        hidden = session.feed(x, count(x, fed + 1, frame + 2) + n_tokens)[:, -1]
        codes[:, :, frame] = _decode_frame(planner, hidden, codes[:, :, frame], seeds, frame, params)
        fed = frame + 1
        report(progress, "composing", i + 1, len(unset))
    return codes


def _decode_frame(
    planner: Planner, hidden: Tensor, known: Tensor, seeds: Sequence[int], frame: int, params: SamplingParams
) -> Tensor:
    """The codes (B, Q) of one frame from its state, (B, D) or with guidance (2 B, D), and what of it is known."""
    head = planner.depth_head
    shape = (head.n_codebooks, head.codebook_size)
    drawn = np.stack([decoding.gumbel(seed, CODES_STREAM, frame, shape) for seed in seeds])
    noise = torch.from_numpy(drawn).to(hidden.device)
    x = head.start(hidden).unflatten(-1, (shape[0], -1))  # (B or 2 B, Q, depth_dim)
    before, chosen = torch.zeros_like(x[:, 0]), []
    for level in range(shape[0]):
        logits = _guided(head.logits(x[:, level] + before, level), params)
        code = decoding.choose(logits, noise[:, level], params)
        chosen.append(torch.where(known[:, level] < 0, code, known[:, level]))
        if level + 1 < shape[0]:
            embedded = head.embedding(chosen[-1] + level * shape[1])
            before = before + embedded.repeat(len(x) // len(embedded), 1)
    return torch.stack(chosen, dim=1)


class DecoderSession:
    """The blocks with their caches: what is fed piece by piece sees all that was fed before it, but no padding."""

    def __init__(
        self,
        planner: Planner,
        text: Tensor,
        text_mask: Tensor,
        tokens: Tensor | None = None,
        bars_left: Tensor | None = None,
        room: int = 512,
    ):
        """Feeds the text, the start slot and, where given, a whole score; `hidden` is what comes out.

        text (B, S, text_dim), text_mask (B, S); tokens (B, L), bars_left (B, L, 2); room: slots expected to follow.
        """
        config = planner.config
        tokens = text_mask.new_zeros(len(text), 0, dtype=torch.int64) if tokens is None else tokens
        bars_left = tokens.new_zeros(*tokens.shape, 2) if bars_left is None else bars_left
        x = torch.cat((planner.embed_text(text), planner.embed_score(tokens, bars_left)), dim=1)
        slots, head_dim = x.shape[1] + room, config.dim // config.n_heads
        self.planner = planner
        self.caches = [KVCache(len(x), config.n_kv_heads, slots, head_dim, like=x) for _ in range(config.n_layers)]
        self.prefix = torch.cat((text_mask, score_mask(tokens)), dim=1)
        self.has_padding = not bool(self.prefix.all())
        self.hidden = self.feed(x, torch.cat((text_positions(text_mask), count(tokens, 0, tokens.shape[1] + 1)), 1))

    def feed(self, x: Tensor, positions: Tensor) -> Tensor:
        """The next slots x (B, n, D) at positions (B, n) -> their states (B, n, D)."""
        n_seen = self.caches[0].length + x.shape[1]
        mask = None
        if self.has_padding or x.shape[1] > 1:
            valid = F.pad(self.prefix, (0, n_seen - self.prefix.shape[1]), value=True)
            mask = causal_mask(valid)[:, :, -x.shape[1] :] if x.shape[1] > 1 else valid[:, None, None]
        cos_sin = self.planner.rotary(positions)
        for block, cache in zip(self.planner.blocks, self.caches, strict=True):
            x = block(x, cos_sin, mask, cache)
        return self.planner.norm(x)


def _with_unconditional(text: Tensor, text_mask: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The rows, followed by the same rows without text where guidance needs them."""
    if params.guidance_scale == 1:
        return text, text_mask
    return text.repeat(2, 1, 1), torch.cat((text_mask, torch.zeros_like(text_mask)))


def _guided(logits: Tensor, params: SamplingParams) -> Tensor:
    """(B, V) from the rows of `_with_unconditional`."""
    if params.guidance_scale == 1:
        return logits
    cond, uncond = logits.chunk(2)
    return decoding.guide(cond, uncond, params.guidance_scale)


def _report_bars(progress: Progress | None, states: Sequence[grammar.State]) -> None:
    left = [state.bars_left for state in states]
    n_bars = sum(state.n_bars or 0 for state in states)
    done = n_bars - sum(bars for bars in left if bars is not None)
    report(progress, "planning", done if None not in left else 0, n_bars if None not in left else 1)
