"""The wheel is self-contained: built, installed into a fresh environment, used far from the checkout."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import NUMBA_CACHE, ROOT

EVALUATE = """
from pathlib import Path
import hybridgen
from hybridgen.evaluation.prompts import EvalSize
from hybridgen.evaluation.run import evaluate

if __name__ == "__main__":  # its workers import this file again
    size = EvalSize(((8, 2),), n_references=8, n_pictures=1, speed_seconds=1.0, speed_runs=1)
    print(hybridgen.__file__)
    print(evaluate("tiny", Path("report"), size, workers=1))
"""


def call(*command: object, cwd: Path, code: int = 0) -> str:
    """The output, or the error, of a command that sees neither the checkout nor its environment."""
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["NUMBA_CACHE_DIR"] = NUMBA_CACHE.name  # of this process: see tests/conftest.py
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run([str(word) for word in pip], check=True, capture_output=True)
    return next(folder.glob("hybridgen-*.whl"))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of an environment with the wheel are, and by their path alone this one's dependencies."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run([str(word) for word in pip], check=True, capture_output=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")  # its own .pth files stay unread
    return folder / "bin"


def test_it_holds_the_library_its_data_and_its_types_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    data = (
        "presets/tiny/codec.safetensors",
        "metrics/probe.safetensors",
        "metrics/transcription.safetensors",
        "page/index.html",
    )
    for name in ("py.typed", *data, "configs/models/base.yaml"):
        assert f"hybridgen/{name}" in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"hybridgen", "hybridgen_kernels"}


def test_it_generates_and_encodes_outside_the_checkout(binaries: Path, tmp_path: Path):
    assert "made in" in call(
        binaries / "hybridgen", "generate", "techno", "--seconds", "2", "-o", "t.wav", cwd=tmp_path
    )
    assert soundfile.info(tmp_path / "t.wav").frames == 88_200
    call(binaries / "hybridgen", "verify", "t.wav", cwd=tmp_path)
    assert "latent frames" in call(binaries / "hybridgen", "encode", "t.wav", "-o", "l.safetensors", cwd=tmp_path)
    call(binaries / "hybridgen", "decode", "l.safetensors", "-o", "again.wav", cwd=tmp_path)
    assert np.abs(soundfile.read(tmp_path / "again.wav")[0]).max() > 0.1


def test_it_evaluates_outside_the_checkout(binaries: Path, tmp_path: Path):
    (tmp_path / "measure.py").write_text(EVALUATE)
    shown = call(binaries / "python", "measure.py", cwd=tmp_path)
    assert shown.splitlines()[0].startswith(str(binaries.parent)) and "tempo" in shown
    assert (tmp_path / "report" / "report.json").is_file()


def test_its_evaluate_command_gets_as_far_as_the_model(binaries: Path, tmp_path: Path):
    """Past all that it imports; a whole report takes minutes, and the test above makes a small one."""
    assert "--quick" in call(binaries / "hybridgen", "evaluate", "--help", cwd=tmp_path)
    error = call(binaries / "hybridgen", "evaluate", "nosuchmodel", "-o", "r", cwd=tmp_path, code=2)
    assert len(error.splitlines()) == 1 and "model 'nosuchmodel' is not a folder" in error
    assert not (tmp_path / "r").exists()
