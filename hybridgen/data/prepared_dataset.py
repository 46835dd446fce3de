"""A prepared folder: what trainers need of a corpus, in shards, made once by a codec, a text encoder and a quantizer.

`000000.tar` holds of each of its tracks `NAME.safetensors` (latents, loudness, controls, instruments and the text
states of every caption), `NAME.json` (labels) and, where they are known, `NAME.notes.safetensors`. `000000.codes.tar`
holds `NAME.codes.safetensors`: another quantizer writes only those again. `catalogue` is written last and binds all of
it by hash, so where it stands the folder is whole.

Shapes: T latent frames (a multiple of 4), P = T / 4 code frames, C latent channels, Q codebooks, S text tokens, E text
width, F control features, R roles, N notes.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hybridgen.data import shards
from hybridgen.data.shards import CorruptShardError, Shard
from hybridgen.data.song import Note
from hybridgen.plan import CODE_HOP, LATENT_HOP, N_FEATURES, ROLES, Plan

FORMAT = 1
CODE_FRAMES = CODE_HOP // LATENT_HOP
MAX_CORRUPT = 0.001  # share of damaged tracks above which training stops
SPLITS = ("train", "test")
DTYPES = {"F16": np.float16, "F64": np.float64, "I16": np.int16}  # of safetensors, those that are used here

Read = TypeVar("Read")


@dataclass(frozen=True)
class Labels:
    """What is known of a track, whoever made it; None and () are unknown, and so may every field of the plan be."""

    name: str  # letters, digits, - and _; no other track of the folder has it
    split: str  # one of SPLITS
    plan: Plan  # its length is that of the audio
    captions: tuple[str, ...] = ()
    genre: str | None = None
    mood: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"track {self.name}: split {self.split!r} is none of {SPLITS}")

    def to_json(self) -> bytes:
        """One line; `from_json` is its inverse."""
        return (json.dumps(vars(self) | {"plan": self.plan.to_dict()}, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Labels":
        """The labels that `to_json` wrote."""
        fields = json.loads(data)
        plan = Plan.from_dict(fields.pop("plan"))
        return cls(plan=plan, captions=tuple(fields.pop("captions")), mood=tuple(fields.pop("mood")), **fields)


@dataclass(frozen=True)
class Notes:
    """The notes of a track as columns (N,)."""

    roles: np.ndarray  # int16, index into ROLES
    pitches: np.ndarray  # int16
    velocities: np.ndarray  # int16
    starts: np.ndarray  # float64 seconds
    durations: np.ndarray  # float64 seconds

    @classmethod
    def of(cls, notes: Iterable[Note]) -> "Notes":
        """The columns of notes in rows."""
        rows = [(ROLES.index(n.role), n.pitch, n.velocity, n.start, n.duration) for n in notes]
        kinds = (np.int16, np.int16, np.int16, np.float64, np.float64)
        columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
        return cls(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


@dataclass(frozen=True)
class PreparedTrack:
    """What is stored of a track; read-only arrays."""

    name: str
    length: int  # samples
    latents: np.ndarray  # (T, C) float16: the last frame is repeated
    loudness: np.ndarray  # (P,) float16, see `loudness`
    controls: np.ndarray  # (T, F) float16: `plan.frame_controls`
    instruments: np.ndarray  # (R,) int16: `plan.instrument_ids`
    texts: tuple[np.ndarray, ...]  # a caption each: (S, E) float16; one of no tokens where there is none
    codes: np.ndarray | None  # (Q, P) int16


class PreparedDataset:
    """The tracks of a split of a prepared folder, in order; read when asked for, so any number fits into memory.

    Damaged tracks are named once on stderr and kept in `bad`. ValueError for a folder without its catalogue.
    """

    def __init__(self, folder: str | Path, split: str, max_corrupt: float = MAX_CORRUPT):
        self.folder, self.max_corrupt = Path(folder), max_corrupt
        self.index = read_dataset_index(self.folder)
        entries = self.index["shards"]
        rows = [(i, row) for i, entry in enumerate(entries) for row, s in enumerate(entry["splits"]) if s == split]
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 2)
        self.lengths = np.array([entries[i]["lengths"][row] for i, row in rows], dtype=np.int64)  # samples
        self.n_frames = -(-self.lengths // CODE_HOP) * CODE_FRAMES  # of latents, the repeated ones included
        self.corrupt: dict[int, str] = {}  # track -> why
        self._shards: dict[Path, Shard] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_shards": {}}  # each process opens its own

    def __getitem__(self, i: int) -> PreparedTrack:
        """Track `i`; Damaged when its bytes are not those that were written."""
        arrays = self._arrays(i, "safetensors")
        name, length = self._name(i), int(self.lengths[i])
        if (found := arrays["controls"].shape) != (wanted := (self.n_frames[i], N_FEATURES)):
            raise CorruptShardError(f"track {name}: controls {found} are not {wanted}: prepare the folder again")
        texts = tuple(arrays[f"text.{n}"] for n in range(sum(key.startswith("text.") for key in arrays)))
        fixed = {key: arrays[key] for key in ("latents", "loudness", "controls", "instruments")}
        codes = None if self.index["quantizer"] is None else self._arrays(i, "codes.safetensors")["codes"]
        return PreparedTrack(name, length, texts=texts, codes=codes, **fixed)

    def labels(self, i: int) -> Labels:
        """What is known of track `i`; Damaged as above."""
        return Labels.from_json(bytes(self._needed(i, "json")))

    def notes(self, i: int) -> Notes | None:
        """The notes of track `i`, None where they are unknown; Damaged as above."""
        return None if self._part(i, "notes.safetensors") is None else Notes(**self._arrays(i, "notes.safetensors"))

    def read_or_skip(self, i: int, read: Callable[[int], Read]) -> Read | None:
        """read(i), or None for a track that is damaged; ValueError when too many of those that were asked for are."""
        try:
            return read(i)
        except CorruptShardError as error:
            self._count_bad(i, str(error))
            return None

    def _count_bad(self, i: int, reason: str) -> None:
        if i in self.corrupt:
            return
        self.corrupt[i] = reason
        print(f"damaged track {self._name(i)} is skipped: {reason}", file=sys.stderr)
        if len(self.corrupt) > self.max_corrupt * len(self):
            names = ", ".join(self._name(i) for i in list(self.corrupt)[:5])
            limit = f"max_corrupt allows {self.max_corrupt * len(self):g}"
            raise ValueError(
                f"prepared {self.folder}: {len(self.corrupt)} of {len(self)} tracks damaged ({names}), {limit}"
            )

    def _name(self, i: int) -> str:
        shard, row = self._rows[i]
        return self.index["shards"][shard]["names"][row]

    def _part(self, i: int, kind: str) -> memoryview | None:
        number, row = self._rows[i].tolist()
        is_code = kind.startswith("codes.")
        path = codes_path(self.folder, number) if is_code else latents_path(self.folder, number)
        if path not in self._shards:
            shard = Shard(path)
            if shard.digest != self.index["shards"][number]["codes" if is_code else "latents"]:
                raise CorruptShardError(f"{path}: written after the catalogue: prepare the folder again")
            self._shards[path] = shard
        return self._shards[path].read(row, kind)

    def _needed(self, i: int, kind: str) -> memoryview:
        part = self._part(i, kind)
        if part is None:
            raise CorruptShardError(f"track {self._name(i)} has no {kind}")
        return part

    def _arrays(self, i: int, kind: str) -> dict[str, np.ndarray]:
        try:
            return views(self._needed(i, kind))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptShardError(f"track {self._name(i)}: {kind} is no safetensors file: {error}") from None


def views(data: memoryview) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, read-only and in place: a window of a track costs no more than the window."""
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(bytes(data[8:start]))
    return {
        name: np.ndarray(entry["shape"], DTYPES[entry["dtype"]], data[start:], entry["data_offsets"][0])
        for name, entry in entries.items()
    }


def latents_path(folder: Path, number: int) -> Path:
    """Shard `number` of a prepared folder."""
    return folder / f"{number:06d}.tar"


def codes_path(folder: Path, number: int) -> Path:
    """Its codes."""
    return folder / f"{number:06d}.codes.tar"


def read_dataset_index(folder: Path) -> dict[str, Any]:
    """What a prepared folder holds; ValueError if its preparation has not ended or its catalogue is damaged."""
    path = folder / "catalogue"
    if not path.exists():
        raise ValueError(f"prepared {folder} holds no catalogue: train/prepare.py has not written it to its end")
    index = json.loads(shards.read_checksummed(path)[1])
    if index["format"] != FORMAT:
        raise ValueError(f"{path}: format {index['format']} is not {FORMAT}, the one known here: prepare it again")
    return index
