"""What a producer measures: each figure moves with what it is named after, and only that is known of silence."""

import math

import numpy as np
import pytest

from hybridgen.audio import Audio
from hybridgen.metrics import mix
from hybridgen.metrics.spectral import SAMPLE_RATE


def tone(frequency: float, seconds: float = 4.0, level: float = 0.5) -> np.ndarray:
    """Samples (N,) of a sine that starts at 0."""
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def stereo(left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    return np.stack([left, left if right is None else right]).astype(np.float32)


@pytest.mark.parametrize("octave", mix.OCTAVES[1:])
def test_a_tone_is_loud_in_its_octave(octave: float):
    found = mix.measure(stereo(tone(octave)))
    assert found.loudest_octave == octave
    assert max(found.octaves_db) == pytest.approx(0, abs=0.1)
    assert found.bandwidth == pytest.approx(octave, abs=20)


def test_crest_and_peak_are_those_of_a_sine():
    found = mix.measure(stereo(tone(997.0)))
    assert found.crest_db == pytest.approx(3.01, abs=0.02)
    assert found.peak_dbtp == pytest.approx(-6.02, abs=0.05)


def test_mono_loses_what_is_on_the_side():
    left, right = tone(440.0), tone(660.0)
    assert mix.measure(stereo(left)).mono_loss_db == 0
    assert mix.measure(stereo(left, right)).mono_loss_db == pytest.approx(3.01, abs=0.02)
    assert mix.measure(stereo(left, -left)).mono_loss_db == math.inf


def test_a_start_in_the_middle_of_a_wave_and_a_cut_end_are_seen():
    cut, whole = tone(200.0), tone(200.0)
    cut = np.roll(cut, SAMPLE_RATE // 800)  # a quarter of a wave
    fade = np.minimum(1, np.arange(len(whole)) / SAMPLE_RATE / 0.1)
    whole = whole * fade * fade[::-1]
    assert mix.measure(stereo(cut)).start_db > -1 > -15 > mix.measure(stereo(whole)).start_db
    assert mix.measure(stereo(whole * fade)).start_db < -15 < -1 < mix.measure(stereo((cut * fade)[::-1])).start_db
    assert mix.measure(stereo(cut)).end_db == pytest.approx(0, abs=0.1)
    assert mix.measure(stereo(whole)).end_db < -15


def test_hits_are_counted_and_a_drone_has_none():
    rng, n = np.random.default_rng(0), 4 * SAMPLE_RATE
    since = np.arange(n) / SAMPLE_RATE % 0.25
    hits = 0.3 * np.exp(-60 * since) * rng.standard_normal(n)
    found = mix.measure(stereo(hits))
    assert found.onsets == pytest.approx(4, abs=0.3) and found.attack_ms <= 3
    drone = mix.measure(stereo(tone(300.0)))
    assert drone.onsets == 0 and math.isnan(drone.attack_ms)


def test_silence_is_no_error():
    found = mix.measure(np.zeros((2, SAMPLE_RATE), np.float32))
    assert found.lufs == -math.inf and math.isnan(found.bandwidth) and math.isnan(found.crest_db)


@pytest.mark.parametrize("shape", [(2, 100), (1, SAMPLE_RATE), (SAMPLE_RATE,)])
def test_what_is_no_stereo_sound_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"should be \(2, N\)"):
        mix.measure(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("levels", "expected"), [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)]
)
def test_the_loudness_range_is_that_of_ebu_tech_3342(levels: tuple[float, ...], expected: float):
    """Cases 1 to 4 of its table 1: tones of 1 kHz, 20 s each, within 1 LU."""
    sound = np.concatenate([tone(1000.0, 20, 10 ** (level / 20)) for level in levels])
    assert Audio(stereo(sound), SAMPLE_RATE).loudness_range() == pytest.approx(expected, abs=1)


def test_a_short_pause_is_no_loudness_range():
    sound = np.concatenate([tone(1000.0, 40), tone(1000.0, 1, 0.1), tone(1000.0, 40)])
    assert Audio(stereo(sound), SAMPLE_RATE).loudness_range() == pytest.approx(0, abs=0.1)


def test_the_loudness_range_of_what_is_short_or_silent_is_none():
    assert Audio(stereo(tone(1000.0, 2)), SAMPLE_RATE).loudness_range() == 0
    assert Audio(np.zeros((2, 10 * SAMPLE_RATE), np.float32), SAMPLE_RATE).loudness_range() == 0
