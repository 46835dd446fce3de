"""Scores of what was detected: the values of mir_eval's definitions on examples whose score is known by hand."""

import mir_eval.chord
import mir_eval.tempo
import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.formats.symbols import harte_label
from hybridgen.metrics import harmony, scores
from hybridgen.metrics.measurements import TrackMeasurements, summarize_tracks
from hybridgen.plan.harmony import PITCHES, QUALITIES, chord_pitches
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE

GRID = np.arange(0.0, 10.0, 0.5)


# ---- tempo


def test_octave_errors_are_wrong_and_distinguished():
    assert scores.tempo_correct(103.9, 100.0) and not scores.tempo_correct(104.1, 100.0)
    assert not scores.tempo_correct(200.0, 100.0) and scores.octave_error(200.0, 100.0)
    assert scores.octave_error(50.5, 100.0) and not scores.octave_error(140.0, 100.0)
    assert not scores.octave_error(100.0, 100.0)


@pytest.mark.parametrize("detected", [50.0, 95.9, 96.1, 100.0, 103.9, 104.1, 200.0])
def test_tempo_is_mir_evals_detection_of_one_tempo_within_four_percent(detected):
    p_score, _, _ = mir_eval.tempo.detection(np.array([100.0, 0.0]), 1.0, np.array([detected, detected]), tol=0.04)
    assert scores.tempo_correct(detected, 100.0) == bool(p_score)


# ---- beats


def test_beats_within_70_ms_are_right():
    assert scores.beat_f_measure(GRID, GRID + 0.069) == 1.0
    assert scores.beat_f_measure(GRID, GRID + 0.071) == 0.0
    assert scores.beat_f_measure(GRID, np.zeros(0)) == 0.0


def test_twice_or_half_as_many_beats_count_two_thirds():
    assert scores.beat_f_measure(GRID, np.arange(0.0, 10.0, 0.25)) == pytest.approx(2 / 3)
    assert scores.beat_f_measure(GRID, GRID[::2]) == pytest.approx(2 / 3)


# ---- key


@pytest.mark.parametrize(
    ("detected", "score"),
    [("A minor", 1.0), ("E minor", 0.5), ("D minor", 0.0), ("C major", 0.3), ("A major", 0.2), ("F# major", 0.0)],
)
def test_related_keys_count_in_part(detected, score):
    assert scores.key_weighted("A minor", detected) == score


# ---- chords


@pytest.mark.parametrize("quality", QUALITIES)
def test_every_chord_has_the_notes_of_its_harte_label(quality):
    """Without a ninth, which mir_eval leaves out of the octave that it compares."""
    for root, name in enumerate(PITCHES):
        label_root, bitmap, _ = mir_eval.chord.encode(harte_label(name + quality))
        ninth = {(root + 2) % 12} if quality.endswith("9") else set()
        notes = {(root + int(step)) % 12 for step in np.flatnonzero(bitmap)}
        assert label_root == root and notes == set(chord_pitches(name + quality)) - ninth


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_chord_counts_as_the_triad_that_the_estimator_may_name(quality):
    label, triad = harte_label("Eb" + quality), harmony.majmin("Eb" + quality)
    for name in harmony.MAJMIN:
        score = scores.compare_chords([label], [harte_label(name)], np.ones(1))
        assert np.isnan(score) if triad is None else score == (name == triad)


def test_silence_is_right_where_no_chord_is_planned():
    assert scores.compare_chords(["N", "C:maj"], ["N", "N"], np.array([1.0, 3.0])) == 0.25
    assert scores.compare_chords(["X", "C:maj7"], ["G:maj", "C:maj"], np.array([1.0, 3.0])) == 1.0


def plan_of(bars: list[tuple[str, ...] | None]) -> Plan:
    return Plan(sections=(Section(None, tuple(Bar(bar) for bar in bars)),), tempo=(Tempo(1, 120.0),))


def test_agreement_with_the_plan_is_a_share_of_time():
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    triads = [[60, 64, 67, 36], [57, 60, 64, 45], [53, 57, 60, 41], [55, 59, 62, 43]]  # C Am F G over their roots
    parts = [sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t) for pitch in triad) for triad in triads]
    samples = np.tile(0.1 * np.concatenate(parts), (2, 1))
    assert scores.chord_majmin(plan_of([("C",), ("Am",), ("F",), ("G",)]), samples) == 1.0
    assert scores.chord_majmin(plan_of([("C",), ("Am", "E"), ("F",), ("Bb",)]), samples) == pytest.approx(5 / 8)
    assert scores.chord_majmin(plan_of([("C7",), ("Gsus4",), None, ("E",)]), samples) == pytest.approx(1 / 2)
    assert np.isnan(scores.chord_majmin(plan_of([None] * 4), samples))


def measured(**changes) -> TrackMeasurements:
    """A track that is all that it should be."""
    facts = {
        "tempo_target": 120.0, "tempo_detected": 120.0, "beat_f_measure": 0.9, "beat_ms": 10.0, "drift_percent": 0.0,
        "key_target": "C major", "key_detected": "C major", "key_rank": 1, "chord_majmin": 1.0, "structure_auc": 0.8,
        "genre_target": None, "genre_detected": "rock", "roles_target": ("bass",), "roles_detected": ("bass",),
        "lufs": -14.0, "above_12k_db": -40.0, "stereo_width": 0.1,
    }  # fmt: skip
    return TrackMeasurements(**(facts | changes))


def test_a_summary_of_tracks_is_of_shares_means_and_medians_of_what_is_known():
    nan = float("nan")
    tracks = [
        measured(genre_target="rock", drift_percent=-3.0, beat_ms=90.0),
        measured(tempo_detected=60.0, key_detected="G major", key_rank=2, chord_majmin=nan, structure_auc=nan),
        measured(genre_target="jazz", drift_percent=1.0, chord_majmin=0.5, beat_ms=nan, roles_detected=("keys",)),
    ]
    found = summarize_tracks(tracks)
    assert (found["tempo_acc1"], found["tempo_octave"]) == pytest.approx((2 / 3, 1 / 3))
    assert (found["key_rank1"], found["key_rank2"], found["key_weighted"]) == pytest.approx((2 / 3, 1.0, 2.5 / 3))
    assert (found["chord_majmin"], found["structure_auc"]) == pytest.approx((0.75, 0.8))
    assert (found["beat_ms"], found["drift_percent"]) == (50.0, 1.0)
    assert (found["genre"], found["roles"]) == pytest.approx((1 / 2, (1 + 1 + 7 / 9) / 3))
    assert np.isnan(summarize_tracks([measured(chord_majmin=nan)])["chord_majmin"])
