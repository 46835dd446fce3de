"""What a server keeps on disk, a folder each: results and uploads, found by id and by their owner alone."""

import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar


class Unknown(LookupError):
    """There is nothing of this id, or it is another owner's: nobody is told which."""


@dataclass(eq=False)
class Kept:
    """One result or upload. `id` is random; `files` are those that may be fetched, by name."""

    id: str
    owner: str
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    n_bytes: int | None = None  # on disk; None while it is being made


T = TypeVar("T", bound=Kept)


class Store:
    """A temporary folder of what is kept, bounded in bytes and in number: the oldest that is not in use gives way."""

    def __init__(self, max_bytes: int, max_kept: int) -> None:
        self._root = tempfile.TemporaryDirectory(prefix="hybridgen-serve-")
        self._max_bytes, self._max_kept = max_bytes, max_kept
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}  # oldest first

    def place(self) -> tuple[str, Path]:
        """A new id that nobody can guess, and its empty folder."""
        name = secrets.token_hex(16)
        folder = Path(self._root.name) / name
        folder.mkdir(mode=0o700)
        return name, folder

    def add(self, item: Kept) -> None:
        """Makes an item one that is found."""
        with self._lock:
            self._kept[item.id] = item

    def find(self, name: str, owner: str, kind: type[T]) -> T:
        """The item of this id, kind and owner; Unknown for any other."""
        item = self._kept.get(name)
        if not isinstance(item, kind) or item.owner != owner:
            raise Unknown(f"{kind.__name__.lower()} {name[:60]!r} is not here, or not yours")
        return item

    def settle(self, item: Kept) -> None:
        """Counts what an item takes, now that it is whole; removes the oldest ones over the limits."""
        item.n_bytes = sum(path.stat().st_size for path in item.folder.rglob("*") if path.is_file())
        with self._lock:
            settled = [one for one in self._kept.values() if one.n_bytes is not None]
            while settled and (self.n_bytes > self._max_bytes or len(settled) > self._max_kept):
                self._remove(settled.pop(0))

    def remove(self, item: Kept) -> None:
        """Removes an item and its files."""
        with self._lock:
            self._remove(item)

    @property
    def n_kept(self) -> int:
        """Items, those that are being made included."""
        return len(self._kept)

    @property
    def n_bytes(self) -> int:
        """What they take on disk."""
        return sum(item.n_bytes or 0 for item in tuple(self._kept.values()))

    def _remove(self, item: Kept) -> None:
        self._kept.pop(item.id, None)
        shutil.rmtree(item.folder, ignore_errors=True)

    def close(self) -> None:
        """Removes everything."""
        self._root.cleanup()
