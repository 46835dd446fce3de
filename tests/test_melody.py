"""Tunes that are hummed: with vibrato, glides, breath, out of tune; and what is no tune."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("librosa")

from hybridgen import cli
from hybridgen.analysis import melody
from hybridgen.analysis.melody import SAMPLE_RATE, Sung, find_notes, find_tempo, hear_melody, quantised
from hybridgen.pipeline import Pipeline
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan

TUNE = ((60, 1.0), (62, 0.5), (64, 0.5), (64, 1.0), (67, 1.0), (65, 0.5), (64, 0.5), (62, 2.0), (55, 1.0), (60, 2.0))


def hum(
    tempo: float = 90.0,
    cents: float = 0.0,
    vibrato: float = 0.0,
    glide: float = 0.0,
    breath: float = 0.0,
    lead_in: float = 0.3,
    tune: tuple[tuple[int, float], ...] = TUNE,
) -> np.ndarray:
    """Samples (N,) of a voice; cents: out of tune; vibrato in semitones; glide in seconds; breath: level of noise."""
    rng, pitch, level = np.random.default_rng(0), [], []
    for note, quarters in tune:
        n = round(quarters * 60 / tempo * SAMPLE_RATE)
        own = np.full(n, note + cents / 100)
        if pitch and glide:
            m = min(round(glide * SAMPLE_RATE), n)
            own[:m] = np.linspace(pitch[-1][-1], own[0], m)
        pitch.append(own)
        t = np.arange(n) / SAMPLE_RATE
        level.append(np.minimum(1, t / 0.03) * np.minimum(1, (t[-1] - t) / 0.05) * 0.9 + 0.02)
    pitches, levels = np.concatenate(pitch), np.concatenate(level)
    t = np.arange(len(pitches)) / SAMPLE_RATE
    pitches = pitches + vibrato * np.sin(2 * np.pi * 5.5 * t)
    phase = 2 * np.pi * np.cumsum(440 * 2 ** ((pitches - 69) / 12)) / SAMPLE_RATE
    voice = 0.3 * levels * sum(np.sin(k * phase) / k**1.5 for k in range(1, 8))
    voice += breath * 0.3 * rng.standard_normal(len(voice))
    silence = np.zeros(round(lead_in * SAMPLE_RATE))
    return np.concatenate([silence, voice, silence]).astype(np.float32)


def right(sung: list[Sung], tempo: float = 90.0, lead_in: float = 0.3) -> float:
    """The share of the tune's notes that are heard within 80 ms, none of which is heard twice."""
    starts = np.cumsum([0.0, *(quarters for _, quarters in TUNE[:-1])]) * 60 / tempo + lead_in
    found = {(note.pitch, i) for note in sung for i, start in enumerate(starts) if abs(note.start - start) < 0.08}
    hits = sum((pitch, i) in found for i, (pitch, _) in enumerate(TUNE))
    return (hits - max(len(sung) - len(TUNE), 0)) / len(TUNE)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"cents": 35.0, "vibrato": 0.4, "glide": 0.06},
        {"breath": 0.05, "tempo": 140.0, "vibrato": 0.5},
        {"vibrato": 0.7},
    ],
)
def test_a_hummed_tune_is_heard(how: dict[str, float]):
    assert right(find_notes(hum(**how)), how.get("tempo", 90.0)) >= 0.9


def test_it_becomes_the_lead_of_a_plan(tmp_path: Path):
    soundfile.write(tmp_path / "hum.wav", hum(), SAMPLE_RATE)
    plan, notes = hear_melody(tmp_path / "hum.wav", tempo=90.0)
    played = [(i * 1920 + note.tick, note.pitch) for i, bar in enumerate(plan.part("lead").bars) for note in bar or ()]
    starts = np.cumsum([0.0, *(quarters for _, quarters in TUNE[:-1])])
    assert played == [(round(480 * start), pitch) for start, (pitch, _) in zip(starts, TUNE, strict=True)]
    assert plan.key == "C major" and plan.tempo[0].bpm == 90.0 and plan.n_bars == 3
    assert len(notes) == 1 and "heard 10 notes" in notes[0] and "C major" in notes[0]


def test_without_a_tempo_the_one_that_fits_is_said(tmp_path: Path):
    soundfile.write(tmp_path / "hum.wav", hum(tempo=100.0), SAMPLE_RATE)
    plan, notes = hear_melody(tmp_path / "hum.wav")
    assert abs(plan.tempo[0].bpm - 100) <= 2 and "BPM" in notes[0]


