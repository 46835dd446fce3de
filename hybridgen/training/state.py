"""What a run of one model with one optimizer changes: weights, their average, moments; and how fast they change."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hybridgen.training import checkpoints
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.ema import EMA


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with a rate that rises, stays, and falls at the end, so that a run can be made longer at any time."""

    learning_rate: float
    warm_up: int  # steps from zero to the full rate
    cool_down: int  # last steps, from the full rate to zero
    weight_decay: float  # of matrices; vectors have none
    clip: float  # largest norm of the gradient
    ema: float  # decay of the averaged weights, a step


class TrainState:
    """A model, the average of its weights, and its optimizer."""

    def __init__(self, model: nn.Module, config: OptimConfig):
        self.model, self.config = model, config
        self.ema = EMA(model, config.ema)
        weights = list(model.parameters())
        groups = [
            {"params": [weight for weight in weights if weight.dim() >= 2], "weight_decay": config.weight_decay},
            {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), fused=True)

    def set_rate(self, step: int, steps: int) -> None:
        """Sets the learning rate for step `step` (from 1) of `steps`."""
        rise = min(1.0, step / max(self.config.warm_up, 1))
        fall = min(1.0, (steps + 1 - step) / max(self.config.cool_down, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(rise, fall)

    def save(self, out: Path, step: int) -> None:
        """Writes a checkpoint into the run's folder."""
        tensors = {
            "model": self.model.state_dict(),
            "ema": self.ema.weights,
            "optimizer": checkpoints.optimizer_tensors(self.optimizer),
        }
        checkpoints.save(out, Checkpoint(step, tensors, {"ema_updates": self.ema.n_updates}))

    def resume(self, out: Path) -> int:
        """Puts the newest checkpoint of the run back, if there is one; the step that it was made at, or 0."""
        place = checkpoints.latest(out)
        if place is None:
            return 0
        checkpoint = checkpoints.load(place)
        self.model.load_state_dict(checkpoint.tensors["model"])
        self.ema.load(checkpoint.tensors["ema"], checkpoint.state["ema_updates"])
        checkpoints.restore_optimizer(self.optimizer, checkpoint.tensors["optimizer"])
        return checkpoint.step
