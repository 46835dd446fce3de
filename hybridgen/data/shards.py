"""Shards: plain tar files that WebDataset can read, each with an index of the place and hash of every part.

A sample is a name and its parts: `000123.safetensors`, `000123.json` are the parts `safetensors` and `json` of 000123.
The span of a part is its tar header, its data and its padding; that of the last part includes the end of the archive.
So every byte of a tar is in exactly one span, and the index holds the SHA-256 of each. The index is a line with the
SHA-256 of the rest, then the metadata and each sample as a line of JSON. The same samples make the same bytes, and
nothing is ever unpacked to a path.

Shapes: N samples, K kinds of parts.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hybridgen.files import atomic_write

BLOCK = 512  # bytes in a tar header; data is padded to multiples of it
END = bytes(2 * BLOCK)  # of an archive
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")  # for WebDataset all after the first dot is the kind of the part
KIND = re.compile(r"[a-z0-9.]{1,19}")


class CorruptShardError(ValueError):
    """Stored bytes are missing, or are not those that were written."""


def write(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]], metadata: Mapping[str, Any]) -> None:
    """Writes a shard of samples (name, kind -> data), with metadata that JSON can hold in its index.

    Tar and index are written atomically, the index last: a shard exists when its index does. Raises ValueError for a
    name that is not a portable file name or occurs twice, and for a shard without parts.
    """
    index = path.with_suffix(".index")
    index.unlink(missing_ok=True)  # first, so that an old index is never found beside a new tar
    rows: dict[str, dict[str, tuple[int, int, int, str]]] = {}
    with atomic_write(path) as temporary, temporary.open("wb") as tar:
        pending = b""  # the latest span: written once it is known whether it is the last
        for name, parts in samples:
            if name in rows or not NAME.fullmatch(name):
                fault = "occurs twice" if name in rows else f"does not match {NAME.pattern}"
                raise ValueError(f"{path}: name {name!r} {fault}")
            rows[name] = {}
            for kind, data in parts.items():
                tar.write(pending)
                pending = _header(name, kind, len(data)) + data + bytes(-len(data) % BLOCK)
                rows[name][kind] = (tar.tell(), len(data), tar.tell() + len(pending), _digest(pending))
                last = (name, kind)
        if not pending:
            raise ValueError(f"{path}: a shard without parts")
        pending += END
        start, size, stop, _ = rows[last[0]][last[1]]
        rows[last[0]][last[1]] = (start, size, stop + len(END), _digest(pending))
        tar.write(pending)
    lines = [{"facts": dict(metadata)}, *({"name": name, "parts": parts} for name, parts in rows.items())]
    write_checksummed(index, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())


def write_checksummed(path: Path, data: bytes) -> None:
    """Atomically writes a file whose first line is the SHA-256 of the rest."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(f"{_digest(data)}\n".encode() + data)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the names too, so that they survive a power failure
    finally:
        os.close(folder)


def read_checksummed(path: Path) -> tuple[str, bytes]:
    """The digest and data of a file that `write_checksummed` wrote; CorruptShardError when they do not match."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise CorruptShardError(f"{path}: {error.strerror}") from None
    if digest != _digest(data).encode():
        raise CorruptShardError(f"{path}: not the bytes that were written")
    return digest.decode(), data


class Shard:
    """Random access to the parts of a shard. The index takes some 60 bytes of memory per part; the tar is opened for
    each read.

    Each process checks the hash of a part when it first reads it. Raises CorruptShardError for an index, tar or part
    that is missing or not as it was written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.digest, data = read_checksummed(path.with_suffix(".index"))
        try:
            head, *samples = (json.loads(line) for line in data.splitlines())
            self.metadata: dict[str, Any] = head["facts"]
            self.names = tuple(sample["name"] for sample in samples)
            self._rows = {kind: i for i, kind in enumerate(sorted({kind for s in samples for kind in s["parts"]}))}
            self._spans = np.full((len(samples), len(self._rows), 3), -1, dtype=np.int64)  # start, size, stop
            self._digests = np.zeros((len(samples), len(self._rows), 32), dtype=np.uint8)
            for i, sample in enumerate(samples):
                for kind, (*span, digest) in sample["parts"].items():
                    self._spans[i, self._rows[kind]] = span
                    self._digests[i, self._rows[kind]] = bytearray.fromhex(digest)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise CorruptShardError(f"{path.with_suffix('.index')}: not the index of a shard: {error}") from None
        self._verified = np.zeros(self._digests.shape[:2], dtype=bool)
        self._check_tar()

    def _check_tar(self) -> None:
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise CorruptShardError(f"{self.path}: {error.strerror}") from None
        if size != self._spans[..., 2].max(initial=0):
            raise CorruptShardError(f"{self.path}: {size} bytes, its index says {self._spans[..., 2].max(initial=0)}")

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int, kind: str) -> memoryview | None:
        """The data of one part of sample `row`; None if the sample has no such part."""
        column = self._rows.get(kind)
        if column is None or self._spans[row, column, 0] < 0:
            return None
        start, size, stop = self._spans[row, column].tolist()
        name = f"{self.path}: {self.names[row]}.{kind}"
        try:
            with self.path.open("rb", buffering=0) as tar:
                span = os.pread(tar.fileno(), stop - start, start)
        except OSError as error:
            raise CorruptShardError(f"{name}: {error.strerror}") from None
        if len(span) != stop - start or BLOCK + size > len(span):
            raise CorruptShardError(f"{name}: {len(span)} bytes, its index says {stop - start}")
        if not self._verified[row, column]:
            if hashlib.sha256(span).digest() != self._digests[row, column].tobytes():
                raise CorruptShardError(f"{name}: not the bytes that were written")
            self._verified[row, column] = True
        return memoryview(span)[BLOCK : BLOCK + size]


def find_corruption(path: Path) -> list[str]:
    """Reads every byte of a shard and its index; returns a message for each part that is not as it was written."""
    try:
        shard = Shard(path)
    except CorruptShardError as error:
        return [str(error)]
    found = []
    for row in range(len(shard)):
        for kind in shard._rows:
            try:
                shard.read(row, kind)
            except CorruptShardError as error:
                found.append(str(error))
    return found


def _header(name: str, kind: str, size: int) -> bytes:
    """A tar header without time, owner or host; ValueError for a kind that is not a portable file suffix."""
    if not KIND.fullmatch(kind):
        raise ValueError(f"kind {kind!r} does not match {KIND.pattern}")
    info = tarfile.TarInfo(f"{name}.{kind}")
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(argv: list[str] | None = None) -> None:
    """The command line: exits with status 1 when anything is corrupt."""
    parser = argparse.ArgumentParser(prog="python -m hybridgen.data.shards", description="Checks every byte of shards.")
    parser.add_argument("folder", type=Path, help="with *.tar and *.index")
    folder = parser.parse_args(argv).folder
    paths = sorted({path.with_suffix(".tar") for kind in ("tar", "index") for path in folder.glob(f"*.{kind}")})
    found = [line for path in tqdm(paths, "shards", mininterval=2) for line in find_corruption(path)]
    print("\n".join([*found, f"{folder}: {len(paths)} shards, {len(found)} corrupt parts"]))
    sys.exit(1 if found or not paths else 0)


if __name__ == "__main__":
    main()
