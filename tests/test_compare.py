"""Two tracks or plans side by side: what differs is named, bar by bar, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybridgen import comparison, plot
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.plan.differences import differences, ranges
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan

NOTE = Note(0, 480, 40)


def make(**changes: object) -> Plan:
    """Eight bars of verse, eight of chorus, one chord and one note of the bass in each."""
    sections = (
        Section("verse", tuple(Bar(chord) for chord in ("Am", "F", "C", "G") * 2), 4, ("drums", "bass")),
        Section("chorus", (Bar("F"),) * 8, 6, ("drums", "bass", "lead")),
    )
    instruments = {"drums": 0, "bass": 33, "lead": 80}
    bass = Part("bass", ((NOTE,),) * 16)
    plan = Plan(sections, (Tempo(1, 120.0),), "4/4", "A minor", instruments, prompt="a test", seed=3, notes=(bass,))
    return replace(plan, **changes)


def test_a_plan_differs_in_nothing_from_itself():
    found = differences(make(), make())
    assert found == type(found)((), (), (), (), ())


def test_facts_are_named_with_both_values():
    other = make(
        tempo=(Tempo(1, 120.0), Tempo(9, 90.0)), key="C major", ending="fade 4", swing="62%", seed=4, prompt="another"
    )
    found = differences(make(), replace(other, instruments={"drums": 0, "bass": 38, "lead": 80, "pad": None}))
    assert found.facts == (
        "prompt: 'a test' -> 'another'",
        "tempo: 120 BPM -> 120 90 (bar 9) BPM",
        "key: A minor -> C major",
        "length: 0:32.000 -> 0:37.333",
        "ending: not chosen yet -> fade 4",
        "swing: unknown -> 62% of eighths",
        "plan seed: 3 -> 4",
        "instrument of bass: 33 (fingered bass) -> 38 (synth bass)",
        "instrument of pad: - -> any",
    )
    assert found.bars == () and not found.sections and not found.chords and not found.notes


def test_chords_and_notes_are_named_by_their_bars():
    plan = make()
    new = plan.edit((3, 4), chords=["Dm", "E,A"], keep_notes=True).edit((11, 11), chords=["G"], keep_notes=True)
    new = new.edit((7, 8), notes={"bass": "A1 0 240"}).edit((10, 10), clear=["bass"])
    found = differences(plan, new)
    assert found.chords == ("bars 3-4: C G -> Dm E,A", "bar 11: F -> G")
    assert found.notes == ("bass: 3 of 16 bars: 7-8, 10; 1 of them unknown in the second",)
    assert found.sections == found.facts == () and found.bars == (3, 4, 7, 8, 10, 11)
    long = differences(plan, plan.edit(chords=["N"], keep_notes=True)).chords
    assert long == ("bars 1-16: Am F C G Am F C G ... -> N N N N N N N N ...",)


def test_sections_are_named_by_what_changes_in_them():
    plan = make()
    new = plan.edit((5, 8), energy=7, keep_notes=True).edit(
        (7, 8), label="build", roles=["bass", "lead"], keep_notes=True
    )
    assert differences(plan, new).sections == (
        "bars 5-6: energy 4 -> 7",
        "bars 7-8: verse -> build, energy 4 -> 7, +lead -drums",
    )
    unknown = replace(plan, sections=(replace(plan.sections[0], energy=None, roles=None), plan.sections[1]))
    assert differences(plan, unknown).sections == ("bars 1-8: energy 4 -> ?, roles drums bass -> unknown",)
    verse = plan.sections[0]
    halves = (replace(verse, bars=verse.bars[:4]), replace(verse, bars=verse.bars[4:]), plan.sections[1])
    assert differences(plan, replace(plan, sections=halves)).sections == ("bar 5: a section begins in the second",)
    assert differences(replace(plan, sections=halves), plan).sections == ("bar 5: no section begins in the second",)


def test_bars_that_one_does_not_have_codes_and_beats_are_said():
    plan = make()
    shorter = plan.arrange("A")
    assert differences(plan, shorter).facts == (
        "bars: 16 -> 8",
        "length: 0:32.000 -> 0:16.000",
        "bars 9-16: only in the first",
    )
    assert differences(shorter, plan).bars == tuple(range(9, 17))
    coded = replace(plan, codes=((1,) * plan.n_code_frames,) * 4)
    other = replace(plan, codes=((1,) * (plan.n_code_frames - 1) + (2,), *coded.codes[1:]))
    n_frames = plan.n_code_frames
    assert differences(coded, plan).facts == (f"codes: {n_frames} of {n_frames} frames written -> 0 of {n_frames}",)
    assert differences(coded, other).facts == (f"codes: 1 of {plan.n_code_frames} frames differ",)
    beats = tuple(np.arange(65) / 2)
    played = [make(tempo=(), beats=one) for one in (beats, (*beats[:64], 32.5))]
    assert "beats as played: 1 of 65 are elsewhere" in differences(*played).facts
    assert differences(Plan(n_samples=44_100), Plan(n_samples=44_100)).bars == ()


def test_ranges_are_written_as_people_do():
    assert ranges((3, 5, 6, 9, 10, 11, 12)) == "3, 5-6, 9-12" and ranges(()) == ""


# ---- sounds


def test_bars_that_differ_are_those_that_hold_a_sample_that_does():
    starts = np.array([0, 100, 200, 300])
    first = np.zeros((2, 320), np.float32)
    second = first.copy()
    assert not comparison.differing(first, second).any()
    second[1, 199] = 1e-7
    assert comparison.bars_with(comparison.differing(first, second), starts) == (2,)
    second[0, 310] = 0.1  # after the last bar line
    assert comparison.bars_with(comparison.differing(first, second), starts) == (2, 3)
    assert comparison.differing(first, first[:, :250]).nonzero()[0].tolist() == list(range(250, 320))
    assert comparison.bars_with(np.ones(10, bool), np.zeros(1, np.int64)) == ()


def test_levels_are_those_of_each_bar():
    starts = np.array([0, 1000, 2000, 3000])
    samples = np.zeros((2, 2500), np.float32)
    samples[:, :1000] = 0.5
    samples[0, 1000:2000] = 0.5
    levels = comparison.bar_levels(samples, starts)
    assert levels == pytest.approx([20 * np.log10(0.5), 20 * np.log10(0.5) - 10 * np.log10(2), -120], abs=1e-6)


def test_sounds_are_compared_where_their_bars_are():
    plan = make()
    first = np.full((2, plan.length), 0.1, np.float32)
    second = first.copy()
    second[:, plan.bar_starts()[3] : plan.bar_starts()[5]] *= 2
    lines, bars = comparison.sound_differences((plan, plan), (first, second))
    assert bars == (4, 5) and lines[0] == "samples differ from 0:06.000 to 0:10.000 (bars 4-5), all others are the same"
    assert lines[1:] == (
        "level of the second over the first, dB, bar by bar:",
        "    1 |      .      .      .   +6.0   +6.0      .      .      .",
    )
    assert comparison.sound_differences((plan, plan), (first, first)) == (("every sample is the same",), ())
    shorter = plan.arrange("A")
    lines, bars = comparison.sound_differences((plan, shorter), (first, first[:, : shorter.length]))
    assert lines == ("samples differ from 0:16.000 to 0:32.000 (bars 9-16), all others are the same",)
    lines, _ = comparison.sound_differences((plan, plan), (first, -first))
    assert lines == ("samples differ from 0:00.000 to 0:32.000 (bars 1-16)",)
    slower = plan.edit(tempo=60)
    lines, bars = comparison.sound_differences((plan, slower), (first, np.full((2, slower.length), 0.1, np.float32)))
    assert lines == ("samples differ from 0:32.000 to 1:04.000; bars begin at other times",) and bars == ()


# ---- drawn, and on the command line


def test_a_pair_is_drawn_with_its_bars_marked():
    pytest.importorskip("matplotlib")
    plan = make()
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, (2, plan.length)).astype(np.float32)
    figure = plot.draw_pair((plan, plan), (sound, sound), ("a.flac", "b.flac"), ((3,), (3, 4)))
    assert len(figure.axes) == 8 and figure.axes[3].get_title(loc="left").startswith("b.flac")
    unmarked = plot.draw_pair((plan, plan), (sound, sound), ("a.flac", "b.flac"), ((), ()))
    marks = [len(a.patches) - len(b.patches) for a, b in zip(figure.axes, unmarked.axes, strict=True)]
    assert marks == [0, 1, 1, 0, 1, 1, 4, 4]
    assert len(plot.draw_pair((plan, Plan(n_samples=44_100)), None, ("a", "b"), ((20,), ())).axes) == 4


@pytest.fixture(scope="module")
def folder(note_pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A track, an edit of its third bar, and the plan of the first."""
    place = tmp_path_factory.mktemp("tracks")
    track = note_pipe.generate("jazz, 120 BPM in C minor", bars=6, seed=1)
    track.save(place / "a.flac")
    note_pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3)).save(place / "b.flac")
    (place / "a.json").write_text(track.plan.to_json())
    return place


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code


