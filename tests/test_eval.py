"""The evaluation asks held-out captions and hears composer, codec and model; its estimators can be fitted anew."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.audio import Audio
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import harmony, profiles, rhythm
from hybridgen.plan import SAMPLE_RATE, Bar, Plan, Section, Tempo
from train import estimators
from train import eval as evaluation

CAPTION = "A calm pop tune in C major at 120 BPM"


@dataclass
class Track:
    samples: np.ndarray
    plan: Plan

    def save(self, path: Path, latents: bool) -> None:
        path.write_bytes(b"")


class Parrot:
    """A pipeline that answers with the same song and whose codec changes nothing."""

    def __init__(self, answer: Track):
        self.answer = answer

    def generate(self, prompt: str, *, seconds: float, seed: int) -> Track:
        return self.answer

    def encode(self, audio: Audio) -> np.ndarray:
        return audio.samples

    def decode(self, latents: np.ndarray, n_samples: int) -> np.ndarray:
        return latents[:, :n_samples]


def play(plan: Plan) -> np.ndarray:
    """Sines of the plan's chords, struck on every beat."""
    samples = np.zeros(plan.length)
    for start, stop, name in harmony.chord_spans(plan):
        t = np.arange(round(stop * SAMPLE_RATE) - round(start * SAMPLE_RATE)) / SAMPLE_RATE
        pitches = harmony.chord_pitches(name)
        struck = np.exp(-4 * (t % 0.5))
        tones = [np.sin(2 * np.pi * 440 * 2 ** ((p - 9) / 12) * t) for p in (*pitches, pitches[0] - 24)]
        samples[round(start * SAMPLE_RATE) :][: len(t)] = 0.1 * struck * sum(tones)
    return np.tile(samples.astype(np.float32), (2, 1))


def record(folder: Path, index: int, genre: str, captions: tuple[str, ...]) -> SongRecord:
    bars = tuple(Bar((name,)) for name in ("C", "F", "G", "C"))
    plan = Plan(sections=(Section("verse", bars),), tempo=(Tempo(1, 120.0),), key="C major")
    path = folder / f"{index}.flac"
    Audio(play(plan), SAMPLE_RATE).save(path)
    return SongRecord(index, path, plan, genre, (), captions, "test")


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[SongRecord]:
    folder = tmp_path_factory.mktemp("songs")
    return [record(folder, 20 * i + 19, genre, (CAPTION,)) for i, genre in enumerate(("pop", "folk", "pop", "folk"))]


def test_only_captions_that_state_tempo_and_key_are_asked(songs, tmp_path):
    vague = record(tmp_path, 99, "pop", ("a nice tune", "a tune in D minor at 90 BPM", CAPTION))
    assert evaluation.ask(vague).prompt == CAPTION
    assert evaluation.ask(record(tmp_path, 119, "pop", ("a nice tune at 120 BPM",))) is None
    genres = [question.song.genre for question in evaluation.choose_questions(songs, 4)]
    assert genres == ["folk", "pop", "folk", "pop"]
    with pytest.raises(SystemExit, match="4"):
        evaluation.choose_questions(songs, 5)


def test_a_parrot_of_the_composer_measures_like_the_composer(songs, tmp_path):
    questions = evaluation.choose_questions(songs, 4)
    pipe = Parrot(Track(Audio.load(songs[0].audio).samples, songs[0].plan))
    codec = evaluation.measure_codec(pipe, songs[:1])
    assert codec["codec"]["log_mel_db"] == 0.0 < codec["8-bit μ-law"]["log_mel_db"]
    music = evaluation.measure_music(pipe, questions, evaluation.QUICK, tmp_path)
    assert music["music"]["model"] == music["music"]["composer"] == music["music"]["codec"]
    assert music["music"]["model"]["tempo within 4 %"] == music["music"]["model"]["key first"] == 1.0
    assert music["music"]["model"]["chord agreement"] == 1.0
    assert (tmp_path / "1-model.png").exists() and (tmp_path / "1-composer.png").exists()

    report = {"model": "parrot", "codec": codec, **music}
    report["sets"] = evaluation.measure_sets(report.pop("embeddings"), ["pop", "folk"] * 2, songs)
    text = evaluation.render_report(report, evaluation.QUICK)
    assert "| composer | 1 |" in text and CAPTION in text
    json.dumps(evaluation.without_nan(report), allow_nan=False)


def test_a_fit_finds_the_candidate_that_is_always_right():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 10, 3)).astype(np.float32)
    best = (features @ np.array([1.0, -2.0, 0.5])).argmax(axis=1)
    weights = estimators.fit(features, best[:, None] == np.arange(10))
    assert ((features @ weights).argmax(axis=1) == best).mean() > 0.95


def test_fitted_weights_are_used_as_they_were_fitted():
    rng = np.random.default_rng(0)
    chromas, weights = rng.random((4, 12)), rng.standard_normal(2 * 4 * 12 + 1)
    profile, minor_bias = estimators.unfold(weights)
    np.testing.assert_allclose(
        harmony.match(chromas[None], profile, minor_bias)[0], estimators.fold(chromas) @ weights, rtol=1e-5
    )


def test_profiles_survive_saving_and_fit_their_features(tmp_path):
    shipped = profiles.profiles()
    profiles.save(shipped, tmp_path / "profiles.json")
    assert (tmp_path / "profiles.json").read_text() == profiles.PATH.read_text()
    features = rhythm.pulse_features(
        np.random.default_rng(0).random((4, 900)), np.random.default_rng(1).random((1, 225))
    )
    assert features.shape == (len(rhythm.PULSES), len(shipped.pulse))
