"""Scores of other formats by command: in as plans, out of tracks and plans."""

import json
from pathlib import Path

import pytest

from hybridgen import formats
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan

PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar(("F", "G"))), 4, ("drums", "lead")),),
    (Tempo(1, 96.0),),
    key="A minor",
    instruments={"drums": 0, "lead": 80},
    notes=(Part("lead", ((Note(0, 480, 69, 80), Note(480, 960, 72, 80)), (Note(0, 1920, 67, 80),))),),
    prompt="a tune",
)


@pytest.mark.parametrize("kind", [kind for kind in formats.WRITES if kind in formats.READS])
def test_a_plan_goes_out_and_comes_back_with_what_the_format_carries(kind: str, tmp_path: Path):
    path = tmp_path / f"x{kind}"
    path.write_bytes(formats.dump(PLAN, kind))
    plan, _ = formats.read(path)
    assert (plan.n_bars, plan.meter, plan.tempo) == (2, "4/4", PLAN.tempo)
    assert [bar.chords for bar in plan.bars] == [("Am",), ("F", "G")]
    if kind != ".txt":  # a chart has no notes
        assert [[n.pitch for n in bar] for bar in plan.part("lead").bars] == [[69, 72], [67]]


def test_a_score_becomes_a_plan_by_command_and_a_plan_a_score(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "plan.json").write_text(PLAN.to_json())
    midi, back = tmp_path / "song.mid", tmp_path / "back.json"
    assert main(["export", str(tmp_path / "plan.json"), "-o", str(midi)]) == 0
    assert main(["plan", str(midi), "-o", str(back)]) == 0
    assert Plan.from_json(back.read_text()).part("lead") == PLAN.part("lead")
    assert "2 bars" in capsys.readouterr().out
    labels = tmp_path / "bars.txt"
    assert main(["export", str(midi), "-o", str(labels), "--labels", "bars"]) == 0
    assert labels.read_text().splitlines()[1].startswith("2.500000\t5.000000\t")


def test_the_plan_of_a_track_is_exported_and_a_score_rendered(pipe: Pipeline, tmp_path: Path, capsys):
    model = str(pipe.save_pretrained(tmp_path / "model"))
    midi, track = tmp_path / "song.mid", tmp_path / "track.wav"
    midi.write_bytes(formats.dump(PLAN, ".mid"))
    assert main(["render", str(midi), "--model", model, "-o", str(track)]) == 0
    assert "does not play them" in capsys.readouterr().err
    assert main(["export", str(track), "-o", str(tmp_path / "again.mid")]) == 0
    assert formats.read(tmp_path / "again.mid")[0].part("lead") == PLAN.part("lead")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "song.mid", "-o", "p.json", "--bars", "4"], "--bars is for a prompt, and song.mid is a score"),
        (["plan", "song.mid", "-o", "p.json", "-n", "2"], "--n is for a prompt"),
        (["plan", "song.mid", "-o", "p.json", "--seed", "3"], "--seed is for a prompt, and song.mid is a score"),
        (["plan", "song.mid", "-o", "p.json", "--adapter", "x"], "--adapter is for a prompt"),
        (["plan", "song.mid", "-o", "p.json", "--model", "x"], "--model is for a prompt"),
        (["plan", "song.mid", "-o", "p.json", "--prompt-file", "x"], "--prompt-file is for a prompt"),
        (["export", "song.mid", "-o", "x.pdf"], "a plan cannot be written as '.pdf'"),
        (["export", "none.mid", "-o", "x.mid"], "none.mid: no such file"),
        (["export", "bad.mid", "-o", "x.json"], "bad.mid: "),
        (["export", "song.xyz", "-o", "x.json"], "song.xyz: ends in '.xyz', none of"),
        (["export", "song.mid", "-o", "song.mid"], "is the input"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], words: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "song.mid").write_bytes(formats.dump(PLAN, ".mid"))
    (tmp_path / "song.xyz").write_bytes(b"")
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "x.json").write_text(json.dumps({}) + " " * 100)
    monkeypatch.setattr(formats, "MAX_BYTES", 50)
    with pytest.raises(ValueError, match="over the limit of 50"):
        formats.read(tmp_path / "x.json")
