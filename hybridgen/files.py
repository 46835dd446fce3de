"""Whole files and folders: outputs that appear together or not at all, hashes, reading up to a limit on the size."""

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import stat
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MAX_JSON = 1 << 20  # bytes
STALE_SECONDS = 900.0  # a temporary file that nobody has written to for so long belongs to a run that was killed
_TEMPORARY = re.compile(r"\.hybridgen-[0-9a-f]{8}\.tmp")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the first that ZIP can say
_open_outputs: set[Path] = set()  # the temporary files and folders of this process


class Outputs:
    """Files that take their places together when a `with` block ends well; otherwise all stays as it was.

    A file that is replaced keeps its mode, and a link stays a link to it. Ctrl-C and SIGTERM wait while the files are
    moved. An OSError names the output and not the temporary file.
    """

    def __init__(self) -> None:
        self._temporaries: dict[Path, Path] = {}  # output -> where it is written
        self._modes: dict[Path, int] = {}

    def add(self, path: str | Path) -> Path:
        """Where to write what will be the file `path`: a new, empty file in its folder.

        Raises FileNotFoundError for a missing folder.
        """
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise FileNotFoundError(f"{path}: no folder {target.parent}")
        _remove_stale(target.parent)
        with _signals_deferred():
            temporary = _new_name(target.parent)
            self._temporaries[target] = temporary
            _open_outputs.add(temporary)
            temporary.touch(exist_ok=False)
        old = target if target.exists() else temporary  # what the umask allows; some writers make their own 0600 file
        self._modes[target] = stat.S_IMODE(old.stat().st_mode)
        return temporary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _signals_deferred():
            try:
                if kind is None:
                    self._replace()
            except OSError as failure:
                self._name(failure)
                raise
            finally:
                for temporary in self._temporaries.values():
                    _remove(temporary)
                    _open_outputs.discard(temporary)
        if isinstance(error, OSError):
            self._name(error)

    def _replace(self) -> None:
        for target, temporary in self._temporaries.items():  # all is on the disk before the first takes its place
            temporary.chmod(self._modes[target])
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        backups: dict[Path, Path] = {}
        replaced: list[Path] = []
        try:
            if len(self._temporaries) > 1:
                for target in filter(Path.exists, self._temporaries):
                    backups[target] = _backup(target)
            for target, temporary in self._temporaries.items():
                temporary.replace(target)
                replaced.append(target)
        finally:
            if len(replaced) < len(self._temporaries):
                for target in replaced:
                    if target in backups:
                        os.replace(backups[target], target)
                    else:
                        target.unlink()
            for backup in backups.values():
                _remove(backup)

    def _name(self, error: OSError) -> None:
        """Makes an error say which output it is about: "No space left on device" alone does not."""
        outputs = {str(temporary): str(target) for target, temporary in self._temporaries.items()}
        if error.filename is None and error.errno and len(outputs) == 1:
            error.filename = next(iter(outputs.values()))
        elif isinstance(error.filename, str | Path):
            error.filename = outputs.get(str(error.filename), error.filename)


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """One file of `Outputs`: a temporary file that becomes `path` when the block ends well."""
    with Outputs() as outputs:
        yield outputs.add(path)


@contextlib.contextmanager
def working_folder(target: str | Path) -> Iterator[Path]:
    """A new folder beside `target`, removed when the block ends; an OSError in it names `target` in its place.

    Raises FileNotFoundError for a missing folder.
    """
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: no folder {target.parent}")
    _remove_stale(target.parent)
    with _signals_deferred():
        temporary = _new_name(target.parent)
        _open_outputs.add(temporary)
        temporary.mkdir()
    try:
        yield temporary
    except OSError as error:
        if error.filename is None or str(error.filename).startswith(str(temporary)):
            error.filename = str(target)
        raise
    finally:
        with _signals_deferred():
            shutil.rmtree(temporary, ignore_errors=True)
            _open_outputs.discard(temporary)


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder that is there in the block, and after it too where something came into it."""
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def folder_write(path: str | Path) -> Iterator[Path]:
    """A new folder that becomes `path` when the block ends well, in place of one that is there.

    Until then that one stays as it was. Raises FileNotFoundError for a missing folder, and OSError.
    """
    target = Path(os.path.realpath(path))
    with working_folder(target) as temporary:
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            with file.open("rb+") as open_file:
                os.fsync(open_file.fileno())
        with _signals_deferred():
            _exchange(temporary, target)


def _exchange(new: Path, target: Path) -> None:
    """Puts a folder in the place of another, which is removed, by a name that `_remove_stale` leaves alone."""
    old = new.with_suffix(".old") if target.exists() else None
    if old is not None:
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old is not None:
            old.rename(target)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def write_zip(path: str | Path, members: Mapping[str, Path | bytes]) -> None:
    """Writes a ZIP of files, in their order, by the names that they have in it: the same files give the same bytes.

    Nothing is compressed, as sound hardly is and compressors differ between versions; no time is that of the clock.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # as on Unix, whatever this is
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            info.file_size = content.stat().st_size
            with content.open("rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member)


def are_open() -> bool:
    """Whether this process is writing outputs at the moment."""
    return bool(_open_outputs)


def _new_name(folder: Path) -> Path:
    return folder / f".hybridgen-{secrets.token_hex(4)}.tmp"


def _backup(path: Path) -> Path:
    """A second name for a file, or a copy where the file system has no hard links."""
    backup = _new_name(path.parent)
    try:
        os.link(path, backup)
    except OSError:
        shutil.copy2(path, backup)
    return backup


def _remove(path: Path) -> None:
    """Removes a temporary file; one that cannot be removed is left to `_remove_stale`."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@functools.cache  # once a folder
def _remove_stale(folder: Path) -> None:
    """Removes the temporary files and folders that killed runs have left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > STALE_SECONDS:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect after the block; only the main thread receives them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if arrived:
            signal.raise_signal(arrived[0])


def expand_user(path: str | Path) -> Path:
    """The path with a leading ~ or ~user replaced; ValueError for a user that does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{str(path)!r}: {error}") from None


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: str | Path, max_bytes: int = MAX_JSON) -> dict[str, Any]:
    """The JSON object in a file; ValueError for anything else, or for more than `max_bytes`."""
    path = Path(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{path}: {size} bytes is over the limit of {max_bytes}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds {type(value).__name__}, not a JSON object")
    return value


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object, indented, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
