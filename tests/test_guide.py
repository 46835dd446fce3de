"""docs/training.md is run: every block marked bash, in order, with small runs laid over the commands that train."""

import os
import re
import subprocess
import sys
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen.data import corpus
from hybridgen.stages import STAGES

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/training.md").read_text()
RATE, SECONDS = 44_100, 10.5
SHORT = """\
planner:
  steps: 1
  rendered_frames: 100
  rendered_share: 1.0
  scores: {batch_size: 4, seconds: [5, 8], long_seconds: [8, 10]}
  run: {workers: 0}
  optim: {warm_up: 0, cool_down: 1}
renderer:
  phases: [{steps: 1, windows: [32], frames: 64}]
  run: {workers: 0}
  optim: {warm_up: 0, cool_down: 1}
codec:
  steps: 1
  batch_size: 1
  crop: 16384
  run: {workers: 0}
  engine: {bfloat16: false}
  optim: {warm_up: 0, cool_down: 1}
"""


def commands() -> list[str]:
    """Every command of the guide's blocks that are marked bash."""
    blocks = re.findall(r"(?m)^```bash\n(.*?)^```$", GUIDE, re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def shortened(command: str) -> str:
    """The command as a test has time for it."""
    script = re.match(r"python train/(\w+)\.py configs/train", command)
    if script and script[1] in STAGES:
        return f"{command} short.yaml"
    if command.startswith("python train/prepare.py"):
        return f"{command} --workers 1"
    return command.replace("--seconds 30", "--seconds 4")


def write_songs(folder: Path) -> None:
    """Three songs with captions, one of which is held out: the name of a prepared song depends on what is in it."""
    folder.mkdir()
    time = np.arange(int(SECONDS * RATE)) / RATE
    for name, hertz in (("dawn", 220.0), ("night", 330.0)):
        tone = 0.2 * np.sin(2 * np.pi * hertz * time) * (0.5 + 0.5 * np.sin(4 * np.pi * time))
        soundfile.write(folder / f"{name}.wav", np.stack([tone, 0.8 * tone], 1), RATE)
        (folder / f"{name}.txt").write_text("soft piano, 120 BPM in A minor\n")
    held_out = next(name for i in range(1000) if is_held_out(name := f"dusk{i}", folder / "dawn.wav"))
    (folder / f"{held_out}.wav").write_bytes((folder / "dawn.wav").read_bytes())


def is_held_out(name: str, sound: Path) -> bool:
    """Whether a song of this name and sound, without a caption, is one that nobody learns."""
    digest = sha256(sound.read_bytes() + b"\0").hexdigest()
    return corpus.split(zlib.crc32(f"{name}-{digest[:12]}".encode())) == "test"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the root of the repository, with songs in it."""
    folder = tmp_path_factory.mktemp("guide")
    for name in ("train", "tools", "configs", "hybridgen", "kernels"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "short.yaml").write_text(SHORT)
    write_songs(folder / "my-songs")
    return folder


def test_every_command_of_the_guide_runs(workplace: Path):
    """From three songs to a track of a model that learned from two of them."""
    bin_folder = workplace / "bin"
    bin_folder.mkdir()
    for name, arguments in (("python", ""), ("hybridgen", "-m hybridgen")):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (bin_folder / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("NUMBA_CACHE_DIR", None)  # librosa's loops compiled once for all: one command runs at a time
    for command in commands():
        done = subprocess.run(
            ["sh", "-ec", shortened(command)],
            cwd=workplace,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    samples, rate = soundfile.read(workplace / "track.wav")
    assert rate == RATE and samples.shape == (4 * RATE, 2)
    assert (workplace / "my-model" / "training.json").is_file()


def test_the_guide_goes_the_whole_way():
    """A block that is no longer marked would no longer be run."""
    scripts = [match[1] for command in commands() if (match := re.match(r"python (?:train|tools)/(\w+)\.py", command))]
    assert scripts == ["prepare", "estimate", "codec", "planner", "renderer", "export"]
    assert any(command.startswith("hybridgen generate") for command in commands())


def test_files_that_the_guide_names_are_there():
    named = set(re.findall(r"\b(?:configs|train|tools|hybridgen|tests)/[\w./-]+\w", GUIDE))
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
