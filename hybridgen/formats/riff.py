"""What a WAV file says beside its samples: the RIFF chunks smpl, acid, cue and LIST, made of a plan and read back.

smpl and acid tell samplers and sequencers the root note, the loop and the tempo; cue with LIST/adtl are markers and
regions; LIST/INFO is title, software and comment. Positions are samples of the file. smpl, cue and LIST:
https://www.aelius.com/njh/wavemetatools/doc/riffmci.pdf; acid has no public specification: as libsndfile reads it.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hybridgen import __version__, tags
from hybridgen.formats.labels import spans
from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.harmony import meter_quarters, split_key
from hybridgen.plan.score import Score

MIDDLE_C = 60
MAX_CHUNKS = 10_000  # of a file that is read
MAX_BYTES = 8 << 20  # of a chunk that is read, but for the samples
_ONE_SHOT, _HAS_ROOT, _STRETCHES = 1, 2, 4  # flags of acid
_ACID_C = 48  # acid counts roots from the C below middle C
_SAMPLER, _LOOP = struct.Struct("<9I"), struct.Struct("<6I")
_ACID = struct.Struct("<IHHfIHHf")
_CUE, _REGION = struct.Struct("<II4sIII"), struct.Struct("<II4s4H")


@dataclass(frozen=True)
class Acid:
    """Tempo and meter of a whole file, as ACID and those after it read them."""

    is_loop: bool
    stretches: bool  # whether the loop may follow another tempo
    root: int | None  # pitch class 0-11
    beats: int  # of the meter's unit: four in a bar of 4/4, seven in one of 7/8
    meter: tuple[int, int]  # (7, 8)
    tempo: float  # quarter notes a minute


@dataclass(frozen=True)
class Marker:
    """A named sample, or region where it has a length."""

    start: int
    name: str
    length: int = 0  # samples


@dataclass(frozen=True)
class Sampler:
    """How a sampler plays a file."""

    period: int  # nanoseconds of a sample
    note: int = MIDDLE_C  # MIDI, at which it sounds as recorded
    loop: tuple[int, int] | None = None  # first sample and one past the last


@dataclass(frozen=True)
class Chunks:
    """What is said of a file; what is None or empty is left out."""

    sampler: Sampler | None = None
    acid: Acid | None = None
    markers: tuple[Marker, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)  # of four letters -> text

    def to_bytes(self) -> bytes:
        """The chunks, one after the other."""
        parts = [b"" if self.sampler is None else _sampler_chunk(self.sampler)]
        parts += [b"" if self.acid is None else _acid_chunk(self.acid)]
        parts += [_marker_chunks(self.markers) if self.markers else b"", _info_chunk(self.info) if self.info else b""]
        return b"".join(parts)


def describe(plan: Score, title: str, *, is_pitched: bool = True, with_markers: bool = True) -> Chunks:
    """What a plan says of the file with its sound, or with one of its stems; ValueError for a plan without bars.

    A loop is one, and so is a plan that is cut at its last bar line. Markers, in order: sections as regions, bars
    ("bar 1") and known chords. is_pitched: whether a root note means anything.
    """
    if plan.tempo_map is None or plan.meter is None:
        raise ValueError("riff: a plan without bars has no tempo and no bars to write")
    starts, quarters = plan.bar_starts(), plan.n_bars * meter_quarters(plan.meter)
    first, last = plan.tempo_map.seconds_at(np.array([0.0, quarters]))
    is_loop = plan.ending is not None and plan.ending.kind in ("cut", "loop") and plan.length == starts[-1]
    beats, unit = (int(number) for number in plan.meter.split("/"))
    root = split_key(plan.key)[0] if plan.key and is_pitched else None
    acid = Acid(
        is_loop=is_loop,
        stretches=is_loop and len(plan.tempo) == 1,
        root=root,
        beats=beats * plan.n_bars,
        meter=(beats, unit),
        tempo=float(np.float32(60 * quarters / (last - first))),  # as the chunk holds it
    )
    loop = (int(starts[0]), plan.length) if is_loop else None
    sampler = Sampler(round(1e9 / plan.time_base.sample_rate), MIDDLE_C + (root or 0), loop)
    keywords = [f"{acid.tempo:g} BPM", *([plan.key] if plan.key else []), plan.meter]
    info = {"INAM": title, "ISFT": f"hybridgen {__version__}", "ICMT": tags.MARK, "IKEY": ", ".join(keywords)}
    return Chunks(sampler, acid, _markers(plan) if with_markers else (), info)


def _markers(plan: Score) -> tuple[Marker, ...]:
    found = [Marker(start, name or UNKNOWN, stop - start) for start, stop, name in spans(plan, "sections")]
    found += [Marker(start, f"bar {name}") for start, _, name in spans(plan, "bars")]
    found += [Marker(start, name) for start, _, name in spans(plan, "chords") if name is not None]
    return tuple(sorted(found, key=lambda marker: marker.start))


# ---- writing


def append(path: Path, chunks: Chunks) -> None:
    """Puts the chunks behind the samples of a wav file that libsndfile has just written.

    The time of the clock in its chunk PEAK is removed, so that the same samples give the same bytes.
    ValueError for what is no wav file, and for one that would be over 4 GB.
    """
    data = chunks.to_bytes()
    with path.open("rb+") as file:
        for name, start, _ in _walk(file, path):
            if name == b"PEAK":
                file.seek(start + 4)
                file.write(bytes(4))
        end = file.seek(0, 2)
        file.write(b"\0" * (end % 2) + data)
        total = end + end % 2 + len(data) - 8
        if total >= 1 << 32:
            raise ValueError(f"{path}: {total} bytes is over the 4 GB of a wav file")
        file.seek(4)
        file.write(struct.pack("<I", total))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _sampler_chunk(sampler: Sampler) -> bytes:
    loops = b"" if sampler.loop is None else _LOOP.pack(0, 0, sampler.loop[0], sampler.loop[1] - 1, 0, 0)
    return _chunk(b"smpl", _SAMPLER.pack(0, 0, sampler.period, sampler.note, 0, 0, 0, bool(loops), 0) + loops)


def _acid_chunk(acid: Acid) -> bytes:
    flags = (0 if acid.is_loop else _ONE_SHOT) | (acid.stretches * _STRETCHES)
    flags |= 0 if acid.root is None else _HAS_ROOT
    beats, unit = acid.meter
    root = MIDDLE_C if acid.root is None else _ACID_C + acid.root
    return _chunk(b"acid", _ACID.pack(flags, root, 0x8000, 0.0, acid.beats, unit, beats, acid.tempo))


def _marker_chunks(markers: tuple[Marker, ...]) -> bytes:
    cues, labels = [struct.pack("<I", len(markers))], []
    for number, marker in enumerate(markers, start=1):
        cues.append(_CUE.pack(number, marker.start, b"data", 0, 0, marker.start))
        labels.append(_chunk(b"labl", struct.pack("<I", number) + marker.name.encode() + b"\0"))
        if marker.length:
            labels.append(_chunk(b"ltxt", _REGION.pack(number, marker.length, b"rgn ", 0, 0, 0, 0)))
    return _chunk(b"cue ", b"".join(cues)) + _chunk(b"LIST", b"adtl" + b"".join(labels))


def _info_chunk(info: Mapping[str, str]) -> bytes:
    entries = [_chunk(name.encode("ascii"), text.encode() + b"\0") for name, text in info.items()]
    return _chunk(b"LIST", b"INFO" + b"".join(entries))


# ---- reading


def read(path: str | Path) -> Chunks:
    """What a wav file says; chunks of other kinds are passed over.

    ValueError, naming the file and the chunk, for what is no wav file, is cut short or says what cannot be, and for
    more than MAX_CHUNKS chunks or MAX_BYTES in one that is read.
    """
    path, found = Path(path), {}
    with path.open("rb") as file:
        for name, start, length in _walk(file, path):
            file.seek(start)
            kind = name + (file.read(4) if name == b"LIST" and length >= 4 else b"")
            if kind not in (b"smpl", b"acid", b"cue ", b"LISTadtl", b"LISTINFO") or kind in found:
                continue
            if length > MAX_BYTES:
                raise ValueError(f"{path}: chunk {kind.decode()} of {length} bytes is over the limit of {MAX_BYTES}")
            found[kind] = file.read(length - (len(kind) - 4))
    try:
        return Chunks(
            _read_sampler(found[b"smpl"]) if b"smpl" in found else None,
            _read_acid(found[b"acid"]) if b"acid" in found else None,
            _read_markers(found.get(b"cue ", bytes(4)), found.get(b"LISTadtl", b"")),
            {name: _text(body) for name, body in _entries(found.get(b"LISTINFO", b""), "INFO")},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _walk(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its body starts, length of its body) of each chunk; ValueError where they break off."""
    size, start = file.seek(0, 2), 12
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError(f"{path}: not a wav file")
    for count in range(MAX_CHUNKS + 1):
        if start >= size:
            return
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            raise ValueError(f"{path}: {len(header)} bytes after chunk {count} are no chunk")
        name, length = struct.unpack("<4sI", header)
        if start + 8 + length > size:
            raise ValueError(f"{path}: chunk {name!r} of {length} bytes runs over the end")
        yield name, start + 8, length
        start += 8 + length + length % 2
    raise ValueError(f"{path}: more than {MAX_CHUNKS} chunks")


