"""How a codec's copy of a sound differs from it: in what log-mel shows, and in what it hides.

Attacks that are blurred, haze between partials, sounds that moved to the side, waveforms that are only alike. Some
figures are distances, 0 at best; others are measured of a sound and to be read beside those of its original.

Samples are float32 arrays (2, N) at 44.1 kHz, N at least 16,384. E envelope values, a millisecond each.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from scipy import signal
from torch import Tensor

from hybridgen import spectra
from hybridgen.codecs.own import TONES_PER_SEMITONE, Tones, mid_side
from hybridgen.metrics.spectral import SAMPLE_RATE, stereo_width

TEXTURE_WINDOWS = ((512, 64), (2048, 160))  # samples, mel bands
TONE_HOP = 2048  # samples from one chroma to the next
ATTACK_CUTOFF = 2000.0  # Hz: attacks are looked for above it, where sounds overlap less
MAX_ONSETS, MIN_ONSETS, MIN_GAP = 60, 4, 60  # of a sound; milliseconds between two
MIN_RISE = 0.5  # decades of energy from the 10 ms before an onset to the 10 ms after
CONTRAST_WINDOW, CONTRAST_BAND = 8192, (800.0, 5000.0)  # samples; Hz
LOUD = 1e-4  # of the loudest power: what is below does not count as a place between left and right
HIGHEST, WAVEFORM = 8000.0, 1000.0  # Hz: "over 8 kHz", "SNR under 1 kHz"


@dataclass(frozen=True)
class Features:
    """What is measured of one sound alone."""

    attack_ms: float  # median time from 10 to 90 % of the peak; NaN, as the next two, with fewer than four onsets
    pre_echo_db: float  # median energy 25 to 3 ms before an onset over that of the 20 ms after it
    crest_db: float  # median peak over mean power of the 70 ms round an onset
    contrast_db: float  # loudest over median bin in thirds of octaves from 0.8 to 5 kHz: how far tones are above noise
    width: float  # energy of the side over all energy


@dataclass(frozen=True)
class Fidelity:
    """A copy beside its original."""

    log_mel_db: float  # see `spectra.log_mel_distance`
    chroma: float  # correlation of the pitch classes over time, 1 at best; see `spectra.chroma_correlation`
    texture: float  # difference of the roughness of log-mel spectra, in units of 10 dB
    copy: Features
    original: Features
    over_8_khz_db: float  # energy of the copy over that of the original
    left_right_db: float  # mean error of the level of left over right, in 20 bands, where it is loud
    snr_db: float  # of the waveform under 1 kHz; under 0 the error is louder than the sound


def measure(copy: np.ndarray, original: np.ndarray) -> Fidelity:
    """Compares samples (2, N) with those that they are a copy of; ValueError for other shapes."""
    if copy.shape != original.shape or copy.ndim != 2 or len(copy) != 2:
        raise ValueError(f"copy has shape {copy.shape}, original {original.shape}; both should be (2, N)")
    x, y = (torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None] for sound in (copy, original))
    onsets = find_onsets(envelope(original))
    return Fidelity(
        log_mel_db=spectra.log_mel_distance(x, y, SAMPLE_RATE).item(),
        chroma=spectra.chroma_correlation(tone_power(x)[0], tone_power(y)[0], TONES_PER_SEMITONE).item(),
        texture=texture_distance(x, y),
        copy=features(copy, onsets),
        original=features(original, onsets),
        over_8_khz_db=energy_db(copy, HIGHEST) - energy_db(original, HIGHEST),
        left_right_db=left_right_error(copy, original),
        snr_db=snr(copy, original),
    )


def features(samples: np.ndarray, onsets: np.ndarray) -> Features:
    """What is measured of samples (2, N) whose onsets (in milliseconds) are known."""
    values = envelope(samples)
    attacks = np.array([attack(values, at) for at in onsets if 40 < at < len(values) - 50]).reshape(-1, 3)
    rise, before, crest = np.median(attacks, axis=0) if len(attacks) >= MIN_ONSETS else np.full(3, np.nan)
    return Features(float(rise), float(before), float(crest), tonal_contrast(samples), stereo_width(samples))


def tone_power(samples: Tensor) -> Tensor:
    """Power (B, 2, T, J) of the codec's bank of tones in mid and side of samples (B, 2, N)."""
    tones = Tones(SAMPLE_RATE, TONE_HOP, TONE_HOP)
    return tones.power(F.pad(mid_side(samples), (tones.pad, tones.pad)))


