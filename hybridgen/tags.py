"""Our metadata string inside wav, flac, ogg and mp3, beside plain tags that any player shows.

wav: an `hgen` chunk after `fmt `, and LIST/INFO, whose other entries stay, as all other chunks do. flac, ogg: Vorbis
comments. mp3: ID3v2.4 (TXXX, TSSE, COMM). The text is contiguous and precedes the audio, which is never touched. Every
writer yields the file in pieces, in flat memory.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MARK = "AI-generated music (digital source type: trainedAlgorithmicMedia)"
HEAD = 8 << 20  # bytes at the beginning of a file within which the text ends
_KEY = "HYBRIDGEN_MANIFEST"
_BLOCK = 1 << 20
_OGG_SERIAL = 0x6E656768  # one for all streams; encoders draw theirs at random
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_head(path: str | Path) -> bytes:
    """The beginning of a file, which contains the text; of an Ogg file without its page headers."""
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
    return b"".join(body for _, _, body in _pages(head)) if head.startswith(b"OggS") else head


def is_marked(path: str | Path) -> bool:
    """Whether a file says in plain tags that it is AI-generated, as ours do even where a tool has lost the rest."""
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(0, Path(path).stat().st_size - _BLOCK))  # some tools put the tags behind the sound
        tail = file.read(_BLOCK)
    return any(MARK.encode(encoding) in part for part in (head, tail) for encoding in ("utf-8", "utf-16-le"))


def tagged(path: str | Path, file: BinaryIO, text: str, generator: str) -> Iterator[bytes]:
    """The file opened as `file`, with `text` in it in place of any other; ValueError for another format."""
    magic = file.read(12)
    file.seek(0)
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        return _tag_wav(path, file, text, generator)
    if magic[:4] == b"fLaC":
        return _tag_flac(path, file, text, generator)
    if magic[:4] == b"OggS":
        return _tag_ogg(path, file, text, generator)
    if magic[:3] == b"ID3" or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0"):
        return _tag_mp3(file, text, generator)
    raise ValueError(f"{path}: not a wav, flac, ogg or mp3 file")


def _tag_wav(path: str | Path, file: BinaryIO, text: str, generator: str) -> Iterator[bytes]:
    size, kept = Path(path).stat().st_size, []  # kept: (start, length) of the chunks that stay, headers included
    entries = b""  # of LIST/INFO, but ours
    start = 12
    while start + 8 <= size:
        file.seek(start)
        name, length = struct.unpack("<4sI", file.read(8))
        if start + 8 + length > size:
            raise ValueError(f"{path}: chunk {name!r} of {length} bytes runs over the end")
        if name == b"LIST" and file.read(4) == b"INFO":
            entries += _other_entries(file.read(max(0, min(length - 4, _BLOCK))))
        elif name != b"hgen":
            kept.append((start, 8 + length))
        start += 8 + length + length % 2
    info = _chunk(b"ISFT", generator.encode() + b"\0") + _chunk(b"ICMT", MARK.encode() + b"\0")
    ours = _chunk(b"hgen", text.encode()) + _chunk(b"LIST", b"INFO" + info + entries)
    total = 4 + len(ours) + sum(length + length % 2 for _, length in kept)
    if total >= 1 << 32:
        raise ValueError(f"{path}: {total} bytes is over the 4 GB of a wav file")
    yield struct.pack("<4sI4s", b"RIFF", total, b"WAVE")
    for index, (start, length) in enumerate(kept):
        yield from _copied(file, start, length)
        yield b"\0" * (length % 2)
        if index == 0:
            yield ours


def _other_entries(info: bytes) -> bytes:
    """The entries of LIST/INFO that are not those that we write, up to the first that is not whole."""
    found, start = [], 0
    while start + 8 <= len(info):
        name, length = struct.unpack_from("<4sI", info, start)
        body = info[start + 8 : start + 8 + length]
        if len(body) < length:
            break
        if name not in (b"ISFT", b"ICMT"):
            found.append(_chunk(name, body))
        start += 8 + length + length % 2
    return b"".join(found)


def _tag_flac(path: str | Path, file: BinaryIO, text: str, generator: str) -> Iterator[bytes]:
    blocks, last = [], False
    file.seek(4)
    while not last:
        header = file.read(4)
        body = file.read(int.from_bytes(header[1:], "big"))
        if len(header) < 4 or len(body) < int.from_bytes(header[1:], "big"):
            raise ValueError(f"{path}: its metadata runs over the end")
        last = header[0] >= 128
        blocks.append((header[0] & 127, body))
    vendor = next((_vendor(path, body) for kind, body in blocks if kind == 4), b"hybridgen")
    kept = [(kind, body) for kind, body in blocks if kind not in (1, 4)]  # all but padding and comments
    kept.insert(1, (4, _comments(vendor, text, generator)))
    yield b"fLaC"
    for index, (kind, body) in enumerate(kept):
        yield bytes([kind | (128 if index == len(kept) - 1 else 0)]) + len(body).to_bytes(3, "big") + body
    yield from _copied(file, file.tell())


def _tag_mp3(file: BinaryIO, text: str, generator: str) -> Iterator[bytes]:
    header, audio = file.read(10), 0
    if header[:3] == b"ID3":
        audio = 10 + sum((byte & 127) << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
    frames = _frame(b"TXXX", f"{_KEY}\0{text}") + _frame(b"TSSE", generator) + _frame(b"COMM", f"eng\0{MARK}")
    yield b"ID3\x04\x00\x00" + _syncsafe(len(frames)) + frames
    yield from _copied(file, audio)


def _tag_ogg(path: str | Path, file: BinaryIO, text: str, generator: str) -> Iterator[bytes]:
    pages = list(_pages(file.read()))
    packets, first_audio = _first_packets(path, pages, 3)
    if not packets[1].startswith(b"\x03vorbis"):
        raise ValueError(f"{path} is an ogg file, but not Vorbis")
    comments = b"\x03vorbis" + _comments(_vendor(path, packets[1][7:]), text, generator) + b"\x01"
    headers = [pages[0][1:], *_laced([comments, packets[2]])]
    for number, (header, body) in enumerate([*headers, *(page[1:] for page in pages[first_audio:])]):
        yield _page(header[:14] + struct.pack("<II", _OGG_SERIAL, number) + header[22:], body)


def _copied(file: BinaryIO, start: int, length: int | None = None) -> Iterator[bytes]:
    file.seek(start)
    left = length if length is not None else 1 << 62
    while left and (block := file.read(min(left, _BLOCK))):
        left -= len(block)
        yield block


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _frame(name: bytes, text: str) -> bytes:
    body = b"\x03" + text.encode()  # 3: UTF-8
    return name + _syncsafe(len(body)) + b"\0\0" + body


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def _comments(vendor: bytes, text: str, generator: str) -> bytes:
    entries = [f"{_KEY}={text}", f"ENCODER={generator}", f"COMMENT={MARK}"]
    parts = [vendor, *(entry.encode() for entry in entries)]
    sized = [struct.pack("<I", len(part)) + part for part in parts]
    return sized[0] + struct.pack("<I", len(entries)) + b"".join(sized[1:])


def _vendor(path: str | Path, comments: bytes) -> bytes:
    length = int.from_bytes(comments[:4], "little")
    if length > min(len(comments) - 4, 255):
        raise ValueError(f"{path}: vendor string of {length} bytes is over the limit of 255")
    return comments[4 : 4 + length]


# Ogg pages (RFC 3533): a header of 27 bytes, a table of segment lengths, the segments.


def _pages(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(offset, header with its table, body) of every whole page, up to the first that is broken or cut short."""
    start = 0
    while data[start : start + 5] == b"OggS\0" and start + 27 <= len(data):
        split = start + 27 + data[start + 26]
        stop = split + sum(data[start + 27 : split])
        if stop > len(data):
            return
        yield start, data[start:split], data[split:stop]
        start = stop


