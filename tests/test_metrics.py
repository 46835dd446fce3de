"""What the estimators find in sounds whose tempo, key and chords are known because they were made so."""

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.analysis.key import detect_key
from hybridgen.metrics import distances, embedding, harmony, rhythm, scores, spectral
from hybridgen.metrics.embedding import FIT, SOUND
from hybridgen.plan.harmony import KEYS, chord_pitches, scale_pitches
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE


def clicks(bpm: float, seconds: float, every: int = 1, quiet: float = 1.0) -> np.ndarray:
    """Noise bursts on every beat; all but each `every`-th `quiet` times as loud."""
    rng = np.random.default_rng(0)
    burst = 0.3 * rng.standard_normal(1500) * np.exp(-np.arange(1500) / 300)
    samples = np.zeros(round(seconds * SAMPLE_RATE))
    for i in range(int(seconds * bpm / 60)):
        start = round(i * 60 / bpm * SAMPLE_RATE)
        part = samples[start : start + len(burst)]
        part += burst[: len(part)] * (1.0 if i % every == 0 else quiet)
    return samples


def saw(pitch: float, seconds: float) -> np.ndarray:
    """A sawtooth of ten partials at a MIDI pitch."""
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(np.sin(2 * np.pi * k * frequency * t) / k for k in range(1, 11)) * np.exp(-t)


def play(chords: list[str], seconds: float) -> np.ndarray:
    """Each chord for `seconds`, over its root in the bass."""
    parts = []
    for name in chords:
        pitches = chord_pitches(name)
        parts.append(sum(saw(60 + p, seconds) for p in pitches) + 1.5 * saw(36 + pitches[0], seconds))
    return 0.1 * np.concatenate(parts)


def stereo(sound: np.ndarray) -> np.ndarray:
    """(2, N): the same on both sides."""
    return np.stack([sound, sound])


# ---- rhythm


@pytest.mark.parametrize("bpm", [60, 71.3, 84, 97, 110, 123.4, 140, 156, 168, 180])
def test_tempo_of_clicks_is_found_within_half_a_percent(bpm):
    assert rhythm.tempo(clicks(bpm, 20.0)) == pytest.approx(bpm, rel=0.005)


@pytest.mark.parametrize("bpm", [76, 104, 132])
def test_quiet_half_beats_do_not_double_the_tempo(bpm):
    assert rhythm.tempo(clicks(2 * bpm, 20.0, every=2, quiet=0.25)) == pytest.approx(bpm, rel=0.005)


def test_silence_has_no_tempo_and_no_beats():
    silence = np.zeros((2, 3 * SAMPLE_RATE))
    assert rhythm.tempo(silence) == 0.0 and len(rhythm.beats(silence)) == 0
    assert np.isnan(rhythm.beat_deviation(np.zeros(0), np.arange(0.0, 3.0, 0.5)).median_ms)


def test_beats_on_the_grid_have_no_error_and_late_ones_are_as_late_as_they_are():
    grid = np.arange(0.0, 20.0, 0.5)
    beats = rhythm.beats(clicks(120, 20.0))
    on_time = rhythm.beat_deviation(beats, grid)
    assert scores.beat_f_measure(grid, beats) > 0.95
    assert on_time.median_ms < 10 and abs(on_time.drift_percent) < 0.3
    assert rhythm.beat_deviation(grid + 0.04, grid).median_ms == pytest.approx(40.0)


def test_a_sound_that_speeds_up_drifts_against_a_steady_grid():
    grid = np.arange(0.0, 20.0, 0.5)
    found = np.concatenate([np.arange(0.0, 10.0, 0.5), np.arange(10.0, 20.0, 0.5 / 1.02)])
    assert rhythm.beat_deviation(found, grid).drift_percent == pytest.approx(2.0, abs=0.1)


def test_compound_meters_are_tapped_in_dotted_quarters():
    assert rhythm.pulse(120.0, "4/4") == 120.0
    assert rhythm.pulse(120.0, "6/8") == 80.0


# ---- harmony


def test_every_triad_is_named_through_drums():
    wanted = list(harmony.MAJMIN)
    samples = play(wanted, 1.0)
    spans = np.stack([np.arange(24.0), np.arange(24.0) + 1.0], axis=1)
    detected = harmony.chords(samples + clicks(120, 24.0), spans)
    assert sum(a == b for a, b in zip(detected, wanted, strict=True)) >= 23


def test_silence_is_no_chord():
    assert harmony.chords(np.zeros((2, SAMPLE_RATE)), np.array([[0.0, 1.0]])) == ("N",)


@pytest.mark.parametrize("key", ["C major", "F# major", "Bb major", "A minor", "Eb minor"])
def test_key_of_a_cadence_over_its_scale(key):
    scale = scale_pitches(key)
    root, minor = harmony.PITCHES[scale[0]], "m" if key.endswith("minor") else ""
    four, five = harmony.PITCHES[scale[3]] + minor, harmony.PITCHES[scale[4]]
    samples = play([root + minor, four, five, root + minor], 1.0)
    melody = np.concatenate([saw(72 + scale[i % 7], 0.5) for i in (0, 2, 3, 5, 4, 6, 0, 0)])
    ranking = harmony.key(samples + 0.1 * melody)
    assert detect_key(samples + 0.1 * melody) == ranking[0] == key and sorted(ranking) == sorted(KEYS)


