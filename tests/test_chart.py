"""Facts about chord charts: they come back, each way of writing is read, damage is refused in one line."""

import random

import pytest

from hybridgen.formats.chart import from_chart, to_chart
from hybridgen.formats.symbols import read_symbol
from hybridgen.plan.harmony import PITCHES, QUALITIES
from hybridgen.plan.parts import Tempo
from hybridgen.plan.plan import Plan
from tests.sheets import check_damaged, random_sheet

CHART = """key: A minor
tempo: 96
meter: 3/4

[Verse]
|: Am7 | Dm7 G7 | Cmaj7 |1. % :|2. E7/G# ||
Chorus:
|: F:maj7 / G | N.C. | - :| x3
"""


def chords(text: str) -> list[str | None]:
    """What each bar holds."""
    plan, _ = from_chart(text)
    return [bar.chords and " ".join(bar.chords) for bar in plan.bars]


def test_charts_come_back():
    rng = random.Random(0)
    for _ in range(300):
        plan = random_sheet(rng, with_notes=False)
        again, remarks = from_chart(to_chart(plan))
        assert again == plan
        assert not remarks


def test_a_chart_as_people_type_it():
    plan, remarks = from_chart(CHART)
    assert (plan.key, plan.meter, plan.tempo) == ("A minor", "3/4", (Tempo(1, 96),))
    assert [(section.label, len(section.bars)) for section in plan.sections] == [("verse", 8), ("chorus", 9)]
    verse = ["Am7", "Dm7 G7", "Cmaj7", "Cmaj7", "Am7", "Dm7 G7", "Cmaj7", "E7"]
    assert chords(CHART) == verse + ["Fmaj7", "N", "N"] * 3
    assert "chord E7/G#: its bass G# is dropped" in remarks
    assert any(line.startswith("chart: line 8, bar 1: of its chords") for line in remarks)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Am7 | Dm7 G7 | Cmaj7 | % |", ["Am7", "Dm7 G7", "Cmaj7", "Cmaj7"]),
        ("| Am || F |\n| - |", ["Am", "F", "F"]),
        ("| F G | % |", ["F G", "F G"]),
        ("Am F C G", ["Am", "F", "C", "G"]),
        ("Am", ["Am"]),
        ("| C / G / | Am / / / | C C |", ["C G", "Am", "C C"]),
        ("| C F G Am | C F G |", ["C G", "C F"]),
        ("| ? | N.C. | NC |", [None, "N", "N"]),
        ("|: Am | F :| C |", ["Am", "F", "Am", "F", "C"]),
        ("|: Am :| x3", ["Am", "Am", "Am"]),
        ("|: Am :| (4x) F", ["Am", "Am", "Am", "Am", "F"]),
        ("|: Am |1. F :|2. G || C |", ["Am", "F", "Am", "G", "C"]),
        ("|: Am |1,2. F :|3. G ||", ["Am", "F", "Am", "F", "Am", "G"]),
        ("|: Am |1 F :|2 G :|3 C ||", ["Am", "F", "Am", "G", "Am", "C"]),
        ("|: C :|: D :|", ["C", "C", "D", "D"]),
        ("C | D :| E | F :|", ["C", "D", "C", "D", "E", "F", "E", "F"]),
        ("[Verse] C | D\n[Chorus]\nE | F :|", ["C", "D", "E", "F", "E", "F"]),
        ("|: [Verse] C\n[Chorus]\nE :|", None),
        ("|: C |\n[Chorus]\n| E :|", ["C", "E", "C", "E"]),
        ("# a comment\nA:min7 | Bb:maj/3", ["Am7", "Bb"]),
    ],
)
def test_ways_of_writing(text: str, expected: list[str | None] | None):
    if expected is None:
        with pytest.raises(ValueError, match="no chord symbol"):
            from_chart(text)
    else:
        assert chords(text) == expected


def test_sections_take_their_labels_from_headings():
    plan, remarks = from_chart("[Intro]\nC |\nVerse 2:\nC |\n[Hook]\nC |\n[Part B]\nC |\n[?]\nC |")
    assert [section.label for section in plan.sections] == ["intro", "verse", "chorus", None, None]
    assert remarks == ("section 'Part B' is none of our labels",)