def _fields(layout: struct.Struct, data: bytes, name: str, start: int = 0) -> tuple:
    if len(data) < start + layout.size:
        raise ValueError(f"chunk {name} of {len(data)} bytes is cut short, {start + layout.size} are needed")
    return layout.unpack_from(data, start)


def _read_sampler(data: bytes) -> Sampler:
    _, _, period, note, _, _, _, n_loops, _ = _fields(_SAMPLER, data, "smpl")
    if not period or note > 127:
        raise ValueError(f"chunk smpl: a sample of {period} ns or note {note} cannot be")
    loop = None
    if n_loops:
        _, _, first, last, _, _ = _fields(_LOOP, data, "smpl", _SAMPLER.size)
        if last < first:
            raise ValueError(f"chunk smpl: a loop from sample {first} to {last} cannot be")
        loop = (first, last + 1)
    return Sampler(period, note, loop)


def _read_acid(data: bytes) -> Acid:
    flags, root, _, _, beats, unit, count, tempo = _fields(_ACID, data, "acid")
    if not (math.isfinite(tempo) and tempo >= 0) or root > 127:
        raise ValueError(f"chunk acid: tempo {tempo} or root note {root} cannot be")
    return Acid(
        is_loop=not flags & _ONE_SHOT,
        stretches=bool(flags & _STRETCHES),
        root=root % 12 if flags & _HAS_ROOT else None,
        beats=beats,
        meter=(count, unit),
        tempo=tempo,
    )


