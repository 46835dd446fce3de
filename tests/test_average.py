"""train/average.py: the mean of weights before and after a training, layers that are new as they are."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT, load_script


@pytest.fixture(scope="module")
def average() -> ModuleType:
    return load_script("train/average.py")


def weights(path: Path, **tensors: torch.Tensor) -> Path:
    save_file(tensors, path)
    return path


def test_a_share_of_the_change_is_kept_and_what_is_new_whole(average: ModuleType, tmp_path: Path):
    before = weights(tmp_path / "a", layer=torch.tensor([0.0, 4.0]))
    after = weights(tmp_path / "b", layer=torch.tensor([1.0, 0.0]).half(), added=torch.tensor([3.0]))
    arguments = ["--before", str(before), "--after", str(after), "--share", "0.25", "--out", str(tmp_path / "c")]
    average.main(average.parser().parse_args(arguments))
    made = load_file(tmp_path / "c")
    assert made["layer"].tolist() == [0.25, 3.0] and made["layer"].dtype == torch.float16
    assert made["added"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train/average.py", "--before", "{a}", "--after", "{a}", "--out", "{a}/none/x"], "none"),
        (["train/export.py", "--model", "nofile.yaml", "--out", "{a}/model"], "nofile.yaml"),
    ],
)
def test_a_file_that_is_not_there_is_one_line(arguments: list[str], words: str, tmp_path: Path):
    one = weights(tmp_path / "a", layer=torch.zeros(2))
    command = [sys.executable, *(part.replace("{a}/", f"{tmp_path}/").replace("{a}", str(one)) for part in arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_weights_that_do_not_fit_are_named(average: ModuleType, tmp_path: Path):
    one = {"layer": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"layer is in the weights before and not in those after"):
        average.average(one, {"other": torch.zeros(2)}, 0.5)
    with pytest.raises(ValueError, match=r"layer has the shape \(2,\) before, \(3,\) after"):
        average.average(one, {"layer": torch.zeros(3)}, 0.5)
    with pytest.raises(ValueError, match=r"share 1\.5 is not within 0-1"):
        average.average(one, one, 1.5)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(ValueError, match="text"):
        average.load(tmp_path / "text")
