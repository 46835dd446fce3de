"""What a codec should cope with and a corpus lacks: other levels, mono and very wide sound, dead rooms, other tunings.

Every change is a function of a random generator, so that a crop is one of (seed, step, row). N samples, 44.1 kHz.
"""

import random
from dataclasses import dataclass

import numpy as np
import soxr
from scipy.ndimage import maximum_filter1d

from hybridgen.config import Share, Weight

PIECE = 64  # samples of a piece whose level is measured
HOLD = 15  # pieces over which the loudest counts: a period of 45 Hz
RELEASE_DB = 20.0  # a second, by which a peak is forgotten
LEAST = 1e-3  # gain


@dataclass(frozen=True)
class AugmentationConfig:
    """Shares are of crops; what is drawn is drawn evenly from its range."""

    max_gain: Weight  # dB: each crop is made quieter by 0 to this much
    mono: Share  # whose channels are the same
    wide: Share  # whose side is multiplied by 0 to `max_width`
    max_width: Weight
    dry: Share  # whose tails decay faster
    detuned: Share  # whose pitch (and speed) is up to `max_detune` higher or lower
    max_detune: Share


def speed(config: AugmentationConfig, rng: random.Random) -> float:
    """How much faster than in its file a crop is played; 1 for most."""
    return 1 + rng.uniform(-config.max_detune, config.max_detune) if rng.random() < config.detuned else 1.0


def played(samples: np.ndarray, speed: float, length: int) -> np.ndarray:
    """Samples (2, length) of samples (2, n) at another speed, and so at another pitch; n about length * speed."""
    if speed == 1.0:
        return samples[:, :length]
    found = soxr.resample(samples.T, speed, 1.0).T[:, :length]
    return np.pad(found, ((0, 0), (0, length - found.shape[1])))


def augmented(samples: np.ndarray, config: AugmentationConfig, rng: random.Random) -> np.ndarray:
    """Samples (2, N) float32 with another width, room, level and order of channels, at most full scale."""
    draw = rng.random()
    if draw < config.mono + config.wide:
        width = 0.0 if draw < config.mono else rng.uniform(0, config.max_width)
        middle = samples.mean(axis=0)
        samples = middle + np.float32(width) * (samples - middle)
    if rng.random() < config.dry:
        samples = dried(samples)
    gain = 10 ** (-rng.uniform(0, config.max_gain) / 20) / max(1.0, float(np.abs(samples).max(initial=0.0)))
    samples = samples * np.float32(gain)
    return samples[::-1] if rng.random() < 0.5 else samples


def dried(samples: np.ndarray) -> np.ndarray:
    """Samples (2, N) as in a dead room: what is n dB under its recent peak is n dB lower still; attacks stay."""
    n = samples.shape[1] // PIECE
    power = np.square(samples[:, : n * PIECE]).reshape(2, n, PIECE).mean(axis=(0, 2))
    level = 10 * np.log10(maximum_filter1d(power, HOLD, origin=HOLD // 2) + 1e-12)  # of this piece and those before
    fall = RELEASE_DB * PIECE / 44_100 * np.arange(n)
    peak = np.maximum.accumulate(level + fall) - fall
    gains = np.maximum(10 ** ((level - peak) / 20), LEAST)
    return samples * np.interp(np.arange(samples.shape[1]), np.arange(n) * PIECE, gains).astype(np.float32)
