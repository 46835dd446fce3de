"""The tool that measures codecs: what it measures on, and that it takes any folder of a codec, of others too."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from hybridgen import config
from hybridgen.pipeline import Pipeline
from tests.test_codecs import DAC, OOBLECK, save_theirs, write_model


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/codec_figures.py")


def test_any_folder_of_a_codec_gets_its_row(tool: ModuleType, pipe: Pipeline, tmp_path: Path, capsys):
    model, run, shapes = tmp_path / "model", tmp_path / "run", tmp_path / "shapes.yaml"
    pipe.save_pretrained(model)
    run.mkdir()
    shutil.copy(model / "codec.safetensors", run)
    shapes.write_text(yaml.safe_dump({"codec": config.dump(pipe.config.codec)}))
    names = [str(model), f"{run}@{shapes}"]
    tool.main([*names, "--without-opus", "--out", str(tmp_path / "figures.json")])
    found = json.loads((tmp_path / "figures.json").read_text())
    assert list(found) == names
    assert found[names[0]] == found[names[1]]
    assert capsys.readouterr().out.count("times faster than real time") == 2


@pytest.mark.parametrize("section", [{"dac": DAC}, {"oobleck": OOBLECK}], ids=["dac", "oobleck"])
def test_a_codec_of_others_gets_its_row_as_it_is(tool: ModuleType, section: dict, tmp_path: Path, capsys):
    """Without the measure of its latents, which decoding takes back what encoding did."""
    save_theirs(next(iter(section)), tmp_path / "theirs")
    name = f"{tmp_path / 'theirs'}@{write_model(tmp_path / 'model.yaml', **section)}"
    tool.main([name, "--without-opus", "--out", str(tmp_path / "figures.json")])
    assert list(json.loads((tmp_path / "figures.json").read_text())) == [name]
    assert capsys.readouterr().out.count("times faster than real time") == 1
    model = write_model(tmp_path / "other.yaml", **{kind: replace(one, license="X") for kind, one in section.items()})
    with pytest.raises(SystemExit, match="2"):
        tool.main([f"{tmp_path / 'theirs'}@{model}"])
    assert "accept it by name: --accept-license X" in capsys.readouterr().err


def test_sounds_without_a_room_are_mono_or_not_and_have_sharp_attacks(tool: ModuleType):
    mono, wide = tool.dry_notes(0.0), tool.dry_notes(0.8)
    assert np.array_equal(mono[0], mono[1]) and not np.array_equal(wide[0], wide[1])
    assert np.abs(wide).max() <= 1
    assert np.abs(mono[:, :50]).max() > 0.1


@pytest.mark.parametrize("rate", [32, 64])
def test_opus_gives_back_as_many_samples_where_they_were(tool: ModuleType, rate: int):
    if not tool.opus_copies():
        pytest.skip("opus-tools is not installed")
    sound = tool.dry_notes(0.8)
    copy = tool.opus(rate)(sound)
    assert copy.shape == sound.shape
    assert np.abs(copy - sound).std() < 0.3 * sound.std()


def test_what_is_no_codec_is_refused(tool: ModuleType, tmp_path: Path, capsys):
    (tmp_path / "shapes.yaml").write_text("planner: {}")
    with pytest.raises(SystemExit, match="2"):
        tool.main([f"{tmp_path}@{tmp_path}/shapes.yaml"])
    assert "none of the sections codec, dac, oobleck, but ['planner']" in capsys.readouterr().err
