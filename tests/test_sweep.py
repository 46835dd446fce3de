"""The sweep of sampling settings: what a setting says, what a rendering of the truth costs and scores, the table."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.audio import Audio
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import spectral
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE
from tools import sweep

SETTINGS = ("", "num_steps=8", "guidance_scale=1", "window=64 overlap=32")


def test_a_setting_changes_what_it_names(pipe: Pipeline):
    base = pipe.config.sampling
    assert sweep.sampling_of(base, "") == base
    found = sweep.sampling_of(base, "num_steps=4 guidance_scale=3")
    assert found == replace(base, num_steps=4, guidance_scale=3.0)
    assert all(sweep.sampling_of(base, setting) for setting in sweep.GRID)
    with pytest.raises(ValueError, match="steeps"):
        sweep.sampling_of(base, "steeps=4")
    with pytest.raises(ValueError, match="steps 0"):
        sweep.sampling_of(base, "num_steps=0")


@pytest.fixture(scope="module")
def songs(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[np.ndarray, list[sweep.Score]]]:
    """Three songs of noise, measured for their first six seconds."""
    folder, songs = tmp_path_factory.mktemp("songs"), []
    model = pipe.save_pretrained(folder / "model")
    plan = Plan(sections=(Section("verse", (Bar(("C",)), Bar(("Am",))) * 2),), tempo=(Tempo(1, 120.0),), key="C major")
    for i in range(3):
        sound = np.random.default_rng(i).standard_normal((2, plan.length)).astype(np.float32)
        Audio(0.1 * sound, SAMPLE_RATE).save(folder / f"{i}.flac")
        record = SongRecord(i, folder / f"{i}.flac", plan, "pop", (), ("a tune",), "test")
        songs.append(sweep.measure_song(model, record, SETTINGS, seconds=6.0))
    return songs


def test_evaluations_are_counted_and_nothing_is_missing(songs):
    _, scores = songs[0]
    assert [score.evaluations for score in scores] == [4, 16, 2, 4]  # two steps, guided, are the model's own
    for score in scores:
        values = (score.seconds, score.mel_db, score.chroma, score.chords, *score.embedding)
        assert np.isfinite(values).all()


def test_the_table_has_a_row_for_each_setting(songs):
    rows = sweep.summarize(songs, SETTINGS)
    assert [row["setting"] for row in rows] == ["the model's own", *SETTINGS[1:]]
    assert rows[0]["mel_db_error"] == rows[0]["chroma_error"] == 0.0 < rows[1]["mel_db_error"]
    lines = sweep.table(rows).splitlines()
    assert len(lines) == 2 + len(SETTINGS) + 2
    assert {line.count("|") for line in lines[: 2 + len(SETTINGS)]} == {8}


def test_notes_agree_with_themselves_and_not_with_noise():
    t = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    tune = np.sin(2 * np.pi * np.where(t < 2, 220.0, 330.0) * t)[None].repeat(2, axis=0)
    noise = np.random.default_rng(0).standard_normal(tune.shape)
    assert spectral.chroma_correlation(tune, tune) == pytest.approx(1.0, abs=1e-3)
    assert spectral.chroma_correlation(noise, tune) < 0.5
