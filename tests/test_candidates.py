"""Several tracks of one prompt are ranked by how well each keeps its plan; each is the track of its own seed."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")
pytest.importorskip("mir_eval")

from hybridgen import evaluation, manifest
from hybridgen.cli import main
from hybridgen.evaluation import candidates as module
from hybridgen.evaluation.candidates import SHARES, Candidate, candidates, shares_kept, table
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar
from hybridgen.progress import Cancelled

PROMPT = "lo-fi hip hop, 120 BPM in A minor"


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def ranked(tiny: Pipeline) -> list[Candidate]:
    return candidates(tiny, PROMPT, 2, seed=5, seconds=6)


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code


def test_candidates_are_ranked_and_each_is_the_track_of_its_seed(tiny: Pipeline, ranked: list[Candidate]):
    assert sorted(one.track.seed for one in ranked) == [5, 6]
    assert ranked[0].score >= ranked[1].score
    for one in ranked:
        assert tuple(one.kept) == SHARES and all(0 <= share <= 1 for share in one.kept.values())
        assert one.score == pytest.approx(np.mean(list(one.kept.values())))
    alone = tiny.generate(PROMPT, seed=ranked[0].track.seed, seconds=6)
    assert alone.plan == ranked[0].track.plan
    np.testing.assert_array_equal(alone.samples, ranked[0].track.samples)


def test_another_plan_is_kept_less_well(ranked: list[Candidate]):
    track = ranked[0].track
    other = track.plan.edit(key="Eb minor")  # its chords and notes move too
    other = replace(other, sections=tuple(replace(s, bars=(Bar("Ebm"),) * len(s.bars)) for s in other.sections))
    kept = shares_kept(replace(track, plan=other))
    assert kept["chords"] < ranked[0].kept["chords"] and kept["key"] < 1 and kept["notes"] < ranked[0].kept["notes"]
    assert kept["beats"] == ranked[0].kept["beats"]
    assert all(map(math.isnan, shares_kept(replace(track, plan=replace(track.plan, key=None))).values()))


def test_the_score_is_the_mean_of_what_is_known_and_what_is_not_comes_last(
    pipe: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    shares = {1: (0.5, math.nan, math.nan, 0.7), 2: (math.nan,) * 4, 3: (1.0, 1.0, 0.0, 0.8), 4: (0.6,) * 4}
    monkeypatch.setattr(module, "shares_kept", lambda track: dict(zip(SHARES, shares[track.seed], strict=True)))
    done = []
    found = candidates(pipe, "x", 4, seed=1, seconds=4, progress=lambda *step: done.append(step))
    assert [one.track.seed for one in found] == [3, 1, 4, 2]  # of equals the first seed
    assert found[0].score == pytest.approx(0.7) and math.isnan(found[3].score)
    assert [step for step in done if step[0] == "candidates"] == [("candidates", i, 4) for i in (1, 2, 3, 4)]
    rows = [line.split() for line in table(found, [Path("a"), None, None, None]).splitlines()]
    assert rows[1:] == [
        ["1", "3", "0.70", "1.00", "1.00", "0.00", "0.80", "a"],
        ["2", "1", "0.60", "0.50", "-", "-", "0.70", "-"],
        ["3", "4", "0.60", "0.60", "0.60", "0.60", "0.60", "-"],
        ["4", "2", "-", "-", "-", "-", "-", "-"],
    ]
    with pytest.raises(Cancelled):
        candidates(pipe, "x", 2, seed=1, seconds=4, progress=lambda stage, *_: stage != "candidates")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 65}, "n 65 is outside 1-64"),
        ({"n": 2, "seconds": 2}, "seconds 2.00 are fewer than the 4"),
        ({"n": 7, "seconds": 600}, "n 7 tracks last 4200 s together, over the limit of 3600 s"),
        ({"n": 2, "num_steps": 0}, "num_steps 0"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_a_render(
    arguments: dict, words: str, pipe: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module.change, "render", lambda *_: pytest.fail("rendered"))
    with pytest.raises(ValueError, match=words):
        candidates(pipe, "x", seed=1, **arguments)


# ---- on the command line


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every track keeps its plan the better the higher its seed is."""
    monkeypatch.setattr(module, "shares_kept", lambda track: dict.fromkeys(SHARES, track.seed / 10))
    yield


@pytest.fixture(scope="module")
def model(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pipe.save_pretrained(tmp_path_factory.mktemp("model")))


@pytest.mark.usefixtures("heard")
def test_all_are_written_in_order_of_rank(model: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    made = ("generate", "jazz", "--seconds", "4", "--seed", "3", "--no-latents", "--model", model)
    assert run(*made, "-n", "2", "-o", "t.flac", "--plan-out", "p.json") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p-1.json", "p-2.json", "t-1.flac", "t-2.flac"]
    assert [manifest.read(f"t-{i}.flac").plan.seed for i in (1, 2)] == [4, 3]
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["file", "t-1.flac", "t-2.flac"]
    assert run(*made, "--seed", "4", "-o", "alone.flac") == 0
    assert (tmp_path / "alone.flac").read_bytes() == (tmp_path / "t-1.flac").read_bytes()


@pytest.mark.usefixtures("heard")
def test_or_the_best_of_them_alone(model: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    made = ("generate", "jazz", "--seconds", "4", "--seed", "3", "--model", model, "-n", "3", "--best")
    assert run(*made, "-o", "t.wav", "--no-latents") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["t.wav"]
    assert manifest.read("t.wav").plan.seed == 5
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[1], row[-1]) for row in rows] == [("5", "t.wav"), ("4", "-"), ("3", "-")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-n", "0"), "n 0 is outside 1-64"),
        (("-n", "999999999999"), "is outside 1-64"),
        (("--best",), "--best is for several tracks"),
        (("-n", "2", "--plan-seed", "4"), "--plan-seed 4 is for one track, and -n 2 makes several"),
        (("-n", "2", "--best", "--render-seed", "4"), "--render-seed 4 is for one track"),
        (("-n", "2", "--seconds", "1"), "seconds 1.00 are fewer than the 4"),
        (("-n", "2", "-o", "kept.wav"), "kept-2.wav' exists and was not made by hybridgen"),
        (("-n", "2", "--plot", "p.bmp"), "plot"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], words: str, model: str, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept-2.wav").write_bytes(b"mine")
    capfd.readouterr()
    assert run("generate", "jazz", "-o", "t.wav", "--model", model, *arguments) == 2
    error = capfd.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_what_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
    assert run("generate", "jazz", "-n", "2", "-o", "t.wav") == 2
    said = capsys.readouterr().err
    assert said == "hybridgen: generate -n needs librosa and mir_eval: pip install 'hybridgen[eval]'\n"