def test_the_command_says_what_an_edit_changed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    a, b = str(folder / "a.flac"), str(folder / "b.flac")
    assert run("compare", a, b, "-o", str(tmp_path / "ab.png")) == 0
    said = capsys.readouterr().out
    assert "edits: 0 -> 1" in said and "bar 3: " in said and "-> Am" in said
    assert "samples differ from" in said and "all others are the same" in said
    assert (tmp_path / "ab.png").stat().st_size > 10_000
    assert run("compare", a, a) == 0
    assert capsys.readouterr().out.endswith("sound:\n  every sample is the same\n")
    assert run("compare", a, str(folder / "a.json")) == 0
    assert capsys.readouterr().out.endswith("nothing differs\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.flac", "none.flac"), "none.flac"),
        (("a.flac", "empty.wav"), "carries no hybridgen manifest"),
        (("a.flac", "b.flac", "-o", "b.flac"), "none of .png .svg .pdf"),
        (("a.flac", "b.flac", "-o", "kept.png"), "was not made by hybridgen"),
        (("a.flac", "b.aiff"), "b.aiff"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    arguments: tuple[str, ...], words: str, folder: Path, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.flac", "b.flac"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "empty.wav").write_bytes(b"RIFF")
    (tmp_path / "kept.png").write_bytes(b"mine")
    (tmp_path / "b.aiff").write_bytes(b"FORM")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("compare", *arguments) == 2
    error = capfd.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
