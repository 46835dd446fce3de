"""How long work reports its progress, and how it is cancelled."""

from collections.abc import Callable

# (stage, steps done, steps in all); returning False stops the work with `Cancelled`
Progress = Callable[[str, int, int], bool | None]


class Cancelled(Exception):
    """A progress callback returned False; nothing was written."""


def report(progress: Progress | None, stage: str, done: int, total: int) -> None:
    """Report to `progress`, where there is one, that `done` of `total` steps of a stage are done.

    Raises Cancelled when it returns False; any other value, None included, continues.
    """
    if progress is not None and progress(stage, done, total) is False:
        raise Cancelled(f"{stage} was cancelled after {done} of {total}")
