"""Autoregressive decoding over any step function: sampling, guidance, constraints. It knows no model.

Randomness is keyed: the noise of one choice is a pure function of (seed, stream, step), made on the CPU, so a row
writes the same tokens alone or in a batch, today or tomorrow, on any device. Choosing is the Gumbel-max trick.

Shapes: B rows, V choices.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hybridgen import ops
from hybridgen.sampling import SamplingParams

SMALLEST = np.finfo(np.float64).tiny


class Constraint(Protocol):
    """What a row may write: `grammar.State` is one."""

    is_done: bool

    def allowed(self) -> np.ndarray:
        """(V,) bool; all False once done."""

    def push(self, token: int) -> None:
        """Take the token that was chosen."""


def gumbel(seed: int, stream: int, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard Gumbel noise, float32, that depends on (seed, stream, step) and nothing else.

    stream: which kind of choice, 0 to 2**64 - 1; seed: any integer, taken modulo 2**64. Philox-4x64:
    https://doi.org/10.1145/2063384.2063405
    """
    key = np.array([seed % 2**64, stream], dtype=np.uint64)
    counter = np.array([0, step, 0, 0], dtype=np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key, counter=counter)).random(shape)
    return -np.log(-np.log(np.maximum(uniform, SMALLEST))).astype(np.float32)


def choose(logits: Tensor, noise: Tensor, params: SamplingParams, allowed: Tensor | None = None) -> Tensor:
    """One choice (B,) int64 among `allowed` (B, V) bool; noise (B, V) from `gumbel`.

    logits (B, V), or with guidance (2 B, V): the conditional rows and then the unconditional ones.
    """
    return ops.choose(logits, noise, params.temperature, params.top_p, params.guidance_scale, allowed)


def write(
    step: Callable[[Tensor | None], Tensor],
    rows: Sequence[Constraint],
    seeds: Sequence[int],
    stream: int,
    params: SamplingParams,
) -> list[list[int]]:
    """The tokens of each row until its constraint is done.

    step: tokens (B,) int64 just written (None at first; whatever for rows that are done) -> logits as `choose` takes
    them. It is called after the constraints took the tokens, so it may query their state.
    """
    written: list[list[int]] = [[] for _ in rows]
    logits = step(None)
    while not all(row.is_done for row in rows):
        allowed = torch.from_numpy(np.stack([row.allowed() for row in rows]))
        steps = [len(tokens) for tokens in written]
        drawn = [gumbel(seed, stream, i, logits.shape[1:]) for seed, i in zip(seeds, steps, strict=True)]
        noise = torch.from_numpy(np.stack(drawn))
        chosen = choose(logits, noise.to(logits.device), params, allowed.to(logits.device))
        for row, tokens, token in zip(rows, written, chosen.tolist(), strict=True):
            if not row.is_done:
                row.push(token)
                tokens.append(token)
        if not all(row.is_done for row in rows):
            logits = step(chosen)
    return written
