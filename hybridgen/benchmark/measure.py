"""How anything is measured: what the machine can do, two calls by turns, a busy core, the memory of a process."""

import contextlib
import multiprocessing
import queue
import re
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Act = Callable[[], object]

STATUS = Path("/proc/self/status")  # of Linux; its peak begins anew in a new program, that of getrusage does not
MIN_ROUNDS, MAX_ROUNDS = 3, 15
MAX_SECONDS_OF_CHILD = 300
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))"  # never an orphan


@dataclass(frozen=True)
class Probe:
    """How much is copied and multiplied to find the limits of a device, and how often."""

    copied: int  # numbers
    matrix: int  # rows and columns
    repeats: int


PROBES = {"cpu": Probe(2**26, 2048, 7), "cuda": Probe(2**28, 8192, 20)}


@dataclass(frozen=True)
class Limits:
    """What a machine was measured to do at best, with random numbers: zeros would run faster."""

    bandwidth: float  # bytes a second that a copy reads and writes
    matrix: float  # operations a second of a matrix product, float32 on a CPU and bfloat16 on a GPU


def limits(device: torch.device, probe: Probe) -> Limits:
    """The two limits, each the best of some repeats."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    x = torch.randn(probe.copied, device=device).to(dtype)
    y = torch.empty_like(x)
    a, b = (torch.randn(probe.matrix, probe.matrix, device=device).to(dtype) for _ in range(2))
    copied = _best(lambda: y.copy_(x), device, probe.repeats)
    return Limits(2 * x.nbytes / copied, 2 * probe.matrix**3 / _best(lambda: a @ b, device, probe.repeats))


def _best(act: Act, device: torch.device, repeats: int) -> float:
    act()
    return min(seconds_of(act, device) for _ in range(repeats))


# ---- time


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the least and the most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of some values."""
        return cls(statistics.median(values), min(values), max(values))

    def rate(self, amount: float) -> "Spread":
        """Of `amount` a call, how much a second: the fastest call makes the most."""
        return Spread(amount / self.median, amount / self.high, amount / self.low)


def seconds_of(act: Act, device: torch.device) -> float:
    """How long a call takes, a GPU's work included."""
    _wait(device)
    begin = time.perf_counter()
    act()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternate(ours: Act, peer: Act, budget: float, clock: Callable[[Act], float]) -> tuple[Spread, Spread]:
    """Seconds of both, called by turns until `budget` seconds are over, three to fifteen times each.

    What slows the machine for a while slows both. A first call of each does not count: it sets up what later ones find.
    """
    clock(ours), clock(peer)
    taken: tuple[list[float], list[float]] = ([], [])
    while len(taken[0]) < MIN_ROUNDS or (sum(map(sum, taken)) < budget and len(taken[0]) < MAX_ROUNDS):
        for act, seconds in zip((ours, peer), taken, strict=True):
            seconds.append(clock(act))
    return Spread.of(taken[0]), Spread.of(taken[1])


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """One core has other work inside the block: a process that counts, and ends with the block or with us."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def on_threads(act: Act, n_threads: int | None) -> Act:
    """The call on this number of PyTorch's threads; None: on those that there are."""

    def run() -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(before if n_threads is None else n_threads)
        try:
            return act()
        finally:
            torch.set_num_threads(before)

    return run


# ---- work and memory


def operations(act: Act) -> float:
    """Floating-point operations of a call's matrix products, convolutions and attention."""
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:  # the counter does not know the CPU's fused attention
        act()
    return float(counter.get_total_flops())


@dataclass(frozen=True)
class Memory:
    """Bytes at most of a process that makes a model and calls it once; on a GPU, of the GPU."""

    peak: int  # resident, the interpreter and its packages included
    work: int  # beyond what was there before the model was made


def resident() -> tuple[int, int]:
    """Bytes of this process that are in memory now, and that were at most."""
    if STATUS.exists():
        found = re.findall(r"(?m)^(VmRSS|VmHWM):\s+(\d+) kB", STATUS.read_text())
        sizes = {name: 1024 * int(number) for name, number in found}
        return sizes["VmRSS"], sizes["VmHWM"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak


def memory(load: Act, make: Callable[[], Act], device: torch.device) -> Memory:
    """What `make` and one call of its result need in a process of its own, after `load`, which imports what they use.

    ValueError, in one line, where that fails or takes too long.
    """
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[Memory | str] = context.Queue()
    process = context.Process(target=_measure, args=(load, make, device, answers), daemon=True)
    process.start()
    deadline, found = time.monotonic() + MAX_SECONDS_OF_CHILD, None
    try:
        while found is None and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                found = answers.get(timeout=0.5)
            if found is None and not process.is_alive():
                break
    finally:
        process.kill()
        process.join()
    if not isinstance(found, Memory):
        late = f"not ready after {MAX_SECONDS_OF_CHILD} s"
        raise ValueError(found or (late if time.monotonic() >= deadline else "its process ended early"))
    return found


def _measure(
    load: Act, make: Callable[[], Act], device: torch.device, answers: "multiprocessing.Queue[Memory | str]"
) -> None:
    warnings.simplefilter("ignore")  # they are said where the same is timed
    try:
        load()
        before, _ = resident()
        make()()
    except (ValueError, RuntimeError, ImportError) as error:
        answers.put(one_line(error))
        return
    peak = resident()[1]
    if device.type == "cuda":
        peak, before = torch.cuda.max_memory_allocated(device), 0
    answers.put(Memory(peak, max(peak - before, 0)))


def one_line(error: Exception) -> str:
    """What an error says, short."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
