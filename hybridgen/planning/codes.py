"""A plan and the codes that it lacks, frame by frame.

Shapes: B batch, S text tokens, P code frames, Q codebooks of K codes, D width, F control features, R roles.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hybridgen import decoding, grammar, graphs
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, count, pad_scores
from hybridgen.planning.session import DecoderSession, to_device, with_unconditional
from hybridgen.progress import Progress, report
from hybridgen.sampling import SamplingParams
from hybridgen.stages import PromptStates, Stages
from hybridgen.workers import single_threaded

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
    frames = Frames(planner, session, planner.embed_controls(features, instruments), codes, score, params)
    replayed = graphs.captured(frames.step, text.device)
    with single_threaded():
        for i, frame in enumerate(unset):
            shape = (codes.shape[1], planner.depth_head.codebook_size)
            drawn = np.stack([decoding.gumbel(seed, CODES_STREAM, frame, shape) for seed in seeds])
            frames.write(frame, to_device(drawn, text.device), replayed)
            report(progress, "composing", i + 1, len(unset))
    return codes


class Frames:
    """Writes codes (B, Q, P) frame by frame, in place. Frames that follow one another are steps that a GPU replays."""

    def __init__(
        self,
        planner: Planner,
        session: DecoderSession,
        controls: Tensor,
        codes: Tensor,
        score: Tensor,
        params: SamplingParams,
    ):
        """controls (B, P, D); session: fed with the scores (B or 2 B, L)."""
        self.planner, self.session, self.controls, self.codes, self.params = planner, session, controls, codes, params
        self.copies = len(score) // len(codes)  # of a row: with guidance one more, without its text
        self.n_tokens = (score >= 0).sum(1, keepdim=True)
        self.numbers = torch.arange(codes.shape[2], device=codes.device)
        self.first_slot = session.length

    def write(self, frame: int, noise: Tensor, step: Callable[[Tensor, Tensor], Tensor]) -> None:
        """The codes of a frame that are unset; those of the frames before it are all written.

        noise (B, Q, K); step: the method of this name, or its graph.
        """
        fed = self.session.length - self.first_slot
        if fed == frame > 0:
            step(self.numbers[frame : frame + 1], noise)
            self.session.advance()
            return
        x = self.planner.embed_frames(self.controls[:, fed : frame + 1], self.codes[:, :, max(fed - 1, 0) : frame])
        x = x.repeat(self.copies, 1, 1)
        hidden = self.session.feed(x, count(x, fed + 1, frame + 2) + self.n_tokens)
        self._choose(hidden[:, -1], self.numbers[frame : frame + 1], noise)

    def step(self, frame: Tensor, noise: Tensor) -> Tensor:
        """A frame (1,) after the first, whose slot is the next: fed, its codes written and returned, (B, Q)."""
        x = self.planner.embed_frames(
            self.controls.index_select(1, frame), self.codes.index_select(2, frame - 1)
        ).repeat(self.copies, 1, 1)
        hidden = self.session.step(x, frame + 1 + self.n_tokens, frame + self.first_slot)
        return self._choose(hidden[:, -1], frame, noise)

    def _choose(self, hidden: Tensor, frame: Tensor, noise: Tensor) -> Tensor:
        known = self.codes.index_select(2, frame)[..., 0]
        chosen = _decode_frame(self.planner, hidden, known, noise, self.params)
        self.codes.index_copy_(2, frame, chosen[..., None])
        return chosen


def _decode_frame(planner: Planner, hidden: Tensor, known: Tensor, noise: Tensor, params: SamplingParams) -> Tensor:
    """The codes (B, Q) of one frame from its state, (B, D) or with guidance (2 B, D), what of it is known (B, Q), -1
    elsewhere, and noise (B, Q, K)."""
    head = planner.depth_head
    x = head.start(hidden).unflatten(-1, (head.n_codebooks, -1))  # (B or 2 B, Q, depth_dim)
    before, chosen = torch.zeros_like(x[:, 0]), []
    for level in range(head.n_codebooks):
        code = decoding.choose(head.logits(x[:, level] + before, level), noise[:, level], params)
        chosen.append(torch.where(known[:, level] < 0, code, known[:, level]))
        if level + 1 < head.n_codebooks:
            embedded = head.embedding(chosen[-1] + level * head.codebook_size)
            before = before + embedded.repeat(len(x) // len(embedded), 1)
    return torch.stack(chosen, dim=1)
