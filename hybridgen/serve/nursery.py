"""Worker processes that share the weights in memory, started from a process that has loaded them.

A nursery is a process without threads: it loads the model once and forks a worker whenever one is asked for, in
milliseconds. The pages of the weights and of the modules stay those of the nursery until somebody writes to them, and
nobody writes to weights. On a GPU, whose state does not survive a fork, and where a system cannot fork safely, every
worker is a new process that loads the model itself.

What goes between the processes is JSON: nothing that arrives from a worker is unpickled.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridgen import shortage

if TYPE_CHECKING:
    from hybridgen.pipeline import Pipeline

NICE = 5  # of workers: the server answers while they compute
STARTING = 600.0  # seconds in which a model must have been loaded


@dataclass(frozen=True)
class Model:
    """What workers load: the arguments of `Pipeline.from_pretrained`, and adapters as on the command line."""

    name: str | None = None
    device: str = "cpu"
    accept_license: str | None = None
    adapters: tuple[str, ...] = ()
    threads: int | None = None  # of the CPU, for all workers together; None: `beside.default_threads`
    memory: str | None = None  # of each worker, such as "4GB"; None: no limit

    def open(self) -> "Pipeline":
        """The pipeline, its weights not read yet; ValueError or OSError where it is no model."""
        from hybridgen.adapters import Adapter
        from hybridgen.pipeline import Pipeline

        pipe = Pipeline.from_pretrained(self.name, self.device, accept_license=self.accept_license, memory=self.memory)
        return pipe.with_adapters([Adapter.parse(text) for text in self.adapters]) if self.adapters else pipe

    @property
    def title(self) -> str:
        """What others are told of its name: of a folder on this machine the last part alone."""
        name = self.name or "tiny"
        return Path(name).name if Path(name).is_dir() else name

    @property
    def is_shared(self) -> bool:
        """Whether workers are forked from the process that has loaded it."""
        return sys.platform == "linux" and self.device == "cpu"


class Gone(Exception):
    """A process has ended that should not have."""


class Channel:
    """JSON over a connection; any thread may send, one receives."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sending = connection, threading.Lock()
        self.is_open = True

    def send(self, message: Mapping[str, Any]) -> None:
        """Gone where nobody is at the other end."""
        try:
            with self._sending:
                self._connection.send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self, seconds: float | None = None) -> Any:
        """The next message; None where none arrives in time. Gone where there will be none."""
        try:
            return json.loads(self._connection.recv_bytes()) if self._connection.poll(seconds) else None
        except (OSError, EOFError):
            raise Gone("the other end has closed") from None

    def close(self) -> None:
        """The other end receives Gone."""
        self.is_open = False
        self._connection.close()


