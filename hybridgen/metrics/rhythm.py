"""Tempo, beats and drift, heard from the samples alone.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. K bands, F frames of `HOP` samples.
"""

from dataclasses import dataclass

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks
from scipy.stats import theilslopes

from hybridgen.metrics.spectral import SAMPLE_RATE, mono
from hybridgen.plan import METER_BEATS

HOP = 512
FRAME_RATE = SAMPLE_RATE / HOP  # 86.1 Hz
N_BANDS = 4
MIN_PULSE, MAX_PULSE = 40.0, 240.0
TYPICAL_PULSE, PULSE_OCTAVES = 110.0, 0.9  # a broad preference: centre, and standard deviation in octaves
HIT_SECONDS = 0.07  # a beat within this of the grid is a hit, as in mir_eval's F-measure


def onset_strength(samples: np.ndarray) -> np.ndarray:
    """Spectral flux (K, F) of log-compressed mel bands in four registers, each with its slow mean taken off."""
    mel = librosa.feature.melspectrogram(
        y=mono(samples), sr=SAMPLE_RATE, n_fft=2048, hop_length=HOP, n_mels=80, fmin=30.0, fmax=16_000.0, power=1.0
    )
    flux = np.maximum(np.diff(np.log1p(10.0 * mel), axis=1, prepend=0.0), 0.0)
    bands = flux.reshape(N_BANDS, -1, flux.shape[1]).mean(axis=1)
    bands = np.maximum(bands - uniform_filter1d(bands, int(FRAME_RATE), axis=1), 0.0)
    return bands


def pulse_scores(bands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pulses a minute (G,), how well each explains the onsets (G,)), from `onset_strength`.

    The spectrum of the onsets peaks at the pulse and its multiples, their autocorrelation at the pulse and its
    fractions: the product keeps the pulse (Peeters 2007, https://doi.org/10.1155/2007/67215).
    """
    pulses = np.geomspace(MIN_PULSE, MAX_PULSE, 1000)
    x = bands - bands.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(8 * x.shape[1])))
    spectrum = np.abs(np.fft.rfft(x, size, axis=1))  # (K, size / 2 + 1)
    correlation = np.fft.irfft(spectrum**2, size, axis=1)[:, : x.shape[1]]
    correlation = np.maximum(correlation / np.maximum(correlation[:, :1], 1e-9), 0.0).mean(axis=0)
    spectrum = (spectrum / np.maximum(spectrum.max(axis=1, keepdims=True), 1e-9)).mean(axis=0)
    lags = 60.0 * FRAME_RATE / pulses
    by_lag = np.interp(lags, np.arange(len(correlation)), correlation, right=0.0)
    by_frequency = np.interp(pulses / 60.0, np.arange(len(spectrum)) * FRAME_RATE / size, spectrum)
    prior = np.exp(-0.5 * (np.log2(pulses / TYPICAL_PULSE) / PULSE_OCTAVES) ** 2)
    return pulses, by_lag * by_frequency * prior


def tempo(samples: np.ndarray) -> float:
    """The pulse that a listener would tap, in beats a minute; 0.0 where nothing has an onset."""
    return beat_rate(beats(samples))


def beats(samples: np.ndarray) -> np.ndarray:
    """Times of the beats (n,) in seconds: dynamic programming around the strongest pulse (Ellis 2007, in librosa)."""
    bands = onset_strength(samples)
    if not bands.any():
        return np.zeros(0)
    pulses, scores = pulse_scores(bands)
    strength = bands.sum(axis=0)
    found = librosa.beat.beat_track(
        onset_envelope=strength, sr=SAMPLE_RATE, hop_length=HOP, bpm=pulses[np.argmax(scores)], trim=False, units="time"
    )
    return found[1]


def beat_rate(times: np.ndarray) -> float:
    """Beats a minute of beat times in seconds: 60 over the slope of the line through them, robust to a few bad ones."""
    if len(times) < 2:
        return 0.0
    index = np.arange(len(times))
    return 60.0 / float(theilslopes(times, index)[0])


def onset_rate(samples: np.ndarray) -> float:
    """Onsets a second: peaks of the onset strength over a tenth of its strongest."""
    strength = onset_strength(samples).sum(axis=0)
    peaks, _ = find_peaks(strength, height=0.1 * max(strength.max(initial=0.0), 1e-9))
    return len(peaks) * FRAME_RATE / len(strength)


def pulse(tempo: float, meter: str) -> float:
    """Beats a minute as one taps them, of a tempo in quarter notes: dotted quarters in 6/8, 9/8 and 12/8."""
    starts = METER_BEATS[meter]
    return tempo / (starts[1] - starts[0])


def tempo_correct(found: float, asked: float, tolerance: float = 0.04) -> bool:
    """Whether the tempo found is the one asked; an octave error is an error."""
    return abs(found / asked - 1.0) <= tolerance


def octave_error(found: float, asked: float, tolerance: float = 0.04) -> bool:
    """Whether the tempo found is wrong, and is the one asked times or over 2 or 3 (as in MIREX's second accuracy)."""
    return any(tempo_correct(found, asked * factor, tolerance) for factor in (1 / 3, 1 / 2, 2.0, 3.0))


@dataclass(frozen=True)
class BeatError:
    """How detected beats lie on a grid. All are NaN where no beats were detected."""

    median_ms: float  # median distance of a detected beat to the nearest beat of the grid
    hit_rate: float  # share of the grid's beats with a detected beat within 70 ms
    drift_percent: float  # change of the detected tempo, against the grid's, from the first half to the second


def beat_error(samples: np.ndarray, beat_times: np.ndarray) -> BeatError:
    """How the beats that are heard in the samples lie on the grid `beat_times` (n,) in seconds, n >= 2."""
    return compare_beats(beats(samples), beat_times)


def compare_beats(found: np.ndarray, grid: np.ndarray) -> BeatError:
    """`beat_error` of beats already detected; both in seconds."""
    grid = np.asarray(grid, dtype=float)
    if len(grid) < 2:
        raise ValueError(f"beat_times has {len(grid)} beats, a grid takes at least 2")
    found = found[(found > grid[0] - HIT_SECONDS) & (found < grid[-1] + HIT_SECONDS)]
    if len(found) < 4:
        return BeatError(np.nan, np.nan, np.nan)
    distances = np.abs(found[:, None] - grid)  # (found, grid)
    position = np.interp(found, grid, np.arange(len(grid)))  # beats of the grid
    half = len(found) // 2
    first, second = (theilslopes(part, np.arange(len(part)))[0] for part in (position[:half], position[half:]))
    return BeatError(
        median_ms=1000.0 * float(np.median(distances.min(axis=1))),
        hit_rate=float((distances.min(axis=0) <= HIT_SECONDS).mean()),
        drift_percent=100.0 * float(first / second - 1.0),
    )
