"""The plan's sections as chapters of a compressed file: .m4a (AAC) and .opus, through PyAV (`hybridgen[ffmpeg]`)."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hybridgen import tags
from hybridgen.formats import CHAPTERED
from hybridgen.formats.labels import spans
from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.score import Score

OPUS_RATE = 48_000  # Hz, the only one that Opus has
_FORMATS = {
    ".m4a": ("ipod", "aac", 256_000),
    ".opus": ("opus", "libopus", 192_000),
}  # container, encoder, bit/s
_BLOCK = 1 << 16


def write(path: Path, suffix: str, samples: np.ndarray, plan: Score, title: str) -> None:
    """Writes samples (2, N) float32, at the plan's rate, as the format that `suffix` names, one of CHAPTERED.

    Both formats count chapters in milliseconds; the first begins with the file. ValueError for another ending, for
    another rate than 48 kHz in .opus, and where PyAV is not installed; OSError from the disk.
    """
    if suffix not in CHAPTERED:
        raise ValueError(f"format {suffix!r} is none of {' '.join(CHAPTERED)}")
    rate = plan.time_base.sample_rate
    if suffix == ".opus" and rate != OPUS_RATE:
        raise ValueError(f"opus: sample_rate {rate} is not the {OPUS_RATE} that Opus has")
    try:
        import av  # 100 MB, and needed for these two formats only
    except ImportError:
        raise ValueError(f"{suffix} is written by FFmpeg: pip install 'hybridgen[ffmpeg]'") from None
    container, encoder, bit_rate = _FORMATS[suffix]
    try:
        with av.open(str(path), "w", format=container, options={"fflags": "+bitexact"}) as output:
            chapters = _chapters(plan)
            output.metadata.update({"title": title, "comment": tags.MARK})
            if suffix == ".opus":
                output.metadata.update(_comments(chapters))
            else:
                output.set_chapters(chapters)
            stream: Any = output.add_stream(encoder, rate=rate, layout="stereo", options={"flags": "+bitexact"})
            stream.bit_rate = bit_rate
            resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=rate)
            for start in range(0, samples.shape[1], _BLOCK):
                block = np.ascontiguousarray(samples[:, start : start + _BLOCK])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                for part in resampler.resample(frame):
                    output.mux(stream.encode(part))
            output.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def _chapters(plan: Score) -> list[Any]:
    """The sections as PyAV has chapters."""
    found, per_second = spans(plan, "sections"), plan.time_base.sample_rate
    times = [0, *(round(1000 * stop / per_second) for _, stop, _ in found)]
    return [
        {
            "id": number,
            "start": times[number],
            "end": times[number + 1],
            "time_base": Fraction(1, 1000),
            "metadata": {"title": name or UNKNOWN},
        }
        for number, (_, _, name) in enumerate(found)
    ]


def _comments(chapters: list[Any]) -> dict[str, str]:
    """Chapters as comments, https://wiki.xiph.org/Chapter_Extension: FFmpeg's own are late by a second from .5 on."""
    comments: dict[str, str] = {}
    for chapter in chapters:
        minutes, milliseconds = divmod(chapter["start"], 60_000)
        name = f"CHAPTER{chapter['id']:03d}"
        time = f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
        comments |= {name: time, f"{name}NAME": chapter["metadata"]["title"]}
    return comments
