"""A training run in its folder: where it goes on, what it logs and keeps, when it leaves. The loops are in train/.

Checkpoints are one for all ranks: rank 0 writes and reads them, the engines gather and spread. The random numbers of a
step are functions of (seed, step, row), so a run that was stopped goes on as if it had not been.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybridgen.training import checkpoints, cost
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.engine import Engine
from hybridgen.training.log import Log, Meter
from hybridgen.weights import save_weights

FIXED = ("train.seed", "train.model", "shapes")  # what a run may not change when it goes on
Made = TypeVar("Made")


class RunConfig(Protocol):
    """The fields of a script's config that a run needs."""

    out: str  # folder of the run
    steps: int
    log_every: int  # steps
    valid_every: int
    save_every: int
    keep_best: str | None  # the validation figure whose lowest value the exported weights had; None: the last weights
    wandb: str | None  # project on W&B


class Run:
    """A context manager round a loop; `engines` and `tensors` are what it changes, all of it saved and restored.

    The weights that are to leave the run are `STAGE.safetensors` in its folder, averaged, in half precision.
    """

    def __init__(
        self,
        stage: str,
        train: RunConfig,
        shapes: Any,
        script: str,
        engines: Mapping[str, Engine],
        tensors: Mapping[str, Tensor] | None = None,
    ):
        """engines: by name; the first is the stage's own. tensors: filled in place when the run goes on."""
        self.stage, self.train, self.out = stage, train, Path(train.out)
        self.engines, self.tensors = dict(engines), dict(tensors or {})
        self.engine = next(iter(self.engines.values()))
        self.is_first = self.engine.rank == 0
        self.identity = checkpoints.identity(script, train=train, shapes=shapes)
        self.best: dict[str, Any] = {}
        self.step = self._resume()
        self.log, self.meter = Log(self.out if self.is_first else None, train.wandb), Meter()
        self._stack = ExitStack()

    @property
    def steps(self) -> range:
        """The steps that are left."""
        return range(self.step + 1, self.train.steps + 1)

    @property
    def is_over(self) -> bool:
        """Whether the last step was made, and no signal came before."""
        return self.step == self.train.steps

    def each(self, batches: Iterable[Made]) -> Iterator[tuple[int, Made]]:
        """Each step that is left with its batches; saves when it is time or a signal came, and ends with the latter."""
        left = len(self.steps)
        bar = tqdm(zip(self.steps, batches, strict=False), self.stage, left, mininterval=5, disable=not self.is_first)
        for step, made in bar:
            yield step, made
            self.step = step
            leave = self.engine.any(self.stop.asked)
            if step % self.train.save_every == 0 or self.is_over or leave:
                self.save()
            if leave:
                return

    def note(self, step: int, shares: Mapping[str, Tensor], values: Mapping[str, float], work: Mapping[str, float]):
        """Logs, every so many steps: parts of the loss given in shares, other values, and how much went through.

        work: amounts of the whole step, of all ranks; "flops" becomes the utilisation of the GPUs.
        """
        self.meter.add(work)
        if step % self.train.log_every:
            return
        total = self.engine.sum(torch.stack([share.detach().float() for share in shares.values()])).tolist()
        rates = self.meter.read()
        flops = rates.pop("flops_per_s", None)
        if flops is not None and self.engine.device.type == "cuda":
            name, n_devices = torch.cuda.get_device_name(self.engine.device), self.engine.world_size
            if (used := cost.utilisation(flops, 1.0, name, n_devices)) is not None:
                rates["utilisation"] = used
        self.log.write(step, dict(zip(shares, total, strict=True)) | dict(values) | rates)

    def is_due(self, step: int) -> bool:
        """Whether a step is to be followed by a validation."""
        return step % self.train.valid_every == 0 or step == self.train.steps

    def validate(self, step: int, judge: Callable[[nn.Module], dict[str, float]]) -> None:
        """Judges the averaged weights on rank 0, logs the figures, and exports the weights if none were better.

        `judge` may also log what the model plays. The others wait: a whole plain model on one rank can do what a
        sharded one cannot (write a plan, decode), and its figures depend on no number of ranks.
        """
        with self.engine.averaged() as model:
            if model is None:
                return
            figures = judge(model)
            self.log.write(step, figures)
            if self._is_best(figures):
                save_weights(model, self.weights)

    @property
    def weights(self) -> Path:
        """The file that the run is for."""
        return self.out / f"{self.stage}.safetensors"

    def save(self) -> None:
        """Writes a checkpoint of the steps so far. Collective."""
        tensors = {f"{name}.{part}": x for name, e in self.engines.items() for part, x in e.tensors().items()}
        state = {name: engine.state() for name, engine in self.engines.items()}
        if self.is_first:
            tensors["run"] = {name: value.cpu() for name, value in self.tensors.items()}
            checkpoint = Checkpoint(self.step, tensors, state | {"best": self.best, "identity": self.identity})
            checkpoints.save(self.out, checkpoint)

    def _resume(self) -> int:
        """Puts the newest checkpoint back, if there is one; the step that it was made at, or 0. Collective."""
        checkpoint = self._newest() if self.is_first else None
        found = None if checkpoint is None else {"step": checkpoint.step, "state": checkpoint.state}
        found = self.engine.tell(found)
        if found is None:
            return 0
        tensors = {} if checkpoint is None else checkpoint.tensors
        for name, engine in self.engines.items():
            parts = {part.removeprefix(f"{name}."): x for part, x in tensors.items() if part.startswith(f"{name}.")}
            engine.load(parts, found["state"][name])
        for name, value in self.tensors.items():
            value.copy_(self.engine.spread(tensors["run"][name] if self.is_first else value))
        self.best = found["state"]["best"]
        return found["step"]

    def _newest(self) -> Checkpoint | None:
        place = checkpoints.newest(self.out)
        if place is None:
            return None
        checkpoint = checkpoints.load(place)
        checkpoints.compare(checkpoint.state["identity"], self.identity, FIXED)
        return checkpoint

    def _is_best(self, figures: Mapping[str, float]) -> bool:
        """Whether no validation of this kind was better; one with other figures is of another kind."""
        wanted = self.train.keep_best
        if wanted is None:
            return True
        if wanted not in figures:
            raise ValueError(f"keep_best {wanted} is none of the figures {sorted(figures)}")
        kind = sorted(figures)
        if self.best.get("of") == kind and self.best["value"] < figures[wanted]:
            return False
        self.best = {"of": kind, "value": figures[wanted]}
        return True

    def __enter__(self) -> "Run":
        self.stop = self._stack.enter_context(checkpoints.stop_on_signal())
        self._stack.enter_context(self.log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._stack.close()
