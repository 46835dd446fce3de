"""A prepared folder: what training needs of a corpus, in shards that codec, text encoder and quantizer made once.

`000000.tar` holds for each of its tracks `NAME.safetensors` (latents, loudness, controls, instruments, kinds of sound
where they are known, and the text states of every caption), `NAME.json` (labels), `NAME.rolls.safetensors` (the plan's
notes by frames, where it has some) and `NAME.notes.safetensors` (the notes as played, where they are known). Some
tracks hold some roles of a song alone. `000000.codes.tar` holds `NAME.codes.safetensors`, so that a new quantizer
writes only those. The dataset index is written last and binds all shards by their hashes: a folder that has one is
complete.

Shapes: T latent frames (a multiple of K, the latent frames in a code frame), P = T / K code frames, C latent channels,
Q codebooks, S text tokens, E text width, F control features, R roles, X kinds of
sound, N notes.
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
from hybridgen.plan.features import N_FEATURES, PLAN_VERSION
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.plan.rolls import NoteSpans
from hybridgen.plan.sounds import SOUNDS
from hybridgen.plan.time_base import TimeBase

FORMAT = 1
DATASET_INDEX = "catalogue"  # the file's name
MAX_CORRUPT = 0.001  # share of corrupt tracks above which training stops
SPLITS = ("train", "test")
DTYPES = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "I16": np.int16,
    "I32": np.int32,
    "BOOL": np.bool_,
}  # those of safetensors that are used here

Read = TypeVar("Read")


@dataclass(frozen=True)
class Labels:
    """What is known of a track, composed or recorded; None and () mean unknown, as do the plan's own unset fields."""

    name: str  # letters, digits, - and _; no other track of the folder has it
    split: str  # one of SPLITS
    plan: Plan  # its length is that of the audio
    captions: tuple[str, ...] = ()
    genre: str | None = None
    mood: tuple[str, ...] = ()
    heard: tuple[str, ...] | None = None  # roles of the plan that the track holds; None: all of them

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"track {self.name}: split {self.split!r} is not one of {SPLITS}")

    def to_json(self) -> bytes:
        """One line of JSON; `from_json` is its inverse."""
        fields = {name: value for name, value in vars(self).items() if name != "heard" or value is not None}
        return (json.dumps(fields | {"plan": self.plan.to_dict()}, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Labels":
        """The labels that `to_json` wrote."""
        fields = json.loads(data)
        plan = Plan.from_dict(fields.pop("plan"))
        heard = fields.pop("heard", None)
        return cls(
            plan=plan,
            captions=tuple(fields.pop("captions")),
            mood=tuple(fields.pop("mood")),
            heard=None if heard is None else tuple(heard),
            **fields,
        )


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
        """Columns from single notes."""
        rows = [(ROLES.index(n.role), n.pitch, n.velocity, n.start, n.duration) for n in notes]
        kinds = (np.int16, np.int16, np.int16, np.float64, np.float64)
        columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
        return cls(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


@dataclass(frozen=True)
class PreparedTrack:
    """What is stored of a track; the arrays are read-only."""

    name: str
    length: int  # samples
    latents: np.ndarray  # (T, C) float16: the last frame is repeated
    loudness: np.ndarray  # (P,) float16, see `loudness`
    controls: np.ndarray  # (T, F) float16: `plan.frame_controls`
    instruments: np.ndarray  # (R,) int16: `plan.instrument_ids`
    texts: tuple[np.ndarray, ...]  # (S, E) float16 for each caption; a single (0, E) if there is none
    codes: np.ndarray | None  # (Q, P) int16
    notes: NoteSpans  # those of the plan, none where it has none
    heard: np.ndarray  # (R,) bool: the roles that it holds, all in a mix
    sound: np.ndarray  # (X,) float32: `plan.sounds.sound_values`, zeros where it is unknown


class PreparedDataset:
    """The tracks of one split of a prepared folder, in order, each read from disk on access.

    subsets: whether tracks that hold some roles of a song are among them.
    Corrupt tracks are reported once on stderr and kept in `corrupt`. Raises ValueError for a folder without its index,
    and for one that was prepared with other features.
    """

    def __init__(self, folder: str | Path, split: str, max_corrupt: float = MAX_CORRUPT, subsets: bool = False):
        self.folder, self.max_corrupt = Path(folder), max_corrupt
        self.index = read_dataset_index(self.folder)
        entries = self.index["shards"]
        rows = [
            (i, row)
            for i, entry in enumerate(entries)
            for row, (own, heard) in enumerate(zip(entry["splits"], heard_in(entry), strict=True))
            if own == split and (subsets or heard is None)
        ]
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 2)
        self.lengths = np.array([entries[i]["lengths"][row] for i, row in rows], dtype=np.int64)  # samples
        self.time_base = TimeBase(**self.index.get("time_base", {}))
        base = self.time_base
        self.n_frames = -(-self.lengths // base.code_hop) * base.frames_per_code  # of latents, padding included
        self.corrupt: dict[int, str] = {}  # track -> reason
        self._shards: dict[Path, Shard] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_shards": {}}  # each process opens its own

    def __getitem__(self, i: int) -> PreparedTrack:
        """Track `i`; CorruptShardError when its bytes are not those that were written."""
        arrays = self._arrays(i, "safetensors")
        name, length = self._name(i), int(self.lengths[i])
        if (found := arrays["controls"].shape) != (wanted := (self.n_frames[i], N_FEATURES)):
            raise CorruptShardError(f"track {name}: controls {found} are not {wanted}: prepare the folder again")
        texts = tuple(arrays[f"text.{n}"] for n in range(sum(key.startswith("text.") for key in arrays)))
        fixed = {key: arrays[key] for key in ("latents", "loudness", "controls", "instruments")}
        codes = None if self.index["quantizer"] is None else self._arrays(i, "codes.safetensors")["codes"]
        sound = arrays.get("sound", np.zeros(0)).astype(np.float32)
        return PreparedTrack(
            name,
            length,
            texts=texts,
            codes=codes,
            notes=self._spans(i),
            heard=self._heard(i),
            sound=np.pad(sound, (0, len(SOUNDS) - len(sound))),  # older folders know none, or fewer kinds
            **fixed,
        )

    def _spans(self, i: int) -> NoteSpans:
        if self._part(i, "rolls.safetensors") is None:
            return no_spans(int(self.n_frames[i]))
        return NoteSpans(**self._arrays(i, "rolls.safetensors"))

    def _heard(self, i: int) -> np.ndarray:
        shard, row = self._rows[i]
        roles = heard_in(self.index["shards"][shard])[row]
        return np.array([roles is None or role in roles for role in ROLES])

    def labels(self, i: int) -> Labels:
        """What is known of track `i`; raises CorruptShardError as above."""
        return Labels.from_json(bytes(self._needed(i, "json")))

    def notes(self, i: int) -> Notes | None:
        """The notes of track `i`, None where they are unknown; raises CorruptShardError as above."""
        return None if self._part(i, "notes.safetensors") is None else Notes(**self._arrays(i, "notes.safetensors"))

    def read_or_skip(self, i: int, read: Callable[[int], Read]) -> Read | None:
        """read(i), or None for a corrupt track; ValueError once more than `max_corrupt` of all tracks were corrupt."""
        try:
            return read(i)
        except CorruptShardError as error:
            self._count_bad(i, str(error))
            return None

    def _count_bad(self, i: int, reason: str) -> None:
        if i in self.corrupt:
            return
        self.corrupt[i] = reason
        print(f"skipping corrupt track {self._name(i)}: {reason}", file=sys.stderr)
        if len(self.corrupt) > self.max_corrupt * len(self):
            names = ", ".join(self._name(i) for i in list(self.corrupt)[:5])
            limit = f"max_corrupt allows {self.max_corrupt * len(self):g}"
            raise ValueError(
                f"prepared {self.folder}: {len(self.corrupt)} of {len(self)} tracks corrupt ({names}), {limit}"
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
                raise CorruptShardError(f"{path}: written after the dataset index: prepare the folder again")
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
            raise CorruptShardError(f"track {self._name(i)}: {kind} is not a safetensors file: {error}") from None


def no_spans(n_frames: int) -> NoteSpans:
    """What is stored of a track of `n_frames` without known notes."""
    known = np.zeros((n_frames, len(ROLES)), dtype=bool)
    return NoteSpans(np.zeros((0, 2), np.int32), np.zeros((0, 2), np.int16), np.zeros((0, 2), np.float32), known)


def heard_in(entry: dict[str, Any]) -> list[list[str] | None]:
    """Of each track of a shard's entry in the index the roles that it holds; None = all."""
    return entry.get("heard", [None] * len(entry["names"]))


def views(data: memoryview) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, read-only views of its bytes: a window costs no more than its own size."""
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(bytes(data[8:start]))
    return {
        name: np.ndarray(entry["shape"], DTYPES[entry["dtype"]], data[start:], entry["data_offsets"][0])
        for name, entry in entries.items()
    }


def latents_path(folder: Path, number: int) -> Path:
    """Path of shard `number` of a prepared folder."""
    return folder / f"{number:06d}.tar"


def codes_path(folder: Path, number: int) -> Path:
    """Path of the shard with its codes."""
    return folder / f"{number:06d}.codes.tar"


def read_dataset_index(folder: Path) -> dict[str, Any]:
    """The contents of a prepared folder, shard by shard.

    Raises ValueError if preparation has not finished, the index is corrupt, or roles, features or chords have changed.
    """
    path = folder / DATASET_INDEX
    if not path.exists():
        raise ValueError(f"prepared {folder} has no {DATASET_INDEX}: train/prepare.py has not finished it")
    index = json.loads(shards.read_checksummed(path)[1])
    if index["format"] != FORMAT:
        raise ValueError(f"{path}: format {index['format']} is not {FORMAT}, the one known here: prepare it again")
    for name, known in (("features", N_FEATURES), ("plan_version", PLAN_VERSION)):
        if index.get(name, known) not in (known, None):  # absent in old folders, None where some of the shards are old
            raise ValueError(f"{path}: {name} {index[name]} is not {known}, the one known here: prepare it again")
    return index
