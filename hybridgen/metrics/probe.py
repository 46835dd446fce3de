"""What genre a sound is, and which roles play in it: linear models of cheap features, fitted by tools/estimators.py.

Samples are float arrays (2, N) at 44.1 kHz; only the middle 30 s are analyzed. The features are averages over time, in
wide bands, so that what a neural codec does to a sound (smeared attacks, noise in the highs) moves them little.
"""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.fft import dct

from hybridgen.metrics.spectral import MEL_HOP, N_MELS, SAMPLE_RATE, decibels, mel
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan

PATH = Path(__file__).with_name("probe.safetensors")
SECONDS = 30.0
MIN_PRESENCE = 0.25  # share of the analyzed seconds: a role that plays for less is not expected
CLIP_SIGMA = 4.0  # standardized features are clipped here
BANDS, REGISTERS = 32, 8  # of the 128 mel bands
CEPSTRUM = 20
QUANTILES = (10, 50, 90)
FRAME_RATE = SAMPLE_RATE / MEL_HOP
MODULATIONS = np.geomspace(0.5, 24.0, 9)  # Hz, edges
N_FEATURES = 5 * BANDS + 2 * CEPSTRUM + (4 + len(MODULATIONS) - 1 + 3 + 1) * REGISTERS  # 328, see `features`
LAGS = 4  # frames between which a sound rises: 46 ms


