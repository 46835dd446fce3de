"""How a copy differs from its sound: nothing for the same, and each figure for what it is named after."""

import math

import numpy as np
import pytest

from hybridgen.metrics import fidelity
from hybridgen.metrics.spectral import SAMPLE_RATE

SECONDS = 4.0
HITS = np.arange(0.3, SECONDS - 0.3, 0.25)  # s


def hits(rise_ms: float = 0.0, tail: float = 60.0) -> np.ndarray:
    """Samples (2, N) of bursts of noise that rise on a straight line and decay, the same noise whatever they do."""
    rng, n = np.random.default_rng(0), round(SECONDS * SAMPLE_RATE)
    time, level = np.arange(n) / SAMPLE_RATE, np.full(n, 1e-4)
    for start in HITS:
        since = time - start
        rise = np.clip(since / max(rise_ms / 1000, 1e-6), 0, 1)
        level += np.where(since >= 0, rise * np.exp(-tail * np.maximum(since - rise_ms / 1000, 0)), 0)
    noise = rng.standard_normal((2, n))
    return (0.2 * level * noise).astype(np.float32)


def tones(noise: float = 0.0) -> np.ndarray:
    """Samples (2, N) of two chords, partials between 0.2 and 5 kHz, over noise of some level."""
    rng, time = np.random.default_rng(1), np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    chords = [
        [sum(np.sin(2 * np.pi * f * k * time) for k in range(1, 9)) for f in fs] for fs in ((220, 277), (330, 587))
    ]
    mono = np.where(time < SECONDS / 2, sum(chords[0]), sum(chords[1])) * 0.02
    return np.stack([mono, mono]).astype(np.float32) + (noise * rng.standard_normal((2, len(time)))).astype(np.float32)


@pytest.mark.parametrize("sound", [hits(), tones(0.001)], ids=["hits", "tones"])
def test_a_sound_is_a_perfect_copy_of_itself(sound: np.ndarray):
    found = fidelity.measure(sound, sound)
    assert (found.log_mel_db, found.texture, found.over_8_khz_db, found.left_right_db) == (0, 0, 0, 0)
    np.testing.assert_equal(vars(found.copy), vars(found.original))  # NaN is NaN
    assert found.snr_db > 60


def test_a_sound_without_onsets_has_no_attack():
    found = fidelity.measure(tones(), tones())
    assert math.isnan(found.original.attack_ms) and math.isnan(found.original.pre_echo_db)
    assert found.chroma > 0.999


@pytest.mark.parametrize("rise_ms", [10.0, 20.0])
def test_a_slow_rise_is_as_slow_as_it_is(rise_ms: float):
    found = fidelity.measure(hits(rise_ms), hits())
    assert found.original.attack_ms <= 3
    assert found.copy.attack_ms == pytest.approx(0.8 * rise_ms, abs=4)  # from 10 to 90 %, of noise


def test_onsets_are_found_where_they_are():
    found = fidelity.find_onsets(fidelity.envelope(hits()))
    assert len(found) == len(HITS)
    assert np.abs(found - HITS * SAMPLE_RATE / 44).max() <= 3  # a value is 44 samples


def test_sound_before_an_attack_is_pre_echo():
    sound = hits()
    early = np.roll(sound, -round(0.012 * SAMPLE_RATE), axis=1)  # 12 ms before
    found = fidelity.measure(sound + 0.1 * early, sound)
    assert found.original.pre_echo_db < -30
    assert -30 < found.copy.pre_echo_db < -15
    assert found.copy.crest_db == pytest.approx(found.original.crest_db, abs=0.5)


def test_a_longer_tail_has_less_crest():
    found = fidelity.measure(hits(tail=10.0), hits(tail=200.0))
    assert found.copy.crest_db < found.original.crest_db - 2


def test_noise_between_tones_takes_contrast():
    clean, hazy = (
        tones(1e-4),
        tones(1e-4) + 3e-3 * np.random.default_rng(2).standard_normal((2, 176_400)).astype(np.float32),
    )
    found = fidelity.measure(hazy, clean)
    # the noise is 29.5 dB louder in amplitude than that of the clean sound; leakage of the window hides some of it
    assert 10 < found.original.contrast_db - found.copy.contrast_db < 30
    assert found.log_mel_db > 3


def test_a_sound_turned_to_the_left_by_six_decibels_is_six_decibels_off():
    sound = hits()
    turned = sound * np.array([[1.0], [0.5]], np.float32)
    found = fidelity.measure(turned, sound)
    assert found.left_right_db == pytest.approx(6.02, abs=0.05)
    assert fidelity.measure(-sound, sound).left_right_db == pytest.approx(0, abs=1e-3)


def test_width_is_the_share_of_the_side():
    mono = np.repeat(hits()[:1], 2, 0)
    assert fidelity.measure(mono, hits()).copy.width == 0
    assert fidelity.measure(mono, hits()).original.width == pytest.approx(0.5, abs=0.05)


def test_the_top_is_measured_apart():
    sound = hits()
    brighter = np.fft.rfft(sound)
    brighter[:, round(8000 * sound.shape[1] / SAMPLE_RATE) :] *= 2
    found = fidelity.measure(np.fft.irfft(brighter).astype(np.float32), sound)
    assert found.over_8_khz_db == pytest.approx(6.02, abs=0.1)


def test_the_waveform_is_compared_under_one_kilohertz():
    sound = tones(0.01)
    assert fidelity.measure(0.9 * sound, sound).snr_db == pytest.approx(20, abs=0.1)
    assert fidelity.measure(-sound, sound).snr_db == pytest.approx(-6, abs=0.1)
    hiss = 0.1 * np.sin(2 * np.pi * 5000 * np.arange(sound.shape[1]) / SAMPLE_RATE).astype(np.float32)
    assert fidelity.measure(sound + hiss, sound).snr_db > 30


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"copy has shape \(2, 5\), original \(2, 6\)"):
        fidelity.measure(np.zeros((2, 5), np.float32), np.zeros((2, 6), np.float32))
