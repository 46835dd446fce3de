"""Stereo images that the shipped codec was not trained on: its level stays that of the input, ordinary ones stay bit
for bit."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen import config, weights
from hybridgen.audio import CEILING_DBTP, Audio, master
from hybridgen.codecs import stereo
from hybridgen.codecs.own import SpectralCodec, mid_side
from hybridgen.stages import PipelineConfig

RATE, SECONDS = 44_100, 6
FOLDER = Path(__file__).parents[1] / "hybridgen" / "presets" / "tiny"


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    codec = SpectralCodec(config.load(PipelineConfig, FOLDER / "config.yaml").codec).eval().requires_grad_(False)
    weights.load_weights(codec, FOLDER / "codec.safetensors")
    return codec


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """(2, N) float32: drums, bass and chords at 100 BPM, the three notes of a chord at different places."""
    rng, samples = np.random.default_rng(0), np.zeros((2, SECONDS * RATE))
    hit, bar = np.arange(RATE // 5) / RATE, np.arange(round(2.4 * RATE)) / RATE
    sounds = {
        "kick": np.sin(2 * np.pi * 55 * hit) * np.exp(-18 * hit),
        "snare": rng.normal(size=len(hit)) * np.exp(-25 * hit),
    }

    def add(seconds: float, sound: np.ndarray, place: float) -> None:
        start = round(seconds * RATE)
        stop = min(start + len(sound), samples.shape[1])
        samples[:, start:stop] += sound[: stop - start] * np.array([[1 - place], [place]])

    for beat in range(10):
        add(0.6 * beat, 0.5 * sounds["snare" if beat % 2 else "kick"], 0.5)
        add(0.6 * beat + 0.3, 0.1 * rng.normal(size=len(hit)) * np.exp(-80 * hit), 0.7)
        add(0.6 * beat, 0.2 * np.sign(np.sin(2 * np.pi * 55 * bar[: RATE // 2])) * np.exp(-4 * bar[: RATE // 2]), 0.5)
    for start in (0.0, 2.4, 4.8):
        for note, place in zip((57, 60, 64), (0.1, 0.5, 0.9), strict=True):
            phase = 2 * np.pi * 440 * 2 ** ((note - 69) / 12) * bar
            add(start, sum(np.sin(k * phase) / k**1.5 for k in range(1, 7)) * 0.15 * np.exp(-bar), place)
    return (samples * 0.2 / samples.std()).astype(np.float32)


def image(song: np.ndarray, kind: str) -> np.ndarray:
    middle, side = song.mean(0), (song[0] - song[1]) / 2
    left, right = {
        "mono": (middle, middle),
        "side at -40 dB": (middle + side / 100, middle - side / 100),
        "left alone": (middle, 0 * middle),
        "antiphase": (middle, -middle),
        "half antiphase": (middle, -middle / 2),
    }[kind]
    return np.stack([left, right]).astype(np.float32)


def decibels(samples: np.ndarray) -> float:
    return 10 * math.log10(np.square(samples).mean(dtype=float))


@pytest.mark.parametrize("kind", ["mono", "side at -40 dB", "left alone", "antiphase", "half antiphase"])
def test_the_codec_keeps_the_level_of_any_image(codec: SpectralCodec, song: np.ndarray, kind: str):
    samples = image(song, kind)
    decoded = codec.decode(codec.encode(torch.from_numpy(samples)[None]))[0].numpy()[:, : samples.shape[1]]
    assert abs(decibels(decoded) - decibels(samples)) < 2.0
    master(decoded, gain_db=0.0)
    assert Audio(decoded, RATE).true_peak() <= CEILING_DBTP + 0.1


def test_an_ordinary_image_is_left_bit_for_bit(song: np.ndarray):
    sides = mid_side(torch.from_numpy(song)[None])
    assert stereo.normalized(sides, 2048) is sides


def test_what_is_mono_for_a_while_is_changed_there_alone(song: np.ndarray):
    samples = song.copy()
    samples[1, 3 * RATE :] = samples[0, 3 * RATE :]
    sides = mid_side(torch.from_numpy(samples)[None])
    changed = (stereo.normalized(sides, 2048) != sides).any(1)[0].nonzero().squeeze(1)
    assert 3 * RATE - 2 * stereo.SPAN < changed.min() < 3 * RATE + 2 * stereo.SPAN


def test_silence_stays_silence():
    sides = torch.zeros(1, 2, 50_000)
    assert not stereo.normalized(sides, 2048).any()


@pytest.mark.parametrize(("ratio", "width"), [(1.0, 0.5), (0.5, 0.25), (0.0, 0.0)])
def test_narrowing_multiplies_the_width(ratio: float, width: float):
    middle, side = np.random.default_rng(0).standard_normal((2, 100_000)).astype(np.float32)
    sound = np.stack([middle + side / 2, middle - side / 2])
    assert stereo.width(stereo.narrowed(sound, ratio)) == pytest.approx(width, abs=0.01)


def test_width_of_blocks_is_that_of_the_whole(song: np.ndarray):
    meter = stereo.WidthMeter()
    for start in range(0, song.shape[1], 10_007):
        meter.feed(song[:, start : start + 10_007])
    assert meter.n_samples == song.shape[1] and meter.width() == pytest.approx(stereo.width(song))
    assert stereo.is_narrow(stereo.width(image(song, "mono"))) and not stereo.is_narrow(stereo.width(song))
    assert stereo.width(image(song, "antiphase")) == math.inf
