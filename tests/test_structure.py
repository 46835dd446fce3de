"""Form is detected where sections come back, and not where nothing has a form."""

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.metrics.structure import label_auc
from hybridgen.plan.harmony import chord_pitches
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE

VERSE, CHORUS = ("C", "Am", "F", "G"), ("F", "Dm", "Bb", "C")


def bar(chord: str, bright: bool, rng: np.random.Generator) -> np.ndarray:
    """Two seconds of a chord in which other notes are struck each time, and noise."""
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * 440.0 * 2 ** ((60 + p - 69) / 12) * t) for p in chord_pitches(chord)]
    noise = rng.standard_normal(len(t)) * (0.3 if bright else 0.01)
    return 0.1 * (sum(rng.uniform(0.5, 1.0) * tone for tone in tones) + noise)


def song(forms: str) -> np.ndarray:
    """Sections of four bars: V and C differ in chords and noise, W has the verse's chords and the chorus's noise."""
    rng = np.random.default_rng(0)
    chords = {"V": VERSE, "W": VERSE, "C": CHORUS}
    return np.concatenate([bar(chord, form in "CW", rng) for form in forms for chord in chords[form]])


def plan(*labels: str | None) -> Plan:
    return Plan(sections=tuple(Section(label, (Bar(),) * 4) for label in labels), tempo=(Tempo(1, 120.0),))


FORM = plan("verse", "chorus", "verse", "chorus")


def test_sections_that_come_back_are_heard():
    assert label_auc(song("VCVC"), FORM) == 1.0
    assert label_auc(np.tile(song("VCVC"), (2, 1)), FORM) == 1.0


@pytest.mark.parametrize("forms", ["VWVW", "VCVCVC"])
def test_timbre_alone_is_enough_and_so_is_more_sound_than_plan(forms):
    assert label_auc(song(forms), FORM) == 1.0


def test_form_that_the_plan_does_not_have_is_wrong():
    assert label_auc(song("VVCC"), FORM) < 0.5


def test_sounds_without_form_are_at_chance():
    """Bars of one section are neighbors and would be alike in any music: they are not compared."""
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal((2, 32 * SAMPLE_RATE)) for _ in range(6)]
    many = plan("intro", "verse", "chorus", "verse")
    assert np.mean([label_auc(sound, many) for sound in noise]) == pytest.approx(0.5, abs=0.25)


def test_nothing_to_compare_is_nan():
    sound = song("VC")
    assert np.isnan(label_auc(sound, plan("verse", "chorus")))
    assert np.isnan(label_auc(sound, plan("verse", "verse")))
    assert np.isnan(label_auc(sound, plan(None, None)))
    assert np.isnan(label_auc(sound, Plan(meter=None, n_samples=sound.shape[-1])))
    assert np.isnan(label_auc(sound, FORM))  # the sound stops before a label comes back


def test_silence_is_at_chance():
    assert label_auc(np.zeros((2, 32 * SAMPLE_RATE)), FORM) == 0.5
