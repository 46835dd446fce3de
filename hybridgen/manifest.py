"""What made this file: a schema, its digest, and how both are embedded, read and verified.

The manifest is one line of ASCII JSON that starts with `{"sha256":"`, placed by `tags` whole before the audio. Its 64
digits are the SHA-256 of the file with those digits set to zero (in Ogg also the checksum of the page that holds them,
which is checked on its own): any changed byte in any place is noticed. That is integrity, not authorship. No time
stamps: the same inputs give the same bytes.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridgen import history, tags
from hybridgen.files import atomic_write
from hybridgen.history import Change, Import, Operation, Style
from hybridgen.plan.plan import Plan

FORMAT = 3
MAX_GAIN_DB = 200  # either way; mastering takes far less
MAX_BYTES = 4 << 20  # of JSON in a manifest
_BLANK = "0" * 64
_START = b'{"sha256":"'
_BLOCK = 1 << 20
_FORMAT_1_ONLY = (
    "kind",
    "prompt",
    "plan",
    "plan_seed",
    "render_seed",
    "sampling",
    "model",
    "weights",
    "edits",
    "adapters",
)
_FORMAT_1 = {*_FORMAT_1_ONLY, "generator", "gain_db", "versions", "ai_generated", "format", "sha256"}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything needed to make the file again."""

    generator: str  # "hybridgen 0.1.0"
    operations: tuple[Operation, ...]  # oldest first: what a replay repeats
    gain_db: float  # the static mastering gain
    versions: dict[str, str]  # see `versions`
    ai_generated: bool = True
    format: int = FORMAT
    sha256: str = _BLANK  # of the file, set by `embed`

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"manifest format {str(self.format)[:60]} is none of 1 to {FORMAT}, those known here")
        history.check(self.operations)
        for name, kind in (("generator", str), ("ai_generated", bool), ("sha256", str)):
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"manifest {name} {str(getattr(self, name))[:60]!r} should be {kind.__name__}")
        if type(self.gain_db) not in (int, float) or not abs(self.gain_db) <= MAX_GAIN_DB:
            raise ValueError(f"manifest gain_db {str(self.gain_db)[:60]!r} should be a number up to {MAX_GAIN_DB}")
        _check_strings("versions", self.versions)
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise ValueError(f"manifest sha256 {self.sha256[:70]!r} is not 64 hexadecimal digits")

    @property
    def plan(self) -> Plan:
        """The plan of the track as it is, after the last operation."""
        return self.operations[-1].plan

    @property
    def is_recording(self) -> bool:
        """Whether the track began as an imported recording and not as a plan."""
        return isinstance(self.operations[0], Import)

    @property
    def has_own_sound(self) -> bool:
        """Whether its samples are more than what the codec makes of its latents: of a recording, or of added layers."""
        return self.is_recording or any(isinstance(one, Change) and one.heard for one in self.operations)

    @property
    def styles(self) -> tuple[Style, ...]:
        """What the codec's sound is given, oldest first; a layer's latents are those of a sound that has it already."""
        layers = [i for i, one in enumerate(self.operations) if isinstance(one, Change) and one.heard]
        return tuple(one for one in self.operations[max(layers, default=0) :] if isinstance(one, Style))

    @property
    def origin(self) -> int:
        """The number of the track's first latent frame: those that were put before it have negative ones."""
        return -sum(operation.moved for operation in self.operations if isinstance(operation, Change))

    def to_json(self) -> str:
        """One line of ASCII, the digest first; ValueError for values that JSON cannot hold."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"operations": [history.dump(operation) for operation in self.operations]}
        try:
            return json.dumps({"sha256": self.sha256, **values}, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"manifest holds what JSON cannot: {error}") from None

    def followed_by(self, operation: Operation) -> "Manifest":
        """That of the track after one more operation; ValueError where no file could hold it."""
        new = dataclasses.replace(self, operations=(*self.operations, operation))
        n_bytes = len(new.to_json())
        if n_bytes > MAX_BYTES:
            raise ValueError(
                f"the track's history of {len(self.operations)} operations and another one take {n_bytes} bytes, over "
                f"the {MAX_BYTES} that a file holds: save its plan and render that (hybridgen plan TRACK -o plan.json)"
            )
        return new

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest in a JSON object, of formats 1 and 2 too; ValueError for unknown, missing or mistyped keys."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"manifest is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"manifest: expected a JSON object, got {str(values)[:60]}")
        if values.get("format") == 1:
            values = _from_format_1(values)
        if values.get("format") == 2:
            values = _from_format_2(values)
        _check_keys(values, {field.name for field in dataclasses.fields(cls)})
        if not isinstance(values["operations"], list):
            raise ValueError(f"manifest operations {str(values['operations'])[:60]!r} should be a list")
        parts = [history.build(part, f"operation {i}") for i, part in enumerate(values["operations"], start=1)]
        return cls(**{**values, "operations": tuple(parts)})


def _from_format_1(values: Mapping[str, Any]) -> dict[str, Any]:
    _check_keys({"adapters": [], **values}, _FORMAT_1)  # files older than adapters have no such key
    try:
        operations = history.from_format_1(values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"manifest of format 1: its edits are not what that format holds: {error!r}") from None
    kept = {name: values[name] for name in ("generator", "gain_db", "versions", "ai_generated", "sha256")}
    return {**kept, "operations": operations, "format": 2}


def _from_format_2(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        operations = [history.from_format_2(operation) for operation in values["operations"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"manifest of format 2: its edits are not what that format holds: {error!r}") from None
    return {**values, "operations": operations, "format": FORMAT}


def _check_keys(values: Mapping[str, Any], known: set[str]) -> None:
    unknown, missing = sorted(set(values) - known), sorted(known - set(values))
    if unknown or missing:
        raise ValueError(f"manifest: unknown {unknown[:5]}; missing {missing}")


def _check_strings(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in (*value, *value.values())):
        raise ValueError(f"manifest {name} {str(value)[:60]!r} should map names to strings")


def versions(threads: int) -> dict[str, str]:
    """What else the samples and the bytes of a file depend on: packages, platform, and the number of CPU threads."""
    packages = ("torch", "numpy", "scipy", "soxr", "soundfile")
    installed = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **installed, "platform": platform.platform(), "threads": str(threads)}


def embed(path: str | Path, manifest: Manifest) -> Manifest:
    """Puts a manifest into a wav, flac, ogg or mp3 file, in place of any other; returns it with its digest.

    The audio is untouched and the file changes whole or not at all. ValueError for another format, or over MAX_BYTES.
    """
    text = dataclasses.replace(manifest, sha256=_BLANK).to_json()
    if len(text) > MAX_BYTES:
        raise ValueError(f"manifest of {len(text)} bytes is over the limit of {MAX_BYTES}")
    with atomic_write(path) as temporary:
        with Path(path).open("rb") as old, temporary.open("wb") as new:
            new.writelines(tags.tagged(path, old, text, manifest.generator))
        digest = _digest(temporary)
        _write_digest(temporary, digest)
    return dataclasses.replace(manifest, sha256=digest)


def read(path: str | Path) -> Manifest:
    """The manifest of a file; ValueError when it carries none, or none that can be read."""
    head = tags.read_head(path)
    start = head.find(_START)
    if start < 0:
        raise ValueError(f"{path} carries no hybridgen manifest")
    try:
        text = head[start:].decode("latin-1")
        _, end = json.JSONDecoder().raw_decode(text)
        return Manifest.from_json(text[:end])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its manifest cannot be read: {error}") from None


def carries(path: str | Path) -> bool:
    """Whether a file holds a hybridgen manifest, readable or not."""
    return _START in tags.read_head(path)


def verify(path: str | Path) -> list[str]:
    """What is wrong with a file, a line each; an empty list means that not a byte has changed since it was written."""
    try:
        manifest = read(path)
        problems = tags.broken_pages(path)
        digest = _digest(path)
    except ValueError as error:
        return [str(error)]
    if digest != manifest.sha256:
        problems.append(f"{path} was changed: its SHA-256 is {digest}, its manifest says {manifest.sha256}")
    return problems


def _digits(path: str | Path) -> tuple[int, int | None]:
    """Where the digest's digits begin, and the Ogg page that holds them."""
    with Path(path).open("rb") as file:
        head = file.read(tags.HEAD)
    start = head.find(_START) + len(_START)
    if start < len(_START):
        raise ValueError(f"{path}: its manifest is not contiguous")
    return start, tags.page_of(head, start)


def _digest(path: str | Path) -> str:
    """The SHA-256 of a file but for the digest's digits and, in Ogg, the checksum of their page."""
    digits, page = _digits(path)
    spans = [(digits, digits + len(_BLANK)), *([] if page is None else [(page + 22, page + 26)])]
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        head = bytearray(file.read(digits + len(_BLANK)))
        for start, stop in spans:
            head[start:stop] = b"0" * (stop - start)
        digest.update(head)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_digest(path: Path, digest: str) -> None:
    digits, page = _digits(path)
    with path.open("rb+") as file:
        file.seek(digits)
        file.write(digest.encode())
        if page is not None:
            tags.write_checksum(file, page)