def texture_distance(copy: Tensor, original: Tensor) -> float:
    """Mean of `spectra.texture_distance` over two windows; the floor is 80 dB under the loudest band."""
    distances = []
    for window, n_mels in TEXTURE_WINDOWS:
        x, y = (spectra.mel_magnitude(s, SAMPLE_RATE, window, window // 2, n_mels) for s in (copy, original))
        floor = 1e-4 * y.amax() + 1e-6
        distances.append(spectra.texture_distance(2 * torch.log10(x + floor), 2 * torch.log10(y + floor)))
    return torch.stack(distances).mean().item()


def envelope(samples: np.ndarray) -> np.ndarray:
    """Root mean square (E,) of each millisecond of what is over 2 kHz in samples (2, N)."""
    sos = signal.butter(4, ATTACK_CUTOFF, "highpass", fs=SAMPLE_RATE, output="sos")
    high = signal.sosfiltfilt(sos, samples.mean(axis=0))
    hop = SAMPLE_RATE // 1000
    n = len(high) // hop
    return np.sqrt(np.square(high[: n * hop]).reshape(n, hop).mean(axis=1) + 1e-12)


def find_onsets(values: np.ndarray, limit: int = MAX_ONSETS) -> np.ndarray:
    """The sharpest rises (in milliseconds, rising) of an envelope (E,): at most `limit`, at least 60 ms apart."""
    energy, k = np.cumsum(np.concatenate([[0.0], np.square(values)])), 10
    after, before = energy[2 * k :] - energy[k:-k], energy[k:-k] - energy[: -2 * k]
    rise = np.log10((after + 1e-9) / (before + 1e-9)) * (after > 0.02 * np.percentile(after, 99))
    picked: list[int] = []
    for at in np.argsort(-rise):
        if rise[at] < MIN_RISE or len(picked) == limit:
            break
        if all(abs(at - other) > MIN_GAP for other in picked):
            picked.append(int(at))
    return np.array(sorted(picked), dtype=int) + k


def attack(values: np.ndarray, at: int) -> tuple[float, float, float]:
    """Time from 10 to 90 % of the peak in ms, energy before over after, and crest in dB, of an onset in an envelope."""
    begin = at - 30
    piece = values[begin : at + 40]
    top = 20 + int(np.argmax(piece[20:60]))
    peak = piece[top]
    low = np.nonzero(piece[: top + 1] < 0.1 * peak)[0]
    start = int(low[-1]) if len(low) else 0
    high = np.nonzero(piece[: top + 1] >= 0.9 * peak)[0]
    rise = int(high[high > start][0]) - start if (high > start).any() else 0
    before, after = np.square(values[at - 25 : at - 3]).mean(), np.square(values[at : at + 20]).mean()
    crest = peak**2 / np.square(piece).mean()
    return float(rise), 10 * np.log10(before / after + 1e-9), 10 * np.log10(crest + 1e-12)


def tonal_contrast(samples: np.ndarray) -> float:
    """dB from the median to the loudest bin of each third of an octave, a mean over bands and loud moments."""
    frequencies, _, bins = signal.stft(samples.mean(axis=0), SAMPLE_RATE, nperseg=CONTRAST_WINDOW)
    level = 20 * np.log10(np.abs(bins) + 1e-7)
    loud = level.max(axis=0) > level.max() - 40
    low, high = CONTRAST_BAND
    edges = low * 2 ** np.arange(0, np.log2(high / low) + 1e-9, 1 / 3)
    bands = [level[(frequencies >= a) & (frequencies < b)][:, loud] for a, b in pairwise(edges)]
    return float(np.mean([band.max(axis=0) - np.median(band, axis=0) for band in bands]))


def energy_db(samples: np.ndarray, low: float) -> float:
    """Level in dB of what is over `low` Hz in the middle of samples (2, N)."""
    frequencies, power = signal.welch(samples.mean(axis=0), SAMPLE_RATE, nperseg=4096)
    return float(10 * np.log10(power[frequencies >= low].sum() + 1e-14))


def left_right_error(copy: np.ndarray, original: np.ndarray) -> float:
    """Mean absolute difference in dB of the level of left over right, in 20 bands and moments that are loud."""
    found, _ = _left_over_right(copy)
    wanted, power = _left_over_right(original)
    loud = power > LOUD * power.max()
    return float(np.abs(found - wanted)[loud].mean())


def _left_over_right(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level of left over right in dB, and power of both, in 20 bands of frames of 2,048 samples."""
    _, _, bins = signal.stft(samples, SAMPLE_RATE, nperseg=2048)
    edges = np.unique(np.geomspace(3, 1024, 21).astype(int))
    power = np.square(np.abs(bins))
    left, right = np.stack([power[:, a:b].sum(axis=1) for a, b in pairwise(edges)], axis=1)
    return 10 * np.log10((left + 1e-9) / (right + 1e-9)), left + right


def snr(copy: np.ndarray, original: np.ndarray) -> float:
    """Energy of the original over that of the error in dB, both under 1 kHz."""
    sos = signal.butter(4, WAVEFORM, fs=SAMPLE_RATE, output="sos")
    wanted, error = (signal.sosfilt(sos, sound) for sound in (original, copy - original))
    return float(10 * np.log10(np.square(wanted).sum() / (np.square(error).sum() + 1e-12) + 1e-12))
