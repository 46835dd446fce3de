"""Prompt and controls -> score, token by token.

Shapes: B batch, S text tokens, V score vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridgen import decoding, grammar
from hybridgen.plan.controls import Controls
from hybridgen.planner import Planner, count
from hybridgen.planning.session import DecoderSession, with_unconditional
from hybridgen.progress import Progress, report
from hybridgen.sampling import SamplingParams
from hybridgen.workers import single_threaded

SCORE_STREAM = 1  # which noise a choice takes, see decoding.gumbel


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
    text, text_mask = with_unconditional(text, text_mask, params)
    session = DecoderSession(planner, text, text_mask)
    copies, n_written = len(text) // len(states), 0

    def step(tokens: Tensor | None) -> Tensor:
        nonlocal n_written
        if tokens is None:
            return planner.score_head(session.hidden[:, -1])
        n_written += 1
        bars_left = torch.tensor([[grammar.bars_left(state)] for state in states], device=text.device)
        x = planner.embed_tokens(tokens[:, None], bars_left).repeat(copies, 1, 1)
        hidden = session.feed(x, count(x, n_written, n_written + 1))
        _report_bars(progress, states)
        return planner.score_head(hidden[:, -1])

    with single_threaded():
        return decoding.write(step, states, seeds, SCORE_STREAM, params)


def _report_bars(progress: Progress | None, states: Sequence[grammar.State]) -> None:
    left = [state.bars_left for state in states]
    n_bars = sum(state.n_bars or 0 for state in states)
    done = n_bars - sum(bars for bars in left if bars is not None)
    report(progress, "planning", done if None not in left else 0, n_bars if None not in left else 1)
