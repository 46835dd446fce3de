"""Decoding beside rendering: on a CPU, finished windows are decoded in a thread of their own while the next is solved.

The operations of a narrow renderer are too small to be worth splitting between cores; two stages at a time keep two
cores busy. On two cores, one thread and two, milliseconds for a window of 256 frames: width 256 49 and 58, width 384 99
and 57, width 768 338 and 191.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")
NARROW = 384  # the width of a renderer from which a second thread makes it faster


def default_threads(width: int, n_cores: int) -> int:
    """How many threads each stage should have beside a renderer of this width: one a core, or half as many."""
    return n_cores if width >= NARROW else max(1, n_cores // 2)


class _Inline(Executor):
    """Calls a function when it is submitted."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done = Future[T]()
        done.set_result(fn(*args, **kwargs))
        return done


@contextmanager
def decoder(device: torch.device) -> Iterator[Executor]:
    """What calls functions in order: beside the caller on a CPU, and at once on a GPU, which has one queue anyway.

    At the end, after an error too, nothing of it is still at work, and what has not begun never will.
    """
    if device.type != "cpu":
        yield _Inline()
        return
    executor = ThreadPoolExecutor(1, "decoder")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
