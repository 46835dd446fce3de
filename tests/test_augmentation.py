"""What a codec hears in training that a corpus lacks, and that nothing else of a sound changes with it."""

import random
from dataclasses import replace

import numpy as np
import pytest

from hybridgen.training import augmentation
from hybridgen.training.augmentation import AugmentationConfig

RATE = 44_100
NONE = AugmentationConfig(max_gain=0, mono=0, wide=0, max_width=1.5, dry=0, detuned=0, max_detune=0.03)


def sound(n: int = RATE) -> np.ndarray:
    """Samples (2, n) of quiet noise, another in each channel."""
    return 0.1 * np.random.default_rng(0).standard_normal((2, n)).astype(np.float32)


def crops(settings: AugmentationConfig, n: int = 300) -> list[np.ndarray]:
    return [augmentation.augmented(sound(512), settings, random.Random(i)) for i in range(n)]


def width(samples: np.ndarray) -> float:
    return float(np.std(samples[0] - samples[1]) / np.std(samples[0] + samples[1]))


def test_without_any_of_it_a_crop_is_itself_or_its_mirror():
    samples = sound(512)
    found = {np.array_equal(crop, samples) for crop in crops(NONE)}
    assert found == {True, False}
    assert all(np.array_equal(crop, samples) or np.array_equal(crop[::-1], samples) for crop in crops(NONE))


def test_a_share_is_exactly_mono_and_another_is_narrower_or_wider():
    widths = np.array([width(crop) / width(sound(512)) for crop in crops(replace(NONE, mono=0.2, wide=0.5))])
    assert 0.12 < (widths == 0).mean() < 0.28
    others = widths[(widths > 0) & (np.abs(widths - 1) > 1e-3)]
    assert 0.4 < len(others) / len(widths) < 0.6
    assert others.min() < 0.2 and 1.3 < others.max() < 1.5 + 1e-3


def test_gain_only_makes_it_quieter_and_nothing_is_over_full_scale():
    peaks = np.array([np.abs(crop).max() for crop in crops(replace(NONE, max_gain=12))]) / np.abs(sound(512)).max()
    assert peaks.max() <= 1 and 10 ** (-12 / 20) - 1e-3 < peaks.min() < 0.3
    loud = augmentation.augmented(20 * sound(512), NONE, random.Random(0))
    assert np.abs(loud).max() == pytest.approx(1)


def test_another_speed_is_another_pitch():
    time = np.arange(2 * RATE) / RATE
    tone = np.stack([np.sin(2 * np.pi * 1000 * time)] * 2).astype(np.float32)
    found = augmentation.played(tone, 1.03, RATE)
    assert found.shape == (2, RATE)
    assert np.abs(np.fft.rfft(found[0])).argmax() == pytest.approx(1030, abs=1)
    assert np.array_equal(augmentation.played(tone, 1.0, RATE), tone[:, :RATE])
    speeds = [augmentation.speed(replace(NONE, detuned=0.5), random.Random(i)) for i in range(200)]
    assert 0.4 < np.mean(np.array(speeds) != 1) < 0.6 and 0.97 <= min(speeds) < 0.98 < 1.02 < max(speeds) <= 1.03


def test_a_dry_sound_has_its_attacks_and_half_of_its_tails():
    time = np.arange(RATE) / RATE
    decay = np.where(time < 0.2, 0, 10 ** (-60 * (time - 0.2) / 20)).astype(np.float32)  # 60 dB a second
    found = augmentation.dried(decay * sound())
    early, late = (
        np.std(found[:, part]) / np.std((decay * sound())[:, part])
        for part in (slice(8820, 9100), slice(30_869, 31_310))
    )
    assert 20 * np.log10(early) > -1
    assert -27 < 20 * np.log10(late) < -15  # 30 dB down after half a second; 20 dB a second are forgiven


def test_a_steady_low_tone_stays_as_it_is_in_a_dead_room():
    time = np.arange(RATE) / RATE
    tone = np.stack([np.sin(2 * np.pi * 50 * time)] * 2).astype(np.float32)
    assert np.abs(augmentation.dried(tone) - tone)[:, 4410:].max() < 0.05
