"""The estimator of notes: what it hears of played notes, and how agreement with a plan is counted."""

import numpy as np
import pytest

pytest.importorskip("mir_eval")

from hybridgen.evaluation import notes
from hybridgen.metrics import transcription
from hybridgen.metrics.repetition import returning
from hybridgen.metrics.transcription import HOP, LOWEST, N_KINDS, N_PITCHES, Onsets, agreement, compare, contour, peaks
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE

TUNE = (60, 64, 62, 67, 65, 72, 69, 64)


def tune(pitches: tuple[int, ...] = TUNE, role: str = "lead") -> Plan:
    """A note every half second."""
    bars = tuple(
        tuple(Note(480 * i, 480, pitch) for i, pitch in enumerate(pitches[first : first + 4]))
        for first in range(0, len(pitches), 4)
    )
    section = Section("verse", (Bar("C"),) * len(bars), roles=(role,))
    return Plan((section,), (Tempo(1, 120.0),), instruments={role: 0}, notes=(Part(role, bars),))


def played(plan: Plan) -> np.ndarray:
    """Struck strings: harmonics that decay, the higher the faster."""
    samples = np.zeros(plan.length)
    for part in plan.notes:
        places, notes = plan.note_samples(part.role)
        for (start, stop), note in zip(places.tolist(), notes, strict=True):
            t, pitch = np.arange(stop - start) / SAMPLE_RATE, 440 * 2 ** ((note.pitch - 69) / 12)
            tones = [np.exp(-3 * k * t) * np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 9)]
            samples[start:stop] += 0.2 * sum(tones) * np.minimum(1, np.arange(stop - start)[::-1] / 500)
    return np.tile(samples.astype(np.float32), (2, 1))