class Worker(Channel):
    """The server's end of a worker process."""

    def __init__(self, connection: Connection, pid: int) -> None:
        super().__init__(connection)
        self.pid = pid

    def is_there(self) -> bool:
        """Whether it still waits for work; what it has left to say is dropped."""
        try:
            while self.is_open and self.receive(0) is not None:
                pass
        except Gone:
            self.close()
        return self.is_open

    def kill(self) -> None:
        """Ends it at once, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.close()


@dataclass(frozen=True)
class Work:
    """What processes do, in functions of modules."""

    warm: Callable[["Pipeline"], None]  # once, before any process is forked
    serve: Callable[["Pipeline", Channel], None]  # a worker, until its channel closes
    read: Callable[[Channel], None]  # a reader, which needs no model


class Nursery:
    """The server's end of the process that starts workers, of which so many share the processor's cores."""

    def __init__(self, model: Model, work: Work, n_workers: int) -> None:
        self._model, self._work, self._n_workers = model, work, n_workers
        self._lock = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._control: Connection | None = None

    def start(self) -> None:
        """Loads the model; ValueError, as `Model.open` says it, where that is not possible."""
        if sys.platform == "win32":
            raise ValueError("worker processes need Linux or macOS: connections cannot be handed on here")
        with self._lock:
            self._start()

    def hatch(self, role: str = "serve") -> Worker:
        """A new process that does what `Work` says of its role, from a new nursery where the old one has ended."""
        with self._lock:
            for _ in range(2):
                if self._process is None or not self._process.is_alive():
                    self._start()
                ours, theirs = multiprocessing.Pipe()
                with theirs:
                    try:
                        assert self._control is not None and self._process is not None
                        self._control.send_bytes(role.encode())
                        reduction.send_handle(self._control, theirs.fileno(), self._process.pid)
                        if self._control.poll(STARTING):
                            return Worker(ours, json.loads(self._control.recv_bytes())["pid"])
                    except (OSError, EOFError):
                        pass
                ours.close()
                self._end()
            raise Gone("no process can be started")

    def _start(self) -> None:
        self._end()
        # spawn: a forked process would inherit the locks of this one's threads
        context = multiprocessing.get_context("spawn")
        self._control, theirs = context.Pipe()
        arguments = (self._model, self._work, self._n_workers, theirs)
        self._process = context.Process(target=nurse, args=arguments, name="hybridgen nursery")
        self._process.start()
        theirs.close()
        try:
            if not self._control.poll(STARTING):
                raise ValueError(f"model {self._model.title!r} was not loaded in {STARTING:g} s")
            problem = json.loads(self._control.recv_bytes())["problem"]
        except EOFError:
            self._end()
            raise ValueError(f"model {self._model.title!r}: the process that loads it has ended") from None
        if problem is not None:
            self._end()
            raise ValueError(problem)

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.join(5)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._control = None

    def close(self) -> None:
        """Ends the nursery; workers end when their own channels are closed."""
        with self._lock:
            self._end()


def nurse(model: Model, work: Work, n_workers: int, control: Connection) -> None:
    """The nursery's process: loads the model, then starts workers until the server's end is closed."""
    import torch

    from hybridgen.render import beside

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends its processes
    n_cores = torch.get_num_threads()
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    pipe, problem, threads = None, None, model.threads or n_cores
    try:
        pipe = model.open()
        threads = model.threads or beside.default_threads(pipe.config.renderer.dim, n_cores)
        if pipe.budget is not None:
            print(f"hybridgen: {pipe.budget}", file=sys.stderr, flush=True)
        if model.is_shared:
            work.warm(pipe.load())
        else:
            pipe = None
    except (ValueError, OSError) as error:
        problem = " ".join(str(error).split())
    except (MemoryError, RuntimeError) as error:
        if (wanted := shortage.wanted(error)) is None:
            raise
        problem = f"not enough memory: {wanted}; try --memory 2GB, or as much as is free"
    control.send_bytes(json.dumps({"problem": problem}).encode())
    process = (multiprocessing.get_context("spawn") if pipe is None else multiprocessing.get_context("fork")).Process
    with contextlib.suppress(EOFError, OSError):
        while problem is None and (role := control.recv_bytes().decode()):
            with Connection(reduction.recv_handle(control)) as connection:
                inherited = None if pipe is None else control
                own = max(1, threads // n_workers)
                child = process(target=_live, args=(model, pipe, work, own, role, connection, inherited))
                child.start()
            control.send_bytes(json.dumps({"pid": child.pid}).encode())
            multiprocessing.active_children()  # joins those that have ended


def _live(
    model: Model,
    pipe: "Pipeline | None",
    work: Work,
    threads: int,
    role: str,
    connection: Connection,
    control: Connection | None,
) -> None:
    """A worker's or a reader's process."""
    import torch

    if control is not None:
        control.close()  # or the server would not notice that the nursery has ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    channel = Channel(connection)
    with contextlib.suppress(Gone):
        if role == "read":
            work.read(channel)
            return
        pipe = model.open().load() if pipe is None else pipe
        torch.set_num_threads(threads)
        work.serve(pipe, channel)
