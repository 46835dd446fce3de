"""Sound files -> blocks of samples: the content decides what a file is, not its name or what its header promises.

soundfile reads wav, flac, ogg, mp3, aiff and their like; the rest is FFmpeg's, through PyAV, an extra of the package
(`pip install hybridgen[ffmpeg]`). Shapes: n samples of a block, C channels.
"""

import contextlib
import io
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

MAX_CHANNELS, MIN_RATE, MAX_RATE = 8, 8_000, 192_000
BLOCK = 1 << 16  # samples read at once
# What PyAV may open: nothing that names other files, as playlists do.
DEMUXERS = "mov,aac,ac3,eac3,matroska,mp3,ogg,asf,caf,aiff,wav,w64,flac,au,wv,ape,tta"
MAX_PARTS, MAX_GAP = 1000, 1 << 16  # of joined MP3 files; bytes of tags between two
UNKNOWN_LENGTH = 0xFFFFFFFF  # in a WAV file written to a pipe
_FFMPEG_ONLY = (  # offset, bytes: containers that soundfile does not know, but takes for MP3 when they are named so
    (4, b"ftyp"),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # ASF: wma
    (0, b"wvpk"),
    (0, b"MAC "),
    (0, b"TTA1"),
    (0, b"\x0bw"),  # AC-3
    (0, b"\xff\xf1"),  # AAC in ADTS frames
    (0, b"\xff\xf9"),
)


@dataclass
class Source:
    """An open sound file: its rate in Hz, the samples that it promises, if any, and what is in it."""

    sample_rate: int
    n_promised: int | None
    blocks: Iterator[np.ndarray]  # (C, n) float32
    file_rate: int = 0  # Hz that `n_promised` counts in
    notes: list[str] = field(default_factory=list)  # complete when the blocks are through


@contextlib.contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """The sound in a file, read block by block.

    Raises FileNotFoundError, or ValueError for no audio, over 8 channels, or a rate outside 8-192 kHz.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        size, head = path.stat().st_size, file.read(16)
        source = None
        if not any(head[at:].startswith(magic) for at, magic in _FFMPEG_ONLY):
            source = _open_soundfile(stack, path, *_views(file, size, head))
        source = source or _open_ffmpeg(stack, path)
        if not MIN_RATE <= source.sample_rate <= MAX_RATE:
            raise ValueError(f"{path}: sample rate {source.sample_rate} is outside {MIN_RATE}..{MAX_RATE}")
        yield source


def _check_channels(path: Path, n_channels: int) -> None:
    if n_channels > MAX_CHANNELS:
        raise ValueError(f"{path}: {n_channels} channels, the limit is {MAX_CHANNELS}")


# ---- soundfile


class View(io.RawIOBase):
    """Bytes start..stop of a file as a file of its own, some of them replaced."""

    def __init__(self, file: BinaryIO, start: int, stop: int, patches: Sequence[tuple[int, bytes]] = ()):
        super().__init__()
        self._file, self._start, self._size, self._patches, self._at = file, start, stop - start, patches, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = bytearray(self._file.read(max(0, min(len(buffer), self._size - self._at))))
        for at, new in self._patches:
            for i, value in enumerate(new):
                if 0 <= at + i - self._at < len(data):
                    data[at + i - self._at] = value
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _views(file: BinaryIO, size: int, head: bytes) -> tuple[list[View], list[str]]:
    """The parts of a file that are sound files of their own, and what is odd about it."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        patches, notes = _mended_wave(file, size)
        return [View(file, 0, size, patches)], notes
    starts = _mp3_starts(file, size)
    notes = [f"holds {len(starts)} MP3 files, one after the other: all of them are read"] if len(starts) > 1 else []
    return [View(file, start, stop) for start, stop in itertools.pairwise((*starts, size))], notes


def _open_soundfile(
    stack: contextlib.ExitStack, path: Path, views: Sequence[View], notes: Sequence[str]
) -> Source | None:
    """What soundfile makes of a file; None where it is nothing that it can read."""
    attempts: tuple[Sequence[View | Path], ...] = (views, [path]) if path.suffix.lower() == ".mp3" else (views,)
    for attempt in attempts:  # the name decides nothing, but junk before an MP3's first frame needs that hint
        try:
            files = [stack.enter_context(soundfile.SoundFile(one)) for one in attempt]
        except (soundfile.LibsndfileError, TypeError):
            continue
        first = files[0]
        _check_channels(path, first.channels)
        source = Source(first.samplerate, None, iter(()), first.samplerate, [f"{path}: {note}" for note in notes])
        lengths = [one.frames for one in files]
        source.n_promised = sum(lengths) if max(lengths) < 2**62 else None  # some headers do not say
        source.blocks = _read(path, files, source)
        return source
    return None


def _read(path: Path, files: Sequence[soundfile.SoundFile], source: Source) -> Iterator[np.ndarray]:
    first, count = files[0], 0
    for number, file in enumerate(files, start=1):
        if (file.samplerate, file.channels) != (first.samplerate, first.channels):
            source.notes.append(
                f"{path}: part {number} has another rate or other channels: it and the rest are left out"
            )
            return
        try:
            while len(block := file.read(BLOCK, "float32", always_2d=True)):
                count += len(block)
                yield block.T
        except soundfile.LibsndfileError as error:
            if not count:
                raise ValueError(f"{path}: not audio that can be read ({error.error_string})") from None
            source.notes.append(f"{path}: is broken after {count / first.samplerate:.2f} s, what follows is left out")
            return
    promised = source.n_promised
    if promised is not None and count < promised and first.format != "MP3":  # there it is an estimate
        rate = first.samplerate
        source.notes.append(f"{path}: its header promises {promised / rate:.2f} s, {count / rate:.2f} s are there")


