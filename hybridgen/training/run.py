"""A training run in its folder: resuming, logging, validation, checkpoints, stopping. The loops are in train/.

Checkpoints are shared by all ranks: rank 0 writes and reads them, the engines gather and broadcast. The random numbers
of a step are functions of (seed, step, row), so a resumed run continues as if it had never stopped.
"""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import filelock
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybridgen.config import Steps, Workers
from hybridgen.training import checkpoints, dataset, distributed, flops
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.engine import Engine, EngineConfig
from hybridgen.training.guards import Guard, Verdict
from hybridgen.training.log import Log, Meter
from hybridgen.weights import load_weights, save_weights

FIXED = ("train.run.seed", "train.run.model", "shapes")  # what may not change when a run is resumed
Batch = TypeVar("Batch")
Shapes = TypeVar("Shapes")
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class RunConfig:
    """What every training run has, whatever it trains: the section `run` of configs/train/*.yaml."""

    model: str  # preset or YAML file that holds the shapes; for adapters a shipped model or a model folder
    out: str  # folder of the run
    seed: int
    workers: Workers  # processes that prepare batches ahead; 0: the training process prepares them
    log_every: Steps  # steps
    save_every: Steps
    valid_every: Steps | None | None = None  # None: after the last step only
    start: str | None = None  # weights to begin with
    best_metric: str | None = None  # validation figure whose lowest value selects the weights; None: the last ones
    wandb: str | None = None  # project on W&B

    def __post_init__(self) -> None:
        if not self.out.strip():
            raise ValueError("out is empty: name the folder of the run")


class TrainConfig(Protocol):
    """What the configs of all stages have in common."""

    @property
    def run(self) -> RunConfig:
        """Folder, seed, and how often what happens."""

    @property
    def engine(self) -> EngineConfig:
        """Device and parallelism."""


def new_model(model: Callable[[Shapes], Model], shapes: Shapes, train: TrainConfig) -> Model:
    """A model with the run's random weights, or with those of `run.start`; also sets the number of CPU threads.

    A model says in `OPTIONAL_TENSORS` which of its tensors older weights lack; these start as they are made.
    """
    torch.set_num_threads(train.engine.threads)
    torch.manual_seed(train.run.seed)
    made = model(shapes)
    if train.run.start is not None:
        missing = load_weights(made, train.run.start, getattr(made, "OPTIONAL_TENSORS", ()))
        if missing and distributed.rank_info().rank == 0:
            print(f"{train.run.start}: older weights, without {len(missing)} tensors that start anew", file=sys.stderr)
    return made


