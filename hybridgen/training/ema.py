"""Averaged weights: the exported model is the moving average of the trained one."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

MOMENTS = ("exp_avg", "exp_avg_sq", "ema")  # what the optimizer keeps of each weight


class AveragingAdamW(AdamW):
    """AdamW that keeps the moving average of the weights as one more moment beside its own two.

    So the average is of the fp32 weights that the optimizer steps, and DeepSpeed shards, offloads and gathers it as it
    does every moment, in any ZeRO stage. The average's decay is lower in the first steps. `n_updates` counts the
    updates so far; the caller of `step` increments it before, once for all groups. With `hold` set a step does nothing.
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float], decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"ema {decay} must be in [0, 1)")
        super().__init__(groups, lr=0.0, betas=betas, fused=True)
        self.decay, self.n_updates, self.hold = decay, 0, False

    def prepare(self, weights: Iterable[Tensor]) -> None:
        """Initializes missing moments: with zeros, and the average with the weights themselves."""
        for weight in weights:
            if not self.state[weight]:
                zeros = {name: torch.zeros_like(weight, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")}
                count = torch.full((), float(self.n_updates), device=weight.device)
                self.state[weight] |= {"step": count, **zeros, "ema": weight.detach().clone()}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure: nothing here calls it twice
        """One update of the weights that have a gradient, then of their average."""
        if self.hold:
            return
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        self.prepare(weights)
        super().step(closure)
        rate = 1 - min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        torch._foreach_lerp_([self.state[weight]["ema"] for weight in weights], weights, rate)

    def count(self, n_updates: int) -> None:
        """Sets the number of updates so far."""
        self.n_updates = n_updates
        for moments in self.state.values():
            moments["step"].fill_(n_updates)