def _page(header: bytes, body: bytes) -> bytes:
    blank = header[:22] + bytes(4) + header[26:] + body
    return blank[:22] + struct.pack("<I", _checksum(blank)) + blank[26:]


def _checksum(data: bytes) -> int:
    """CRC-32 as in Ogg: the polynomial of zlib, bits in the other order, starting from 0, not inverted."""
    crc = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def broken_pages(path: str | Path) -> list[str]:
    """What is wrong with the pages of an Ogg file, a line each; nothing for another format."""
    data = Path(path).read_bytes() if _is_ogg(path) else b""
    end = 0
    for number, (start, header, body) in enumerate(_pages(data)):
        if _page(header, body) != header + body:
            return [f"{path}: page {number} at byte {start} has a wrong checksum"]
        end = start + len(header) + len(body)
    return [] if end == len(data) else [f"{path}: no Ogg page at byte {end} of {len(data)}"]


def _is_ogg(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        return file.read(4) == b"OggS"


def _first_packets(path: str | Path, pages: list[tuple[int, bytes, bytes]], count: int) -> tuple[list[bytes], int]:
    """The first packets of a stream, and the number of the page after them."""
    packets, part = [], b""
    for number, (_, header, body) in enumerate(pages):
        at = 0
        for length in header[27:]:
            part += body[at : at + length]
            at += length
            if length < 255:
                packets.append(part)
                part = b""
        if len(packets) == count and not part:
            return packets, number + 1
    raise ValueError(f"{path}: its Ogg headers are not whole")


def _laced(packets: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(header, body) of the pages that hold header packets; serial, number and checksum still unset."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    data = b"".join(packets)
    for start in range(0, len(table), 255):
        lengths = table[start : start + 255]
        continued = start > 0 and table[start - 1] == 255
        granule = 0 if min(lengths) < 255 else -1  # -1: no packet ends here
        header = struct.pack("<4sBBqIIIB", b"OggS", 0, continued, granule, 0, 0, 0, len(lengths)) + lengths
        yield header, data[: sum(lengths)]
        data = data[sum(lengths) :]


def page_of(head: bytes, position: int) -> int | None:
    """Where the Ogg page begins that holds `position` of a file's first bytes; None where the file is not Ogg."""
    if not head.startswith(b"OggS"):
        return None
    return max(offset for offset, _, _ in _pages(head) if offset < position)


def write_checksum(file: BinaryIO, page: int) -> None:
    """Recomputes the checksum of the Ogg page that begins at `page` of an open file."""
    file.seek(page)
    _, header, body = next(_pages(file.read(27 + 255 + 255 * 255)))
    file.seek(page)
    file.write(_page(header, body))
