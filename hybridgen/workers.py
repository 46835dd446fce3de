"""Work shared by processes, each of one thread, with results that do not depend on how many there are."""

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from threadpoolctl import threadpool_limits

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, *, ordered: bool = True
) -> Iterator[Result]:
    """Yields function(task) for each task, in the order of the tasks, or else as soon as each is done.

    With workers = 1 the tasks run in this process, one thread as well. Otherwise function, tasks and results must be
    picklable. The first error is raised here and cancels the tasks that have not begun, as does closing the iterator.
    Raises ValueError for workers < 1.
    """
    if workers < 1:
        raise ValueError(f"workers {workers}: at least 1 is needed")
    if workers == 1:
        for task in tasks:
            yield _run_single_threaded(function, task)
        return
    # spawn: a forked process would inherit the locks of this one's threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(workers, len(tasks))), mp_context=context) as pool:
        try:
            futures = [pool.submit(_run_single_threaded, function, task) for task in tasks]
            for future in futures if ordered else as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run_single_threaded(function: Callable[[Task], Result], task: Task) -> Result:
    with single_threaded():
        return function(task)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for torch, where it has been imported, BLAS and OpenMP inside the block.

    The order of sums depends on the number of threads, and small products wait for threads longer than they gain.
    """
    torch = sys.modules.get("torch")
    n_threads = None if torch is None else torch.get_num_threads()  # before its OpenMP is limited
    try:
        with threadpool_limits(1):
            if torch is not None:
                torch.set_num_threads(1)
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(n_threads)
