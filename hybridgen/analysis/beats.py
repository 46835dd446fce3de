"""Beats and bar lines of a recording, from its samples (N,) or (2, N) at 44.1 kHz."""

from functools import partial

import librosa
import numpy as np

from hybridgen.metrics import rhythm, spectral
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.harmony import METER_BEATS, meter_quarters


def detect_beats(samples: np.ndarray, meter: str, tempo: float | None = None) -> np.ndarray:
    """Times of the beats (n,) in seconds, from the first bar line on.

    tempo: quarter notes a minute near which to look; None: the strongest pulse. Empty where no beat is found, where
    there is less than a bar of them, and in meters of unequal beats such as 7/8, which no beat tracker follows.
    """
    beat_lengths = np.diff((*METER_BEATS[meter], meter_quarters(meter)))
    if not np.allclose(beat_lengths, beat_lengths[0]):
        return np.zeros(0)
    beats = rhythm.beats(samples) if tempo is None else _track(samples, rhythm.pulse(tempo, meter))
    return _from_bar_line(beats, samples, len(beat_lengths))


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
    novelty = rhythm.novelty(spectral.semitones(samples))[0]
    at = np.clip(np.rint(beats * spectral.SEMITONE_RATE).astype(int), 1, len(novelty) - 2)
    change = np.maximum.reduce([novelty[at - 1], novelty[at], novelty[at + 1]])
    first = max(range(beats_per_bar), key=lambda phase: change[phase::beats_per_bar].mean())
    return beats[first:]
