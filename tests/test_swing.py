"""Swing in the words of a prompt, and in the plans that are made of it."""

import pytest

from hybridgen.data.composer.genres import STYLES
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.plan.notes import Swing
from hybridgen.text.controls import understand
from hybridgen.text.swing import ASKED, ASKED_16THS, SHUFFLED, usual_swing


@pytest.mark.parametrize(
    ("prompt", "swing"),
    [
        ("a swung groove in A minor", ASKED),
        ("swing jazz, 120 BPM", ASKED),
        ("jazz with a swing feel", ASKED),
        ("electro swing", ASKED),
        ("swung eighths", ASKED),
        ("swung 16ths, boom bap", ASKED_16THS),
        ("16th note swing", ASKED_16THS),
        ("sixteenth swing, 90 BPM", ASKED_16THS),
        ("blues shuffle", SHUFFLED),
        ("a shuffled beat", SHUFFLED),
        ("triplet feel", ASKED),
        ("60 % swing", Swing(0.6)),
        ("swing 66.5%", Swing(0.665)),
        ("58% 16th swing", Swing(0.58, 16)),
        ("swing of 55 %", Swing(0.55)),
        ("swing 66", Swing(0.66)),
        ("swing 16ths at 60%", Swing(0.6, 16)),
        ("swing 80", ASKED),
        ("swing off", Swing()),
        ("shuffle: none", Swing()),
        ("straight eighths", Swing()),
        ("jazz, straight feel", Swing()),
        ("no swing", Swing()),
        ("not swung, funk", Swing()),
        ("jazz without a swing feel", Swing()),
        ("not a shuffle", Swing()),
        ("never swing", Swing()),
        ("unswung", Swing()),
        ("swing: 60%", Swing(0.6)),
        ("60 percent swing", Swing(0.6)),
        ("mood swings", None),
        ("straight-ahead jazz", None),
        ("triplets on the hi-hat", None),
        ("a calm piano ballad", None),
        ("", None),
    ],
)
def test_words_fix_the_swing(prompt: str, swing: Swing | None):
    assert understand(prompt).controls.swing == swing


def test_what_is_impossible_or_contradicts_is_said():
    assert understand("90% swing").notes == ("a swing of 90% is not possible (50-75 %): it is left free",)
    understood = understand("shuffle, 60% swing")
    assert understood.controls.swing in (SHUFFLED, Swing(0.6)) and "contradicts" in understood.notes[0]


def test_an_argument_goes_before_the_words():
    assert Controls(swing="58% of 16ths").swing == Swing(0.58, 16)
    with pytest.raises(ValueError, match="swing"):
        Controls(swing="90%")


def test_genres_that_swing_do_so_as_the_composer_has_them():
    for style in STYLES:
        low, high = style.swing
        usual = usual_swing(style.name, "4/4")
        assert (usual is not None) == (high > 0.5), style.name
        if usual is not None:
            assert low <= usual.ratio <= high and usual.unit == 4 / style.swing_unit
    assert usual_swing("house, not jazz", "4/4") is None and usual_swing("no blues or jazz, a march", "4/4") is None
    assert usual_swing("not jazz but funk", "4/4") == Swing(0.53, 16)
    assert usual_swing("jazz waltz", "3/4") is not None and usual_swing("slow blues", "12/8") is None


def test_a_plan_has_the_swing_that_is_asked_or_usual(pipe: Pipeline):
    def swing(prompt: str, **given: object) -> Swing | None:
        return pipe.plan(prompt, bars=2, seed=0, meter="4/4", **given)[0].swing

    assert swing("swung house") == ASKED and swing("piano") is None and swing("lo-fi piano") == Swing(0.57, 16)
    assert swing("lo-fi piano, straight 16ths") == Swing() and swing("swung house", swing=0.6) == Swing(0.6)
