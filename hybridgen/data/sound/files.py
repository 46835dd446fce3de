"""Recordings of single notes and hits, read from a sample pack, and played at another pitch."""

import functools
import math
from pathlib import Path

import numpy as np
import soundfile

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound.loops import convolved_at

ONSET = 0.02  # of the peak: where a sound has begun
LEAD, FADE_IN = 0.0015, 0.0008  # seconds that are kept before that, and in which they fade in
HALF_TAPS, PHASES = 8, 256  # of the resampler: zero crossings on each side, and how finely they are tabled
FADE_OUT = 0.01  # seconds at the end


def trimmed(path: Path, seconds: float | None = None) -> np.ndarray:
    """A recording (2, n) float32 at 44.1 kHz without the silence before it, at most `seconds`; mono goes to both sides.

    Raises ValueError, with the path, for a file that is missing or cannot be read, or is silent.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            frames = -1 if seconds is None else round((seconds + 0.05) * rate)
            sound = file.read(frames, dtype="float32", always_2d=True).T
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"sample {path}: {error}") from None
    loud = np.abs(sound).max(0)
    if not loud.size or loud.max() < 1e-4:
        raise ValueError(f"sample {path}: it is silent")
    onset = int(np.argmax(loud > ONSET * loud.max()))
    sound = np.ascontiguousarray(sound[:2, max(0, onset - round(LEAD * rate)) :])
    sound = np.repeat(sound, 2, axis=0) if len(sound) == 1 else sound
    if rate != SAMPLE_RATE:
        sound = read_at(sound, rate / SAMPLE_RATE)
    ends = np.ones(sound.shape[1], np.float32)
    rise, fall = (min(round(s * SAMPLE_RATE), sound.shape[1]) for s in (FADE_IN, FADE_OUT))
    ends[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    ends[len(ends) - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return sound * ends


def read_at(sound: np.ndarray, rate: float, most: int | None = None) -> np.ndarray:
    """A sound (2, n) read at `rate` (0.25-8) times its pace, at most `most` samples; nothing folds back."""
    n = int(sound.shape[1] / rate)
    out = np.zeros((2, n if most is None else min(n, most)), np.float32)
    convolved_at(sound, rate, _kernel(max(1.0, round(rate + 0.005, 2))), out)
    return out


@functools.lru_cache(maxsize=64)
def _kernel(wide: float) -> np.ndarray:
    """Weights (PHASES + 1, taps) of a sinc under a raised cosine, `wide` times as wide as one sample."""
    taps = 2 * math.ceil(HALF_TAPS * wide)
    offsets = np.arange(taps)[None] - (taps // 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    x = offsets / wide
    kernel = np.sinc(x) * np.where(np.abs(x) < HALF_TAPS, 0.5 + 0.5 * np.cos(np.pi * x / HALF_TAPS), 0.0)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
