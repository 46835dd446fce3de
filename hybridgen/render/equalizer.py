"""The filter of a style: gains of thirds of an octave, and of the side.

It is linear and the same all through a track, so that stems still add up and a change stays local; and it has minimum
phase (https://doi.org/10.1109/TASSP.1980.1163424), so that no attack is heard before it begins.

Shapes: N samples.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hybridgen.history import N_BANDS, Style

BANDS = 40.0 * 2 ** (np.arange(N_BANDS) / 3)  # Hz, the middles: 40 Hz to 16 kHz
TAPS = 4095  # of the filter: how long it rings, in samples
WINDOW = 8192  # samples, of a spectrum
SMALLEST = 1e-12


def toned(samples: np.ndarray, styles: Sequence[Style], is_loop: bool = False) -> np.ndarray:
    """Samples (2, N) after one filter for all styles, which looks back at `TAPS` samples.

    is_loop: whether they are a whole loop, whose end is heard at its beginning.
    """
    if not styles:
        return samples
    from scipy import signal  # half a second to import, and only styles need it

    left, right = np.pad(samples.astype(float), ((0, 0), (TAPS, 0)), mode="wrap" if is_loop else "constant")
    gain = 10 ** (sum(one.side_db for one in styles) / 20)
    both = np.stack([left + right, (left - right) * gain]) / 2
    taps = _filter(np.sum([one.bands_db for one in styles], axis=0), styles[0].plan.time_base.sample_rate)
    mid, side = signal.oaconvolve(both, taps[None], axes=1)[:, TAPS : TAPS + samples.shape[1]]
    return np.stack([mid + side, mid - side]).astype(np.float32)


def undone(samples: np.ndarray, styles: Sequence[Style]) -> np.ndarray:
    """Samples (2, N) of a whole track, which is no loop, as they were before the filter of all styles."""
    less = (tuple(-gain for gain in one.bands_db) for one in styles)
    inverse = [replace(one, bands_db=gains, side_db=-one.side_db) for one, gains in zip(styles, less, strict=True)]
    return toned(samples, inverse)


def _filter(bands_db: np.ndarray, rate: int) -> np.ndarray:
    """Taps (TAPS,) of minimum phase with these gains at `BANDS`, between them straight in decibels over octaves."""
    from scipy import signal

    frequencies = np.linspace(0, rate / 2, WINDOW // 2 + 1)
    at = np.log2(np.maximum(frequencies, BANDS[0]))
    gains = 10 ** (np.interp(at, np.log2(BANDS), bands_db) / 20)
    return signal.minimum_phase(signal.firwin2(TAPS, frequencies, gains, fs=rate), half=False)


def levels(samples: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """Levels in dB of samples (2, N): of each band under all of them together, and of the side over the mid."""
    from scipy import signal

    left, right = samples.astype(float)
    size = min(WINDOW, samples.shape[1])
    frequencies, power = signal.welch(np.stack([left + right, left - right]) / 2, rate, nperseg=size)
    edges = np.append(BANDS, 2 ** (1 / 3) * BANDS[-1]) * 2 ** (-1 / 6)
    inside = [(frequencies >= low) & (frequencies < high) for low, high in pairwise(edges)]
    bands = np.array([power[:, band].sum() for band in inside])
    mid, side = power.sum(1)
    return _decibels(bands / max(bands.sum(), SMALLEST)), float(_decibels(side / max(mid, SMALLEST)))


def _decibels(share: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(share, SMALLEST))
