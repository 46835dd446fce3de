"""Facts about ABC: what it carries comes back, each rule of the standard that is read, damage is refused."""

import random

import pytest

from hybridgen.formats.abc.read import from_abc
from hybridgen.formats.abc.write import to_abc
from hybridgen.plan.harmony import KEYS
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.sheets import check_damaged, random_sheet

HEAD = "X:1\nT:tune\nM:4/4\nL:1/4\nK:C\n"
TUNE = """X:1
T:Tune
M:4/4
L:1/8
Q:1/4=100
K:Edor
D2|:"Em"EB{c}B2 EBAB|~B2 AB dBAG-|"D"F>DAD (3BDA D2|1 FDAD "A7"dAFD:|2 [EG]4 z2 D2|
P:chorus
"G"B8|Z2|[K:C]B8-|B4 "Am7/E"x4|]
"""


def lead(music: str, head: str = HEAD) -> list[tuple[int, int, int]]:
    """(tick from the start, length, pitch) of every note."""
    plan, _ = from_abc(head + music + "\n")
    return [
        (number * plan.bar_ticks + note.tick, note.length, note.pitch)
        for number, bar in enumerate(plan.part("lead").bars)
        for note in bar or ()
    ]


def pitches(music: str, head: str = HEAD) -> list[int]:
    return [pitch for _, _, pitch in lead(music, head)]


def test_what_abc_carries_comes_back():
    rng = random.Random(0)
    for _ in range(300):
        plan = random_sheet(rng)
        again, remarks = from_abc(to_abc(plan))
        assert again == plan
        assert not remarks


def test_octaves_and_lengths():
    assert pitches("C, C c c'") == [48, 60, 72, 84]
    assert lead("C2 D/ E/2 F//G//z/ |") == [
        (0, 960, 60),
        (960, 240, 62),
        (1200, 240, 64),
        (1440, 120, 65),
        (1560, 120, 67),
    ]


def test_accidentals_hold_until_the_bar_line_in_all_octaves():
    assert pitches("^F F f =F | F _B, B b |") == [66, 66, 78, 65, 65, 58, 70, 82]
    assert pitches("^F f F z|", "X:1\nM:4/4\nL:1/4\nI:propagate-accidentals octave\nK:C\n") == [66, 77, 66]
    assert pitches("^F F z2|", "X:1\nM:4/4\nL:1/4\nI:propagate-accidentals not\nK:C\n") == [66, 65]


@pytest.mark.parametrize(
    ("key", "expected", "name"),
    [
        ("G", [65 + 1, 71], "G major"),
        ("Dm", [65, 70], "D minor"),
        ("A mix", [66, 71], "A major"),
        ("Ddorian", [65, 71], "D minor"),
        ("Hp", [66, 71], None),
        ("none", [65, 71], None),
        ("C ^f _b", [66, 70], "C major"),
        ("D exp _b", [65, 70], None),
        ("Ab clef=treble", [65, 70], "Ab major"),
    ],
)
def test_key_signatures(key: str, expected: list[int], name: str | None):
    head = f"X:1\nM:4/4\nL:1/4\nK:{key}\n"
    assert pitches("F B z2|", head) == expected
    assert from_abc(head + "F B z2|\n")[0].key == name


def test_every_key_comes_back():
    for key in KEYS:
        plan = Plan((Section(None, (Bar("C"),)),), (Tempo(1, 120),), "4/4", key)
        assert from_abc(to_abc(plan))[0].key == key


def test_ties_join_and_carry_their_accidental():
    assert lead("^F4-|F2 F2|") == [(0, 2880, 66), (2880, 960, 65)]
    assert lead("[CE-]2 [DE]2|") == [(0, 960, 60), (0, 1920, 64), (960, 960, 62)]
    assert lead("[CE]2- [CE]2|") == [(0, 1920, 60), (0, 1920, 64)]
    assert lead("C2- D2|") == [(0, 960, 60), (960, 960, 62)]


def test_broken_rhythm_and_tuplets():
    assert lead("A>B A<B|") == [(0, 720, 69), (720, 240, 71), (960, 240, 69), (1200, 720, 71)]
    assert lead("A>>B z2|") == [(0, 840, 69), (840, 120, 71)]
    assert lead("(3ABA z2|")[1] == (320, 320, 71)
    assert lead("(5:4:5A/B/A/B/A/ z2|")[4] == (768, 192, 69)
    assert lead("(2AB|", "X:1\nM:6/8\nL:1/8\nK:C\n")[1] == (360, 360, 71)


def test_repeats_and_endings():
    assert pitches("|:C4|1 D4:|2 E4|]") == [60, 62, 60, 64]
    assert pitches("C4|[1 D4:|[2 E4||F4:|") == [60, 62, 60, 64, 65, 65]
    assert pitches("|:C4::D4:|") == [60, 60, 62, 62]
    assert pitches("|::C4::|") == [60, 60, 60]
    assert pitches("|:C4|1,3 D4:|2 E4:|") == [60, 62, 60, 64, 60, 62]
    assert lead("|:C4-|1 C4:|2 C4|]") == [(0, 3840, 60), (3840, 3840, 60)]


def test_rests_of_many_bars():
    plan, _ = from_abc(HEAD + "C4|Z3|C4|X2|\n")
    assert [bar and len(bar) for bar in plan.part("lead").bars] == [1, (), (), (), 1, None, None]


