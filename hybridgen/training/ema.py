"""Averaged weights: the model that is shipped is the moving average of the one that was trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average of a module's parameters and buffers; young averages forget faster."""

    def __init__(self, module: nn.Module, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay} must be in [0, 1)")
        self.decay, self.n_updates = decay, 0
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves the average towards the module as it is now."""
        self.n_updates += 1
        rate = 1 - min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, rate)
            else:
                self.weights[name].copy_(value)

    def load(self, weights: dict[str, Tensor], n_updates: int) -> None:
        """Continues the average that a checkpoint holds."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
        self.n_updates = n_updates

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside the block the module holds the averaged weights; afterwards its own again."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.weights)
        try:
            yield
        finally:
            module.load_state_dict(own)
