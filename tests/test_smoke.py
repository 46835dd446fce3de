"""What `make smoke` does."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(900)
def test_every_stage_is_trained_by_two_processes_and_the_result_makes_a_track(tmp_path):
    command = [sys.executable, str(ROOT / "tools/smoke.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "track.wav").stat().st_size == pytest.approx(4 * 44_100 * 2 * 3, rel=0.1)
