"""What a server keeps on disk, a folder each: results and uploads, found by id and by their owner alone.

In a temporary folder all of it goes with the server. In a library it stays: a `kept.json` in each folder says what is
not in the files themselves, whose it is above all, and tracks never give way to others.
"""

import contextlib
import json
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hybridgen.files import atomic_write

RECORD = "kept.json"
BIN_SECONDS = 86_400.0  # for which what was removed can be had back
_ID = re.compile(r"[0-9a-f]{32}")
_GOING = re.compile(r"[0-9a-f]{32}\.going")  # what a folder is called while its files are removed


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
    made: float = field(default_factory=time.time)  # seconds since 1970
    starred: bool = False
    removed: float | None = None  # when it was put into the bin

    @property
    def is_track(self) -> bool:
        """Whether it is what somebody would miss."""
        return False

    def record(self) -> dict[str, Any]:
        """What is kept of it beside its files, as JSON values."""
        names = sorted(self.files)
        return {
            "owner": self.owner,
            "files": names,
            "made": self.made,
            "starred": self.starred,
            "removed": self.removed,
        }


T = TypeVar("T", bound=Kept)


def discard(folder: Path) -> None:
    """Removes a folder of a store. It has gone at once: nobody, and no server started later, sees a part of it."""
    with contextlib.suppress(OSError):  # it is not there, or the disk cannot rename it
        folder = folder.rename(folder.with_name(f"{folder.name}.going"))
    shutil.rmtree(folder, ignore_errors=True)


class Store:
    """A folder of what is kept, bounded in bytes and in number: the oldest that is not in use gives way.

    root: a folder that stays, in which tracks give way only after `BIN_SECONDS` in the bin; None: a temporary one.
    """

    def __init__(self, max_bytes: int, max_kept: int, root: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="hybridgen-serve-") if root is None else None
        self.root = Path(self._temporary.name) if self._temporary is not None else Path(str(root))
        self.root.mkdir(parents=True, exist_ok=True)
        self.stays = root is not None
        self._max_bytes, self._max_kept = max_bytes, max_kept
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}  # oldest first

    def records(self) -> Iterator[tuple[str, Path, Any]]:
        """Id, folder and record of what lies in the root; None for a record that cannot be read."""
        for folder in [one for one in self.root.iterdir() if _GOING.fullmatch(one.name)]:
            shutil.rmtree(folder, ignore_errors=True)  # of a server that has ended meanwhile
        for folder in [one for one in self.root.iterdir() if _ID.fullmatch(one.name) and one.is_dir()]:
            try:
                yield folder.name, folder, json.loads((folder / RECORD).read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError):
                yield folder.name, folder, None

    def place(self) -> tuple[str, Path]:
        """A new id that nobody can guess, and its empty folder."""
        name = secrets.token_hex(16)
        folder = self.root / name
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

    def of(self, owner: str) -> list[Kept]:
        """What an owner has, newest first."""
        return [item for item in reversed(tuple(self._kept.values())) if item.owner == owner]

    def settle(self, item: Kept) -> None:
        """Counts what an item takes, now that it is whole, and records it; what is over the limits gives way."""
        self.save(item)
        item.n_bytes = sum(path.stat().st_size for path in item.folder.rglob("*") if path.is_file())
        for one in self._given_way():
            discard(one.folder)

    def _given_way(self) -> list[Kept]:
        """What is found no more from now on: what was in the bin for long, what is over the limits."""
        with self._lock:
            known = tuple(self._kept.values())
            gone = [one for one in known if one.removed is not None and time.time() - one.removed > BIN_SECONDS]
            settled = [one for one in known if one.n_bytes is not None and one not in gone]
            n_over, n_bytes = len(settled) - self._max_kept, sum(one.n_bytes or 0 for one in settled)
            going = sorted((one for one in settled if not self._is_safe(one)), key=lambda one: one.removed is None)
            while going and (n_over > 0 or n_bytes > self._max_bytes):  # the bin first, then the oldest
                gone.append(going.pop(0))
                n_over, n_bytes = n_over - 1, n_bytes - (gone[-1].n_bytes or 0)
            for one in gone:
                del self._kept[one.id]
            return gone

    def save(self, item: Kept) -> None:
        """Writes the record of an item that stays."""
        if self.stays and item.folder.exists():
            with atomic_write(item.folder / RECORD) as temporary:
                temporary.write_text(json.dumps(item.record()), encoding="utf-8")

    @property
    def is_full(self) -> bool:
        """Whether what may not give way takes all the room there is."""
        safe = [one for one in tuple(self._kept.values()) if self._is_safe(one)]
        return len(safe) >= self._max_kept or sum(one.n_bytes or 0 for one in safe) >= self._max_bytes

    def _is_safe(self, item: Kept) -> bool:
        return self.stays and item.is_track and item.removed is None

    def remove(self, item: Kept) -> None:
        """Removes an item and its files, which are not found any more before the first of them goes."""
        with self._lock:
            self._kept.pop(item.id, None)
        discard(item.folder)

    @property
    def n_kept(self) -> int:
        """Items, those that are being made included."""
        return len(self._kept)

    @property
    def n_bytes(self) -> int:
        """What they take on disk."""
        return sum(item.n_bytes or 0 for item in tuple(self._kept.values()))

    def close(self) -> None:
        """Removes everything, unless it is to stay."""
        if self._temporary is not None:
            self._temporary.cleanup()
