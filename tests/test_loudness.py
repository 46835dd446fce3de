"""Loudness: the standard's tone, other meters, blocks of any size."""

import math

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import sosfilt

from hybridgen import loudness
from hybridgen.audio import Audio
from hybridgen.loudness import LoudnessMeter

RATE = 44_100


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((2, n_samples))).astype(np.float32)


def test_the_standard_tone_reads_minus_three():
    for rate in (44_100, 48_000, 96_000):
        full_scale = np.zeros((2, 3 * rate), np.float32)
        full_scale[0] = np.sin(2 * np.pi * 997 / rate * np.arange(3 * rate))
        assert abs(Audio(full_scale, rate).loudness() + 3.01) < 0.02


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_loudness_agrees_with_pyloudnorm(rate):
    rng = np.random.default_rng(0)
    levels = np.repeat(10 ** (rng.uniform(-60, 0, 40) / 20), rate // 4)
    pink = np.cumsum(rng.standard_normal((2, len(levels))), 1)
    pink = (pink - np.convolve(pink.mean(0), np.ones(200) / 200, "same")) / 50
    for wave in (levels * pink, levels * rng.standard_normal((2, len(levels))) * 0.1):
        samples = wave.astype(np.float32)
        expected = pyloudnorm.Meter(rate).integrated_loudness(samples.T.astype(float))
        assert abs(Audio(samples, rate).loudness() - expected) < 0.1


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("n_samples", [1, 65_536, 200_001])
def test_the_weighting_is_that_of_scipys_filter(rate, n_samples):
    samples, meter = noise(n_samples), LoudnessMeter(rate)
    meter.feed(samples)
    energies, left = meter._all()
    power = np.square(sosfilt(loudness._k_weighting(rate), samples.astype(np.float64))).sum(0)
    whole = n_samples // meter._hop * meter._hop
    np.testing.assert_allclose(energies, power[:whole].reshape(-1, meter._hop).sum(1), rtol=1e-12)
    np.testing.assert_allclose(left, power[whole:], rtol=1e-9, atol=1e-12)


def test_loudness_does_not_depend_on_the_blocks():
    samples, meter = noise(200_000), LoudnessMeter(RATE)
    for start in range(0, 200_000, 7_777):
        meter.feed(samples[:, start : start + 7_777])
        assert math.isfinite(meter.lufs())  # reading changes nothing
    assert meter.lufs() == Audio(samples, RATE).loudness()
    assert meter.range() == Audio(samples, RATE).loudness_range()


def test_silence_and_a_single_click_have_levels():
    assert Audio(np.zeros((2, RATE), np.float32), RATE).loudness() == -math.inf
    assert math.isfinite(Audio(noise(2000), RATE).loudness())
    assert LoudnessMeter(RATE).lufs() == -math.inf