def test_upbeats_and_split_bars():
    plan, remarks = from_abc(HEAD + "G|C4|D3:|\n")
    assert [[(n.tick, n.pitch) for n in bar or ()] for bar in plan.part("lead").bars] == [
        [(1440, 67)],
        [(0, 60)],
        [(0, 62), (1440, 67)],
        [(0, 60)],
        [(0, 62)],
    ]
    assert any("upbeat" in line for line in remarks)


def test_chords_stay_in_force_and_at_most_two_are_kept():
    plan, remarks = from_abc(HEAD + '"Am"C4|C4|"F"C2"G7"C2|"C"CC"Dm"C"Em"C|"C"C3"D"C|"?"C4|"N.C."C4|"C7b9/E"C4|\n')
    assert [bar.chords for bar in plan.bars] == [
        *(("Am",), ("Am",), ("F", "G7"), ("C", "Dm"), ("C", "D"), None, ("N",), ("C7",)),
    ]
    assert len(remarks) == 3


def test_what_is_passed_over_is_said():
    text = (
        'X:1\nT:a\nM:4/4\nL:1/4\nV:1\nV:2\nK:C\nV:1\n!trill!C4|{d}"^slow"(C4)|\nw:la la\nV:2\nG4|G4|\n\nX:2\nK:C\nC4|\n'
    )
    plan, remarks = from_abc(text)
    assert plan.n_bars == 2
    for word in ("decorations", "grace", "annotations", "slurs", "lyrics", "voices", "tunes"):
        assert any(word in line for line in remarks), word


def test_tempo_marks():
    plan, _ = from_abc("X:1\nM:6/8\nQ:3/8=80\nK:C\nC6|\n[Q:1/4=90]C6|C6|\n")
    assert plan.tempo == (Tempo(1, 120), Tempo(2, 90))


@pytest.mark.parametrize("meter", ["C|", "2/2"])
def test_cut_time_is_four_quarters_and_that_is_said(meter: str):
    plan, remarks = from_abc(f"X:1\nM:{meter}\nL:1/8\nK:D\nd2fd A2FA|[M:C]d8|[M:{meter}]d8|\n")
    assert plan.meter == "4/4" and plan.n_bars == 3
    assert remarks[0].startswith(f"M:{meter}: ") and "read as 4/4" in remarks[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C4|", "X:"),
        ("X:1\nT:a\n", "K:"),
        ("X:1\nM:5/8\nK:C\nC|", "5/8"),
        (HEAD + "C4|[M:3/4]C3|", "bar 2: the meter changes"),
        (HEAD + "C4|C5|", "bar 2: 2400 ticks"),
        (HEAD + "C4|C3 ?|", "bar 2: '?|'"),
        (HEAD + "Z5000|", "4095"),
        (HEAD + "Z4000|", "600"),
        (HEAD + "C0|", "0 is no length"),
        (HEAD + "C/2000|", "/2000 is no length"),
        (HEAD + "C/1000" * 5000, "4096 notes"),
        (HEAD + "|>C|", "> has no note before"),
        (HEAD, "no bars"),
        ("X:1\nK:Q\nC|", "no key"),
        ("X:1\nQ:fast1\nK:C\nC|", "abc: head: Q:fast1 is no tempo"),
        ("X:1\nQ:1/4=9999\nK:C\nC|", "9999"),
        (HEAD + "c'''''''''4|", "outside"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str):
    with pytest.raises(ValueError, match="abc: ") as error:
        from_abc(text)
    assert message in str(error.value)


def test_a_plan_without_bars_is_refused():
    with pytest.raises(ValueError, match="no bars"):
        to_abc(Plan(n_samples=1000))


def test_damaged_tunes_are_refused_in_one_line():
    rng = random.Random(1)
    check_damaged(from_abc, [TUNE, *(to_abc(random_sheet(rng)) for _ in range(10))], 2)


def test_pyabc2_hears_the_same_notes():
    parse = pytest.importorskip("pyabc2").Tune
    tune = parse("X:1\nT:a\nM:4/4\nL:1/8\nK:D\nA2 B>c d4|f2 (3efe d^c=cB|:A8:|\n")
    theirs = [note.to_pitch().value + 12 for bar in tune.measures for note in bar]
    assert theirs == pitches("A2 B>c d4|f2 (3efe d^c=cB|:A8:|", "X:1\nT:a\nM:4/4\nL:1/8\nK:D\n")
    theirs = [note.duration * 1920 for bar in parse("X:1\nM:4/4\nL:1/8\nK:D\nA2 B/c3/2 d4|\n").measures for note in bar]
    assert theirs == [length for _, length, _ in lead("A2 B/c3/2 d4|", "X:1\nM:4/4\nL:1/8\nK:D\n")]


def test_music21_hears_the_same_notes():
    converter = pytest.importorskip("music21.converter")
    for key in ("D", "Ebm"):
        head = f"X:1\nM:4/4\nL:1/8\nK:{key}\n"
        music = "A2 B>c d3 _d|f2 (3efe d^c=cB|C,2 c'2 [CEG]4|"
        score = converter.parse(head + music + "\n", format="abc").flatten().notes
        theirs = sorted(
            (round(note.offset * 480), round(note.duration.quarterLength * 480), pitch.midi)
            for note in score
            for pitch in note.pitches
        )
        assert theirs == sorted(lead(music, head))
