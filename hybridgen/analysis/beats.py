"""Beats and bar lines of a recording, from its samples (N,) or (2, N) at 44.1 kHz."""

from dataclasses import dataclass
from functools import partial

import librosa
import numpy as np
from scipy.stats import theilslopes

from hybridgen.metrics import rhythm, spectral
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.harmony import METER_BEATS, meter_quarters

NEAR_MS = 40.0  # that a detected beat may be off a steady grid
MIN_BEATS = 8  # fewer say nothing about a tempo


@dataclass(frozen=True)
class Grid:
    """The steady bars that fit a recording best, and how well they do."""

    tempo: float  # quarter notes a minute
    downbeat: float  # seconds at which the first whole bar begins
    n_beats: int  # that were detected
    on_grid: float  # share of them that lie within `NEAR_MS` of the grid
    contrast: float  # harmony changes this many times more at the bar lines than at the next likely beat of a bar


def detect_grid(samples: np.ndarray, meter: str, tempo: float | None = None) -> Grid | None:
    """The steady bars of a recording; None where no even beat is found. `tempo` as in `detect_beats`."""
    beats = _all_beats(samples, meter, tempo)
    beats_per_bar = len(METER_BEATS[meter])
    if len(beats) <= max(beats_per_bar, MIN_BEATS):
        return None
    change = _changes(beats, samples, beats_per_bar)
    first = int(np.argmax(change))
    index = np.arange(len(beats))
    slope, intercept = theilslopes(beats, index)[:2]
    grid = intercept + slope * index
    near = np.abs(beats - grid) <= NEAR_MS / 1000
    if near.sum() > 2:
        slope, intercept = np.polyfit(index[near], beats[near], 1)
    bar = slope * beats_per_bar
    start = (intercept + slope * first) % bar
    start = 0.0 if bar - start <= NEAR_MS / 1000 else start  # a hair before the first sample, not almost a bar after
    quarters = METER_BEATS[meter][1] if beats_per_bar > 1 else meter_quarters(meter)
    contrast = change[first] / max(np.delete(change, first).max(initial=0.0), 1e-9)
    return Grid(float(60 * quarters / slope), float(start), len(beats), float(near.mean()), float(contrast))


def detect_beats(samples: np.ndarray, meter: str, tempo: float | None = None) -> np.ndarray:
    """Times of the beats (n,) in seconds, from the first bar line on.

    tempo: quarter notes a minute near which to look; None: the strongest pulse. Empty where no beat is found, where
    there is less than a bar of them, and in meters of unequal beats such as 7/8, which no beat tracker follows.
    """
    return _from_bar_line(_all_beats(samples, meter, tempo), samples, len(METER_BEATS[meter]))


def _all_beats(samples: np.ndarray, meter: str, tempo: float | None) -> np.ndarray:
    beat_lengths = np.diff((*METER_BEATS[meter], meter_quarters(meter)))
    if not np.allclose(beat_lengths, beat_lengths[0]):
        return np.zeros(0)
    return rhythm.beats(samples) if tempo is None else _track(samples, rhythm.pulse(tempo, meter))


def _track(samples: np.ndarray, bpm: float) -> np.ndarray:
    """Times of the beats (n,) at about `bpm` beats a minute."""
    strength = rhythm.onset_strength(samples).sum(axis=0)
    if not strength.any():
        return np.zeros(0)
    track = partial(librosa.beat.beat_track, sr=SAMPLE_RATE, hop_length=rhythm.HOP, trim=False, units="time")
    return track(onset_envelope=strength, bpm=bpm)[1]


def _from_bar_line(beats: np.ndarray, samples: np.ndarray, beats_per_bar: int) -> np.ndarray:
    """The beats without those before the first bar line: harmony changes most on the first beats of bars."""
    if len(beats) <= beats_per_bar:
        return np.zeros(0)
    return beats[int(np.argmax(_changes(beats, samples, beats_per_bar))) :]


def _changes(beats: np.ndarray, samples: np.ndarray, beats_per_bar: int) -> np.ndarray:
    """(beats_per_bar,): how much harmony changes at the first, second ... beat and every bar after it."""
    novelty = rhythm.novelty(spectral.semitones(samples))[0]
    at = np.clip(np.rint(beats * spectral.SEMITONE_RATE).astype(int), 1, len(novelty) - 2)
    change = np.maximum.reduce([novelty[at - 1], novelty[at], novelty[at + 1]])
    return np.array([change[phase::beats_per_bar].mean() for phase in range(beats_per_bar)])
