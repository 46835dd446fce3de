"""Codec trainings in short runs on a borrowed machine: train/on_gpu.py configs/gpu/codec-v2.yaml --minutes 9 --out OUT

First it says in one line what is missing. Then it composes and plays a corpus with a process for each core, trains with
train/codec.py, each training beginning with the weights of the one before, and copies weights and logs to `--out`.
Before the minutes are over, or at a signal, it stops what runs, which saves; the same command goes on from there. The
corpus is whole before a training begins, since each crop is drawn from all songs. Nothing is fetched.

Exit code: 0 when all is finished, 3 when the same command should go on, 2 for what is wrong.
"""

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

from hybridgen import config
from hybridgen.config import Weight, Whole
from hybridgen.files import read_json, write_json

ROOT = Path(__file__).parents[1]
SCRIPT, SETTINGS = ROOT / "train/codec.py", ROOT / "configs/train/codec.yaml"
PACKAGES = (  # what the corpus and train/codec.py import
    "einops", "filelock", "fluidsynth", "matplotlib", "numba", "numpy", "safetensors", "scipy", "soundfile", "soxr",
    "tokenizers", "torch", "tqdm",
)  # fmt: skip
SAVING, COPYING = 1 / 12, 1 / 60  # of the minutes: left for a last step and its checkpoint; of that, for copying
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
class GpuConfig:
    """Everything that is done, in this order. Settings are laid over configs/train/codec.yaml."""

    corpus: CorpusPart
    runs: str  # folder of the trainings' own folders
    start: str  # weights that the first one begins with
    settings: tuple[str, ...]  # of all trainings
    trainings: dict[str, tuple[str, ...]]  # name -> further settings


@dataclass(frozen=True)
class Step:
    """A command that goes on where it was when it is given again, and the folder in which it works."""

    folder: Path
    command: tuple[str, ...]
    speed: tuple[str, ...] = ()  # arguments that change nothing but the speed

    @property
    def weights(self) -> Path:
        """What a training makes."""
        return self.folder / "codec.safetensors"

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
class Times:
    """Of time.monotonic(): when a step is asked to save and stop, and when it is ended."""

    stop: float
    end: float


def corpus_step(part: CorpusPart) -> Step:
    """Writes the corpus."""
    command = [sys.executable, "-m", "hybridgen.data.corpus", "--out", part.folder, "--hours", f"{part.hours:g}"]
    command += ["--subsets", str(part.subsets), "--seconds", *(f"{value:g}" for value in part.seconds)]
    command += ["--sounds", *part.sounds] if part.sounds else []
    return Step(Path(part.folder), tuple(command), ("--workers", str(os.cpu_count() or 1)))


def training_settings(plan: GpuConfig, overrides: list[str]) -> dict[str, list[str]]:
    """The whole settings of each training."""
    start, found = plan.start, {}
    for name, own in plan.trainings.items():
        out = f"{plan.runs}/{name}"
        places = [f"data={plan.corpus.folder}/songs", f"run.start={start}", f"run.out={out}"]
        found[name] = [*plan.settings, *own, *overrides, *places]
        start = f"{out}/codec.safetensors"
    return found


def check(plan: GpuConfig, trainings: dict[str, list[str]]) -> None:
    """ValueError, in one line, for what is missing or wrong: now, and not after minutes of composing."""
    if missing := [name for name in PACKAGES if not can_import(name)]:
        raise ValueError(f"packages that cannot be imported: {', '.join(missing)} (requirements/, libfluidsynth3)")
    import torch  # the rest too only now: it imports what may be missing

    from hybridgen.data import corpus, synth
    from hybridgen.data.sound import sources
    from hybridgen.training.configs import CodecTrainConfig

    if plan.corpus.sounds:
        sources.check(plan.corpus.sounds, corpus.PACKS)
    else:
        synth.find_soundfont()
    for settings in trainings.values():
        device = config.load(CodecTrainConfig, SETTINGS, settings).engine.device
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("engine.device cuda: PyTorch finds no GPU here")
    if not Path(plan.start).is_file():
        raise ValueError(f"start {plan.start} is missing")


def can_import(name: str) -> bool:
    """Whether a package is there, and the C library that it binds."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError):
        return False
    return True


def run(step: Step, times: Times) -> bool:
    """Runs a step until it ends or must be stopped; whether it ended.

    ValueError, with its last line, where it failed.
    """
    step.folder.mkdir(parents=True, exist_ok=True)
    with step.said.open("ab") as said:
        process = subprocess.Popen(
            [*step.command, *step.speed], stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        process.wait(max(0.0, times.stop - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.terminate()  # a training finishes its step and saves
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, times.end - time.monotonic()))
        return False
    finally:
        kill(process)
    if process.returncode:
        raise ValueError(f"{step.folder}: {last_line(step.said)}")
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


def collect(steps: list[Step], out: Path) -> None:
    """Copies the weights and the log of each training into a folder of its name."""
    for step in steps:
        for path in (step.folder / "log.jsonl", step.weights):
            if path.is_file():
                (out / step.folder.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, out / step.folder.name)


def main(argv: list[str] | None = None) -> int:
    """Reads the command line, does what is left to do and time for; the exit code."""
    begin = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="More: docs/training.md")
    parser.add_argument("plan", type=Path, metavar="YAML", help="corpus and trainings, as configs/gpu/codec-v2.yaml")
    parser.add_argument("--minutes", type=float, required=True, help="after which it has ended, with all saved")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and logs")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the YAML, or of all its trainings")
    args = parser.parse_intermixed_args(argv)
    of_plan = {field.name for field in fields(GpuConfig)}
    own = [one for one in args.overrides if one.partition("=")[0].partition(".")[0] in of_plan]
    times = Times(*(begin + 60 * args.minutes * (1 - kept) for kept in (SAVING, COPYING)))
    try:
        if not args.minutes > 0:
            raise ValueError(f"minutes {args.minutes:g}: must be more than 0")
        plan = config.load(GpuConfig, args.plan, own)
        trainings = training_settings(plan, [one for one in args.overrides if one not in own])
        check(plan, trainings)
        steps = [corpus_step(plan.corpus)]
        for name, settings in trainings.items():
            command = (sys.executable, str(SCRIPT), str(SETTINGS), *settings)
            steps.append(Step(Path(plan.runs, name), command))
        try:
            is_finished = all(step.is_finished or run(step, times) for step in steps)
        finally:
            collect(steps[1:], args.out)
    except (ValueError, OSError) as error:
        print(f"on_gpu.py: {error}", file=sys.stderr)
        return 2
    for step in steps:
        print(f"{step.folder}: {'finished' if step.is_finished else 'not finished'}")
    print(f"{args.out}: weights and logs" + ("" if is_finished else "; the same command goes on"))
    return 0 if is_finished else UNFINISHED


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: `run` stops its step
    sys.exit(main())
