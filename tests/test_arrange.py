"""A plan's sections in another order: what returns is what it was; what is to vary is left open, and nothing else."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hybridgen.cli import main
from hybridgen.plan.notes import Note, Part, Swing
from hybridgen.plan.parts import Bar, Ending, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan

LABELS = ("intro", "verse", "chorus", "verse", "outro")
LENGTHS = (2, 4, 4, 4, 2)
ORDER = "intro A B verse2 outro"  # the one that the plan has


def make(**changes: object) -> Plan:
    """16 bars, each with its own chord and notes: A is the first verse, B the chorus, A2 the second verse."""
    roots = itertools.cycle(("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"))
    sections = tuple(
        Section(label, tuple(Bar(next(roots)) for _ in range(length)), energy, ("drums", "bass"))
        for energy, (label, length) in enumerate(zip(LABELS, LENGTHS, strict=True))
    )
    parts = tuple(
        Part(role, tuple((Note(10 * bar, 480, 40 + bar),) for bar in range(16))) for role in ("drums", "bass")
    )
    plan = Plan(sections, (Tempo(1, 120.0),), "4/4", "C major", {"drums": 0, "bass": 33, "keys": 4}, notes=parts)
    return replace(plan, **changes)


def bars_of(plan: Plan) -> list[int]:
    """Which bar of `make` each bar is, by the notes of its bass."""
    return [bar[0].tick // 10 + 1 for bar in plan.part("bass").bars]


def bpm_at(plan: Plan) -> list[float]:
    """The tempo at the start and at the middle of each bar."""
    return plan.tempo_map.bpm_at(np.arange(2 * plan.n_bars) * 2.0 + 1e-6).round(1).tolist()


@pytest.mark.parametrize(
    ("order", "bars"),
    [
        (ORDER, range(1, 17)),
        ("A", range(3, 7)),
        ("verse2", range(11, 15)),
        ("a2 VERSE", (*range(11, 15), *range(3, 7))),
        ("verse1, chorus, A1", (*range(3, 11), *range(3, 7))),
        ("2xB[2] A[1]*3", (7, 8, 7, 8, 3, 3, 3)),
        ("outro intro", (15, 16, 1, 2)),
    ],
)
def test_sections_are_named_by_label_letter_and_number(order: str, bars: range):
    plan, new = make(), make().arrange(order)
    assert bars_of(new) == list(bars)
    assert [bar.chords for bar in new.bars] == [plan.bars[bar - 1].chords for bar in bars]
    energies = [section.energy for section in plan.sections for _ in section.bars]
    assert [s.energy for s in new.sections for _ in s.bars] == [energies[bar - 1] for bar in bars]


def test_key_meter_instruments_and_swing_stay_and_codes_go():
    plan = make(swing=Swing(0.6), seed=5, prompt="a test")
    plan = replace(plan, codes=((3,) * plan.n_code_frames,) * 4)
    new = plan.arrange("A B A")
    for name in ("key", "meter", "instruments", "swing", "seed", "prompt", "time_base"):
        assert getattr(new, name) == getattr(plan, name)
    assert new.codes == () and [section.label for section in new.sections] == ["verse", "chorus", "verse"]


def test_sections_without_a_label_have_a_letter_for_each_run_of_chords():
    chords = ("Am", "F", "Am")
    plan = make(sections=tuple(Section(None, (Bar(chord),) * 4) for chord in chords), notes=(), tempo=(Tempo(1, 90.0),))
    assert [section.bars[0].chords for section in plan.arrange("B A2 A").sections] == [("F",), ("Am",), ("Am",)]
    with pytest.raises(ValueError, match=r"'C' is no section; the plan has A, B, A2$"):
        plan.arrange("A C")


def test_the_order_of_the_plan_changes_nothing_but_the_codes():
    rng = random.Random(3)
    for _ in range(200):
        plan = random_plan(rng)
        plan = replace(plan, sections=tuple(replace(one, label=one.label or "solo") for one in plan.sections))
        counts, words = Counter[str](), list[str]()
        for section in plan.sections:
            counts[section.label] += 1
            words.append(f"{section.label}{counts[section.label]}")
        new = plan.arrange(" ".join(words))
        np.testing.assert_array_equal(new.bar_starts(), plan.bar_starts())
        assert (new.sections, new.beats, new.length, new.codes) == (plan.sections, plan.beats, plan.length, ())


# ---- time


def test_each_section_keeps_its_tempo():
    plan = make(tempo=(Tempo(1, 100.0), Tempo(7, 140.0), Tempo(11, 80.0)))
    new = plan.arrange("B A B A2")
    assert new.tempo == (Tempo(1, 140.0), Tempo(5, 100.0), Tempo(9, 140.0), Tempo(13, 80.0))
    assert plan.arrange("A A intro").tempo == (Tempo(1, 100.0),)


def test_a_ramp_is_kept_where_its_end_follows_and_else_held():
    plan = make(tempo=(Tempo(1, 100.0), Tempo(5, 100.0, ramp=True), Tempo(7, 140.0)))
    assert plan.arrange("A B").tempo == (Tempo(1, 100.0), Tempo(3, 100.0, ramp=True), Tempo(5, 140.0))
    assert plan.arrange("A A B").tempo == (Tempo(1, 100.0), Tempo(7, 100.0, ramp=True), Tempo(9, 140.0))
    inside = make(tempo=(Tempo(1, 100.0), Tempo(7, 100.0, ramp=True), Tempo(9, 140.0)))
    assert bpm_at(inside.arrange("B A B"))[:8] == bpm_at(inside.arrange("B A B"))[16:] == bpm_at(inside)[12:20]
    through = make(tempo=(Tempo(1, 84.0, ramp=True), Tempo(15, 112.0)))
    new = through.arrange("B A2 outro A")
    assert bpm_at(new)[:18] == pytest.approx(bpm_at(through)[12:30], abs=0.1)
    assert bpm_at(new)[20:] == [88.0] * 8  # the ramp does not go on


@pytest.mark.parametrize("tail", [None, 22_050, -22_050])
def test_the_tail_is_kept(tail: int | None):
    plan = make()
    plan = plan if tail is None else replace(plan, n_samples=plan.length + tail)
    new = plan.arrange("A outro")
    assert new.length == 6 * 88_200 + (tail or 0) and (new.n_samples is None) == (tail is None)


def test_played_beats_go_with_their_bars():
    rng = np.random.default_rng(0)
    beats = tuple(np.cumsum(rng.uniform(0.4, 0.6, 65)).tolist())
    plan = make(tempo=(), beats=beats)
    assert plan.arrange(ORDER).beats == beats
    new = plan.arrange("A B A[2]")
    assert new.beats[0] == pytest.approx(beats[0])
    lengths = np.diff(beats)
    np.testing.assert_allclose(np.diff(new.beats), [*lengths[8:40], *lengths[8:16]])


@pytest.mark.parametrize(
    ("ending", "order", "expected"),
    [
        ("ring-out", "A outro", "ring-out"),
        ("ring-out", "A B", None),
        ("ring-out", "A outro[1]", None),
        ("fade 2", "B outro", "fade 2"),
        ("cut", "A B", "cut"),
    ],
)
def test_the_ending_is_that_of_the_last_bar(ending: str, order: str, expected: str | None):
    new = make(ending=Ending(*ending.split()[:1], *map(int, ending.split()[1:]))).arrange(order)
    assert new.ending == (None if expected is None else make(ending=expected).ending)


# ---- variation


def test_variation_clears_its_share_of_what_returns():
    plan = make(seed=7)
    order = "intro A A B A outro"
    assert plan.arrange(order) == plan.arrange(order, 0) and not any(None in p.bars for p in plan.arrange(order).notes)
    for share in (0.25, 0.5, 1.0):
        new = plan.arrange(order, share)
        cleared = {(part.role, i) for part in new.notes for i, bar in enumerate(part.bars, start=1) if bar is None}
        assert len(cleared) == share * 2 * 8  # two roles, the eight bars that return
        assert {bar for _, bar in cleared} <= {*range(7, 11), *range(15, 19)}
        kept = plan.arrange(order)
        for part in new.notes:
            pairs = zip(part.bars, kept.part(part.role).bars, strict=True)
            assert all(bar is None or bar == before for bar, before in pairs)


def test_more_variation_clears_the_same_and_more_and_another_seed_others():
    def cleared(seed: int, share: float) -> set[tuple[str, int]]:
        new = make(seed=seed).arrange("A A B A", share)
        return {(part.role, i) for part in new.notes for i, bar in enumerate(part.bars) if bar is None}

    assert cleared(1, 0.25) < cleared(1, 0.5) == cleared(1, 0.5)
    assert len({frozenset(cleared(seed, 0.5)) for seed in range(8)}) > 4


def test_bars_that_were_not_played_before_do_not_vary():
    new = make().arrange("A[2] A", 1.0)
    assert [bar is None for bar in new.part("bass").bars] == [False, False, True, True, False, False]
    assert make().arrange("A A2", 1.0) == make().arrange("A A2")


# ---- what cannot be done


@pytest.mark.parametrize(
    ("order", "variation", "words"),
    [
        ("A D", 0, "arrange: 'D' is no section; the plan has intro, verse (A), chorus (B), verse2 (A2), outro"),
        ("verse3", 0, "'verse3' is no section"),
        ("A-B", 0, "'A-B' is no section"),
        (" , ", 0, "names no section; the plan has intro"),
        ("A[9]", 0, "'A[9]' takes 9 bars, outside the section's 1-4"),
        ("A*0", 0, "'A*0' plays the section 0 times"),
        ("A*100", 0, "length 800 s is outside 1 sample to 600 s"),
        ("A*9999 9999xA*9999", 0, "bars are more than 4095"),
        ("A", 1.5, "variation 1.5 is outside 0-1"),
        ("A", float("nan"), "variation nan is outside 0-1"),
    ],
)
def test_what_cannot_be_done_is_one_line(order: str, variation: float, words: str):
    with pytest.raises(ValueError) as caught:
        make().arrange(order, variation)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_other_kinds_of_mistakes():
    with pytest.raises(ValueError, match="no bars"):
        Plan(n_samples=44_100).arrange("A")
    with pytest.raises(ValueError, match="a fade over 8 bars, but the plan has 2"):
        make(ending="fade 8").arrange("outro")
    with pytest.raises(TypeError, match="arrange 3 should be text"):
        make().arrange(3)
    with pytest.raises(TypeError, match="variation"):
        make().arrange("A", "much")


# ---- on the command line


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code


def test_the_command_arranges_a_plan_in_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = make(seed=3)
    (tmp_path / "plan.json").write_text(plan.to_json())
    arranged = ("plan", "plan.json", "--arrange", "intro A A outro", "--variation", "0.5", "-o", "new.json")
    assert run(*arranged) == 0
    assert Plan.from_json((tmp_path / "new.json").read_text()) == plan.arrange("intro A A outro", 0.5)
    assert "verse  bars 7-10" in capsys.readouterr().out
    for arguments, words in (
        (("plan.json", "--arrange", "A C", "-o", "x.json"), "'C' is no section; the plan has"),
        (("plan.json", "--arrange", "A", "--variation", "2", "-o", "x.json"), "variation 2 is outside 0-1"),
        (("plan.json", "--variation", "0.2", "-o", "x.json"), "--variation 0.2 is for --arrange"),
        (("plam.json", "--arrange", "A", "-o", "x.json"), "'plam.json' is no file here"),
        (("--prompt-file", "plan.json", "--arrange", "A", "-o", "x.json"), "--arrange is for a plan or a track"),
        (("plan.json", "--arrange", "A", "-o", "plan.json"), "is the input"),
        (("plan.json", "--arrange", "A", "--key", "A minor", "-o", "x.json"), "--key"),
    ):
        assert run("plan", *arguments) == 2
        said = capsys.readouterr().err
        assert words in said and len(said.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "plan.json"]


def test_the_command_arranges_the_plan_of_a_track(pipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    track = pipe.generate("jazz, 240 BPM in C minor", bars=3, seed=1)
    track.save("track.flac")
    letter_or_label = track.plan.sections[0].label
    assert run("plan", "track.flac", "--arrange", f"{letter_or_label}*2", "-o", "new.json") == 0
    new = Plan.from_json((tmp_path / "new.json").read_text())
    assert new.n_bars == 2 * len(track.plan.sections[0].bars) and new.key == "C minor"
    (tmp_path / "other.wav").write_bytes(b"RIFF")
    assert run("plan", "other.wav", "--arrange", "A", "-o", "x.json") == 2
    assert "carries no hybridgen manifest" in capsys.readouterr().err
