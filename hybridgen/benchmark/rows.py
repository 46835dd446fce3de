"""Which calls stand beside one another, and what is measured of them."""

import contextlib
import functools
import importlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from hybridgen.benchmark import measure, ours, peers
from hybridgen.benchmark.measure import Act, Limits, Memory, Spread
from hybridgen.benchmark.task import Task, Work

Make = Callable[[Task], Work]
MUSICGEN = ("transformers.models.musicgen.modeling_musicgen",)
QWEN = ("transformers.models.qwen3.modeling_qwen3",)
STABLE_AUDIO = ("diffusers.models.transformers.stable_audio_transformer",)
OOBLECK = ("diffusers.models.autoencoders.autoencoder_oobleck",)
DAC = ("transformers.models.dac.modeling_dac",)
STEPS, SOUND = ("steps/s", "bandwidth"), ("x real time", "matrix")  # what is measured, and what limits it
FAILURES = (RuntimeError, ValueError, ImportError)  # out of memory, and what a compiler cannot do, are RuntimeErrors


@dataclass(frozen=True)
class Contest:
    """A call of ours and a peer's that does as much, and what they are measured in."""

    what: str
    peer: str
    ours: Make
    theirs: Make
    modules: tuple[str, ...]  # of the peer's package
    unit: str
    limit: str = ""  # "bandwidth" or "matrix": what keeps it from being faster; "": not one alone

    @property
    def missing(self) -> str | None:
        """The first of the peer's packages that is not installed."""
        names = (module.split(".")[0] for module in self.modules)
        return next((name for name in names if importlib.util.find_spec(name) is None), None)


@dataclass(frozen=True)
class Side:
    """What was measured of a call."""

    rate: Spread  # in the contest's unit
    parameters: int
    share: float | None = None  # of the machine's limit
    memory: Memory | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table; without sides it was not measured, and `note` says why."""

    what: str
    peer: str
    unit: str
    limit: str
    is_busy: bool = False
    ours: Side | None = None
    theirs: Side | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over theirs, above 1 where we are faster; None where it was not measured."""
        if self.ours is None or self.theirs is None:
            return None
        return self.ours.rate.median / self.theirs.rate.median


def contests(task: Task, with_compiled: bool) -> list[Contest]:
    """All that a task is measured in; with_compiled: beside compiled peers too, where there is a compiler."""
    all_of_it = (*MUSICGEN, *STABLE_AUDIO, *OOBLECK)
    found = [
        Contest("planner, code frames", "MusicGen", ours.code_frames, peers.musicgen, MUSICGEN, *STEPS),
        Contest(
            "planner, code frames", "MusicGen, static cache", ours.code_frames, peers.musicgen_static, MUSICGEN, *STEPS
        ),
        Contest("planner, notes", "MusicGen", ours.note_steps, peers.musicgen_notes, MUSICGEN, *STEPS),
        Contest("planner, layers with the same weights", "Qwen3", ours.layers, peers.qwen, QWEN, *STEPS),
        Contest("render", "Stable Audio", ours.rendering, peers.stable_audio, STABLE_AUDIO, *SOUND),
        Contest("render", "Stable Audio, compiled", ours.rendering, peers.stable_audio_compiled, STABLE_AUDIO, *SOUND),
        Contest("decode", "Oobleck", ours.decoding, peers.oobleck, OOBLECK, *SOUND),
        Contest("decode", "DAC", ours.decoding, peers.dac, DAC, *SOUND),
        Contest("whole track", "MusicGen + Stable Audio + Oobleck", ours.track, peers.track, all_of_it, "x real time"),
    ]
    has_compiler = with_compiled and any(map(shutil.which, ("g++", "clang++", "c++")))
    left_out = {peers.stable_audio_compiled} if not has_compiler else set()
    left_out |= {peers.musicgen_notes} if not task.n_note_steps else set()
    return [one for one in found if one.theirs not in left_out]


def memory_of(make: Make, modules: tuple[str, ...], task: Task) -> Memory:
    """What a call needs, in a process of its own."""
    load = functools.partial(_import, modules)
    return measure.memory(load, functools.partial(_run_of, make, task), task.device)


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


def _run_of(make: Make, task: Task) -> Act:
    return make(task).run


Time = Callable[[Act, Act], tuple[Spread, Spread]]  # seconds of a call of ours and of the peer's, by turns


@dataclass(frozen=True)
class Bench:
    """How contests are measured on this machine."""

    task: Task
    limits: Limits
    time: Time
    conditions: tuple[bool, ...]  # of each contest; True: beside a busy core
    memory: Callable[[Make, tuple[str, ...], Task], Memory] = memory_of
    threads: int | None = None  # on a CPU, of our stages; None: as many as the peers have, PyTorch's number
    needed: dict[Make, Memory] = field(default_factory=dict)  # the memory of calls, each measured once

    def measured(self, planned: Sequence[Contest]) -> Iterator[list[Row]]:
        """All rows so far, after each contest: one a condition; a contest that cannot be measured says why, once."""
        found = list[Row]()
        with tqdm(total=len(planned), desc="measuring", unit="row", disable=None) as bar:
            for contest in planned:
                bar.set_postfix_str(f"{contest.what} / {contest.peer}")
                found += self._rows(contest)
                bar.update()
                yield list(found)

    def _rows(self, contest: Contest) -> list[Row]:
        plain = Row(contest.what, contest.peer, contest.unit, contest.limit)
        if contest.missing is not None:
            return [replace(plain, note=f"{contest.missing} is not installed: pip install 'hybridgen[bench]'")]
        try:
            memories = self._memory(contest.ours, ()), self._memory(contest.theirs, contest.modules)
            works = contest.ours(self.task), contest.theirs(self.task)
            return [self._timed(contest, plain, works, memories, is_busy) for is_busy in self.conditions]
        except FAILURES as error:
            return [replace(plain, note=measure.one_line(error))]

    def _timed(
        self, contest: Contest, plain: Row, works: tuple[Work, Work], memories: tuple[Memory, Memory], is_busy: bool
    ) -> Row:
        with measure.busy_core() if is_busy else contextlib.nullcontext():
            times = self.time(measure.on_threads(works[0].run, self.threads), works[1].run)
        ours_, theirs = (
            Side(seconds.rate(work.amount), work.parameters, self._share(contest, work, seconds.median), memory)
            for work, seconds, memory in zip(works, times, memories, strict=True)
        )
        return replace(plain, is_busy=is_busy, ours=ours_, theirs=theirs)

    def _share(self, contest: Contest, work: Work, seconds: float) -> float | None:
        """How much of what the machine can do a call makes use of."""
        if contest.limit == "bandwidth":
            return work.n_bytes / seconds / self.limits.bandwidth
        if contest.limit == "matrix":
            return measure.operations(work.counted or work.run) / seconds / self.limits.matrix
        return None

    def _memory(self, make: Make, modules: tuple[str, ...]) -> Memory:
        if make not in self.needed:
            self.needed[make] = self.memory(make, modules, self.task)
        return self.needed[make]
