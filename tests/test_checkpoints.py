"""A stopped run resumes as if it had not been stopped, whatever stopped it."""

import ctypes
import dataclasses
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch

from hybridgen.training import checkpoints
from hybridgen.training.checkpoints import Checkpoint, Disk
from hybridgen.training.log import Log

ROOT = Path(__file__).parents[1]
OPERATIONS = ("make", "write", "sync", "rename", "remove")


def made_at(step: int) -> Checkpoint:
    """A checkpoint whose every value depends on its step; one part is empty, as moments are before the first step."""
    rng = torch.Generator().manual_seed(step)
    weights = {"a": torch.randn(3, 4, generator=rng), "b": torch.randn(5, generator=rng).bfloat16()}
    moments = {name: value.float() ** 2 for name, value in weights.items()}
    return Checkpoint(step, {"model": weights, "exp_avg_sq": moments, "none": {}}, {"loss": [0.1 * step, None]})


def same(a: Checkpoint, b: Checkpoint) -> bool:
    def plain(one: Checkpoint) -> tuple:
        parts = {part: {name: (x.dtype, x.tolist()) for name, x in some.items()} for part, some in one.tensors.items()}
        return one.step, one.state, parts

    return plain(a) == plain(b)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def flip(path: Path, at: int, bits: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bits
    path.write_bytes(data)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with checkpoints of steps 1 and 2."""
    for step in (1, 2):
        checkpoints.save(tmp_path, made_at(step))
    return tmp_path


# What is written is read.


def test_a_checkpoint_comes_back_bit_for_bit(run: Path):
    assert checkpoints.newest(run).name == "step_00000002"
    for step in (1, 2):
        assert same(checkpoints.load(run / f"step_{step:08d}"), made_at(step))


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path):
    def train(module: torch.nn.Linear, optimizer: torch.optim.AdamW, steps: range) -> None:
        for step in steps:
            _, noise = checkpoints.generators(7, step)
            module(torch.randn(4, 3, generator=noise)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    def start() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 3)
        return module, torch.optim.AdamW(module.parameters(), lr=0.1)

    unbroken, stopped, resumed = start(), start(), start()
    train(*unbroken, range(6))
    train(*stopped, range(3))
    names = [name for name, _ in stopped[0].named_parameters()]
    moments = dict(zip(names, stopped[1].state_dict()["state"].values(), strict=True))
    kinds = {kind: {name: moments[name][kind] for name in names} for kind in ("step", "exp_avg", "exp_avg_sq")}
    checkpoints.save(tmp_path, Checkpoint(3, {"model": stopped[0].state_dict()} | kinds, {}))

    loaded = checkpoints.load(checkpoints.newest(tmp_path)).tensors
    resumed[0].load_state_dict(loaded.pop("model"))
    state = {i: {kind: loaded[kind][name] for kind in loaded} for i, name in enumerate(names)}
    resumed[1].load_state_dict({"state": state, "param_groups": resumed[1].state_dict()["param_groups"]})
    train(*resumed, range(3, 6))
    assert resumed[0].weight.equal(unbroken[0].weight)


def test_a_large_part_is_split_into_files_and_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoints, "MAX_FILE_BYTES", 100)
    tensors = {f"t{i}": torch.full((size,), float(i)) for i, size in enumerate((5, 10, 12, 40, 3))}
    place = checkpoints.save(tmp_path, Checkpoint(1, {"model": tensors}, {}))
    sizes = [path.stat().st_size for path in sorted(place.glob("*.safetensors"))]
    assert len(sizes) == 4  # 5 and 10 together; 12; 40, larger than the limit, alone; 3
    assert same(checkpoints.load(place), Checkpoint(1, {"model": tensors}, {}))


def test_the_newest_are_kept(run: Path):
    for step in (3, 4, 5):
        checkpoints.save(run, made_at(step), keep=3)
    assert [path.name[-1] for path in sorted(run.glob("step_*"))] == ["3", "4", "5"]
    checkpoints.save(run, made_at(6))
    assert [path.name[-1] for path in sorted(run.glob("step_*"))] == ["5", "6"]
    with pytest.raises(ValueError, match="keep 1: at least 2"):
        checkpoints.save(run, made_at(7), keep=1)


def test_saving_a_step_again_replaces_it_and_ends_what_came_after(run: Path):
    place = checkpoints.save(run, dataclasses.replace(made_at(5), step=1))
    assert same(checkpoints.load(place), dataclasses.replace(made_at(5), step=1))
    assert checkpoints.newest(run) == place and not leftovers(run)


def test_a_folder_without_checkpoints_is_a_new_run(tmp_path: Path):
    (tmp_path / "step_notes").mkdir()
    assert checkpoints.newest(tmp_path) is None and checkpoints.newest(tmp_path / "nowhere") is None
    with pytest.raises(ValueError, match=r"manifest\.json: No such file"):
        checkpoints.load(tmp_path)


# What is broken is found.


def damages() -> Iterator[Callable[[Path], str]]:
    """200 single bits or bytes, and every file cut, emptied, lengthened or gone; each returns the file's name."""
    rng = random.Random(0)

    def flipped(place: Path) -> str:
        path = rng.choice(sorted(place.iterdir()))
        flip(path, rng.randrange(path.stat().st_size), rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)]))
        return path.name

    def replaced(number: int, change: Callable[[bytes], bytes]) -> Callable[[Path], str]:
        def damage(place: Path) -> str:
            path = sorted(place.iterdir())[number]
            path.write_bytes(change(path.read_bytes()))
            return path.name

        return damage

    def gone(number: int) -> Callable[[Path], str]:
        def damage(place: Path) -> str:
            path = sorted(place.iterdir())[number]
            path.unlink()
            return path.name

        return damage

    yield from [flipped] * 200
    for number in range(4):
        for change in (lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda _: b"", lambda d: d + b"\n"):
            yield replaced(number, change)
        yield gone(number)


