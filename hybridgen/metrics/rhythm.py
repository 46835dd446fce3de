"""Tempo, beats and drift, estimated from the samples alone.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. K bands, F frames of `HOP` samples.
"""

from dataclasses import dataclass

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.stats import theilslopes

from hybridgen.metrics import profiles
from hybridgen.metrics.spectral import SAMPLE_RATE, SEMITONE_RATE, mono, semitones
from hybridgen.plan.harmony import METER_BEATS

HOP = 512
FRAME_RATE = SAMPLE_RATE / HOP  # 86.1 Hz
N_BANDS = 4
PULSES = np.geomspace(38.0, 240.0, 700)  # (G,) beats a minute that are tried
BEAT_RATIOS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3, 4)  # of a beat's length
BAR_RATIOS = (1 / 2, 2 / 3, 1, 3 / 2, 2, 3, 4, 6, 8)
NOVELTY_FRAMES = 8  # that `novelty` compares on either side, a third of a second
PERIODICITY_FLOOR = 0.03  # of the strongest, added before the logarithm
EDGE_SECONDS = 0.07  # beats up to this far outside a grid still belong to it


def onset_strength(samples: np.ndarray) -> np.ndarray:
    """Spectral flux (K, F) of log-compressed mel bands in four registers, each with its slow mean taken off."""
    mel = librosa.feature.melspectrogram(
        y=mono(samples), sr=SAMPLE_RATE, n_fft=2048, hop_length=HOP, n_mels=80, fmin=30.0, fmax=16_000.0, power=1.0
    )
    flux = np.maximum(np.diff(np.log1p(10.0 * mel), axis=1, prepend=0.0), 0.0)
    bands = flux.reshape(N_BANDS, -1, flux.shape[1]).mean(axis=1)
    bands = np.maximum(bands - uniform_filter1d(bands, int(FRAME_RATE), axis=1), 0.0)
    return bands


def novelty(spectrum: np.ndarray) -> np.ndarray:
    """(1, F): how much louder notes are after each moment than before it, given `semitones`; it peaks at new chords."""
    x = np.log1p(1000.0 * spectrum / max(spectrum.max(), 1e-9))
    n = NOVELTY_FRAMES
    total = np.cumsum(np.pad(x, ((0, 0), (n, n)), mode="edge"), axis=1)
    past, here, future = total[:, : -2 * n], total[:, n:-n], total[:, 2 * n :]
    return np.maximum(future - here - (here - past), 0.0).sum(axis=0, keepdims=True)


def pulse_features(bands: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """(G, D): what speaks for each of `PULSES` in `onset_strength` (K, F) and in `novelty`.

    Periodicities of all bands, of the lowest and of the highest; of the changes of harmony, which come with bars; then
    the pulse itself, in octaves, and its square.
    """
    octaves = np.log2(PULSES / 100.0)
    onsets = periodicities(bands, FRAME_RATE, BEAT_RATIOS)
    chosen = (onsets.mean(axis=0), onsets[0], onsets[-1], periodicities(changes, SEMITONE_RATE, BAR_RATIOS)[0])
    return np.concatenate([np.log(PERIODICITY_FLOOR + np.concatenate(chosen)), [octaves, octaves**2]]).T


def periodicities(curves: np.ndarray, rate: float, ratios: tuple[float, ...]) -> np.ndarray:
    """(K, 2 R, G): of curves (K, F) at `rate` Hz, the autocorrelation at R ratios of every pulse's period, and the
    spectrum at the same periods; relative to the largest, not negative.
    """
    x = curves - curves.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(8 * x.shape[1])))
    spectrum = np.abs(np.fft.rfft(x, size, axis=1))
    correlation = np.maximum(np.fft.irfft(spectrum**2, size, axis=1)[:, : x.shape[1]], 0.0)
    periods = np.outer(ratios, 60.0 / PULSES)  # seconds
    return np.concatenate([_read(correlation, periods * rate), _read(spectrum, size / (periods * rate))], axis=1)


def _read(curves: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Curves (K, F), the largest of each scaled to 1, at positions (R, G): (K, R, G), 0 past the end."""
    curves = curves / np.maximum(curves.max(axis=1, keepdims=True), 1e-9)
    return np.stack([np.interp(at, np.arange(len(curve)), curve, right=0.0) for curve in curves])


def tempo(samples: np.ndarray) -> float:
    """The pulse that a listener would tap, in beats a minute; 0.0 where nothing has an onset."""
    return beat_rate(beats(samples))


def beats(samples: np.ndarray) -> np.ndarray:
    """Times of the beats (n,) in seconds: dynamic programming around the strongest pulse (Ellis 2007, in librosa)."""
    bands = onset_strength(samples)
    if not bands.any():
        return np.zeros(0)
    pulse_found = PULSES[np.argmax(pulse_features(bands, novelty(semitones(samples))) @ profiles.load().pulse)]
    _, times = librosa.beat.beat_track(
        onset_envelope=bands.sum(axis=0), sr=SAMPLE_RATE, hop_length=HOP, bpm=pulse_found, trim=False, units="time"
    )
    return times


def beat_rate(times: np.ndarray) -> float:
    """Beats a minute of beat times in seconds: 60 over the slope of the line through them, robust to a few bad ones."""
    if len(times) < 2:
        return 0.0
    index = np.arange(len(times))
    return 60.0 / float(theilslopes(times, index)[0])


def pulse(tempo: float, meter: str) -> float:
    """Beats a minute as one taps them, of a tempo in quarter notes: dotted quarters in 6/8, 9/8 and 12/8."""
    starts = METER_BEATS[meter]
    return tempo / (starts[1] - starts[0])


@dataclass(frozen=True)
class BeatDeviation:
    """How well detected beats match a grid. All are NaN where fewer than four match."""

    median_ms: float  # median distance of a detected beat to the nearest beat of the grid
    drift_percent: float  # change of the detected tempo, against the grid's, from the first half to the second


def beat_deviation(detected: np.ndarray, grid: np.ndarray) -> BeatDeviation:
    """How well beats (n,) match a grid (m,), both in seconds; ValueError for a grid of fewer than two beats."""
    grid = np.asarray(grid, dtype=float)
    if len(grid) < 2:
        raise ValueError(f"grid has {len(grid)} beats, at least 2 are needed")
    detected = detected[(detected > grid[0] - EDGE_SECONDS) & (detected < grid[-1] + EDGE_SECONDS)]
    if len(detected) < 4:
        return BeatDeviation(np.nan, np.nan)
    distances = np.abs(detected[:, None] - grid)  # (n, m)
    position = np.interp(detected, grid, np.arange(len(grid)))  # in beats of the grid
    half = len(detected) // 2
    first, second = (theilslopes(part, np.arange(len(part)))[0] for part in (position[:half], position[half:]))
    return BeatDeviation(
        median_ms=1000.0 * float(np.median(distances.min(axis=1))),
        drift_percent=100.0 * float(first / second - 1.0),
    )
