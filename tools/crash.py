"""Kills trainings in every way and checks that no bit differs: python tools/crash.py --kills 100

A short training on random data is run in one go. Then others are killed at random moments, and at every single
operation of every checkpoint's writing, a write half done; each is started again with the same command. The lists of
losses, every file of the last checkpoint (weights, average, moments, state) and the exported weights must be the same
to the last bit. Then bytes of checkpoints are flipped, files cut, and the disk is full. Exits with 1 on any difference.

Each training is a process of its own, forked after the imports, so that hundreds take minutes; the one that the others
are compared with is started as a user does it.
"""

import argparse
import contextlib
import importlib
import io
import json
import multiprocessing
import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from hybridgen import config
from hybridgen.data import prepare, shards
from hybridgen.data.prepared_dataset import Labels, Notes, codes_path, latents_path
from hybridgen.files import sha256
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.training import checkpoints
from hybridgen.training.checkpoints import Disk

SCRIPTS = Path(__file__).parents[1] / "train"
OPERATIONS = ("make", "write", "sync", "rename", "remove")
LATENT_DIM, N_CODEBOOKS, CODEBOOK_SIZE, TEXT_DIM = 8, 4, 16, 384
MODEL = {
    "quantizer": {
        "latent_dim": LATENT_DIM,
        "n_codebooks": N_CODEBOOKS,
        "codebook_size": CODEBOOK_SIZE,
        "code_dim": 4,
        "dim": 16,
    },
    "renderer": {
        "latent_dim": LATENT_DIM,
        "text_dim": TEXT_DIM,
        "n_codebooks": N_CODEBOOKS,
        "codebook_size": CODEBOOK_SIZE,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "ffn_dim": 48,
    },
}
STEPS, SAVE_EVERY = 12, 3
SHORT = (
    f"phases=[{{steps: {STEPS}, windows: [16], frames: 64}}]",
    "optim.warm_up=2",
    "optim.cool_down=2",
    "run.log_every=1",
    "run.valid_every=4",
    f"run.save_every={SAVE_EVERY}",
)
OWN = {"quantizer": ("revive_every=2",), "renderer": ()}  # what only one stage has


@dataclass(frozen=True)
class Training:
    """A command of a user, run in a folder of its own, where `run` is its `out`."""

    command: tuple[str, ...]  # train/X.py, config, overrides

    def run(self, folder: Path) -> None:
        """As a user runs it."""
        folder.mkdir()
        done = subprocess.run([sys.executable, *self.command], cwd=folder, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise ValueError(f"{folder}: exit code {done.returncode}; {done.stderr}")

    def start(self, folder: Path, before: Callable[[], None] = lambda: None) -> multiprocessing.Process:
        """Forked, after a call of `before`; what it says goes to `said` in the folder."""
        folder.mkdir(exist_ok=True)
        process = multiprocessing.get_context("fork").Process(target=self._child, args=(folder, before))
        process.start()
        return process

    def finish(self, folder: Path) -> None:
        """Forked, to the end."""
        process = self.start(folder)
        process.join()
        if process.exitcode:
            raise ValueError(f"{folder}: exit code {process.exitcode}; {(folder / 'said').read_text()}")

    def _child(self, folder: Path, before: Callable[[], None]) -> None:
        os.chdir(folder)
        said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = list(self.command)
        sys.path.insert(0, str(Path(self.command[0]).parent))
        before()
        runpy.run_path(self.command[0], run_name="__main__")


def write_data(folder: Path) -> None:
    """A prepared folder of random latents and codes, with one held-out track, and the shapes that go with it."""
    prepared = folder / "prepared"
    prepared.mkdir(parents=True)
    rng = np.random.default_rng(0)
    section = Section("verse", (Bar(("Am",)), Bar(("F",))) * 2, energy=3, roles=("drums", "bass"))
    plan = Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("drums", 0), ("bass", 33)))
    labels = [Labels(f"{i:06d}", "test" if i == 3 else "train", plan, captions=("a", "b")) for i in range(4)]
    n_code_frames = plan.n_code_frames

    def track(one: Labels) -> tuple[str, dict[str, bytes]]:
        latents = rng.standard_normal((4 * n_code_frames, LATENT_DIM))
        texts = [rng.standard_normal((n, TEXT_DIM)) for n in (3, 5)]
        return one.name, prepare.track_parts(one, latents, rng.standard_normal(n_code_frames), texts, Notes.of(()))

    def codes(one: Labels) -> tuple[str, dict[str, bytes]]:
        return one.name, prepare.codes_part(rng.integers(CODEBOOK_SIZE, size=(N_CODEBOOKS, n_code_frames)))

    shards.write(latents_path(prepared, 0), map(track, labels), prepare.latents_metadata(labels, "random", 2))
    digest = shards.Shard(latents_path(prepared, 0)).digest
    shards.write(codes_path(prepared, 0), map(codes, labels), prepare.codes_metadata("random", digest))
    prepare.write_dataset_index(prepared, 1)
    (folder / "model.yaml").write_text(yaml.safe_dump(MODEL))


