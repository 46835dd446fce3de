"""Whole files: written atomically, hashed, and read with an upper limit on their size."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MAX_JSON = 1 << 20  # bytes


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary file in the folder of `path`, which replaces it when the block ends well and is removed otherwise.

    Raises FileNotFoundError for a missing folder before the block runs, and OSError that names the file.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: no folder {path.parent}")
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)  # what the umask allows; some writers make their own 0600 file
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)  # "No space left on device" alone does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


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
