"""Work shared by processes: the same results for any number of them, one thread each, and errors that stop the rest."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hybridgen.workers import run_tasks, single_threaded

TASKS = """
import os, time, torch

def square(x):
    time.sleep(0.02 * (3 - x))  # the first is the last to be done
    return x * x, torch.get_num_threads()

def fail_at_two(x):
    if x == 2:
        raise ValueError(f"task {x} went wrong")
    return x

def process_id(_):
    return os.getpid()
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Functions that other processes can import, as they cannot import a test."""
    folder: Path = tmp_path_factory.mktemp("tasks")
    (folder / "some_tasks.py").write_text(TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("some_tasks")


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_from_one_thread(tasks: ModuleType, workers: int):
    assert list(run_tasks(tasks.square, range(4), workers)) == [(0, 1), (1, 1), (4, 1), (9, 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_unordered_results_are_all_there(tasks: ModuleType, workers: int):
    found = run_tasks(tasks.square, range(4), workers, ordered=False)
    assert sorted(found) == [(0, 1), (1, 1), (4, 1), (9, 1)]


@pytest.mark.parametrize(("workers", "ordered"), [(1, True), (2, True), (2, False)])
def test_an_error_of_a_task_is_raised_here(tasks: ModuleType, workers: int, ordered: bool):
    with pytest.raises(ValueError, match="task 2 went wrong"):
        list(run_tasks(tasks.fail_at_two, range(50), workers, ordered=ordered))


def test_one_worker_is_this_process_and_several_are_others(tasks: ModuleType):
    assert set(run_tasks(tasks.process_id, range(2), 1)) == {os.getpid()}
    assert os.getpid() not in set(run_tasks(tasks.process_id, range(2), 2))
    assert list(run_tasks(tasks.process_id, [], 2)) == []


def test_no_workers_are_refused(tasks: ModuleType):
    with pytest.raises(ValueError, match="workers 0"):
        list(run_tasks(tasks.square, [1], 0))


def test_threads_are_given_back_after_an_error():
    with pytest.raises(RuntimeError), single_threaded():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' OpenMP shows its settings in other words")
@pytest.mark.parametrize(("own", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(own: str | None, expected: str):
    environment = os.environ | {"OMP_DISPLAY_ENV": "TRUE"}
    environment.pop("OMP_WAIT_POLICY", None)
    environment |= {} if own is None else {"OMP_WAIT_POLICY": own}
    command = [sys.executable, "-c", "import hybridgen, torch"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert re.search(rf"OMP_WAIT_POLICY = '{expected}'", shown)
