"""A Standard MIDI File as events in time: every chunk and length is checked here, mido decodes the messages.

mido's own reader of whole files is not used: it forgets the time of meta events that it does not know, refuses files
with chunks of other makers, and reads on however much memory that takes.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mido import Message
from mido.midifiles.meta import KeySignatureError, MetaMessage, build_meta_message

from hybridgen.plan.notes import TICKS

MAX_BYTES = 8 << 20
MAX_EVENTS = 200_000
MAX_TEXT = 1 << 16  # bytes of one text
KEPT_META = {0x01, 0x03, 0x06, 0x51, 0x58, 0x59}  # text, track name, marker, tempo, time signature, key signature
END_OF_TRACK = 0x2F
KEPT_CONTROLS = {64, 120, 123}  # sustain pedal, all sound off, all notes off


@dataclass(frozen=True, slots=True)
class Event:
    """A message of one track at a tick, 480 a quarter note, from the start of the file."""

    tick: int
    track: int  # from 0
    message: Message | MetaMessage


@dataclass(frozen=True)
class Sequence:
    """What a file holds: events in order of time, the tick at which each track ends, and what could not be read."""

    events: tuple[Event, ...]
    stops: tuple[int, ...]
    remarks: tuple[str, ...]


def read_events(data: bytes) -> Sequence:
    """The events of a file of format 0, 1 or 2 (of which only the first sequence is read).

    ValueError for what is no such file, is cut off, counts time in SMPTE frames, or is over a limit above.
    """
    if not data:
        raise ValueError("the file is empty")
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes are over the limit of {MAX_BYTES}")
    if data[:4] != b"MThd":
        raise ValueError("no MIDI file, as it does not begin with MThd")
    if len(data) < 14:
        raise ValueError("the file is cut off in its header")
    size, kind, n_tracks, division = struct.unpack(">IHHH", data[4:14])
    if kind > 2:
        raise ValueError(f"format {kind} is none of 0, 1, 2")
    if division & 0x8000:
        raise ValueError("time is counted in SMPTE frames, not in parts of a quarter note")
    if division == 0:
        raise ValueError("a quarter note has 0 ticks")
    remarks: list[str] = []
    tracks = list(_track_chunks(data, 8 + size))
    if len(tracks) != n_tracks:
        remarks.append(f"the file holds {len(tracks)} tracks, its header says {n_tracks}")
    if kind == 2 and len(tracks) > 1:
        remarks.append(f"of {len(tracks)} sequences (format 2) only the first was read")
        del tracks[1:]
    return _sequence(tracks, division, remarks)


def text_of(message: MetaMessage) -> str:
    """The text of a text, marker or track name, which is UTF-8 or else Latin-1."""
    text: str = message.name if message.type == "track_name" else message.text
    raw = text.encode("latin1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


def meta_text(text: str) -> str:
    """Any text as mido writes it in UTF-8: each byte a Latin-1 character, as its other character sets are global."""
    return text.encode("utf-8", "replace").decode("latin1")


def _sequence(tracks: list[bytes], division: int, remarks: list[str]) -> Sequence:
    events: list[Event] = []
    stops: list[int] = []
    skipped: Counter[str] = Counter()
    n_read = 0
    for number, body in enumerate(tracks):
        tick = 0
        for ticks, raw in _raw_events(body):
            n_read += 1
            if n_read > MAX_EVENTS:
                raise ValueError(f"more than {MAX_EVENTS} events")
            tick = (2 * ticks * TICKS + division) // (2 * division)  # to the nearest
            if message := _message(raw, skipped):
                events.append(Event(tick, number, message))
        stops.append(tick)
    remarks += [f"{what} that could not be read and were left out: {count}" for what, count in sorted(skipped.items())]
    return Sequence(tuple(sorted(events, key=lambda event: event.tick)), tuple(stops), tuple(remarks))


def _track_chunks(data: bytes, at: int) -> Iterator[bytes]:
    """What every track chunk holds; chunks of other names are for other programs."""
    while at + 8 <= len(data):
        name, size = struct.unpack(">4sI", data[at : at + 8])
        if name == b"MTrk":
            if at + 8 + size > len(data):
                raise ValueError(f"the file is cut off: a track of {size} bytes has {len(data) - at - 8}")
            yield data[at + 8 : at + 8 + size]
        at += 8 + size


def _raw_events(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(tick in the file's own count, the event's bytes) of each event; of a meta event 0xFF, its type and its data.

    The last is the end of the track, b"". Running status is written out, what a system exclusive event holds is not.
    """
    at, tick, running = 0, 0, 0
    while at < len(body):
        delta, at = _variable(body, at)
        tick += delta
        head = body[at : at + 2]
        if head[:1] in (b"\xff", b"\xf0", b"\xf7"):
            is_meta = head[0] == 0xFF
            length, start = _variable(body, at + 1 + is_meta)
            at = start + length
            if at > len(body):
                raise ValueError(f"an event of {length} bytes is cut off")
            if is_meta and head[1] == END_OF_TRACK:
                break
            yield tick, head + body[start:at] if is_meta else head[:1]
        else:
            if head and head[0] >= 0x80:
                running = head[0]
                at += 1
            size = 1 if running & 0xE0 == 0xC0 else 2  # programs and channel pressure have one byte
            values = body[at : at + size]
            if not 0x80 <= running < 0xF0 or len(values) < size or max(values) > 127:
                raise ValueError(f"byte {at} of a track begins no event")
            at += size
            yield tick, bytes([running]) + values
    yield tick, b""


def _variable(body: bytes, at: int) -> tuple[int, int]:
    """A number of up to four bytes of seven bits, and where it ends; ValueError where it does not."""
    value = 0
    for i, byte in enumerate(body[at : at + 4], start=at + 1):
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, i
    raise ValueError(f"byte {at} of a track begins no length")


def _message(raw: bytes, skipped: Counter[str]) -> Message | MetaMessage | None:
    """The message of an event; None for what says nothing about notes, and for what mido cannot read, counted."""
    if not raw or raw[0] in (0xF0, 0xF7):
        return None
    if raw[0] != 0xFF:
        is_other_control = raw[0] & 0xF0 == 0xB0 and raw[1] not in KEPT_CONTROLS
        is_kept = raw[0] & 0xF0 in (0x80, 0x90, 0xB0, 0xC0) and not is_other_control
        return Message.from_bytes(raw) if is_kept else None
    if raw[1] not in KEPT_META:
        return None
    if len(raw) > MAX_TEXT:
        skipped["long texts"] += 1
        return None
    try:
        return build_meta_message(raw[1], raw[2:])
    except KeySignatureError:
        skipped["key signatures"] += 1
    except (IndexError, ValueError):
        skipped["meta events"] += 1
    return None
