"""Memory that was wanted and is not there, as Python, NumPy, PyTorch and the system each say it."""

import re

_WANTED = re.compile(
    r"[Tt]ried to allocate (\d[\d.]* ?(?:bytes|[KMG]i?B))"  # PyTorch, on a CPU and on a GPU
    r"|Unable to allocate (\d[\d.]* ?[KMG]iB)"  # NumPy
    r"|unable to mmap (\d+ bytes)"  # the file of a model
)
_FULL = ("failed to map segment", "allocate memory", "start new thread")


def wanted(error: BaseException) -> str | None:
    """What an error says of the memory that was wanted; None where it is about something else."""
    text = " ".join(str(error).split())
    if found := _WANTED.search(text):
        return f"{next(filter(None, found.groups()))} more were wanted"
    is_full = any(words in text.lower() for words in _FULL)
    return "a part of the program could not be loaded" if is_full or isinstance(error, MemoryError) else None
