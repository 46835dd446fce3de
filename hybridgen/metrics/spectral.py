"""Mel bands and semitones of a sound, how wide and how bright it is, and corruptions to compare with.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. M mel bands, F frames.
"""

import librosa
import numpy as np
import torch
from scipy.signal import butter, sosfiltfilt

from hybridgen import spectra

SAMPLE_RATE = 44_100
N_MELS = 128
MEL_WINDOW, MEL_HOP = 2048, 512
SEMITONE_HOP = 2048
SEMITONE_RATE = SAMPLE_RATE / SEMITONE_HOP  # frames a second
LOWEST_SEMITONE, N_SEMITONES = 24, 102  # C1 to F9, 11.8 kHz


def mono(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) float32: the mean of the channels."""
    return np.asarray(samples, dtype=np.float32).reshape(-1, np.shape(samples)[-1]).mean(axis=0)


def mel(samples: np.ndarray) -> np.ndarray:
    """Mel magnitudes (..., M, F) float32 of samples (..., N): 128 bands, window 2048, hop 512, frames centered."""
    sound = torch.tensor(samples, dtype=torch.float32)  # a copy: those of a track are read-only
    bands = spectra.mel_magnitude(sound, SAMPLE_RATE, MEL_WINDOW, MEL_HOP, N_MELS, center=True)
    return bands.transpose(-1, -2).numpy()


def decibels(magnitudes: np.ndarray, loudest: float) -> np.ndarray:
    """Magnitudes in dB, nothing more than 80 dB below `loudest`."""
    return spectra.decibels(torch.from_numpy(magnitudes), torch.tensor(float(loudest))).numpy()


def semitones(samples: np.ndarray) -> np.ndarray:
    """Constant-Q magnitudes (102, F), one row a semitone from C1 at A = 440 Hz."""
    spectrum = librosa.cqt(
        mono(samples),
        sr=SAMPLE_RATE,
        hop_length=SEMITONE_HOP,
        fmin=float(librosa.midi_to_hz(LOWEST_SEMITONE)),
        n_bins=N_SEMITONES,
        tuning=0.0,
    )
    return np.abs(spectrum).astype(np.float64)


def chroma_correlation(prediction: np.ndarray, target: np.ndarray) -> float:
    """How well the notes of a sound survive in another, -1 to 1: see `spectra.chroma_correlation`."""
    power, target_power = (torch.from_numpy(semitones(samples).T[None] ** 2) for samples in (prediction, target))
    return spectra.chroma_correlation(power, target_power, steps=1).item()


def energy_above(samples: np.ndarray, cutoff: float = 12_000.0) -> float:
    """Energy above `cutoff` Hz relative to all energy, in dB (0 = everything, -100 at the least)."""
    power = np.abs(np.fft.rfft(np.atleast_2d(samples))) ** 2
    frequencies = np.fft.rfftfreq(np.shape(samples)[-1], 1 / SAMPLE_RATE)
    total = power.sum()
    share = power[:, frequencies >= cutoff].sum() / total if total else 0.0
    return float(10.0 * np.log10(max(share, 1e-10)))


def stereo_width(samples: np.ndarray) -> float:
    """Energy of the side over energy of mid and side of samples (2, N): 0 mono, 0.5 unrelated channels, 1 inverted."""
    mid, side = samples[0] + samples[1], samples[0] - samples[1]
    total = float((mid**2).sum() + (side**2).sum())
    return float((side**2).sum()) / total if total else 0.0


def low_pass(samples: np.ndarray, cutoff: float = 8_000.0) -> np.ndarray:
    """The samples without content above `cutoff` Hz (zero phase, 96 dB an octave): a reference corruption."""
    sos = butter(8, cutoff, fs=SAMPLE_RATE, output="sos")
    return sosfiltfilt(sos, samples, axis=-1).astype(np.float32)


def mu_law(samples: np.ndarray, bits: int = 8) -> np.ndarray:
    """The samples through μ-law companding (G.711's curve, μ = 2^bits - 1) to `bits` bits: a reference corruption."""
    mu = 2**bits - 1
    compressed = np.sign(samples) * np.log1p(mu * np.minimum(np.abs(samples), 1.0)) / np.log1p(mu)
    levels = np.round((compressed + 1) / 2 * mu) / mu * 2 - 1
    return (np.sign(levels) * np.expm1(np.abs(levels) * np.log1p(mu)) / mu).astype(np.float32)
