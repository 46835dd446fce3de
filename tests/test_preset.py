"""The shipped preset: whole, small, of the published shapes, offline, and its sampling defaults are everybody's."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen import config, files, weights
from hybridgen.audio import TARGET_LUFS, Audio
from hybridgen.codecs.own import SpectralCodec
from hybridgen.data.sound import sources
from hybridgen.pipeline import Pipeline
from hybridgen.plan.harmony import scale_pitches, split_chord, split_key
from hybridgen.stages import STAGES, PipelineConfig

FOLDER = Path(__file__).parents[1] / "hybridgen" / "presets" / "tiny"


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the shipped preset used the network"))
        return Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    """The shipped codec alone."""
    codec = SpectralCodec(config.load(PipelineConfig, FOLDER / "config.yaml").codec).eval()
    weights.load_weights(codec, FOLDER / "codec.safetensors")
    return codec


def test_all_stages_are_at_most_64_megabytes():
    assert sum((FOLDER / f"{stage}.safetensors").stat().st_size for stage in STAGES) <= 64_000_000


def test_it_has_the_shapes_of_its_yaml(tiny: Pipeline):
    assert tiny.config == config.load(PipelineConfig, config.preset("models/tiny"))
    assert tiny.weight_hashes == {f"{s}.safetensors": files.sha256(FOLDER / f"{s}.safetensors") for s in STAGES}


def test_its_training_is_documented():
    record = json.loads((FOLDER / "training.json").read_text())
    assert record["corpus"]["seed"] == 0
    assert record["corpus"]["notices"].keys() == sources.BY_NAME.keys()  # a card for the Hub is made of it
    assert all(record["stages"][stage] for stage in STAGES)


A_MAJOR = [220 * 2 ** (semitones / 12) * partial for semitones in (0, 4, 7) for partial in (1, 2)]  # Hz


def share_at(samples: torch.Tensor, frequencies: list[float], width: float = 1.5) -> float:
    """The share of the energy of samples (2, N) within `width` Hz of one of the frequencies."""
    n = samples.shape[-1]
    power = torch.fft.rfft(samples * torch.hann_window(n)).abs().square().sum(0)
    away = (torch.fft.rfftfreq(n, 1 / 44_100)[:, None] - torch.tensor(frequencies)).abs().amin(1)
    return (power[away < width].sum() / power.sum()).item()


@torch.no_grad()
def test_a_decoded_triad_has_its_energy_at_its_notes(codec: SpectralCodec):
    time = torch.arange(3 * 44_100, dtype=torch.float64) / 44_100
    triad = 0.1 * torch.sin(2 * torch.pi * torch.tensor(A_MAJOR)[:, None] * time).sum(0)
    triad = triad.float().expand(1, 2, -1)
    decoded = codec.decode(codec.encode(triad))
    assert share_at(triad[0], A_MAJOR) > 0.999
    assert share_at(decoded[0], A_MAJOR) > 0.95  # 0.00 without the oscillators, 0.11 without the path to them


def test_a_prompt_becomes_loud_enough_sound_in_the_key_and_tempo_asked(tiny: Pipeline):
    track = tiny.generate("warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor", seconds=12, seed=7)
    assert track.samples.shape == (2, 12 * 44_100)
    assert (track.plan.key, track.plan.tempo[0].bpm) == ("A minor", 84.0)
    assert abs(track.audio.loudness() - TARGET_LUFS) <= 1.0
    assert track.audio.true_peak() <= -1.0


@pytest.mark.parametrize("key", ["F# major", "B minor", "Eb minor", "Ab major"])
def test_planned_chords_belong_to_the_key(tiny: Pipeline, key: str):
    plan = tiny.plan("indie rock", key=key, seconds=40, seed=1)[0]
    roots = [split_chord(chord)[0] for section in plan.sections for bar in section.bars for chord in bar.chords]
    assert roots[-1] == split_key(key)[0]
    assert sum(root in scale_pitches(key) for root in roots) > 0.8 * len(roots) and len(set(roots)) > 2


@pytest.mark.parametrize("kind", ["mono", "a side 30 dB under the mid", "a side 60 dB under the mid"])
def test_music_without_a_side_keeps_its_level(kind: str, tiny: Pipeline):
    """The shipped weights were trained on stereo alone: mono came back as peaks in the thousands."""
    left, right = tiny.generate("lo-fi hip hop, 90 BPM", seconds=6, seed=1, ending="ring-out").samples
    mid, side = (left + right) / 2, (left - right) / 2
    shares = {"mono": 0.0, "a side 30 dB under the mid": 10**-1.5}
    share = shares.get(kind, 1e-3)
    side = side * (np.sqrt((mid**2).mean() / (side**2).mean()) * share)
    sound = np.stack([mid + side, mid - side])
    decoded = tiny.decode(tiny.encode(Audio(sound, 44_100)), sound.shape[1])
    assert abs(10 * np.log10((decoded**2).mean() / (sound**2).mean())) < 2, kind