def _read_markers(cues: bytes, labels: bytes) -> tuple[Marker, ...]:
    (count,) = _fields(struct.Struct("<I"), cues, "cue")
    if len(cues) < 4 + count * _CUE.size:
        raise ValueError(f"chunk cue of {len(cues)} bytes is cut short, {count} cues need {4 + count * _CUE.size}")
    names: dict[int, str] = {}
    lengths: dict[int, int] = {}
    for name, body in _entries(labels, "adtl"):
        if name == "labl":
            (number,) = _fields(struct.Struct("<I"), body, "labl")
            names[number] = _text(body[4:])
        elif name == "ltxt":
            number, length, *_ = _fields(_REGION, body, "ltxt")
            lengths[number] = length
    found = [_CUE.unpack_from(cues, 4 + i * _CUE.size) for i in range(count)]
    return tuple(Marker(start, names.get(number, ""), lengths.get(number, 0)) for number, *_, start in found)


def _entries(data: bytes, kind: str) -> Iterator[tuple[str, bytes]]:
    """(name, body) of each chunk in a LIST; ValueError where they break off."""
    start = 0
    while start + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, start)
        if start + 8 + length > len(data):
            raise ValueError(f"chunk LIST {kind}: {name!r} of {length} bytes runs over its end")
        yield name.decode("latin-1"), data[start + 8 : start + 8 + length]
        start += 8 + length + length % 2


def _text(body: bytes) -> str:
    """Text up to its end mark, in UTF-8 or, where it is not, in Latin-1."""
    text = body.partition(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
