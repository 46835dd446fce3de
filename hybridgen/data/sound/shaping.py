"""Filters and drive that engines and the studio share; sound is (2, n) float32 at 44.1 kHz."""

import functools
import itertools
import math
from collections.abc import Iterable

import numpy as np
from scipy import signal

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound import loops

HARD_DRIVE = 20.0  # dB from which a sound is saturated at four times the rate instead of two
QUIET = 1e-4  # under which nothing is heard
MIDDLE_RMS = 0.1  # what `distort` brings a sound to before it drives it


def peak(frequency: float, gain_db: float, q: float) -> np.ndarray:
    """A second-order section (1, 6) of a bell (R. Bristow-Johnson, Cookbook formulae for audio EQ)."""
    a, w = 10 ** (gain_db / 40), 2 * math.pi * frequency / SAMPLE_RATE
    alpha, c = math.sin(w) / (2 * q), math.cos(w)
    section = np.array([1 + alpha * a, -2 * c, 1 - alpha * a, 1 + alpha / a, -2 * c, 1 - alpha / a])
    return (section / section[3])[None]


def shelf(frequency: float, gain_db: float, high: bool) -> np.ndarray:
    """A second-order section (1, 6) of a shelf of gentle slope, over or under `frequency`."""
    a, w = 10 ** (gain_db / 40), 2 * math.pi * frequency / SAMPLE_RATE
    c, root = math.cos(w) * (1 if high else -1), math.sin(w) * math.sqrt(2 * a)
    sign = -1 if high else 1
    up = [a * (a + 1 + (a - 1) * c + root), 2 * sign * a * (a - 1 + (a + 1) * c), a * (a + 1 + (a - 1) * c - root)]
    down = [a + 1 - (a - 1) * c + root, -2 * sign * (a - 1 - (a + 1) * c), a + 1 - (a - 1) * c - root]
    section = np.array([*up, *down])
    return (section / section[3])[None]


@functools.lru_cache(maxsize=1024)
def butter(order: int, frequency: float | tuple[float, float], kind: str = "lowpass") -> np.ndarray:
    """Sections (k, 6) of a Butterworth filter at `frequency` in Hz."""
    return np.asarray(signal.butter(order, frequency, kind, fs=SAMPLE_RATE, output="sos"))


def peaks(bells: Iterable[tuple[float, float, float]]) -> tuple[np.ndarray, ...]:
    """Sections of bells of (Hz, dB, Q), without those that would not be heard."""
    return tuple(peak(*bell) for bell in bells if abs(bell[1]) > 0.3)


def filtered(sound: np.ndarray, *sections: np.ndarray) -> np.ndarray:
    """The sound through second-order sections (k, 6) each, one after another."""
    out = sound.copy() if len(sound) == 2 else np.repeat(sound, 2, axis=0)
    each = [section for part in sections for section in part] if out.any() else []
    for first, second in itertools.zip_longest(each[::2], each[1::2], fillvalue=_NOTHING):
        loops.two_sections(out, first, second)
    return out[: len(sound)]


def distort(sound: np.ndarray, drive_db: float, bias: float = 0.0) -> np.ndarray:
    """The sound pushed into a soft limit by `drive_db` over its own level, and back at that level.

    bias: 0 is symmetric; 0.3 adds even harmonics, as a valve or tape does. Silence stays silence.
    """
    n_active = np.count_nonzero(np.abs(sound) > QUIET)
    if not n_active:
        return sound
    before = math.sqrt(float(np.vdot(sound, sound)) / n_active)
    out = saturated(sound, 10 ** (drive_db / 20) * MIDDLE_RMS / before, bias, 1 if drive_db < HARD_DRIVE else 2)
    after = math.sqrt(float(np.vdot(out, out)) / n_active)
    return out * np.float32(before / max(after, 1e-9))


def saturated(sound: np.ndarray, gain: float, bias: float, doublings: int) -> np.ndarray:
    """A soft limit of gain x sound + bias, computed at twice the rate so many times, for that it aliases."""
    if not doublings:
        out = sound.copy()
        loops.saturate(out, gain, bias)
        return out
    return _halved(saturated(_doubled(sound), gain, bias, doublings - 1))


def _doubled(sound: np.ndarray) -> np.ndarray:
    """(2, n) -> (2, 2 n) at twice the rate."""
    out = np.empty((2, sound.shape[1], 2), np.float32)
    out[:, :, 0] = sound
    out[:, :, 1] = _between(sound, 1)
    return out.reshape(2, -1)


def _halved(sound: np.ndarray) -> np.ndarray:
    """(2, 2 n) -> (2, n) at half the rate."""
    return 0.5 * (sound[:, ::2] + _between(sound[:, 1::2], 0))


def _between(sound: np.ndarray, later: int) -> np.ndarray:
    """(2, n): what lies half a sample after each (later 1) or before it (0), by a half-band filter."""
    taps = len(_HALF_BAND)
    out = np.empty(sound.shape, np.float32)
    loops.between(np.pad(sound, ((0, 0), (taps - later, taps - 1 + later))), _HALF_BAND, out)
    return out


def without_offset(sound: np.ndarray) -> np.ndarray:
    """The sound without what is under 20 Hz."""
    return filtered(sound, _HIGHPASS)


_HIGHPASS = butter(2, 20, "highpass")
_NOTHING = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])  # a section that changes nothing
_TAPS = np.arange(12)
_HALF_BAND = np.sinc(_TAPS + 0.5) * np.cos(0.5 * np.pi * (_TAPS + 0.5) / 12.5) ** 2
_HALF_BAND = (_HALF_BAND * 0.5 / _HALF_BAND.sum()).astype(np.float32)