def test_chords_are_reduced_to_their_triad_or_left_out():
    names = ("Cmaj7", "Am7", "F9", "Dm6", "Gsus4", "Bdim", "Caug", "E5", "N", None, "Bm7b5", "Ebadd9")
    assert [harmony.majmin(name) for name in names] == ["C", "Am", "F", "Dm", *([None] * 7), "Eb"]


def plan_of(bars: list[tuple[str, ...] | None]) -> Plan:
    return Plan(sections=(Section(None, tuple(Bar(bar) for bar in bars)),), tempo=(Tempo(1, 120.0),))


# ---- spectral


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    left = play(["C", "Am"], 1.0) + clicks(120, 2.0)
    return np.stack([left, 0.7 * left + 0.3 * clicks(240, 2.0)]).astype(np.float32)


def test_low_pass_and_mu_law_do_what_they_say(music):
    noise = np.random.default_rng(0).standard_normal((2, SAMPLE_RATE)).astype(np.float32)
    assert spectral.energy_above(noise) == pytest.approx(10 * np.log10(1 - 12_000 / 22_050), abs=0.1)
    assert spectral.energy_above(spectral.low_pass(noise)) < -45
    assert len(np.unique(spectral.mu_law(music))) <= 256
    assert np.abs(spectral.mu_law(music) - music).max() < 0.03


def test_width_tells_mono_stereo_and_inverted():
    left, right = np.random.default_rng(0).standard_normal((2, SAMPLE_RATE))
    assert spectral.stereo_width(np.stack([left, left])) == 0.0
    assert spectral.stereo_width(np.stack([left, right])) == pytest.approx(0.5, abs=0.02)
    assert spectral.stereo_width(np.stack([left, -left])) == 1.0


# ---- embedding


@pytest.fixture(scope="module")
def tunes() -> list[tuple[np.ndarray, Plan]]:
    """Six sounds of 8 bars, each with a key, chords, a tempo and a quiet half of its own, and their plans."""
    tunes = []
    for i in range(6):
        tonic, bpm = harmony.PITCHES[5 * i % 12], (90.0, 100.0, 120.0, 150.0)[i % 4]
        names = [harmony.PITCHES[(5 * i + step) % 12] + mode for step, mode in ((0, ""), (9, "m"), (5, ""), (7, ""))]
        seconds = 240.0 / bpm
        half = play(names, seconds) + clicks(bpm, 4 * seconds)
        bars = tuple(Bar((name,)) for name in names)
        order = (0.3, 1.0) if i % 2 else (1.0, 0.3)
        sections = tuple(Section(None, bars, energy=round(6 * level)) for level in order)
        plan = Plan(sections=sections, tempo=(Tempo(1, bpm),), key=f"{tonic} major")
        tunes.append((stereo(np.concatenate([level * half for level in order])), plan))
    return tunes


def test_right_plans_are_nearer_to_the_reference_than_exchanged_ones(tunes):
    """As a set of sounds nothing has changed; only through the plans it looks wrong."""
    seen = np.stack([embedding.plan_embedding(*tune) for tune in tunes])
    exchanged = np.stack([embedding.plan_embedding(sound, tunes[i - 3][1]) for i, (sound, _) in enumerate(tunes)])
    reference, found = seen[:3], (seen[3:], exchanged[3:])
    right, wrong = (distances.frechet_distance(reference[:, FIT], x[:, FIT]) for x in found)
    assert wrong > 5 * right
    np.testing.assert_array_equal(seen[:, SOUND], exchanged[:, SOUND])


def test_what_is_seen_through_a_plan_is_what_the_plan_says(tunes):
    sound, plan = tunes[1]
    seen = embedding.plan_embedding(sound, plan)
    minor, other, key, phases, (beats, *_), (slope, correlation), changes = np.split(
        seen[FIT], (12, 24, 36, 52, 55, 57)
    )
    assert minor.argmax() == 0 == other.argmax() and minor[3] > 2 * minor[4] and other[4] > 2 * other[3]
    assert key[0] > 1 > key[1]
    assert set(np.argsort(phases)[-4:]) == {0, 4, 8, 12} and beats > 6
    assert slope == pytest.approx(20 * np.log10(1 / 0.3) / 4, rel=0.1) and correlation > 0.6
    assert changes > 3


def test_a_plan_that_knows_nothing_and_a_silent_sound_are_seen_as_neutral():
    neutral = np.concatenate([np.ones(52), np.zeros(6)])
    sound = stereo(play(["C", "F"], 1.0))
    length_alone = Plan(meter=None, n_samples=sound.shape[1])
    np.testing.assert_array_equal(embedding.plan_embedding(sound, length_alone)[FIT], neutral)
    silent = embedding.plan_embedding(np.zeros((2, SAMPLE_RATE)), plan_of([("C",), ("Am",)]))
    np.testing.assert_array_equal(silent[FIT], neutral)
    assert np.isfinite(silent).all()