def onsets_of(plan: Plan, shift: int = 0) -> Onsets:
    """What a perfect ear would hear, so many semitones off."""
    pitched = np.zeros((N_PITCHES, plan.length // HOP + 1), dtype=np.float32)
    for row, seconds in transcription.planned(plan, [part.role for part in plan.notes]):
        pitched[row + shift, round(seconds * SAMPLE_RATE / HOP)] = 0.9
    return Onsets(pitched, np.zeros((N_KINDS, pitched.shape[1])))


def test_features_have_a_frame_each_hop_and_are_finite():
    samples = played(tune())
    stacked, bands = transcription.features(samples)
    n_frames = samples.shape[1] // HOP + 1
    assert stacked.shape == (14, N_PITCHES, n_frames) and bands.shape == (transcription.BANDS, n_frames)
    assert all(part.isfinite().all() for part in transcription.features(np.zeros((2, 44_100))))


def test_a_melody_is_heard():
    plan = tune()
    heard = transcription.listen(played(plan))
    assert agreement(heard, plan, ("lead",)).recall > 0.85  # it hears octaves above notes too: it sees none below
    assert contour(heard, plan, "lead") == 1.0
    higher = tune(tuple(pitch + 1 for pitch in TUNE))
    assert agreement(heard, higher, ("lead",)).f_measure < 0.3


def test_agreement_counts_onsets_of_the_right_pitch_and_time():
    plan = tune()
    right = agreement(onsets_of(plan), plan, ("lead",))
    assert (right.recall, right.precision, right.f_measure) == (1.0, 1.0, 1.0)
    assert agreement(onsets_of(plan, 12), plan, ("lead",)).f_measure == 0.0  # an octave is another note
    half = agreement(onsets_of(tune(TUNE[:4])), plan, ("lead",))
    assert (half.recall, half.precision) == (0.5, 1.0)
    assert contour(onsets_of(plan, 12), plan, "lead") == 1.0


def test_what_is_late_or_missing_is_not_heard():
    target = [(10, 1.0), (12, 2.0)]
    assert compare(target, [(10, 1.04), (12, 2.06)]).recall == 0.5
    assert compare(target, []).f_measure == 0.0
    assert np.isnan(compare([], target).f_measure)


def test_drums_are_kinds_of_sounds():
    assert [transcription.drum_kind(key) for key in (36, 38, 42, 49)] == [0, 1, 2, 3]
    beat = tune((36, 42, 38, 42), "drums")
    rows = [row - N_PITCHES for row, _ in transcription.planned(beat, ("drums",))]
    assert sorted(rows) == [0, 1, 2, 2]


def test_peaks_are_local_maxima_above_the_threshold():
    probabilities = np.array([[0.1, 0.6, 0.9, 0.6, 0.1, 0.1, 0.55, 0.1, 0.4, 0.1]])
    rows, seconds = peaks(probabilities)
    assert rows.tolist() == [0, 0] and seconds.tolist() == pytest.approx([2 * HOP / SAMPLE_RATE, 6 * HOP / SAMPLE_RATE])


def test_the_highest_probability_around_a_moment():
    onsets = onsets_of(tune())
    assert int(onsets.around(0.52).argmax()) == 64 - LOWEST and not onsets.around(0.25).any()


# ---- of an evaluation


def test_roles_are_found_in_the_mix_by_their_notes_and_alone_by_all_that_is_heard(monkeypatch):
    lead, bass = tune(), tune((36, 36, 43, 43, 36, 36, 41, 41), "bass")
    sections = (Section("verse", (Bar("C"),) * 2, roles=("bass", "lead")),)
    both = Plan(sections, lead.tempo, instruments={"bass": 33, "lead": 0}, notes=(*bass.notes, *lead.notes))
    ears = {0: onsets_of(both), 1: onsets_of(lead), 2: onsets_of(lead, 12)}
    monkeypatch.setattr(transcription, "listen", lambda samples: ears[int(samples[0, 0])])
    first, second, third = (np.full((2, 8), number) for number in ears)
    found = notes.measure(
        {"real": first, "codec": second}, {"real": {"lead": first}, "oracle": {"lead": third, "bass": second}}, both
    )
    assert found["mix"] == {"real": {"bass": 1.0, "lead": 1.0}, "codec": {"bass": 0.0, "lead": 1.0}}
    assert found["alone"]["real"]["lead"] == pytest.approx(2 / 3)  # the bass, which should not be heard, is half of it
    assert found["alone"]["oracle"] == {"lead": 0.0, "bass": 0.0}
    assert found["contour"].keys() == {"real", "oracle"} and found["contour"]["oracle"] == 1.0  # up and down as planned


def test_of_a_plan_without_notes_nothing_is_said():
    plan = tune()
    unknown = Plan(plan.sections, plan.tempo, instruments=plan.instruments)
    silence = np.zeros((2, 44_100), dtype=np.float32)
    assert notes.measure({"real": silence}, {}, unknown) == {"mix": {"real": {}}, "alone": {}, "contour": {}}


# ---- repetition


def form(*bars: tuple[Note, ...] | None, chords: tuple[str, ...] = ("C",) * 6, role: str = "bass") -> Plan:
    """Verse of two bars, chorus of two, verse of two."""
    names = iter(chords)
    sections = tuple(
        Section(label, tuple(Bar(next(names)) for _ in range(2))) for label in ("verse", "chorus", "verse")
    )
    return Plan(sections, (Tempo(1, 120.0),), instruments={role: 0}, notes=(Part(role, bars),))


def test_a_section_returns_as_it_was_or_moved_with_its_chords():
    a, b, c = ((Note(0, 480, pitch, 80),) for pitch in (36, 43, 41))
    louder = (Note(0, 480, 36, 99),)
    assert returning(form(a, b, c, c, louder, b)) == 1.0
    assert returning(form(a, b, c, c, a, c)) == 0.5
    assert returning(form(a, b, c, c, c, b, chords=("C", "C", "C", "C", "F", "C"))) == 1.0
    assert returning(form(a, b, c, c, c, b)) == 0.5
    assert returning(form(a, b, c, c, c, b, chords=("C", "C", "C", "C", "F", "C"), role="drums")) == 0.5
    assert np.isnan(returning(form(a, b, c, c, None, None)))
