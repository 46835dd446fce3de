"""A plan and the codes that it lacks, frame by frame.

Shapes: B batch, S text tokens, P code frames, Q codebooks of K codes, D width, F control features, R roles.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hybridgen import decoding, grammar
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, count, pad_scores
from hybridgen.planning.session import DecoderSession, guided, one_thread, with_unconditional
from hybridgen.progress import Progress, report
from hybridgen.sampling import SamplingParams
from hybridgen.stages import PromptStates, Stages

CODES_STREAM = 2  # which noise a choice takes, see decoding.gumbel


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
    text, text_mask = with_unconditional(text, text_mask, params)
    copies = len(text) // len(codes)
    padded = (part.to(text.device).repeat(copies, *[1] * (part.dim() - 1)) for part in pad_scores(tokens))
    score, bars_left = padded
    session = DecoderSession(planner, text, text_mask, score, bars_left, room=codes.shape[2])
    n_tokens = (score >= 0).sum(1, keepdim=True)
    controls = planner.embed_controls(features, instruments)
    fed = 0
    with one_thread(text.device):
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
        logits = guided(head.logits(x[:, level] + before, level), params)
        code = decoding.choose(logits, noise[:, level], params)
        chosen.append(torch.where(known[:, level] < 0, code, known[:, level]))
        if level + 1 < shape[0]:
            embedded = head.embedding(chosen[-1] + level * shape[1])
            before = before + embedded.repeat(len(x) // len(embedded), 1)
    return torch.stack(chosen, dim=1)