def test_no_damage_goes_unseen_and_the_checkpoint_before_is_used(run: Path, capsys: pytest.CaptureFixture[str]):
    place = run / "step_00000002"
    whole = {path: path.read_bytes() for path in place.iterdir()}
    assert len(whole) == 4
    for damage in damages():
        name = damage(place)
        assert checkpoints.newest(run) == run / "step_00000001"
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and str(place / name) in said
        with pytest.raises(ValueError, match=name):
            checkpoints.load(place)
        for path, data in whole.items():
            path.write_bytes(data)
    assert checkpoints.newest(run) == place


def test_a_run_without_any_whole_checkpoint_is_not_silently_begun_anew(run: Path):
    for place in run.glob("step_*"):
        flip(place / "state.json", 0, 1)
    with pytest.raises(ValueError, match="all 2 checkpoints are broken"):
        checkpoints.newest(run)


def test_a_broken_checkpoint_takes_no_whole_ones_place(run: Path):
    flip(checkpoints.save(run, made_at(9)) / "state.json", 0, 1)
    assert checkpoints.newest(run) == run / "step_00000002"
    checkpoints.save(run, made_at(3))
    assert [path.name[-1] for path in sorted(run.glob("step_*"))] == ["2", "3"]


def test_a_checkpoint_before_a_step_can_be_asked_for(run: Path):
    assert checkpoints.newest(run, until=2) == run / "step_00000002"
    assert checkpoints.newest(run, until=1) == run / "step_00000001"
    assert checkpoints.newest(run, until=0) is None


# Death and disks, at every operation.


class Died(BaseException):
    """The process is gone: nothing of `save` may run any more, its cleaning included."""


