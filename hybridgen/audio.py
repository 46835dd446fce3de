"""Audio(samples, sample_rate): load, resample, loudness, true peak, master, save.

True peaks follow ITU-R BS.1770-4 (https://www.itu.int/rec/R-REC-BS.1770), as loudness does (`hybridgen.loudness`).
Everything that mastering needs works block by block in flat memory, with the same result whatever the blocks. Shapes:
N samples, two channels: (2, N).
"""

import contextlib
import dataclasses
import errno
import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from hybridgen import manifest as manifests
from hybridgen.files import atomic_write
from hybridgen.loudness import LoudnessMeter
from hybridgen.manifest import Manifest
from hybridgen.plan.parts import instance, whole
from hybridgen.sources import MAX_RATE, MIN_RATE, Source, open_source

TARGET_LUFS = -14.0
CEILING_DBTP = -1.0
MAX_LIFT_DB = 24.0  # mastering never amplifies by more than this
MAX_SECONDS, HELD_RATE = 1200, 48_000  # of sound in memory, and the rate in Hz from which more samples mean less time
MAX_STREAM_SECONDS = 3600  # of sound that passes through
MAX_LEVEL = 1e6  # full scale is 1; some float files hold 16-bit numbers, none hold this
_BLOCK = 1 << 16
WAV_BITS = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}  # bits of a sample in a wav file -> libsndfile's name
_ENCODINGS = {  # suffix -> container, subtype, compression level (0 best sound, of lossy; 1 smallest, of lossless)
    ".wav": ("WAV", "PCM_24", None),
    ".flac": ("FLAC", "PCM_24", 0.6),
    ".ogg": ("OGG", "VORBIS", 0.2),
    ".mp3": ("MP3", "MPEG_LAYER_III", 0.0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Audio:
    """Stereo sound: finite float32 samples (2, N), full scale ±1, and their rate in Hz (8,000 to 192,000)."""

    samples: np.ndarray
    sample_rate: int
    notes: tuple[str, ...] = ()  # what was odd about the file

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate", whole(self.sample_rate, "sample_rate"))
        _check_rate("sample_rate", self.sample_rate)
        instance(self.samples, np.ndarray, "samples")
        if self.samples.ndim != 2 or self.samples.shape[0] != 2 or self.samples.dtype != np.float32:
            raise ValueError(f"samples {self.samples.dtype} {self.samples.shape} should be float32 (2, N)")
        _check_level("samples", self.samples)

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.sample_rate

    @classmethod
    def load(cls, path: str | Path, sample_rate: int | None = None) -> "Audio":
        """Reads any audio file, at its own or another rate; mono goes to both channels, more are folded in at -3 dB.

        What is odd about the file is in `notes`. Raises FileNotFoundError, or ValueError for no audio, over 8 channels,
        a rate outside 8-192 kHz, samples that are not finite (or over 1e6), and for over 1,200 s of 48 kHz or what
        takes as much memory: counted at the rate returned, before decoding where the header says it, and while.
        """
        with stream(path, sample_rate, MAX_SECONDS) as source:
            samples = _gathered(list(source.blocks))
            return cls(samples, source.sample_rate, tuple(source.notes))

    def resample(self, sample_rate: int) -> "Audio":
        """The same sound at another rate, round(N * ratio) samples (soxr, high quality)."""
        if sample_rate == self.sample_rate:
            return self
        _check_rate("sample_rate", sample_rate)
        length = round(self.samples.shape[1] * sample_rate / self.sample_rate)
        out = soxr.resample(self.samples.T, self.sample_rate, sample_rate).T[:, :length]
        padded = np.pad(out, ((0, 0), (0, length - out.shape[1])))
        return Audio(np.ascontiguousarray(padded), sample_rate, self.notes)

    def loudness(self) -> float:
        """Integrated loudness in LUFS; -inf for silence."""
        meter = LoudnessMeter(self.sample_rate)
        for block in _blocks(self.samples):
            meter.feed(block)
        return meter.lufs()

    def loudness_range(self) -> float:
        """Loudness range in LU (EBU Tech 3342, https://tech.ebu.ch/docs/tech/tech3342.pdf); 0 under three seconds."""
        meter = LoudnessMeter(self.sample_rate)
        for block in _blocks(self.samples):
            meter.feed(block)
        return meter.range()

    def true_peak(self) -> float:
        """The highest level between the samples, four times oversampled, in dBTP; -inf for silence."""
        windows = (window for window, _ in _framed(_blocks(self.samples), 2 * _TAPS))
        return _decibels(max((float(_peaks(window)[_TAPS:-_TAPS].max()) for window in windows), default=0.0))

    def master(self, gain_db: float | None = None) -> "Audio":
        """A copy at -14 LUFS (or with a given static gain) and at most -1 dBTP; see `mastered`."""
        samples = self.samples.copy()
        master(samples, mastering_gain(self.loudness()) if gain_db is None else gain_db)
        return Audio(samples, self.sample_rate)

    def fitted(self) -> tuple["Audio", float]:
        """This sound, and 0; or where it is over full scale, it scaled to -1 dBTP, and by how many dB."""
        if _peak(self.samples) <= 1:
            return self, 0.0
        scale_db = CEILING_DBTP - self.true_peak()
        return dataclasses.replace(self, samples=self.samples * np.float32(10 ** (scale_db / 20))), scale_db

    def save(self, path: str | Path, manifest: Manifest | None = None) -> Manifest | None:
        """Writes wav, flac (24 bit), ogg (Vorbis) or mp3, by the suffix; returns the manifest with the file's digest.

        The file appears whole or not at all. wav, flac and ogg give back exactly N samples.
        Raises ValueError for another suffix or samples over full scale, OSError when it cannot be written.
        """
        with atomic_write(path) as file:
            return self.write(file, Path(path).suffix, manifest)

    def write(self, file: Path, suffix: str, manifest: Manifest | None = None, bits: str = "24") -> Manifest | None:
        """`save` to a file of another name, such as one of `files.Outputs`, in the format that `suffix` names.

        bits: of a wav, one of WAV_BITS; "32f", floats, may be over full scale.
        """
        if suffix.lower() not in _ENCODINGS:
            raise ValueError(f"format {suffix!r} is none of {list(_ENCODINGS)}")
        if bits not in WAV_BITS:
            raise ValueError(f"bits {bits!r} is none of {', '.join(WAV_BITS)}")
        peak = _peak(self.samples)
        if peak > 1 and bits != "32f":
            raise ValueError(f"samples up to {peak:.3f} are over full scale 1; master or scale them first")
        self._encode(file, suffix.lower(), bits)
        return manifests.embed(file, manifest) if manifest else None

    def _encode(self, path: Path, suffix: str, bits: str) -> None:
        container, subtype, level = _ENCODINGS[suffix]
        subtype = WAV_BITS[bits] if suffix == ".wav" else subtype
        options = {"format": container, "compression_level": level}
        options["bitrate_mode"] = "VARIABLE" if container == "MP3" else None
        try:
            with soundfile.SoundFile(path, "w", self.sample_rate, 2, subtype, **options) as file:
                for block in _blocks(self.samples):  # Vorbis overflows the stack when given minutes at once
                    file.write(block.T)
            written = soundfile.info(path).frames
        except soundfile.LibsndfileError as error:
            raise OSError(errno.EIO, f"cannot be written: {error.error_string}", str(path)) from None
        if written != self.samples.shape[1] and container != "MP3":
            raise OSError(errno.EIO, f"{written} of {self.samples.shape[1]} samples were written", str(path))


@contextlib.contextmanager
def stream(path: str | Path, sample_rate: int | None = None, max_seconds: float | None = None) -> Iterator[Source]:
    """A sound file as stereo blocks (2, n) at its own or another rate (soxr, high quality), in flat memory.

    At most MAX_STREAM_SECONDS, or as many samples as `max_seconds` have at 48 kHz. Raises what `Audio.load` raises.
    """
    with open_source(path) as source:
        rate = sample_rate or source.sample_rate
        _check_rate("sample_rate", rate)
        limit = MAX_STREAM_SECONDS * rate if max_seconds is None else int(max_seconds * min(rate, HELD_RATE))
        message = f"{path}: longer than the limit of {limit / rate:g} s at {rate} Hz"
        if source.n_promised is not None and source.n_promised * rate > limit * source.sample_rate:
            raise ValueError(message)
        stereo = (_checked(str(path), block) for block in source.blocks)
        blocks = _limited(_resampled(stereo, source.sample_rate, rate), limit, message)
        yield Source(rate, source.n_promised, blocks, source.file_rate, source.notes)


def _checked(path: str, block: np.ndarray) -> np.ndarray:
    _check_level(path, block)
    return _stereo(block)


def _limited(blocks: Iterable[np.ndarray], limit: int, message: str) -> Iterator[np.ndarray]:
    count = 0
    for block in blocks:
        count += block.shape[1]
        if count > limit:
            raise ValueError(message)
        yield block


def _resampled(blocks: Iterable[np.ndarray], old: int, new: int) -> Iterator[np.ndarray]:
    """Blocks (2, n) at another rate: round(N * new / old) samples in all."""
    if old == new:
        yield from blocks
        return
    resampler = soxr.ResampleStream(old, new, 2, dtype="float32")
    taken = given = 0
    for block in blocks:
        taken += block.shape[1]
        out = resampler.resample_chunk(np.ascontiguousarray(block.T))
        given += len(out)
        yield np.ascontiguousarray(out.T)
    missing = round(taken * new / old) - given
    out = resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True).T[:, :missing]
    yield np.pad(out, ((0, 0), (0, missing - out.shape[1])))


def _gathered(blocks: list[np.ndarray]) -> np.ndarray:
    """(2, N) from blocks (2, n), which the list gives up one by one: no sample is held twice for long."""
    samples, done = np.empty((2, sum(block.shape[1] for block in blocks)), np.float32), 0
    for i, block in enumerate(blocks):
        samples[:, done : done + block.shape[1]] = block
        done += block.shape[1]
        blocks[i] = block[:, :0].copy()
    return samples


def mastering_gain(lufs: float) -> float:
    """The static gain in dB that brings a track of this loudness to -14 LUFS; 0 for silence, at most 24."""
    return min(TARGET_LUFS - lufs, MAX_LIFT_DB) if math.isfinite(lufs) else 0.0


def master(samples: np.ndarray, gain_db: float) -> None:
    """Applies `mastered` to samples (2, N) in place; beside them it needs a fixed few megabytes."""
    done = 0
    for block in mastered(_blocks(samples), gain_db):
        samples[:, done : done + block.shape[1]] = block
        done += block.shape[1]


def to_24_bits(samples: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Samples of any shape, each the nearest of the values that files of 24 bits hold and give back; float32.

    out: where they are written, `samples` themselves for instance; None: a new array.
    """
    rounded = np.multiply(samples, np.float32(1 << 23), out=out, dtype=np.float32)
    np.rint(rounded, out=rounded)
    rounded /= np.float32(1 << 23)
    return rounded


def mastered(blocks: Iterable[np.ndarray], gain_db: float) -> Iterator[np.ndarray]:
    """The samples of `blocks` ((2, n) each) after a static gain in dB and a look-ahead true-peak limiter.

    As many samples come out as went in, in blocks of another size, at most -1 dBTP. A sample depends, bit for bit, only
    on the input at most LIMITER_REACH away: an edit stays local, and the blocks given do not matter.
    """
    gain = np.float32(10 ** (gain_db / 20))
    for window, length in _framed(blocks, LIMITER_REACH):
        yield _limit(window * gain)[:, LIMITER_REACH : LIMITER_REACH + length]


# The limiter. Twice: measure the peaks between the samples, let the gain that they allow recover no faster than
# the release, take its minimum over the attack, smooth it (in decibels) over the same attack. Each smoothed value is a
# mean of gains that were all low enough here, so the second round has only the slope's small error left to correct.

_TAPS = 16  # each side, of the interpolator
_ATTACK = 256  # 5.8 ms: half the width of the smoothing, a power of two
_RELEASE = 4096  # samples in which a reduction of 12 dB is given back, a power of two
_RELEASE_STEP = math.log(4) / _RELEASE
_CEILING = 10 ** (CEILING_DBTP / 20) * math.cos(
    math.pi / 8
)  # a tone near Nyquist hides 0.69 dB between quarter samples
LIMITER_REACH = 2 * (_TAPS + 2 * _ATTACK) + _RELEASE  # samples


def _limit(samples: np.ndarray) -> np.ndarray:
    for release in (_RELEASE, 0):
        peaks = _peaks(samples)
        if peaks.max() <= _CEILING:
            return samples
        gains = -np.log(np.maximum(peaks / _CEILING, 1))
        samples = (samples * np.exp(_smooth(_recover(gains, release)))).astype(np.float32)
    return samples


def _recover(gains: np.ndarray, release: int) -> np.ndarray:
    """min over 0 <= j < release of gains[n - j] + j * step, by doubling."""
    gains, shift = gains.copy(), 1
    while shift < release:
        gains[shift:] = np.minimum(gains[shift:], gains[:-shift] + shift * _RELEASE_STEP)
        shift *= 2
    return gains


def _smooth(gains: np.ndarray) -> np.ndarray:
    """Minimum over ±_ATTACK, then a triangular mean over the same: nowhere above the gains that went in."""
    gains = np.pad(_lowest(gains, _ATTACK), _ATTACK, mode="edge")
    for _ in range(2):
        shift = 1
        while shift < _ATTACK:  # a sum of 2, 4, 8 ... neighbors: the same additions for every sample
            gains = gains[:-shift] + gains[shift:]
            shift *= 2
        gains = gains / _ATTACK
    return gains[1:-1]


def _lowest(values: np.ndarray, reach: int) -> np.ndarray:
    """Minimum over ±reach of values (n,), by doubling; values beyond the ends do not count."""
    lows, width = np.pad(values, reach, constant_values=np.inf), 1
    while width < 2 * reach + 1:
        step = min(width, 2 * reach + 1 - width)
        lows = np.minimum(lows[:-step], lows[step:])
        width += step
    return lows


def _peaks(samples: np.ndarray) -> np.ndarray:
    """(n,): the higher channel's highest magnitude at each of (2, n) samples and three points up to the next one."""
    peaks = np.abs(samples).max(0)
    for channel, kernel in itertools.product(samples, _interpolator()):
        between = np.abs(np.convolve(channel, kernel, "full"))[_TAPS - 1 : _TAPS - 1 + len(peaks)]
        np.maximum(peaks, between, out=peaks)
    return peaks


@functools.cache
def _interpolator() -> np.ndarray:
    """(3, 2 * _TAPS) float32: a Kaiser-windowed sinc at 1/4, 1/2 and 3/4 of a sample."""
    away = np.arange(1 - _TAPS, _TAPS + 1) - np.array([[0.25], [0.5], [0.75]])
    kernel = np.sinc(away) * np.i0(6 * np.sqrt(1 - np.square(away / _TAPS)))
    kernel /= kernel.sum(1, keepdims=True)
    return np.ascontiguousarray(kernel[:, ::-1], np.float32)


def _framed(blocks: Iterable[np.ndarray], reach: int) -> Iterator[tuple[np.ndarray, int]]:
    """Windows (2, reach + _BLOCK + reach) at fixed positions, zeros outside the track, and how many samples they serve.

    All windows have one size and one place, whatever the blocks, so that even rounding cannot differ.
    """
    held = np.zeros((2, reach), np.float32)
    size = reach + _BLOCK + reach
    for block in blocks:
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= size:
            yield held[:, :size], _BLOCK
            held = held[:, _BLOCK:]
    while (left := held.shape[1] - reach) > 0:
        yield np.pad(held[:, :size], ((0, 0), (0, max(0, size - held.shape[1])))), min(left, _BLOCK)
        held = held[:, _BLOCK:]


def _blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    return (samples[:, start : start + _BLOCK] for start in range(0, samples.shape[1], _BLOCK))


def _stereo(block: np.ndarray) -> np.ndarray:
    """(channels, n) -> (2, n) float32."""
    sides = np.repeat(block, 2, axis=0) if len(block) == 1 else block[:2].copy()
    return sides + block[2:].mean(0) * np.float32(0.7071) if len(block) > 2 else sides


def _decibels(level: float) -> float:
    return 20 * math.log10(level) if level > 0 else -math.inf


def _check_rate(name: str, rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{name} {rate} is outside {MIN_RATE}..{MAX_RATE}")


def _peak(samples: np.ndarray) -> float:
    """The highest magnitude, without a copy of the samples; NaN when there is one."""
    return float(np.maximum(samples.max(initial=0), -samples.min(initial=0)))


def _check_level(name: str, samples: np.ndarray) -> None:
    peak = _peak(samples)
    if not peak <= MAX_LEVEL:
        raise ValueError(f"{name}: peak level {peak} is not finite or over the limit of {MAX_LEVEL:.0e}")
