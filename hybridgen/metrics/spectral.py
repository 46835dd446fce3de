"""How far a sound is from its reference, how wide and how bright it is, and corruptions to compare with.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. M mel bands, F frames.
"""

from dataclasses import dataclass

import librosa
import numpy as np
from scipy.signal import butter, sosfiltfilt

SAMPLE_RATE = 44_100
N_MELS = 128
MEL_WINDOW, MEL_HOP = 2048, 512
MEL_FLOOR = 1e-4  # 80 dB below the loudest
SEMITONE_HOP = 2048
SEMITONE_RATE = SAMPLE_RATE / SEMITONE_HOP  # frames a second
LOWEST_SEMITONE, N_SEMITONES = 24, 102  # C1 to F9, 11.8 kHz
STFT_WINDOWS = (512, 1024, 2048)


def mono(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) float32: the mean of the channels."""
    return np.asarray(samples, dtype=np.float32).reshape(-1, np.shape(samples)[-1]).mean(axis=0)


def mel(samples: np.ndarray) -> np.ndarray:
    """Mel magnitudes (M, F), or (2, M, F) of a stereo sound: 128 bands (HTK, peaking at 1), window 2048, hop 512."""
    return librosa.feature.melspectrogram(
        y=np.asarray(samples, dtype=np.float32),
        sr=SAMPLE_RATE,
        n_fft=MEL_WINDOW,
        hop_length=MEL_HOP,
        n_mels=N_MELS,
        power=1.0,
        htk=True,
        norm=None,
    )


def decibels(magnitudes: np.ndarray, loudest: float) -> np.ndarray:
    """Magnitudes in dB, nothing more than 80 dB below `loudest`."""
    return 20.0 * np.log10(np.maximum(magnitudes, MEL_FLOOR * max(loudest, 1e-9)))


def log_mel_distance(reference: np.ndarray, found: np.ndarray) -> float:
    """Mean absolute difference of the mel magnitudes in dB; both of the same shape, (N,) or (2, N).

    What lies more than 80 dB below the reference's loudest band counts as silence.
    """
    _check_shapes(reference, found)
    r, f = mel(reference), mel(found)
    return float(np.abs(decibels(r, r.max()) - decibels(f, r.max())).mean())


@dataclass(frozen=True)
class StftDistance:
    """Means over windows of 512, 1024 and 2048 (hop a quarter), after https://arxiv.org/abs/1910.11480; 0 is equal."""

    convergence: float  # norm of the difference of the magnitudes over the norm of the reference's
    log_magnitude: float  # mean absolute difference of their decimal logarithms


def stft_distance(reference: np.ndarray, found: np.ndarray) -> StftDistance:
    """Multi-resolution STFT distance of two sounds of the same shape, (N,) or (2, N)."""
    _check_shapes(reference, found)
    convergence, logs = [], []
    for window in STFT_WINDOWS:
        r, f = (np.abs(_stft(x, window)) for x in (reference, found))
        convergence.append(np.linalg.norm(r - f) / max(np.linalg.norm(r), 1e-5))
        logs.append(np.abs(np.log10(r + 1e-5) - np.log10(f + 1e-5)).mean())
    return StftDistance(float(np.mean(convergence)), float(np.mean(logs)))


def _stft(samples: np.ndarray, window: int) -> np.ndarray:
    return librosa.stft(np.asarray(samples, np.float32), n_fft=window, hop_length=window // 4)


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
    """The samples without what lies above `cutoff` Hz (zero phase, 96 dB an octave): a reference corruption."""
    sos = butter(8, cutoff, fs=SAMPLE_RATE, output="sos")
    return sosfiltfilt(sos, samples, axis=-1).astype(np.float32)


def mu_law(samples: np.ndarray, bits: int = 8) -> np.ndarray:
    """The samples through μ-law companding (G.711's curve, μ = 2^bits - 1) to `bits` bits: a reference corruption."""
    mu = 2**bits - 1
    compressed = np.sign(samples) * np.log1p(mu * np.minimum(np.abs(samples), 1.0)) / np.log1p(mu)
    levels = np.round((compressed + 1) / 2 * mu) / mu * 2 - 1
    return (np.sign(levels) * np.expm1(np.abs(levels) * np.log1p(mu)) / mu).astype(np.float32)


def _check_shapes(reference: np.ndarray, found: np.ndarray) -> None:
    if np.shape(reference) != np.shape(found):
        raise ValueError(f"found has shape {np.shape(found)}, reference {np.shape(reference)}")