class DyingDisk:
    """Dies at operation `last`, a write half done; in a power cut, what was not synced is lost. 0: only counts."""

    def __init__(self, last: int, power_cut: bool):
        self.last, self.power_cut, self.count = last, power_cut, 0
        self.unsynced: set[Path] = set()  # files, and folders whose names changed
        self.renames: list[tuple[Path, Path]] = []

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in OPERATIONS:
            monkeypatch.setattr(Disk, name, staticmethod(self._wrap(name, getattr(Disk, name))))

    def _wrap(self, name: str, operation: Callable) -> Callable:
        def call(*args) -> None:
            self.count += 1
            if self.count == self.last:
                if name == "write":
                    args[0].write_bytes(args[1][: len(args[1]) // 2])
                self.die()
            operation(*args)
            self._note(name, *args)

        return call

    def _note(self, name: str, path: Path, target: Path | bytes | None = None) -> None:
        if name == "write":
            self.unsynced |= {path, path.parent}
        elif name == "sync":
            self.unsynced.discard(path)
            self.renames = [(a, b) for a, b in self.renames if b.parent != path]
        elif name == "rename":
            self.renames.append((path, target))
            self.unsynced = {target / p.relative_to(path) if p.is_relative_to(path) else p for p in self.unsynced}

    def die(self) -> None:
        if self.power_cut:
            self._lose()
        raise Died

    def _lose(self) -> None:
        for path in sorted(self.unsynced):
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            elif path.is_dir():
                for file in path.iterdir():
                    file.unlink()
        for source, target in reversed(self.renames):
            if target.exists() and not source.exists():
                target.rename(source)


def operations_of(save: Callable[[], Path]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        disk = DyingDisk(0, power_cut=False)
        disk.patch(patch)
        save()
    return disk.count


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("step", [3, 2], ids=["a new step", "a step again"])
def test_death_at_any_operation_leaves_a_whole_checkpoint(tmp_path: Path, step: int, power_cut: bool):
    def begun(name: str) -> Path:
        for old in (1, 2):
            checkpoints.save(tmp_path / name, made_at(old))
        return tmp_path / name

    n = operations_of(lambda: checkpoints.save(begun("counted"), made_at(step))) - operations_of(lambda: begun("two"))
    assert n > 12
    for last in range(1, n + 2):  # the last one: death after all is done
        run, disk = begun(f"run{last}"), DyingDisk(last, power_cut)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
            disk.patch(patch)
            checkpoints.save(run, made_at(step))
            disk.die()
        checkpoints.clean(run)
        assert not leftovers(run)
        place = checkpoints.newest(run)
        assert place.name == f"step_{step:08d}" or (place.name == "step_00000002" and last <= n)
        assert same(checkpoints.load(place), made_at(int(place.name[-1])))
        assert same(checkpoints.load(checkpoints.save(run, made_at(step))), made_at(step))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
def test_a_disk_that_refuses_is_one_line_and_the_checkpoints_before_stay(run: Path, tmp_path: Path, code: int):
    n = operations_of(lambda: checkpoints.save(tmp_path / "other", made_at(3)))
    for failing in range(1, n + 1):
        count = 0

        def refuse(operation: Callable) -> Callable:
            def call(*args) -> None:
                nonlocal count
                count += 1
                if count >= failing and operation is not removing:  # noqa: B023
                    raise OSError(code, os.strerror(code), str(args[0]))
                operation(*args)

            return call

        removing = Disk.remove
        with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError) as caught:
            for name in OPERATIONS:
                patch.setattr(Disk, name, staticmethod(refuse(getattr(Disk, name))))
            checkpoints.save(run, made_at(3))
        said = str(caught.value)
        assert os.strerror(code) in said and str(run) in said and "\n" not in said
        assert not leftovers(run)
        for step in (1, 2):
            assert same(checkpoints.load(run / f"step_{step:08d}"), made_at(step))
        for place in run.glob("step_00000003"):  # only its name was not yet brought to the disk
            assert failing == n
            assert same(checkpoints.load(place), made_at(3))
            Disk.remove(place)


def test_trainings_that_are_killed_end_as_if_nothing_had_happened(tmp_path: Path):
    few = ("--kills", "3", "--every", "40", "--flips", "20")
    command = [sys.executable, ROOT / "tools/crash.py", "--folder", tmp_path / "crash", *few]
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    rows = [row.split("|")[1:4] for row in done.stdout.splitlines() if row.startswith("| ")][1:]
    assert len(rows) == 4 and all(int(n) == int(right) > 0 for _, n, right in rows)


# What a run is.


@dataclasses.dataclass(frozen=True)
class Sizes:
    dim: int
    stops: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Run:
    seed: int
    rate: float
    sizes: Sizes


def test_a_changed_config_is_one_line_and_a_changed_seed_or_shape_an_error(capsys: pytest.CaptureFixture[str]):
    def identity(run: Run) -> dict:
        return checkpoints.identity(__file__, train=run)

    before = Run(1, 0.1, Sizes(32, (4, 8)))
    saved = json.loads(json.dumps(identity(before)))
    fixed = ("train.seed", "train.sizes")
    checkpoints.compare(saved, identity(before), fixed)
    assert capsys.readouterr().err == ""
    checkpoints.compare(saved, identity(dataclasses.replace(before, rate=0.2)), fixed)
    assert capsys.readouterr().err == "resuming with changes: train.rate 0.1 -> 0.2\n"
    for other, said in [
        (dataclasses.replace(before, seed=2), r"train\.seed: the checkpoint was made with 1, this run has 2"),
        (dataclasses.replace(before, sizes=Sizes(64, (4, 8))), r"train\.sizes\.dim: .* with 32, this run has 64"),
        (dataclasses.replace(before, sizes=Sizes(32, (4,))), r"train\.sizes\.stops: .* with \[4, 8\], .* has \[4\]"),
    ]:
        with pytest.raises(ValueError, match=said):
            checkpoints.compare(saved, identity(other), fixed)


def test_random_numbers_depend_on_seed_and_step_alone():
    def draw(seed: int, step: int) -> float:
        rng, noise = checkpoints.generators(seed, step)
        return rng.random() + torch.rand(1, generator=noise).item()

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(1, 3), draw(2, 2), draw(12, 1), draw(1, 21)}) == 5


def test_the_log_goes_on_from_the_checkpoints_step(tmp_path: Path):
    def entries() -> list[tuple[int, float]]:
        found = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        return [(entry["step"], entry["loss"]) for entry in found]

    with Log(tmp_path) as log:
        for step in (1, 2, 3):
            log.write(step, {"loss": 0.5 * step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed here; the last checkpoint was of step 2
    with Log(tmp_path, step=2) as log:
        assert entries() == [(1, 0.5), (2, 1.0)]
        log.write(3, {"loss": 7})
        log.rollback(1)
        log.write(2, {"loss": 8})
    assert entries() == [(1, 0.5), (2, 8.0)]
    assert not leftovers(tmp_path)


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_asks_and_the_old_handler_comes_back(number: int):
    before = signal.getsignal(number)
    with checkpoints.stop_on_signal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # the launcher's echo
        assert stop.requested
    assert signal.getsignal(number) is before


def hang(ready: Event) -> None:
    """In C code, where no Python handler runs."""
    with checkpoints.stop_on_signal():
        ready.set()
        while True:
            ctypes.CDLL(None).sleep(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_even_in_a_long_operation(number: int):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=hang, args=(ready,))
    child.start()
    assert ready.wait(60)
    os.kill(child.pid, number)
    child.join(checkpoints.ECHO_SECONDS + 0.3)
    assert child.is_alive()
    os.kill(child.pid, number)
    child.join(20)
    assert child.exitcode == 128 + number