@pytest.mark.parametrize("kind", ["silence", "noise", "short"])
def test_what_is_no_tune_is_one_line(kind: str, tmp_path: Path):
    rng = np.random.default_rng(0)
    sound = {"silence": np.zeros(40_000), "noise": 0.1 * rng.standard_normal(60_000), "short": np.ones(100) * 0.1}[kind]
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    with pytest.raises(ValueError, match=r"a\.wav: no single voice"):
        hear_melody(tmp_path / "a.wav", tempo=90.0)


def test_a_long_one_is_refused_before_it_is_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(melody, "MAX_SECONDS", 1.0)
    soundfile.write(tmp_path / "a.wav", np.zeros(30_000), SAMPLE_RATE)
    with pytest.raises(ValueError, match=r"1\.4 s is over the limit of 1 s"):
        hear_melody(tmp_path / "a.wav")


def test_notes_are_put_on_sixteenths_and_do_not_overlap():
    sung = [Sung(1.0, 1.6, 60, 90), Sung(1.52, 1.9, 62, 80), Sung(1.55, 1.6, 70, 80), Sung(3.49, 4.0, 64, 90)]
    bars = quantised(sung, 120.0, 1920)
    assert [[(note.tick, note.length, note.pitch) for note in bar] for bar in bars] == [
        [(0, 480, 60), (480, 360, 62)],
        [(480, 480, 64)],
    ]
    assert find_tempo([Sung(0.5 * i, 0.5 * i + 0.4, 60, 90) for i in range(8)]) == 120.0


# ---- plans that play it


def tune_plan(**changes: object) -> Plan:
    bars = ((Note(0, 480, 60), Note(480, 960, 64)), (), (Note(0, 1920, 67),))
    section = Section(None, (Bar("C"), Bar("N"), Bar("G")), None, ("lead",))
    plan = Plan((section,), (Tempo(1, 97.0),), "4/4", "C major", {"lead": None}, notes=(Part("lead", bars),))
    return replace(plan, **changes)


def test_a_plan_plays_the_melody_and_takes_from_it_what_is_not_asked(pipe: Pipeline):
    [plan] = pipe.plan("bass and drums", melody=tune_plan(), seed=1)
    assert plan.part("lead").bars == tune_plan().part("lead").bars
    assert plan.n_bars == 3 and plan.tempo[0].bpm == 97.0 and plan.key == "C major"
    assert [bar.chords for bar in plan.bars] == [("C",), ("C",), ("G",)]
    [other] = pipe.plan("bass and drums, 120 BPM in D minor, 8 bars", melody=tune_plan(), seed=1, chords=["Dm"])
    assert other.n_bars == 8 and other.tempo[0].bpm == 120.0 and other.key == "D minor"
    assert {bar.chords for bar in other.bars} == {("Dm",)}
    assert other.part("lead").bars[:3] == tune_plan().part("lead").bars


def test_a_melody_longer_than_the_track_is_cut_and_that_is_said(pipe: Pipeline):
    with pytest.warns(UserWarning, match="the melody has 3 bars, of which 2 are played"):
        [plan] = pipe.plan("bass and drums", melody=tune_plan(), bars=2, seed=1)
    assert plan.part("lead").bars == tune_plan().part("lead").bars[:2]


@pytest.mark.parametrize(
    ("melody", "given", "message"),
    [
        (tune_plan(notes=()), {}, "the plan has no notes, the melody should be its lead"),
        (tune_plan(), {"meter": "3/4"}, "meter 3/4 is requested, the melody is in 4/4"),
        (tune_plan(), {"without": ["lead"]}, "the lead is asked not to play"),
        (tune_plan(), {"roles": ["bass"]}, "the lead is asked not to play"),
    ],
)
def test_what_contradicts_a_melody_is_one_line(melody: Plan, given: dict, message: str, pipe: Pipeline):
    with pytest.raises(ValueError, match=message):
        pipe.plan("bass and drums", melody=melody, **given)


def test_the_command_line_shows_what_it_heard(pipe: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = pipe.save_pretrained(tmp_path / "model")
    (tmp_path / "tune.json").write_text(tune_plan().to_json())
    arguments = ["plan", "bass", "--melody", str(tmp_path / "tune.json"), "--model", str(model), "--seed", "1"]
    assert cli.main([*arguments, "-o", str(tmp_path / "plan.json")]) == 0
    printed = capsys.readouterr().out
    assert "melody 1: C4 0 480 v80, E4 480 960 v80" in printed and "melody 2: silence" in printed
    plan = Plan.from_json((tmp_path / "plan.json").read_text())
    assert plan.part("lead").bars == tune_plan().part("lead").bars