def result(folder: Path) -> dict[str, str]:
    """All that must be the same: losses by step, the hash of each file of the last checkpoint and of the weights."""
    run = folder / "run"
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    place = checkpoints.newest(run)
    files = json.loads((place / "manifest.json").read_bytes())["files"]
    found = {f"{place.name}/{name}": entry["sha256"] for name, entry in files.items()}
    found |= {path.name: sha256(path) for path in run.glob("*.safetensors")}
    return found | {"losses": str([(entry["step"], entry["loss"]) for entry in entries if "loss" in entry])}


def differences(folder: Path, expected: dict[str, str]) -> list[str]:
    """What differs from the uninterrupted run, including temporary files that were left."""
    found = result(folder)
    changed = [name for name in expected | found if found.get(name) != expected.get(name)]
    return changed + [path.name for path in (folder / "run").glob(".*.tmp")]


class Deadly:
    """Replaces the disk of this process: it dies at operation `last`, a write half done; 0: it lives, and counts."""

    def __init__(self, last: int):
        self.last, self.count = last, 0

    def __call__(self) -> None:
        for name in OPERATIONS:
            setattr(Disk, name, staticmethod(self._deadly(name, getattr(Disk, name))))

    def _deadly(self, name: str, operation: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Path | bytes) -> None:
            self.count += 1
            if self.count == self.last:
                if name == "write":
                    args[0].write_bytes(args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            operation(*args)
            if self.last == 0:
                Path("operations").write_text(str(self.count))

        return call


def killed(training: Training, folder: Path, expected: dict[str, str], n: int) -> Iterator[tuple[str, list[str]]]:
    """Sends SIGKILL at `n` random moments; yields where each run went on, and what was different at its end."""
    rng = random.Random(0)
    begin = time.monotonic()
    training.finish(folder / "timed")
    seconds = time.monotonic() - begin
    for i in range(n):
        place = folder / f"kill{i}"
        process = training.start(place)
        process.join(rng.uniform(0.0, seconds))
        process.kill()
        process.join()
        yield resumed(training, place, expected)


def killed_writing(
    training: Training, folder: Path, expected: dict[str, str], every: int
) -> Iterator[tuple[str, list[str]]]:
    """Kills at each `every`-th operation on a checkpoint."""
    process = training.start(folder / "counted", Deadly(0))
    process.join()
    n = int((folder / "counted" / "operations").read_text())
    for last in range(1, n + 1, every):
        place = folder / f"write{last}"
        process = training.start(place, Deadly(last))
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise ValueError(f"{place}: exit code {process.exitcode} where it should have died at operation {last}")
        yield resumed(training, place, expected)


def resumed(training: Training, place: Path, expected: dict[str, str]) -> tuple[str, list[str]]:
    """Resumes a dead run; the checkpoint that it resumes from, and what differs at its end."""
    found = checkpoints.newest(place / "run")
    training.finish(place)
    changed = differences(place, expected)
    shutil.rmtree(place)
    return "the start" if found is None else found.name, changed


def corrupted(run: Path, n_flips: int) -> Iterator[tuple[str, list[str]]]:
    """Flips single bytes of the newest checkpoint, cuts and removes its files; yields what went unseen."""
    rng = random.Random(0)
    place = checkpoints.newest(run)
    before = sorted(run.glob("step_*"))[-2]
    files = sorted(place.iterdir())
    cuts = [(path, kept) for path in files for kept in (0, path.stat().st_size // 2, path.stat().st_size - 1, None)]
    for i in range(n_flips + len(cuts)):
        path, kept = (files[i % len(files)], -1) if i < n_flips else cuts[i - n_flips]
        whole = path.read_bytes()
        if kept is None:
            path.unlink()
        elif kept < 0:
            at = rng.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ rng.randrange(1, 256)]) + whole[at + 1 :])
        else:
            path.write_bytes(whole[:kept])
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = checkpoints.newest(run)
        path.write_bytes(whole)
        seen = found == before and said.getvalue().count("\n") == 1 and str(path) in said.getvalue()
        yield before.name, [] if seen else [path.name]


