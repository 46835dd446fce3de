"""A picture of a track shows its plan over its sound."""

import numpy as np
import pytest

from hybridgen import plot
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE

pytest.importorskip("matplotlib")

PLAN = Plan(
    sections=(
        Section("intro", (Bar(("Am",)), Bar(("F", "G"))), energy=2, roles=("bass",)),
        Section(None, (Bar(), Bar(("N",)))),
    ),
    tempo=(Tempo(1, 120.0),),
    key="A minor",
    instruments=(("bass", 33), ("pad", None)),
    prompt="a short test in A minor",
)


def tone(frequency: float, n: int) -> np.ndarray:
    return np.tile(0.5 * np.sin(2 * np.pi * frequency * np.arange(n) / SAMPLE_RATE), (2, 1)).astype(np.float32)


def read_size(path) -> tuple[int, int]:
    import matplotlib.image

    return matplotlib.image.imread(path).shape[:2]


def test_track_with_a_plan_becomes_a_picture(tmp_path):
    plot.plot(tone(440.0, PLAN.length), PLAN, tmp_path / "track.png")
    height, width = read_size(tmp_path / "track.png")
    assert height > 500 and width > 800


def test_a_figure_has_a_row_for_each_part_of_the_plan():
    figure = plot.draw(tone(440.0, PLAN.length), PLAN)
    assert len(figure.axes) == 4 and figure.axes[0].get_title(loc="left") == plot.title(PLAN)
    assert len(plot.draw(tone(440.0, 50_000), Plan(n_samples=50_000)).axes) == 1


def test_silence_is_dark_and_sound_is_not():
    assert plot.mel_spectrogram(np.zeros((2, 50_000), np.float32), SAMPLE_RATE)[1].max() <= plot.FLOOR_DB
    assert plot.mel_spectrogram(tone(440.0, 50_000), SAMPLE_RATE)[1].max() == 0.0


def test_sound_without_bars_is_drawn_without_a_plan(tmp_path):
    plot.plot(tone(440.0, 50_000), Plan(n_samples=50_000), tmp_path / "sound.png")
    assert read_size(tmp_path / "sound.png")[0] > 300


def test_silence_is_drawn_too(tmp_path):
    plot.plot(np.zeros((2, PLAN.length), np.float32), PLAN, tmp_path / "silence.png")
    assert (tmp_path / "silence.png").stat().st_size > 0


@pytest.mark.parametrize("frequency", [110.0, 1000.0, 9000.0])
def test_a_tone_lights_its_own_band(frequency):
    borders, decibels = plot.mel_spectrogram(tone(frequency, SAMPLE_RATE), SAMPLE_RATE)
    band = int(decibels.mean(axis=1).argmax())
    assert borders[band] * 0.9 <= frequency <= borders[band + 1] * 1.1
    assert decibels.max() == 0.0 and decibels.min() >= plot.FLOOR_DB


def test_a_long_sound_is_measured_in_blocks_and_thinned_to_the_pixels(monkeypatch):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 60_000)).astype(np.float32)
    _, whole = plot.mel_spectrogram(sound, SAMPLE_RATE)
    _, thinned = plot.mel_spectrogram(sound, SAMPLE_RATE, step=4)
    assert whole.shape == (128, 59) and thinned.shape == (128, 15)
    np.testing.assert_allclose(thinned[:, 2], whole[:, 8:12].mean(axis=1), atol=1e-3)
    monkeypatch.setattr(plot, "BLOCK", 8)
    for step, picture in ((1, whole), (4, thinned)):
        np.testing.assert_allclose(plot.mel_spectrogram(sound, SAMPLE_RATE, step)[1], picture, atol=1e-3)
    monkeypatch.setattr(plot, "MAX_COLUMNS", 20)
    image = plot.draw(sound, Plan(n_samples=60_000)).axes[0].images[0]
    assert image.get_array().shape == (128, 20)  # of three frames each
    assert image.get_extent()[:2] == pytest.approx([-0.5 * 1024 / SAMPLE_RATE, 59.5 * 1024 / SAMPLE_RATE])


def test_no_more_than_a_block_of_spectra_is_in_memory(monkeypatch):
    lengths = []
    measure = plot.spectra.mel_magnitude
    monkeypatch.setattr(plot.spectra, "mel_magnitude", lambda x, *rest: (lengths.append(len(x)), measure(x, *rest))[1])
    plot.mel_spectrogram(np.zeros((2, 60 * SAMPLE_RATE), np.float32), SAMPLE_RATE)
    assert max(lengths) <= plot.BLOCK * plot.HOP + plot.WINDOW < 60 * SAMPLE_RATE


def test_sections_meet_and_end_with_the_last_bar():
    spans = plot.section_spans(PLAN)
    np.testing.assert_allclose(spans, [[0.0, 4.0], [4.0, 8.0]])


def test_title_tells_prompt_and_facts():
    assert plot.title(PLAN) == "“a short test in A minor”    120 BPM · 4/4 · 4 bars · 8.0 s · A minor"
    assert plot.title(Plan(n_samples=SAMPLE_RATE)) == "1.0 s"