# ---- headers that lie


def _mended_wave(file: BinaryIO, size: int) -> tuple[list[tuple[int, bytes]], list[str]]:
    """Bytes to replace in a WAV file whose sizes are not its own, and what there is to say about it."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            break
        at += 8 + length + length % 2
    else:
        return [], []
    there = size - at - 8
    if length <= there and not (length == 0 and there and not _chunks_to(file, at + 8, size)):
        left = there - length - length % 2
        if length and left > 1 and not _chunks_to(file, at + 8 + length + length % 2, size):
            return [], [f"{left:,} bytes follow the end that its header gives, which are not read"]
        return [], []
    mended = min(there, UNKNOWN_LENGTH - 1)
    patches = [(4, struct.pack("<I", min(size - 8, UNKNOWN_LENGTH - 1))), (at + 4, struct.pack("<I", mended))]
    if length == UNKNOWN_LENGTH:  # as a program that writes to a pipe has it: nothing is wrong
        return patches, []
    return patches, [f"its header promises {length:,} bytes of sound, {there:,} are there and are read"]


def _chunks_to(file: BinaryIO, at: int, size: int) -> bool:
    """Whether RIFF chunks, one after the other, lead from a place to the end of the file."""
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if not all(32 <= char < 127 for char in name):
            return False
        at += 8 + length + length % 2
    return size <= at <= size + 1 or (0 <= size - at < 8)


_BITRATES = {  # kbit/s of layer III
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _mp3_starts(file: BinaryIO, size: int) -> list[int]:
    """Where the MP3 files in a file begin, by what the Xing header of each says about its size; [0] for any other."""
    starts, at = [0], _first_frame(file, 0, size)
    while at is not None and len(starts) < MAX_PARTS:
        end = _mp3_end(file, at)
        if end is None or end >= size:
            break
        at = _first_frame(file, end, size)
        if at is not None:
            starts.append(at)  # soundfile knows no tags before it but ID3's
    return starts


def _first_frame(file: BinaryIO, start: int, size: int) -> int | None:
    """The place of the first MP3 frame at or shortly after `start`; None where there is none."""
    file.seek(start)
    window = file.read(10)
    if window[:3] == b"ID3" and len(window) == 10:
        start += 10 + sum((byte & 127) << shift for byte, shift in zip(window[6:], (21, 14, 7, 0), strict=True))
    elif window[:1] != b"\xff" and start == 0:
        return None  # some other file: no need to look for frames in it
    file.seek(start)
    window = file.read(min(MAX_GAP, max(0, size - start)) + 4)
    at = window.find(b"\xff")
    while 0 <= at < len(window) - 4:
        length = _frame_length(window[at : at + 4])
        if length:
            file.seek(start + at + length)
            if start + at + length == size or _frame_length(file.read(4)):
                return start + at
        at = window.find(b"\xff", at + 1)
    return None


def _frame_length(header: bytes) -> int:
    """Bytes of the layer III frame with this header of four bytes; 0 where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    table, factor = (_BITRATES[1], 144_000) if version == 3 else (_BITRATES[2], 72_000)
    return factor * table[bitrate] // _MP3_RATES[version][rate] + (header[2] >> 1 & 1)


def _mp3_end(file: BinaryIO, at: int) -> int | None:
    """Where an MP3 file ends whose first frame is here, as that frame says; None where it does not."""
    file.seek(at)
    frame = file.read(64)
    is_first, is_mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    tag = frame[4 + ((17 if is_mono else 32) if is_first else (9 if is_mono else 17)) :][:16]
    if tag[:4] not in (b"Xing", b"Info"):
        return None
    flags, fields = struct.unpack(">I", tag[4:8])[0], tag[8:]
    if flags & 3 != 3:
        return None
    n_bytes: int = struct.unpack(">I", fields[4:8])[0]
    return at + n_bytes if n_bytes else None


# ---- FFmpeg


def _open_ffmpeg(stack: contextlib.ExitStack, path: Path) -> Source:
    try:
        import av  # 100 MB, and needed for m4a and the like only
    except ImportError:
        raise ValueError(
            f"{path}: not audio that can be read without FFmpeg: pip install 'hybridgen[ffmpeg]' reads m4a and the like"
        ) from None
    try:
        options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
        container = stack.enter_context(av.open(str(path), options=options))
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not audio that can be read ({error.strerror})") from None
    if not container.streams.audio:
        raise ValueError(f"{path}: contains no audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise ValueError(f"{path}: not audio that can be read (no decoder for it)")
    _check_channels(path, stream.codec_context.channels)
    promised = None
    if stream.duration is not None and stream.time_base is not None:
        promised = round(stream.duration * stream.time_base * stream.rate)
    resampler = av.AudioResampler(format="fltp")

    def blocks() -> Iterator[np.ndarray]:
        try:
            frames: Iterable = itertools.chain(container.decode(audio=0), (None,))  # None: what the decoder still holds
            for frame in frames:
                for out in resampler.resample(frame):
                    yield out.to_ndarray()
        except av.FFmpegError as error:
            raise ValueError(f"{path}: not audio that can be read ({error.strerror})") from None

    return Source(stream.rate, promised, blocks(), stream.rate)
