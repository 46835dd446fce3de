"""Checkpoints of a run that can be stopped at any moment and resumed as if it had not been.

A checkpoint is a folder `step_00001234`: safetensors files for each part (weights, average, moments), `state.json`, and
`manifest.json` with the size and SHA-256 of every file and of itself. It is written under another name, flushed to disk
and renamed, so that a folder of that name is complete unless the disk lied; `newest` checks, and skips what is not.
Random numbers are not part of it: the scripts draw them from `generators(seed, step)`.

One process writes to a run's folder; any number may read.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

import hybridgen
from hybridgen import config

MAX_FILE_BYTES = 1 << 30  # saving and loading need twice this in memory beyond the tensors themselves
_REPLACED = ".old.tmp"
_MISSING = "(nothing)"


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to continue: tensors by part and name, and a state that JSON can hold."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class Disk:
    """The disk operations of saving, one method each, so that tests can stop or fail at every one of them."""

    @staticmethod
    def make(folder: Path) -> None:
        """A new folder, with missing parents."""
        folder.mkdir(parents=True)

    @staticmethod
    def write(path: Path, data: bytes) -> None:
        """A new file."""
        path.write_bytes(data)

    @staticmethod
    def sync(path: Path) -> None:
        """Returns when a file's content, or the names in a folder, would survive a power cut."""
        if os.name == "nt" and path.is_dir():
            return  # Windows cannot open folders, and need not
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @staticmethod
    def rename(source: Path, target: Path) -> None:
        """A folder to a free name, or a file over another."""
        source.replace(target)

    @staticmethod
    def remove(path: Path) -> None:
        """A file, or a folder with its contents."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def save(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Writes a checkpoint into the run's folder and keeps the `keep` newest; its folder.

    Checkpoints of later steps are removed: they were broken and skipped, or abandoned in a rollback. OSError with path
    and reason when the disk refuses; every earlier checkpoint is then untouched.
    """
    if keep < 2:
        raise ValueError(f"keep {keep}: at least 2, in case the newest checkpoint is broken")
    place = folder / _name(checkpoint.step)
    draft = folder / f".{place.name}.tmp"
    try:
        clean(folder)
        _write(draft, checkpoint)
        if place.exists():
            Disk.rename(place, folder / f".{place.name}{_REPLACED}")
        Disk.rename(draft, place)
        Disk.sync(folder)
    except OSError as error:
        with suppress(OSError):  # if the disk refuses this too, the next start cleans up
            clean(folder)
        reason = f"{error.strerror or error}; checkpoint not written, earlier ones are untouched"
        raise OSError(error.errno, reason, str(error.filename or place)) from None
    earlier = [old for old in _all(folder) if old.name < place.name]
    spared = {place, *earlier[-(keep - 1) :]}
    for old in _all(folder):
        if old not in spared:  # renamed first, so that no reader meets half a checkpoint
            Disk.rename(old, folder / f".{old.name}.gone.tmp")
    clean(folder)
    return place


def load(place: Path) -> Checkpoint:
    """The checkpoint in a folder that `save` wrote; ValueError if a single byte of it has changed."""
    manifest = _manifest(place)
    state = json.loads(_content(place, "state.json", manifest))
    tensors: dict[str, dict[str, Tensor]] = {}
    for part, files in state["parts"].items():
        tensors[part] = {}
        for name in files:
            tensors[part] |= parse_tensors(_content(place, name, manifest))
    return Checkpoint(state["step"], tensors, state["state"])


def newest(folder: Path, until: int | None = None) -> Path | None:
    """The newest intact checkpoint of a run up to step `until`, or None for a run without any.

    A broken one is reported on stderr and skipped; ValueError when all of them are broken.
    """
    places = [place for place in _all(folder) if until is None or place.name <= _name(until)]
    for place in reversed(places):
        try:
            manifest = _manifest(place)
            for name in manifest:
                _content(place, name, manifest)
            return place
        except ValueError as error:
            print(f"checkpoint skipped: {error}", file=sys.stderr)
    if places:
        raise ValueError(f"{folder}: all {len(places)} checkpoints are broken; remove them to start again")
    return None


def clean(folder: Path) -> None:
    """Removes what a killed writer left in the run's folder; only for the process that writes there.

    A checkpoint that was being replaced, and was not, is put back.
    """
    for left in folder.glob(".*.tmp"):
        place = folder / left.name[1:].removesuffix(_REPLACED)
        if left.name.endswith(_REPLACED) and not place.exists():
            Disk.rename(left, place)
        else:
            Disk.remove(left)


# A checkpoint on disk.


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_" + "[0-9]" * 8))


def _write(draft: Path, checkpoint: Checkpoint) -> None:
    Disk.make(draft)
    entries: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[str]] = {}
    for part, tensors in checkpoint.tensors.items():
        parts[part] = []
        for number, some in enumerate(_split(tensors)):
            name = f"{part}-{number:05d}.safetensors"
            parts[part].append(name)
            entries[name] = _put(draft / name, format_tensors(some))
    state = {"step": checkpoint.step, "parts": parts, "state": checkpoint.state}
    entries["state.json"] = _put(draft / "state.json", json.dumps(state).encode())
    _put(draft / "manifest.json", _checksummed(entries))
    Disk.sync(draft)


