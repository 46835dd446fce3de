"""The Python door: what it takes, what it says to what it cannot take, and what a notebook shows."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import hybridgen
from hybridgen import manifest
from hybridgen.audio import Audio
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import Bar, Section, Tempo, number, whole
from hybridgen.plan.plan import Plan
from hybridgen.sampling import RenderOptions
from hybridgen.track import Track
from tests.conftest import MICRO, SAMPLE_RATE


def plan_of(prompt: str = "a test") -> Plan:
    sections = (Section("verse", (Bar("Am"),) * 2, 4, ("drums", "bass")), Section("outro", (Bar("F,G"),), None, None))
    return Plan(
        sections, (Tempo(1, 120.0),), key="A minor", instruments={"drums": 0, "bass": 33}, prompt=prompt, seed=3
    )


@pytest.fixture(scope="module")
def track(pipe: Pipeline) -> Track:
    return pipe.render(plan_of(), seed=5)


# ---- numbers


@pytest.mark.parametrize("seed", [7, np.int64(7), np.uint8(7), np.array(7), torch.tensor(7), torch.tensor([7])])
def test_a_seed_is_an_integer_of_python_numpy_or_torch(pipe: Pipeline, seed):
    plan = pipe.plan("x", bars=1, seed=seed)[0]
    assert plan.seed == 7 and type(plan.seed) is int and '"seed": 7,' in plan.to_json()
    assert type(RenderOptions(seed=seed, num_steps=seed).seed) is int
    assert type(Plan(n_samples=100, seed=seed).seed) is int
    assert Controls(bars=seed).bars == 7 and type(Controls(energy=seed).energy) is int


@pytest.mark.parametrize("value", [1.5, 1.0, True, np.True_, torch.tensor(True), np.float64(1), "1", None, [1]])
def test_what_is_no_whole_number_is_none(value):
    with pytest.raises(TypeError, match=r"seed .* should be a whole number") as error:
        whole(value, "seed")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int16(3), torch.tensor(3.0)])
def test_a_number_is_one_of_python_numpy_or_torch(value):
    found = number(value, "tempo")
    assert found == 3 and type(found) in (int, float)
    assert Controls(seconds=value).seconds == 3 and type(Controls(tempo=30 * value).tempo) is float


def test_numbers_of_numpy_leave_the_track_as_it_is(pipe: Pipeline, track: Track):
    again = pipe.render(plan_of(), seed=np.int32(5), num_steps=np.int64(2), guidance_scale=np.float32(2))
    assert np.array_equal(again.samples, track.samples)
    assert manifest.Manifest.from_json(again.manifest.to_json()) == track.manifest


# ---- wrong types


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": None}, "prompt None should be text"),
        ({"prompt": b"x"}, "prompt of type bytes should be text"),
        ({"seconds": "ten"}, "seconds 'ten' should be a number"),
        ({"bars": 3.5}, "bars 3.5 should be a whole number"),
        ({"bars": True}, "bars True should be a whole number"),
        ({"tempo": "fast"}, "tempo 'fast' should be a number"),
        ({"tempo": [90]}, "tempo .90. should be a number or a range"),
        ({"key": 5}, "key 5 should be text"),
        ({"meter": 4}, "meter 4 should be text"),
        ({"seed": 1.5}, "seed 1.5 should be a whole number"),
        ({"chords": 5}, "chords '5' should be a list"),
        ({"chords": "Am F"}, "chords 'Am F' should be a list"),
        ({"sections": ["verse"]}, "sections: number 1 'verse' should be of type Section"),
        ({"sections": 4}, "sections '4' should be a list of Section"),
        ({"ending": 4}, "ending '4' is none of"),
        ({"instruments": "piano"}, "instruments 'piano' should map roles to instruments"),
        ({"instruments": ["piano"]}, r'instruments "\[\'piano\'\]" should map roles to instruments'),
        ({"instruments": 5}, "instruments '5' should map roles to instruments"),
        ({"roles": "drums"}, "roles 'drums' should be a list of roles"),
        ({"roles": 5}, "roles 5 should be a list of roles"),
        ({"melody": "hum.wav"}, "melody 'hum.wav' should be of type Plan: `hear_melody` makes one"),
        ({"foo": 1}, "'foo' is an unexpected keyword argument; known are seconds, bars"),
    ],
)
def test_a_wrong_type_is_one_line_that_names_the_field(pipe: Pipeline, arguments: dict, words: str):
    for work in (pipe.plan, pipe.generate):
        with pytest.raises((TypeError, ValueError), match=words) as error:
            work(**({"prompt": "x"} | arguments))
        assert "\n" not in str(error.value)


def test_objects_of_another_kind_are_named(pipe: Pipeline, track: Track):
    plan = track.plan
    for work, words in (
        (lambda: pipe.render("plan.json"), "plan 'plan.json' should be of type Plan"),
        (lambda: pipe.render_blocks(plan.to_dict()), "plan of type dict should be of type Plan"),
        (lambda: pipe.write_codes(None), "plan None should be of type Plan"),
        (lambda: pipe.repaint("track.wav", plan, (1, 1)), "track 'track.wav' should be of type Track"),
        (lambda: pipe.repaint(track, "plan.json", (1, 1)), "plan 'plan.json' should be of type Plan"),
        (lambda: pipe.render(plan, steps=3), "'steps' is an unexpected keyword argument; known are seed, num_steps"),
        (lambda: pipe.render(plan, num_steps=2.5), "num_steps 2.5 should be a whole number"),
        (lambda: pipe.render(plan, guidance_scale="2"), "guidance_scale '2' should be a number"),
        (lambda: pipe.encode(track.samples), r"recording of type ndarray should be of type Audio: Audio.load"),
        (lambda: pipe.encode("a.wav"), "recording 'a.wav' should be of type Audio"),
        (lambda: pipe.decode(torch.zeros(4, 8)), r"latents of type Tensor should be of type ndarray"),
        (lambda: pipe.decode(np.zeros((4, 9), np.float32)), r"latents float32 \(4, 9\) should be float32 \(T, 8\)"),
        (lambda: pipe.decode(np.zeros((4, 8))), r"latents float64"),
        (lambda: pipe.decode(track.latents, 1.5), "n_samples 1.5 should be a whole number"),
        (lambda: pipe.plan("x", n=2.0), "n 2.0 should be a whole number"),
        (lambda: Audio([[0.0], [0.0]], SAMPLE_RATE), "samples of type list should be of type ndarray"),
        (lambda: Audio(np.zeros((2, 9), np.float32), 44_100.5), "sample_rate 44100.5 should be a whole number"),
        (lambda: plan.edit((1, 1), energy=2.5), "energy 2.5 should be a whole number"),
        (lambda: plan.edit((1, 1), label=3), "label 3 should be text"),
        (lambda: plan.edit(1, energy=2), r"bars '1' should be a pair such as \(9, 12\)"),
        (lambda: plan.edit("12", energy=2), r"bars '12' should be a pair such as \(9, 12\)"),
        (lambda: plan.edit((1, 2, 3), energy=2), r"bars '\(1, 2, 3\)' should be a pair"),
        (lambda: plan.transpose(1, 2), "bars '1' should be a pair"),
        (lambda: pipe.write_notes(plan, 1), "bars '1' should be a pair"),
        (lambda: Plan(instruments="piano"), "instruments 'piano' should map roles to instruments"),
        (lambda: plan.transpose(None, "2"), "semitones '2' should be a whole number"),
        (lambda: plan.transpose(None, True), "semitones True should be a whole number"),
        (lambda: plan.transpose(None, 2, roles=["led"]), "roles: 'led' is none of drums"),
        (lambda: plan.copy((1, 1), 3, roles=["drum"]), "roles: 'drum' is none of drums"),
        (lambda: plan.copy((1, 1), "3"), "to '3' should be a whole number"),
    ):
        with pytest.raises((TypeError, ValueError), match=words) as error:
            work()
        assert "\n" not in str(error.value)


def test_arguments_are_checked_before_anything_is_loaded():
    fresh = Pipeline(MICRO)
    for arguments in (
        {"tempo": 20},
        {"seed": -1},
        {"key": "H minor"},
        {"bars": 2, "seconds": 3},
        {"bars": 4000, "tempo": 30},
        {"ending": "fad"},
        {"num_steps": 0},
    ):
        with pytest.raises(ValueError):
            fresh.generate("x", **arguments)
    with pytest.raises(ValueError, match="num_steps 0"):
        fresh.render(plan_of(), num_steps=0)
    assert fresh._loaded == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_a_device_that_is_not_here_is_one_line():
    for make in (lambda device: Pipeline(MICRO, device=device), lambda device: Pipeline.from_pretrained(device=device)):
        with pytest.raises(
            ValueError, match="device 'cuda' was requested, but torch finds no CUDA device here; use cpu"
        ):
            make("cuda")
        with pytest.raises(ValueError, match="device 'gpu' is none that torch knows"):
            make("gpu")


# ---- what is seen


def test_the_names_are_listed_and_the_import_stays_lazy():
    assert {"Audio", "Ending", "Pipeline", "Plan", "Section", "Track"} <= set(dir(hybridgen))
    assert set(hybridgen.__all__) <= set(dir(hybridgen))
    code = "import hybridgen, sys; dir(hybridgen); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (Path(hybridgen.__file__).parent / "py.typed").exists()


def test_the_samples_of_a_track_cannot_be_written(pipe: Pipeline, track: Track, tmp_path: Path):
    with pytest.raises(ValueError, match="read-only"):
        track.samples[0, 0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that it could write to and should not
        latents = pipe.encode(track.audio)
        assert pipe.decode(latents, track.plan.length).shape == track.samples.shape
        track.save(tmp_path / "t.flac")


def test_a_track_and_a_plan_are_one_line_without_arrays(track: Track):
    assert repr(track) == "Track('a test': 120 BPM · 4/4 · 3 bars · 6.0 s · A minor, plan seed 3, render seed 5)"
    assert repr(track.plan) == "Plan('a test': 120 BPM · 4/4 · 3 bars · 6.0 s · A minor, seed 3)"
    assert repr(Plan(n_samples=SAMPLE_RATE)) == "Plan('': 1.0 s, seed 0)"


def test_a_notebook_shows_a_player_a_picture_and_a_table(track: Track):
    page = track._repr_html_()
    assert page.startswith("<audio controls src='data:audio/mpeg;base64,") and page.endswith("</table>")
    assert page.count("<svg") == 1 and len(page) - page.index("<svg") < 20_000
    table = plan_of("<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in table and "&lt;script&gt;" in table
    assert "<td style='text-align:left'>3-3</td>" in table and "F G" in table and "drums, bass" in table
    many = Plan((Section(None, (Bar(),) * 17),) * 42, (Tempo(1, 300.0),))._repr_html_()
    assert many.count("<tr>") == 42 and many.count("<rect ") == 42 and "2 more sections" in many and "| ? …" in many