def test_arguments_stand_in_for_headers():
    plan, _ = from_chart("C | D", tempo=90.0, meter="6/8")
    assert (plan.tempo, plan.meter) == ((Tempo(1, 90),), "6/8")
    plan, _ = from_chart("BPM: 80 bpm\ntime: 3/4\nC | D", tempo=90.0, meter="6/8")
    assert (plan.tempo, plan.meter) == ((Tempo(1, 80),), "3/4")


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        *[("C13", "C9"), ("Cm11", "Cm9"), ("C6/9", "C6"), ("C7b9", "C7"), ("C7#5", "C7"), ("C+7", "C7")],
        *[("Cm(maj7)", "Cm"), ("C7sus4", "Csus4"), ("Cmaj7#11", "Cmaj7"), ("C7alt", "C7"), ("Cmadd9", "Cm")],
        *[("C:minmaj7", "Cm"), ("C:(1,5,b7)", "C5"), ("C:1", "C5"), ("Cadd11", "C"), ("Cdim(maj7)", "Cdim")],
    ],
)
def test_other_chords_become_the_nearest(symbol: str, expected: str):
    chord, lost = read_symbol(symbol)
    assert chord == expected
    assert lost is not None and symbol in lost and expected in lost


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        *[
            ("C^7", "Cmaj7"),
            ("C-7", "Cm7"),
            ("C-7b5", "Cm7b5"),
            ("Cø", "Cm7b5"),
            ("C:hdim7", "Cm7b5"),
            ("Co7", "Cdim7"),
        ],
        *[("C:maj(9)", "Cadd9"), ("Cm7(b5)", "Cm7b5"), ("C:(3,5,b7)", "C7"), ("B#", "C"), ("Bbb", "A"), ("F##m", "Gm")],
        *[("Cma9", "Cmaj9"), ("C(no3)", "C5"), ("Cmi6", "Cm6"), ("n.c.", "N"), ("C2", "Cadd9"), ("C4", "Csus4")],
    ],
)
def test_other_spellings_lose_nothing(symbol: str, expected: str):
    assert read_symbol(symbol) == (expected, None)


def test_every_chord_of_ours_is_itself():
    for chord in ["N", *(pitch + quality for pitch in PITCHES for quality in QUALITIES)]:
        assert read_symbol(chord) == (chord, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no bars"),
        ("[Verse]", "no bars"),
        ("C | H7 |", "line 1, bar 2: 'H7' is no chord symbol"),
        ("C | Cfoo |", "line 1, bar 2: 'Cfoo' is no chord symbol"),
        ("\n\n| % |", "line 3, bar 1: % repeats a bar"),
        ("| C | x3", "line 1, bar 2: x3 stands behind no end"),
        ("|: C :| x100", "x100 is outside"),
        ("| :| C", "there is no bar in it"),
        ("meter: 11/8\nC", "line 1: meter '11/8'"),
        ("tempo: 999\nC", "line 1: tempo 999"),
        ("tempo: fast\nC", "line 1: tempo 'fast'"),
        ("key: H\nC", "line 1: key 'H'"),
        ("|: C | D |: E :| x99", None),
        ("|: " + "C | " * 50 + ":| x99", "4095"),
        ("tempo: 30\n|: " + "C | " * 40 + ":| x20", "600"),
        ("C | " * 5000, "4095"),
        ("C" * 1_000_001, "1000001"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str | None):
    if message is None:
        assert from_chart(text)[0].n_bars == 101
        return
    with pytest.raises(ValueError, match="chart: ") as error:
        from_chart(text)
    assert message in str(error.value)


def test_a_plan_without_bars_is_refused():
    with pytest.raises(ValueError, match="no bars"):
        to_chart(Plan(n_samples=1000))


def test_damaged_charts_are_refused_in_one_line():
    rng = random.Random(1)
    check_damaged(from_chart, [CHART, *(to_chart(random_sheet(rng, with_notes=False)) for _ in range(5))], 2)
