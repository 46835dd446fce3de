"""The shipped preset: whole, small, of the published shapes, offline, and its sampling defaults are everybody's."""

import json
import socket
from pathlib import Path

import pytest

from hybridgen import config, files
from hybridgen.audio import TARGET_LUFS
from hybridgen.pipeline import Pipeline
from hybridgen.plan import scale_pitches, split_chord, split_key
from hybridgen.stages import STAGES, PipelineConfig

FOLDER = Path(__file__).parents[1] / "hybridgen" / "presets" / "tiny"


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the shipped preset asked for the network"))
        return Pipeline.from_pretrained()


def test_all_stages_are_at_most_forty_megabytes():
    assert sum((FOLDER / f"{stage}.safetensors").stat().st_size for stage in STAGES) <= 40_000_000


def test_it_has_the_shapes_of_its_yaml(tiny: Pipeline):
    assert tiny.config == config.load(PipelineConfig, config.preset("models/tiny"))
    assert tiny.weight_hashes == {f"{s}.safetensors": files.sha256(FOLDER / f"{s}.safetensors") for s in STAGES}


def test_its_training_is_told():
    record = json.loads((FOLDER / "training.json").read_text())
    assert record["corpus"]["seed"] == 0
    assert all(record["stages"][stage] for stage in STAGES)


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
