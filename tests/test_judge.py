"""Files of any origin are judged, beside their plans where they have one; a bad one is said and leaves the others."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.audio import Audio
from hybridgen.cli import main
from hybridgen.evaluation import judge
from hybridgen.metrics import structure
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.harmony import chord_pitches
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan

CHORDS = ("C", "Am", "F", "G")
PLAN = Plan(
    key="C major",
    sections=(Section("verse", tuple(Bar((CHORDS[i % 4],)) for i in range(12))),),
    tempo=(Tempo(1, 120.0),),
    instruments=(("keys", 0),),
    prompt="three times four chords",
)


def strum(chords: tuple[str, ...], seed: int = 0) -> np.ndarray:
    """Samples (2, N): each chord struck four times, two seconds long, at 120 BPM, a bass below."""
    rng, since = np.random.default_rng(seed), np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    out = []
    for chord in chords:
        pitches = [48 + chord_pitches(chord)[0], *(60 + pitch for pitch in chord_pitches(chord))]
        waves = [440 * 2 ** ((pitch - 69) / 12) * 2 * np.pi * since for pitch in pitches]
        beat = np.exp(-4 * since) * sum(np.sin(wave) + 0.3 * np.sin(2 * wave) for wave in waves)
        click = np.exp(-300 * since) * rng.standard_normal(len(since))
        out += [0.08 * (beat + click)] * 4
    return np.tile(np.concatenate(out), (2, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sounds, and a file that only says it is one."""
    place = tmp_path_factory.mktemp("sounds")
    Audio(strum(CHORDS * 3), SAMPLE_RATE).save(place / "a.wav")
    Audio(strum(("Em", "A", "Dm", "C") * 3, 1), SAMPLE_RATE).save(place / "b.flac")
    (place / "broken.ogg").write_bytes(b"OggS, but no more")
    (place / "a.json").write_text(PLAN.to_json())
    return place


def test_a_sound_is_judged_by_itself(folder: Path):
    found = judge.judge(folder / "a.wav")
    assert found.plan is None and found.seconds == 24
    assert found.tempo == pytest.approx(120, rel=0.04) or found.tempo == pytest.approx(60, rel=0.04)
    assert found.key == "C major"
    assert found.chords == CHORDS * 3
    assert found.repetition > 0.8


def test_and_beside_its_plan(folder: Path):
    found = judge.judge(folder / "a.wav", folder)
    assert found.plan is not None
    assert found.plan.measurements.beat_f_measure > 0.8
    assert found.plan.measurements.chord_majmin > 0.8
    assert found.plan.measurements.key_rank == 1
    assert math.isnan(found.plan.returning) and found.plan.notes == {}  # the plan says no notes


def test_another_plan_is_not_kept(folder: Path, tmp_path: Path):
    Audio(strum(("Em", "A", "Dm", "C") * 3, 1), SAMPLE_RATE).save(tmp_path / "a.wav")
    found = judge.judge(tmp_path / "a.wav", folder)
    assert found.plan is not None and found.plan.measurements.chord_majmin < 0.5


def test_repetition_is_heard_and_noise_has_none():
    starts = np.arange(13) * 2.0
    noise = np.random.default_rng(0).standard_normal((2, 24 * SAMPLE_RATE)).astype(np.float32)
    once = strum(("C", "Dbm", "D", "Eb", "Em", "F", "F#m", "G", "Ab", "Am", "Bb", "Bm"))
    twice = strum(("C", "C", "D", "D", "Eb", "Eb", "F#m", "F#m", "Ab", "Ab", "Bm", "Bm"))  # and never again
    values = [structure.repetition(sound, starts) for sound in (strum(CHORDS * 3), once, twice, noise)]
    assert values[0] > 0.8 and values[0] > max(values[1:]) + 0.2
    assert math.isnan(structure.repetition(noise, starts[:8]))


def test_the_command_prints_all_and_says_what_it_leaves_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "figures.json"
    assert main(["judge", str(folder), "--json", str(out)]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines() if line]
    assert [row[0] for row in rows if row[0] in ("a.wav", "b.flac")] == ["a.wav", "b.flac"]
    assert [row[-1] for row in rows].count("median") == 1
    assert "left out" in printed.err and "broken.ogg" in printed.err
    (many,) = json.loads(out.read_text()).values()
    assert [Path(one["file"]).name for one in many] == ["a.wav", "b.flac"]
    assert many[0]["key"] == "C major" and len(many[0]["mix"]["octaves_db"]) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: No such file"),
        (["{empty}"], "holds no sound file"),
        (["{deep}"], "holds no sound file"),
        (["{folder}/broken.ogg"], "none of 1 files could be judged"),
        (["{folder}/a.wav", "--plans", "nowhere"], "--plans nowhere: is no folder"),
        (["{folder}/a.wav", "--workers", "0"], "workers 0"),
        (["{folder}/a.wav", "--json", "{folder}/a.wav"], "a.wav"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    places = {"folder": folder, "empty": tmp_path / "empty", "deep": tmp_path / "deep"}
    places["empty"].mkdir()
    (places["deep"] / "folder.wav").mkdir(parents=True)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["judge", *(each.format(**places) for each in arguments)]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("hybridgen: ") and message in last
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_a_sound_that_is_too_short_is_refused(tmp_path: Path):
    Audio(strum(("C",)), SAMPLE_RATE).save(tmp_path / "short.wav")
    with pytest.raises(ValueError, match="shorter than the 4 s"):
        judge.judge(tmp_path / "short.wav")
