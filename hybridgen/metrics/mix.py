"""What a producer measures of a sound alone: level and range, balance, width, attacks, and how it begins and ends.

Samples are float32 arrays (2, N) at 44.1 kHz, N at least 4,410.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import signal

from hybridgen.audio import Audio
from hybridgen.metrics import fidelity
from hybridgen.metrics.spectral import SAMPLE_RATE, stereo_width

OCTAVES = tuple(31.25 * 2**i for i in range(10))  # Hz, the middles of the bands: 31 Hz to 16 kHz
WINDOW = 8192  # samples, of the spectrum
ENERGY_SHARE = 0.99  # of it lies under `Mix.bandwidth`
START, START_AROUND = 0.001, 0.2  # seconds: a click in the first is heard against the loudest of the second
END = 0.02  # seconds
MIN_SAMPLES = SAMPLE_RATE // 10


@dataclass(frozen=True)
class Mix:
    """A sound in figures; levels of silence are -inf, and what nothing sounds for is NaN."""

    lufs: float
    loudness_range: float  # LU
    peak_dbtp: float
    crest_db: float  # highest sample over root mean square
    octaves_db: tuple[float, ...]  # of `OCTAVES`, over all of them together
    bandwidth: float  # Hz, under which 99 % of the energy lies
    width: float  # energy of the side over all energy
    mono_loss_db: float  # what the sum of both channels loses
    attack_ms: float  # median, from 10 to 90 % of the peak, over 2 kHz; NaN with fewer than four onsets
    onsets: float  # sharp rises a second, over 2 kHz
    start_db: float  # peak of the first millisecond over that of the first 200: near 0 where it starts with a click
    end_db: float  # level of the last 20 ms over the whole: near 0 where it is cut

    @property
    def loudest_octave(self) -> float:
        """Hz of the band with the highest level."""
        return OCTAVES[int(np.argmax(self.octaves_db))]


def measure(samples: np.ndarray) -> Mix:
    """The figures of samples (2, N); ValueError for another shape, or fewer than a tenth of a second."""
    if samples.ndim != 2 or len(samples) != 2 or samples.shape[1] < MIN_SAMPLES:
        raise ValueError(f"samples {samples.shape} should be (2, N) with N at least {MIN_SAMPLES}")
    sound, width = Audio(samples, SAMPLE_RATE), stereo_width(samples)
    power = _power(samples)
    values = fidelity.envelope(samples)
    onsets = fidelity.find_onsets(values, limit=len(values))
    whole = math.sqrt(float(np.square(samples, dtype=float).mean()))
    return Mix(
        lufs=sound.loudness(),
        loudness_range=sound.loudness_range(),
        peak_dbtp=sound.true_peak(),
        crest_db=_ratio_db(float(np.abs(samples).max()), whole),
        octaves_db=_octaves(*power),
        bandwidth=_bandwidth(*power),
        width=width,
        mono_loss_db=-_ratio_db(math.sqrt(1.0 - width), 1.0),
        attack_ms=fidelity.features(samples, onsets).attack_ms,
        onsets=1000 * len(onsets) / len(values),
        start_db=_ratio_db(_peak(samples, START), _peak(samples, START_AROUND)),
        end_db=_ratio_db(math.sqrt(float(np.square(samples[:, -round(END * SAMPLE_RATE) :]).mean())), whole),
    )


def _power(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz, and mean power at each, of both channels together."""
    size = min(WINDOW, samples.shape[1])
    frequencies, power = signal.welch(samples, SAMPLE_RATE, nperseg=size)
    return frequencies, power.sum(axis=0)


def _octaves(frequencies: np.ndarray, power: np.ndarray) -> tuple[float, ...]:
    edges = np.array([*OCTAVES, 2 * OCTAVES[-1]]) / math.sqrt(2)
    levels = np.array([power[(frequencies >= a) & (frequencies < b)].sum() for a, b in itertools.pairwise(edges)])
    return tuple(_ratio_db(math.sqrt(level), math.sqrt(levels.sum())) for level in levels)


def _bandwidth(frequencies: np.ndarray, power: np.ndarray) -> float:
    total = np.cumsum(power)
    return float(frequencies[np.searchsorted(total, ENERGY_SHARE * total[-1])]) if total[-1] else float("nan")


def _peak(samples: np.ndarray, seconds: float) -> float:
    return float(np.abs(samples[:, : round(seconds * SAMPLE_RATE)]).max())


def _ratio_db(level: float, reference: float) -> float:
    """Of amplitudes; -inf for silence, NaN against silence."""
    if not reference:
        return float("nan")
    return 20 * math.log10(level / reference) if level else -math.inf