@dataclass(frozen=True)
class Probe:
    """Two linear models over standardized features: f features, G genres, 9 roles."""

    genres: tuple[str, ...]
    origin: str  # what it was fitted on
    mean: np.ndarray  # (f,)
    deviation: np.ndarray  # (f,)
    genre_weights: np.ndarray  # (f + 1, G), the bias last
    role_weights: np.ndarray  # (f + 1, 9)

    def genre(self, features: np.ndarray) -> str:
        """The likeliest genre of a sound with these features (f,)."""
        return self.genres[int(self.genre_scores(features).argmax())]

    def genre_scores(self, features: np.ndarray) -> np.ndarray:
        """(G,) probabilities in the order of `genres`."""
        scores = self.standardize(features) @ self.genre_weights
        likely = np.exp(scores - scores.max())
        return likely / likely.sum()

    def roles(self, features: np.ndarray) -> frozenset[str]:
        """The roles detected in a sound with these features (f,); none in silence, which is in no training song."""
        changes = np.asarray(features)[BANDS : 2 * BANDS]  # how much each band changes, see `spread`
        if changes.size and not changes.any():
            return frozenset()
        scores = self.standardize(features) @ self.role_weights
        return frozenset(role for role, score in zip(ROLES, scores, strict=True) if score > 0)

    def standardize(self, features: np.ndarray) -> np.ndarray:
        """(..., f + 1): features (..., f) in deviations from their mean, at most 4 of them; then 1."""
        x = np.clip((np.asarray(features, dtype=float) - self.mean) / self.deviation, -CLIP_SIGMA, CLIP_SIGMA)
        return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)

    def save(self, path: Path = PATH) -> None:
        """Writes the probe as safetensors."""
        arrays = {name: value.astype(np.float32) for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        save_file(arrays, path, {"genres": "\n".join(self.genres), "origin": self.origin})


@functools.cache
def load() -> Probe:
    """The probe that comes with the package."""
    with safe_open(PATH, "np") as file:
        facts = file.metadata()
        arrays = {name: file.get_tensor(name).astype(float) for name in file.keys()}  # noqa: SIM118, no mapping
    return Probe(genres=tuple(facts["genres"].split("\n")), origin=facts["origin"], **arrays)


def planned_roles(plan: Plan) -> frozenset[str]:
    """The roles that play, by the plan, in at least a quarter of what `features` analyzes; all of them without bars."""
    seconds = min(plan.seconds, SECONDS)
    first = (plan.seconds - seconds) / 2
    edges = plan.bar_starts()[np.cumsum([0, *(len(section.bars) for section in plan.sections)])] / SAMPLE_RATE
    analyzed = np.diff(np.clip(edges, first, first + seconds))
    known = [role for role, _ in plan.instruments]
    if not plan.sections:
        return frozenset(known)
    played = {role: 0.0 for role in known}
    for section, length in zip(plan.sections, analyzed, strict=True):
        for role in known if section.roles is None else section.roles:
            played[role] += length
    return frozenset(role for role, length in played.items() if length >= MIN_PRESENCE * seconds)


def roles_agreement(detected: frozenset[str], target: frozenset[str]) -> float:
    """The share of the nine roles that are in both or in neither; most songs agree on about two thirds by chance."""
    return 1.0 - len(detected ^ target) / len(ROLES)


def features(samples: np.ndarray) -> np.ndarray:
    """(f,) numbers of the middle 30 s of samples (2, N), N >= 1."""
    samples = middle(np.asarray(samples, dtype=np.float32))
    mid, side = mel(np.stack([samples[0] + samples[1], samples[0] - samples[1]]))  # (M, F)
    loudest = max(float(mid.max()), 1e-9)
    level = decibels(pool(mid, BANDS), loudest)  # (32, F)
    registers = decibels(pool(mid, REGISTERS), loudest)  # (8, F)
    width = decibels(pool(side, REGISTERS), loudest).mean(axis=1) - registers.mean(axis=1)
    fine = decibels(mid, loudest)
    parts = (spread(level), timbre(level), attacks(registers), modulations(registers), texture(fine), width)
    return np.concatenate([part.reshape(-1) for part in parts])


def middle(samples: np.ndarray) -> np.ndarray:
    """The middle 30 s (2, n) of samples (2, N), or all of a shorter sound."""
    length = round(SECONDS * SAMPLE_RATE)
    first = max(samples.shape[-1] - length, 0) // 2
    return samples[..., first : first + length]


def pool(bands: np.ndarray, count: int) -> np.ndarray:
    """(count, F): means of neighboring bands (M, F)."""
    return bands.reshape(count, N_MELS // count, -1).mean(axis=1)


def spread(level: np.ndarray) -> np.ndarray:
    """(5, B): of levels (B, F) in dB, means against the mean of all bands, deviations, quantiles against the means."""
    mean = level.mean(axis=1)
    quantiles = np.percentile(level, QUANTILES, axis=1) - mean
    return np.stack([mean - mean.mean(), level.std(axis=1), *quantiles])


def timbre(level: np.ndarray) -> np.ndarray:
    """(2, C): how much each coefficient of the cepstrum moves from frame to frame, and over the whole."""
    cepstrum = dct(level, axis=0, norm="ortho")[1 : CEPSTRUM + 1]
    steps = np.abs(np.diff(cepstrum, axis=1, append=cepstrum[:, -1:])).mean(axis=1)
    return np.stack([np.log(0.01 + steps), np.log(0.1 + cepstrum.std(axis=1))])


def attacks(level: np.ndarray) -> np.ndarray:
    """(4, R): of the rise within 46 ms in each register: mean, deviation, share over 6 dB and over 15 dB."""
    rise = np.maximum(level[:, LAGS:] - level[:, :-LAGS], 0.0) if level.shape[1] > LAGS else np.zeros((len(level), 1))
    return np.stack([rise.mean(axis=1), rise.std(axis=1), *((rise > limit).mean(axis=1) for limit in (6.0, 15.0))])


def modulations(level: np.ndarray) -> np.ndarray:
    """(R, 8): how strongly levels (R, F) move at 0.5 to 24 Hz, in log bands, relative to the register's whole."""
    x = (level - level.mean(axis=1, keepdims=True)) * np.hanning(level.shape[1])
    power = np.abs(np.fft.rfft(x, axis=1)) ** 2
    rates = np.fft.rfftfreq(level.shape[1], 1.0 / FRAME_RATE)
    edges = itertools.pairwise(MODULATIONS)
    energy = np.stack([power[:, (rates >= low) & (rates < high)].sum(axis=1) for low, high in edges], axis=1)
    return np.log(0.01 + energy / np.maximum(energy.sum(axis=1, keepdims=True), 1e-9))


def texture(level: np.ndarray) -> np.ndarray:
    """(3, R): of levels (M, F) in dB, roughness along time and along frequency in each register, and their ratio."""
    along_time = np.abs(np.diff(level, axis=1, append=level[:, -1:]))
    along_frequency = np.abs(np.diff(level, axis=0, append=level[-1:]))
    t, f = (pool(x, REGISTERS).mean(axis=1) for x in (along_time, along_frequency))
    return np.stack([t, f, np.log((0.1 + t) / (0.1 + f))])
