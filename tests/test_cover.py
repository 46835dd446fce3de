"""Covers and layers: what of a track or a recording stays, and what is added to it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.plan.editing import with_notes_before
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.track import Track

VERSE = Section("verse", (Bar("Am"), Bar("F"), Bar("C"), Bar("G")), 4, ("drums", "bass"))
PLAN = Plan(
    (VERSE, replace(VERSE, label="chorus", energy=6)),
    (Tempo(1, 150.0, ramp=True), Tempo(5, 120.0)),
    "4/4",
    "A minor",
    {"drums": 0, "bass": 33},
    prompt="a test",
    seed=3,
)


@pytest.fixture(scope="module")
def track(note_pipe: Pipeline) -> Track:
    return note_pipe.render(PLAN)


def likeness(one: Track, other: Track) -> float:
    return float(np.corrcoef(one.latents.ravel(), other.latents.ravel())[0, 1])


@pytest.mark.parametrize("depth", ["plan", "codes", "latents"])
def test_a_cover_keeps_bars_tempo_key_and_chords(note_pipe: Pipeline, track: Track, depth: str):
    new = note_pipe.cover(track, "solo piano", depth, seed=8)
    assert np.array_equal(new.plan.bar_starts(), track.plan.bar_starts()) and new.plan.length == track.plan.length
    assert (new.plan.bars, new.plan.key, new.plan.tempo) == (track.plan.bars, track.plan.key, track.plan.tempo)
    assert new.plan.prompt == "solo piano" and {section.roles for section in new.plan.sections} == {("keys",)}
    assert bool(new.plan.notes) == (depth == "plan")
    assert np.array_equal(note_pipe.replay(new.manifest).samples, new.samples)


def test_roles_that_leave_a_bar_take_their_notes_along():
    old = PLAN.edit(None, notes={"drums": "kick 0 60 v100", "bass": "A1 0 240 v80"})
    new = replace(old, notes=(), sections=(replace(VERSE, roles=("bass",)), old.sections[1]))
    new = new.with_parts([old.part("drums").with_bars(1, [()] * 4), old.part("bass").with_bars(1, [()] * 8)])
    before = with_notes_before(old, new)
    assert before.part("drums").bars == ((),) * 4 + old.part("drums").bars[4:]
    assert before.part("bass") == old.part("bass")


def test_a_cover_of_latents_resembles_its_source_the_more_the_less_its_strength(note_pipe: Pipeline, track: Track):
    shades = [note_pipe.cover(track, "solo piano", "latents", strength=one, seed=8) for one in (0.05, 0.4, 1.0)]
    close, near, far = (likeness(track, one) for one in shades)
    assert close > 0.95 > near > far


def test_a_layer_is_added_to_what_was_there(note_pipe: Pipeline, track: Track):
    result = note_pipe.layer(track, "lead", "violin", "A4 0 480 v90")
    new = result.track
    assert new.plan.part("lead").bars[5] == new.plan.part("lead").bars[0] and dict(new.plan.instruments)["lead"] == 40
    assert new.plan.part("bass") == track.plan.part("bass") and result.alone.samples.any()
    loud = np.abs(track.samples + result.alone.samples).max()
    assert np.allclose(new.samples, track.samples + result.alone.samples, atol=2e-7) or loud > 0.88
    rest = (new.samples - result.alone.samples).ravel()
    assert np.corrcoef(rest, track.samples.ravel())[0, 1] > 0.8  # but for what the limiter holds back
    assert new.manifest.has_own_sound and np.array_equal(note_pipe.replay(new.manifest).samples, new.samples)
    again = note_pipe.repaint(new, bars=(3, 3))
    kept = again.plan.span((1, 1))[1] // 2
    assert np.array_equal(again.samples[:, :kept], new.samples[:, :kept])
    assert np.array_equal(note_pipe.replay(again.manifest).samples, again.samples)


def test_a_layer_survives_its_file(note_pipe: Pipeline, track: Track, tmp_path: Path):
    old = track.save(tmp_path / "old.wav")
    new = note_pipe.layer(old, "lead").track
    path = new.save(tmp_path / "new.flac")
    opened = note_pipe.open(path)
    assert np.array_equal(opened.samples, new.samples) and np.array_equal(opened.latents, new.latents)
    assert np.array_equal(note_pipe.replay(opened.manifest).samples, new.samples)


def test_a_recording_gets_a_layer_to_its_own_sound(note_pipe: Pipeline, tmp_path: Path):
    t = np.arange(8 * 44_100) / 44_100
    sound = 0.1 * np.stack([np.sin(2 * np.pi * 220 * t), np.sin(2 * np.pi * 277 * t)], axis=1)
    soundfile.write(tmp_path / "song.wav", sound, 44_100, subtype="PCM_24")
    with pytest.warns(UserWarning, match=r"heard \w+#? (major|minor), chords A"):
        result = note_pipe.layer(tmp_path / "song.wav", "lead", notes="A4 0 480 v90", tempo=120, downbeat=0)
    added = result.track.samples - sound.T
    assert np.corrcoef(added.ravel(), result.alone.samples.ravel())[0, 1] > 0.9  # the limiter holds back its peaks
    assert result.track.plan.bars[0].chords and result.track.manifest.is_recording


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda pipe, track: pipe.cover(track, "jazz", "bones"), "depth 'bones' is none of plan, codes, latents"),
        (lambda pipe, track: pipe.cover(track, "jazz", strength=0.5), "strength 0.5 is given, but depth 'plan'"),
        (lambda pipe, track: pipe.cover(track, "jazz", "latents", strength=2), "strength 2 is not above 0"),
        (lambda pipe, track: pipe.cover(track, " "), "prompt is empty"),
        (lambda pipe, track: pipe.layer(track, "bass"), "role 'bass' plays in the track already"),
        (lambda pipe, track: pipe.layer(track, "tuba"), "'tuba'"),
        (lambda pipe, track: pipe.layer(track, "lead", "drumstick"), "drumstick"),
        (lambda pipe, track: pipe.layer(track, "lead", notes="H4 0 1"), "note 1: 'H4' is no pitch"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(note_pipe: Pipeline, track: Track, work, words: str):
    with pytest.raises(ValueError, match=words) as error:
        work(note_pipe, track)
    assert "\n" not in str(error.value)


def test_a_model_without_notes_makes_no_layers(pipe: Pipeline):
    with pytest.raises(ValueError, match="does not write and play notes"):
        pipe.layer(pipe.render(PLAN), "lead")


def test_the_commands_write_covers_layers_and_stems(note_pipe: Pipeline, track: Track, tmp_path: Path, capsys):
    model, song = (
        str(note_pipe.save_pretrained(tmp_path / "model", half=False)),
        str(track.save(tmp_path / "song.flac")),
    )
    pipe = Pipeline.from_pretrained(model)
    pipe.render(PLAN).save(song)

    def run(*words: object) -> int:
        return main([*map(str, words), "--model", model])

    assert run("cover", song, "solo piano", "-o", tmp_path / "cover.flac") == 0
    asked = ("layer", song, "--role", "lead", "--instrument", "40", "--alone", tmp_path / "lead.wav")
    assert run(*asked, "-o", tmp_path / "layered.flac") == 0
    assert soundfile.info(tmp_path / "lead.wav").subtype == "FLOAT"
    assert run("stems", song, "-o", tmp_path / "stems") == 0
    parts = [soundfile.read(path, dtype="float32")[0] for path in sorted((tmp_path / "stems").iterdir())]
    assert [path.name for path in sorted((tmp_path / "stems").iterdir())] == ["01_drums.wav", "02_bass.wav"]
    assert np.allclose(sum(parts), soundfile.read(song, dtype="float32")[0], atol=1e-6)
    capsys.readouterr()
    assert run("layer", song, "--role", "bass", "-o", tmp_path / "no.flac") == 2
    assert run("stems", tmp_path / "stems" / "01_drums.wav", "-o", tmp_path / "more") == 2
    assert not (tmp_path / "no.flac").exists() and not (tmp_path / "more").exists()
    said = [line for line in capsys.readouterr().err.splitlines() if "note:" not in line]
    assert len(said) == 2 and "role 'bass'" in said[0] and "carries no hybridgen manifest" in said[1]
