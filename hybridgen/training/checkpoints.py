"""A run that can be stopped at any moment and go on as if it had not been.

A checkpoint is a folder `step_00001234` with one safetensors file per part (weights, moments) and
`state.json`. It is written beside its place and renamed into it, so that a folder of that name is always whole.
Random numbers need no place in it: the scripts draw them from `generators(seed, step)`.
"""

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to continue: tensors by part and name, and a state that JSON can hold."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Writes a checkpoint into the run's folder, atomically, and leaves only the newest `keep`."""
    place = folder / f"step_{checkpoint.step:08d}"
    draft = folder / f".{place.name}.{os.getpid()}"
    draft.mkdir(parents=True)
    for part, tensors in checkpoint.tensors.items():
        save_file({name: value.contiguous() for name, value in tensors.items()}, draft / f"{part}.safetensors")
    state = {"step": checkpoint.step, "parts": list(checkpoint.tensors), "state": checkpoint.state}
    (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    if place.exists():
        shutil.rmtree(place)
    draft.rename(place)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return place


def load(place: Path) -> Checkpoint:
    """The checkpoint in a folder that `save` wrote."""
    try:
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{place} holds no checkpoint: state.json is missing") from None
    tensors = {part: load_file(place / f"{part}.safetensors") for part in state["parts"]}
    return Checkpoint(state["step"], tensors, state["state"])


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run, or None."""
    return next(reversed(_all(folder)), None)


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*"))


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments as flat names `parameter.moment`; its settings belong to the config."""
    moments = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, values in moments.items() for name, value in values.items()}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts moments back that `optimizer_tensors` named; learning rates stay as they are."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def generators(seed: int, step: int) -> tuple[random.Random, torch.Generator]:
    """The random numbers of one step: the same whether the run came here in one go or was resumed."""
    rng = random.Random(f"{seed} {step}")
    return rng, torch.Generator().manual_seed(rng.getrandbits(62))


class Stop:
    """Whether somebody asked the run to end."""

    def __init__(self):
        self.asked = False

    def ask(self, *_: object) -> None:
        """Called by the signal: the loop looks at `asked` between two steps."""
        self.asked = True


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Inside the block SIGTERM and SIGINT only set `asked`, so that the loop can save and leave."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