def _put(path: Path, data: bytes) -> dict[str, Any]:
    """Writes a file and flushes it to disk; its entry in the manifest, made from what it should hold."""
    Disk.write(path, data)
    Disk.sync(path)
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _split(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors in groups of at most MAX_FILE_BYTES; a larger one is alone."""
    group: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if group and size + tensor.nbytes > MAX_FILE_BYTES:
            yield group
            group, size = {}, 0
        group[name] = tensor.contiguous()
        size += tensor.nbytes
    if group:
        yield group


def _checksummed(entries: dict[str, dict[str, Any]]) -> bytes:
    """The manifest, always in the same bytes: the hash of the entries, and the entries."""
    checksum = hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return json.dumps({"sha256": checksum, "files": entries}, indent=1).encode()


def _manifest(place: Path) -> dict[str, dict[str, Any]]:
    """The entries by file name; ValueError if a single byte of the manifest has changed."""
    path = place / "manifest.json"
    data = _read(path)
    try:
        entries = json.loads(data)["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path}: not a manifest") from None
    if _checksummed(entries) != data:
        raise ValueError(f"{path}: does not match its own SHA-256")
    return entries


def _content(place: Path, name: str, manifest: dict[str, dict[str, Any]]) -> bytes:
    """The bytes of a file of a checkpoint; ValueError if they have changed."""
    data, entry = _read(place / name), manifest[name]
    if len(data) != entry["size"]:
        raise ValueError(f"{place / name}: {len(data)} bytes, the manifest says {entry['size']}")
    if (found := hashlib.sha256(data).hexdigest()) != entry["sha256"]:
        raise ValueError(f"{place / name}: SHA-256 {found[:8]}..., the manifest says {entry['sha256'][:8]}...")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


# What a run is made of.


def identity(script: str | Path, **configs: Any) -> dict[str, Any]:
    """What a run is made of: config dataclasses by name, and version and hash of the package and the script."""
    source = hashlib.sha256()
    for path in [*sorted(Path(hybridgen.__file__).parent.rglob("*.py")), Path(script)]:
        source.update(path.read_bytes())
    code = {"version": hybridgen.__version__, "sha256": source.hexdigest()}
    return {"code": code} | {name: config.dump(value) for name, value in configs.items()}


def compare(saved: Mapping[str, Any], now: Mapping[str, Any], fixed: Iterable[str]) -> None:
    """Reports on stderr, in one line, what differs between the saved run and the one that resumes it.

    ValueError for a difference in a field of `fixed`, dotted names of fields or of whole sections.
    """
    before, after = _flat(saved), _flat(now)
    changed = [name for name in before | after if before.get(name, _MISSING) != after.get(name, _MISSING)]
    for name in changed:
        if any(name == field or name.startswith(f"{field}.") for field in fixed):
            old, new = before.get(name, _MISSING), after.get(name, _MISSING)
            raise ValueError(f"{name}: the checkpoint was made with {old}, this run has {new}")
    changes = [f"{name} {before.get(name, _MISSING)} -> {after.get(name, _MISSING)}" for name in changed]
    if changes:
        print(f"resuming with changes: {', '.join(changes)}", file=sys.stderr)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Dotted names and plain values; hashes are cut to eight digits."""
    if isinstance(value, Mapping):
        dot = f"{name}." if name else ""
        return {key: leaf for field, item in value.items() for key, leaf in _flat(item, dot + field).items()}
    if isinstance(value, list | tuple):
        return {name: json.dumps(value)}  # a tuple comes back from JSON as a list
    return {name: value[:8] if name.endswith("sha256") else value}


def generators(seed: int, step: int) -> tuple[random.Random, torch.Generator]:
    """The random numbers of one step: the same whether the run was resumed or not."""
    rng = random.Random(f"{seed} {step}")
    return rng, torch.Generator().manual_seed(rng.getrandbits(62))


# Signals.

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
ECHO_SECONDS = 0.5  # Ctrl-C reaches a worker from the terminal and again from its launcher: that is one request


class Stop:
    """Whether a signal asked this process to stop. Several ranks must agree on it before one of them does."""

    def __init__(self):
        self.requested = False

    def request(self, *_: object) -> None:
        """The signal handler: the loop looks at `requested` between two steps."""
        self.requested = True


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Inside the block the first SIGTERM, SIGINT or SIGUSR1 only sets `requested`, so that the loop can save and stop.

    Another one, half a second or more later, ends the process at once with the usual exit code, 128 + signal (143, 130,
    138).
    """
    stop = Stop()
    out, into = socket.socketpair()  # on Windows signals wake up only these, not pipes
    into.setblocking(False)
    listener = threading.Thread(target=_exit_on_second, args=(out,), daemon=True)
    listener.start()
    wake_up = signal.set_wakeup_fd(into.fileno())
    before = {number: signal.signal(number, stop.request) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wake_up)
        into.close()
        listener.join()
        out.close()


def _exit_on_second(signals: socket.socket) -> None:
    """Reads signal numbers as they arrive, in a thread: Python's handlers wait until a long operation ends."""
    first = None
    while data := signals.recv(1):
        if data[0] in _SIGNALS:
            now = time.monotonic()
            first = now if first is None else first
            if now - first > ECHO_SECONDS:
                os._exit(128 + data[0])
