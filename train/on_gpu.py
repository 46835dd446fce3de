"""Trains in short runs on a borrowed machine: train/on_gpu.py configs/gpu/codec-v2.yaml --minutes 9 --out results

Composes and plays a corpus with a process for each core, then trains with the scripts beside this one, one training
after the other, and copies their weights, logs and figures to `--out`. Before the minutes are over it stops what runs,
which saves; the same command goes on from there, and what comes out is what one long run would have made. The corpus is
whole before a training begins, since each crop is drawn from all songs. Nothing is fetched from the network.

Exit code: 0 when all is finished, 3 when the same command should go on, 2 for what is wrong, in one line.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridgen import config
from hybridgen.config import Weight, Whole
from hybridgen.files import read_json, write_json
from hybridgen.stages import STAGES
from hybridgen.training.checkpoints import Stop, stop_on_signal
from hybridgen.training.log import validations

ROOT = Path(__file__).parents[1]
KEPT, LAST = 1 / 12, 1 / 60  # of the minutes: for a last step and its checkpoint, and of that for copying
UNFINISHED = 3  # exit code


@dataclass(frozen=True)
class CorpusPart:
    """What `python -m hybridgen.data.corpus` is to write."""

    folder: str
    hours: Weight
    seconds: tuple[float, float]  # of a song
    subsets: Whole  # of a song's roles
    sounds: tuple[str, ...]  # none: one soundfont, plainly


@dataclass(frozen=True)
class Training:
    """A run of train/STAGE.py."""

    stage: str
    out: str  # folder of the run
    settings: tuple[str, ...]  # laid over configs/train/STAGE.yaml: files and single values, as on the command line

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage {self.stage!r} is none of {', '.join(STAGES)}")


@dataclass(frozen=True)
class GpuConfig:
    """Everything that is done, in this order."""

    corpus: CorpusPart
    trainings: tuple[Training, ...]

    def __post_init__(self) -> None:
        names = [Path(one.out).name for one in self.trainings]
        if len(set(names)) < len(names):
            raise ValueError(f"trainings: the last parts of {[one.out for one in self.trainings]} must differ")


@dataclass(frozen=True)
class Step:
    """A command that resumes when it is given again, and the folder in which it works."""

    name: str
    folder: Path
    command: tuple[str, ...]
    speed: tuple[str, ...] = ()  # arguments that change nothing but the speed

    @property
    def said(self) -> Path:
        """What it printed."""
        return self.folder / "on_gpu.txt"

    @property
    def is_finished(self) -> bool:
        """Whether this very command has run to its end."""
        return self._mark.is_file() and read_json(self._mark)["command"] == list(self.command)

    def finish(self) -> None:
        """Remembers it."""
        write_json(self._mark, {"command": list(self.command)})

    @property
    def _mark(self) -> Path:
        return self.folder / "finished.json"


@dataclass(frozen=True)
class Clock:
    """When to stop."""

    begin: float  # of time.monotonic()
    seconds: float

    def is_over(self, kept: float) -> bool:
        """Whether no more than this share of the time is left."""
        return time.monotonic() - self.begin > (1 - kept) * self.seconds


def steps(plan: GpuConfig, overrides: list[str]) -> Iterator[Step]:
    """The corpus, then every training."""
    part = plan.corpus
    command = [sys.executable, "-m", "hybridgen.data.corpus", "--out", part.folder, "--hours", f"{part.hours:g}"]
    command += ["--subsets", str(part.subsets), "--seconds", *(f"{value:g}" for value in part.seconds)]
    command += ["--sounds", *part.sounds] if part.sounds else []
    yield Step("corpus", Path(part.folder), tuple(command), ("--workers", str(os.cpu_count() or 1)))
    for one in plan.trainings:
        script = [sys.executable, str(ROOT / f"train/{one.stage}.py"), str(ROOT / f"configs/train/{one.stage}.yaml")]
        yield Step(Path(one.out).name, Path(one.out), (*script, *one.settings, *overrides, f"run.out={one.out}"))


def run(step: Step, clock: Clock, stop: Stop) -> bool:
    """Runs a step until it ends, or until it must be stopped; whether it ended. ValueError, with its last line, where
    it failed."""
    step.folder.mkdir(parents=True, exist_ok=True)
    with step.said.open("ab") as said:
        process = subprocess.Popen(
            [*step.command, *step.speed], stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        while process.poll() is None and not (stop.requested or clock.is_over(KEPT)):
            time.sleep(0.1)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # it finishes its step and saves
            while process.poll() is None and not clock.is_over(LAST):
                time.sleep(0.1)
            return False
    finally:
        kill(process)
    if process.returncode:
        raise ValueError(f"{step.name}: {last_line(step.said)}")
    step.finish()
    return True


def kill(process: subprocess.Popen) -> None:
    """Ends a process, if it still runs, and all that it started; checkpoints and songs are whole or not there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_line(path: Path) -> str:
    """Of a file; bars of progress count as one."""
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "ended without a word")


def collect(plan: GpuConfig, overrides: list[str], out: Path) -> dict[str, Any]:
    """Copies weights and logs to `out`, a folder for each training; what has become of each, also in figures.json."""
    out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {}
    stages = [None, *(one.stage for one in plan.trainings)]
    for step, stage in zip(steps(plan, overrides), stages, strict=True):
        facts[step.name] = {"finished": step.is_finished}
        log = step.folder / "log.jsonl"
        if stage is None or not log.is_file():
            continue
        (out / step.name).mkdir(exist_ok=True)
        for path in (log, step.folder / f"{stage}.safetensors"):
            if path.is_file():
                shutil.copy(path, out / step.name)
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        trained = [entry for entry in entries if "loss" in entry]
        facts[step.name] |= {"last": trained[-1] if trained else None, "validations": validations(log)}
    write_json(out / "figures.json", facts)
    return facts


def main(argv: list[str] | None = None) -> int:
    """Reads the command line, does what is left to do and time for; the exit code."""
    clock_begin = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The same command resumes: docs/training.md"
    )
    parser.add_argument("plan", type=Path, metavar="YAML", help="corpus and trainings, as configs/gpu/codec-v2.yaml")
    parser.add_argument("--minutes", type=float, required=True, help="after which it has ended, with all saved")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, logs and figures.json")
    parser.add_argument(
        "overrides", nargs="*", help="corpus.hours=1 and the like, and for all trainings engine.device=cpu and the like"
    )
    args = parser.parse_intermixed_args(argv)
    own = [one for one in args.overrides if one.startswith("corpus.")]
    overrides = [one for one in args.overrides if not one.startswith("corpus.")]
    try:
        if not args.minutes > 0:
            raise ValueError(f"minutes {args.minutes:g}: must be more than 0")
        plan, clock = config.load(GpuConfig, args.plan, own), Clock(clock_begin, 60 * args.minutes)
        try:
            with stop_on_signal() as stop:
                is_finished = all(step.is_finished or run(step, clock, stop) for step in steps(plan, overrides))
        finally:
            facts = collect(plan, overrides, args.out)
    except (ValueError, OSError) as error:
        print(f"on_gpu.py: {error}", file=sys.stderr)
        return 2
    for name, fact in facts.items():
        step = f", step {fact['last']['step']}" if fact.get("last") else ""
        print(f"{name}{step}: {'finished' if fact['finished'] else 'not finished'}")
    print(f"{args.out}: weights, logs, figures.json" + ("" if is_finished else "; the same command goes on"))
    return 0 if is_finished else UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