def run_script(main: Callable[..., None], usage: str | None) -> None:
    """Runs `main` with the command line's arguments; bad input is one line on stderr and exit code 2.

    Without arguments, or with --help among them, prints `usage`, the script's docstring.
    """
    name, *arguments = sys.argv
    if not arguments or {"-h", "--help"} & set(arguments):
        print(usage)
        sys.exit(0 if arguments else 2)
    try:
        main(*arguments)
    except (ValueError, OSError) as error:
        print(f"{Path(name).name}: {error}", file=sys.stderr)
        sys.exit(2)
    distributed.shutdown()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """While it is open, no other process trains in this folder; ValueError where one does already."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ValueError(f"{folder}: another process is training in this folder") from None


class Run:
    """A context manager around a loop; `engines` and `tensors` are what it changes, all of it saved and restored.

    Its result is `STAGE.safetensors` in its folder: averaged weights in half precision.
    """

    def __init__(
        self,
        stage: str,
        train: TrainConfig,
        n_steps: int,
        shapes: Any,
        script: str,
        engines: Mapping[str, Engine],
        tensors: Mapping[str, Tensor] | None = None,
    ):
        """engines: by name; the first is the stage's own. tensors: filled in place when the run resumes."""
        self.stage, self.config, self.n_steps, self.out = stage, train.run, n_steps, Path(train.run.out)
        self.engines, self.tensors = dict(engines), dict(tensors or {})
        self.engine = next(iter(self.engines.values()))
        self.is_first = self.engine.rank == 0
        self._stack = ExitStack()
        if self.is_first:
            self._stack.enter_context(only_one(self.out))
        self.identity = checkpoints.identity(script, train=train, shapes=shapes)
        self.best: dict[str, Any] = {}
        self.guard = Guard(lambda value: self.engine.all_reduce(torch.tensor(value, dtype=torch.float64)).item())
        self._verdict: Verdict = "apply"
        self.step = self._resume()
        self.log, self.meter = Log(self.out if self.is_first else None, self.step, self.config.wandb), Meter()

    @property
    def is_finished(self) -> bool:
        """Whether the last step has been taken (and not a signal stopped the run)."""
        return self.step >= self.n_steps

    def steps(self, batch_fns: Sequence[Callable[[int], Batch]]) -> Generator[tuple[int, list[Batch]], None, None]:
        """Each remaining step, from 1, with a batch from each of `batch_fns`, one for each micro-batch.

        Saves between two steps when it is time or when a signal reached any rank; the latter also stops the run. After
        a spike of the loss the run is rolled back to an earlier checkpoint and continues with the batches after it.
        """
        if self.step == 0:
            self.save()  # so that there is always a checkpoint to roll back to
        stops = False
        while not stops and not self.is_finished:
            steps = range(self.step + 1, self.n_steps + 1)
            numbers = range(self.guard.batch(steps[0]), self.guard.batch(steps[-1]) + 1)
            bar = tqdm(steps, self.stage, self.n_steps, initial=self.step, disable=not self.is_first)
            with closing(dataset.stream(batch_fns, numbers, self.config.workers)) as batches:
                for step, batch in zip(bar, batches, strict=True):
                    yield step, batch
                    if self._verdict == "rollback":
                        self._rollback(step)
                        break
                    self.step = step
                    stops = self.engine.any_rank(self.stop.requested)
                    if step % self.config.save_every == 0 or self.is_finished or stops:
                        self.save()
                    if stops:
                        break

    def accept_step(self, step: int, share: Tensor, phase: int = 0) -> bool:
        """Whether to apply a step's update, the same on every rank, given this rank's share () of the loss.

        phase: losses of different phases of the training are not compared.
        """
        self._verdict = self.guard.check(step, share.item(), phase)
        return self._verdict == "apply"

    def log_step(
        self, step: int, shares: Mapping[str, Tensor], values: Mapping[str, float], work: Mapping[str, float]
    ) -> None:
        """Logs, every `run.log_every` steps, parts of the loss given in shares, other values, and throughput.

        values: among them `norm`, of the gradient. work: amounts of the whole step, of all ranks; "flops" becomes the
        utilization of the GPUs.
        """
        self.guard.record_norm(step, values["norm"])
        self.meter.add(work)
        if step % self.config.log_every:
            return
        total = self.engine.all_reduce(torch.stack([share.detach().float() for share in shares.values()])).tolist()
        rates = self.meter.read()
        operations = rates.pop("flops_per_s", None)
        if operations is not None and self.engine.device.type == "cuda":
            name, n_devices = torch.cuda.get_device_name(self.engine.device), self.engine.world_size
            if (used := flops.utilization(operations, 1.0, name, n_devices)) is not None:
                rates["utilization"] = used
        self.log.write(step, dict(zip(shares, total, strict=True)) | dict(values) | self.guard.counts | rates)

    def should_validate(self, step: int) -> bool:
        """Whether a validation is due after a step."""
        every = self.config.valid_every or self.n_steps
        return self._verdict != "rollback" and (step % every == 0 or step == self.n_steps)

    def validate(self, step: int, evaluate: Callable[[Any], dict[str, float]]) -> None:
        """Evaluates the averaged weights on rank 0, logs the figures, and exports the weights if they are the best.

        `evaluate` may also log sounds and plans. The other ranks wait: a plain model on one rank can do what a sharded
        one cannot (write a plan, decode), and its figures do not depend on the number of ranks.
        """
        with self.engine.averaged() as model:
            if model is None:
                return
            figures = evaluate(model)
            self.log.write(step, figures)
            if self._is_best(figures):
                save_weights(model, self.weights)

    @property
    def weights(self) -> Path:
        """The file of the exported weights."""
        return self.out / f"{self.stage}.safetensors"

    def save(self) -> None:
        """Writes a checkpoint of the steps so far. Collective."""
        tensors = {f"{name}.{part}": x for name, e in self.engines.items() for part, x in e.tensors().items()}
        state: dict[str, Any] = {name: engine.state() for name, engine in self.engines.items()}
        if self.is_first:
            tensors["run"] = {name: value.cpu() for name, value in self.tensors.items()}
            state |= {"best": self.best, "guard": self.guard.state(), "identity": self.identity}
            checkpoints.save(self.out, Checkpoint(self.step, tensors, state))

    def _rollback(self, step: int) -> None:
        guard = self.guard.state()
        self.step = self._resume(until=self.guard.last_good)
        before = self.guard.state()
        self.guard.load(guard)
        self.guard.rollback(step, self.step, before)
        self.log.rollback(self.step)
        self._verdict = "apply"

    def _resume(self, until: int | None = None) -> int:
        """Restores the newest checkpoint up to step `until`; its step, or 0 if there is none. Collective."""
        checkpoint = self._newest(until) if self.is_first else None
        found = None if checkpoint is None else {"step": checkpoint.step, "state": checkpoint.state}
        found = self.engine.broadcast_object(found)
        if found is None:
            return 0
        tensors = {} if checkpoint is None else checkpoint.tensors
        for name, engine in self.engines.items():
            parts = {part.removeprefix(f"{name}."): x for part, x in tensors.items() if part.startswith(f"{name}.")}
            engine.load(parts, found["state"][name])
        for name, value in self.tensors.items():
            value.copy_(self.engine.broadcast(tensors["run"][name] if self.is_first else value))
        self.best = found["state"]["best"]
        self.guard.load(found["state"]["guard"])
        return found["step"]

    def _newest(self, until: int | None) -> Checkpoint | None:
        checkpoints.clean(self.out)
        path = checkpoints.newest(self.out, until)
        if path is None and until is not None:
            every = self.config.save_every
            raise ValueError(
                f"{self.out}: a spike after step {until}, and no checkpoint that old; save_every is {every}"
            )
        if path is None:
            return None
        checkpoint = checkpoints.load(path)
        checkpoints.compare(checkpoint.state["identity"], self.identity, FIXED)
        return checkpoint

    def _is_best(self, figures: Mapping[str, float]) -> bool:
        """Whether no validation with the same figures was better; those with other figures are not comparable."""
        wanted = self.config.best_metric
        if wanted is None:
            return True
        if wanted not in figures:
            raise ValueError(f"best_metric {wanted} is none of the figures {sorted(figures)}")
        names = sorted(figures)
        if self.best.get("of") == names and self.best["value"] < figures[wanted]:
            return False
        self.best = {"of": names, "value": figures[wanted]}
        return True

    def __enter__(self) -> "Run":
        self.stop = self._stack.enter_context(checkpoints.stop_on_signal())
        self._stack.enter_context(self.log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