def full_disk(training: Training, folder: Path, expected: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Lets a run meet a disk that is full, by a limit on its files, and on a small disk where one may be mounted."""
    n = int((folder / "counted" / "operations").read_text())
    training.start(folder / "begun", Deadly(2 * n // 3)).join()
    checkpoints.clean(folder / "begun" / "run")  # as the next start would, which must find no room in what it clears
    found = checkpoints.newest(folder / "begun" / "run")
    largest = max(path.stat().st_size for path in found.iterdir())

    limited = folder / "limited"
    shutil.copytree(folder / "begun", limited)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))  # noqa: E731
    process = training.start(limited, limit)
    process.join()
    yield found.name, refused(process, limited, found) + resumed(training, limited, expected)[1]

    small = folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", small], capture_output=True).returncode:
        print("no small disk may be mounted here", file=sys.stderr)
        return
    try:
        shutil.copytree(folder / "begun", small, dirs_exist_ok=True)
        disk = os.statvfs(small)
        size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + largest // 2  # less than a checkpoint
        subprocess.run(["mount", "-o", f"remount,size={size}", small], check=True)
        process = training.start(small)
        process.join()
        wrong = refused(process, small, found)
        subprocess.run(["mount", "-o", "remount,size=1g", small], check=True)
        training.finish(small)
        yield found.name, wrong + differences(small, expected)
    finally:
        subprocess.run(["umount", small], check=True)


def refused(process: multiprocessing.Process, folder: Path, last: Path) -> list[str]:
    """What is wrong with how a run left that could not write: it fails, says why, and the last checkpoint is whole."""
    said = (folder / "said").read_text().strip().splitlines()
    wrong = [] if process.exitcode else ["exit code"]
    wrong += [] if said and "run" in said[-1] and "[Errno" in said[-1] else [f"last line said {said[-1:]}"]
    found = checkpoints.newest(folder / "run")
    return wrong + ([] if found is not None and found.name == last.name else ["last checkpoint"])


def report(what: str, outcomes: Iterator[tuple[str, list[str]]]) -> bool:
    """Prints a line of the table; whether all were as they should be."""
    begin = time.monotonic()
    starts, wrong, n = Counter(), Counter(), 0
    for start, changed in outcomes:
        n += 1
        starts[start] += 1
        wrong[", ".join(changed)] += bool(changed)
    wrong = +wrong
    seconds = time.monotonic() - begin
    went_on = ", ".join(f"{count} from {name}" for name, count in sorted(starts.items()))
    print(f"| {what} | {n} | {n - wrong.total()} | {went_on} | {seconds:.0f} |", flush=True)
    for changed, count in wrong.items():
        print(f"{what}: {count} times different: {changed}", file=sys.stderr)
    return not wrong


def main(argv: list[str] | None = None) -> None:
    """Makes the data, runs in one go, kills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=sorted(OWN), default="quantizer", help="default %(default)s")
    parser.add_argument("--folder", type=Path, required=True, help="for everything that is made; must not be there")
    parser.add_argument("--kills", type=int, default=100, help="at random moments (default %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="kill at each so-manieth operation (default %(default)s)")
    parser.add_argument("--flips", type=int, default=200, help="of single bytes (default %(default)s)")
    args = parser.parse_args(argv)
    folder = args.folder.resolve()
    write_data(folder)
    data = (f"run.model={folder}/model.yaml", f"prepared={folder}/prepared", "run.out=run")
    path = config.preset(f"train/{args.stage}")
    training = Training((str(SCRIPTS / f"{args.stage}.py"), str(path), *data, *SHORT, *OWN[args.stage]))
    runpy.run_path(training.command[0])  # its imports, for all that are forked; and what is imported late
    for late in ("torch._dynamo", "torch.utils.tensorboard"):
        with contextlib.suppress(ImportError):
            importlib.import_module(late)
    training.run(folder / "unbroken")
    expected = result(folder / "unbroken")

    print(f"hybridgen {args.stage}, {STEPS} steps, a checkpoint each {SAVE_EVERY}, torch {torch.__version__}\n")
    print("| what happened | runs | all bits right | went on from | seconds |\n|---|---|---|---|---|")
    right = [
        report("killed at a random moment", killed(training, folder, expected, args.kills)),
        report("killed at an operation of writing", killed_writing(training, folder, expected, args.every)),
        report("a byte flipped, a file cut or gone", corrupted(folder / "unbroken" / "run", args.flips)),
        report("the disk full", full_disk(training, folder, expected)),
    ]
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
