"""Ctrl-C and SIGTERM on the command line: one line, exit code 130 or 143, and nothing half done."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
MESSAGE = "hybridgen: stopped; what was there is as it was"


class Stopped(KeyboardInterrupt):
    """A signal stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def exit_at_once(number: int, frame: FrameType | None) -> None:
    """A handler for the time in which nothing needs to be cleaned up, while modules are imported above all."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{MESSAGE}\n".encode())
    os._exit(128 + number)


def stop(number: int, frame: FrameType | None) -> None:
    """A handler that raises `Stopped` while outputs are open, and exits at once otherwise.

    An exception that is raised in the middle of an import comes out as something else.
    """
    from hybridgen import files

    if not files.are_open():
        exit_at_once(number, frame)
    raise Stopped(number)


def unwind(number: int, frame: FrameType | None) -> None:
    """A handler that raises `Stopped`, for a command that has processes or a state of its own to end."""
    raise Stopped(number)


@contextlib.contextmanager
def handled(unwinds: bool) -> Iterator[None]:
    """The handlers `unwind` or `stop` inside the block; in the main thread only, which alone may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, unwind if unwinds else stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
