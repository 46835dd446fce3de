"""The mutants still apply and every core file has one; that they are noticed is for tools/mutants.py to say."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tools.mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
CORE = ("*.py", "codecs/*.py", "plan/*.py", "release/*.py", "render/*.py", "text/*.py")
CORE += ("analysis/*.py", "metrics/*.py", "serve/*.py")
COMPOSER = ("dynamics", "drums", "form", "harmony", "melody", "notation", "performance", "players", "rhythm", "staging")
CORE += tuple(f"data/composer/{name}.py" for name in COMPOSER)
CORE += ("data/captions.py", "data/prepared_dataset.py", "data/shards.py", "training/planner_data.py")
CORE += tuple(f"training/{name}.py" for name in ("checkpoints", "dataset", "ema", "guards", "losses", "objectives"))
NOT_CORE = {"__init__.py", "__main__.py", "plan/plan.py", "plot.py"}  # they compute nothing that another file uses


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.path}: {mutant.why}")
def test_a_mutant_still_applies(mutant: Mutant):
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutant.applied_to(text)
    assert changed != text
    compile(changed, mutant.path, "exec")


def test_every_test_that_a_mutant_names_can_be_collected():
    """A module that cannot be imported, or a test that was renamed, would notice every mutant or none."""
    named = sorted({test for mutant in MUTANTS for test in mutant.tests.split()})
    command = (sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *named)  # -q: pyproject.toml
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    collected = {line.partition("[")[0] for line in done.stdout.splitlines()}
    missing = [test for test in named if not any(one == test or one.startswith(f"{test}::") for one in collected)]
    assert missing == []


def test_every_core_file_has_a_mutant():
    library = ROOT / "hybridgen"
    core = {path.relative_to(library).as_posix() for pattern in CORE for path in library.glob(pattern)}
    core = {path for path in core if path not in NOT_CORE and not path.endswith("__init__.py")}
    assert {f"hybridgen/{path}" for path in core} <= {mutant.path for mutant in MUTANTS}
    assert len(MUTANTS) >= 40


def test_no_change_is_listed_twice():
    counts = Counter((mutant.path, mutant.old, mutant.new) for mutant in MUTANTS)
    assert counts.most_common(1)[0][1] == 1
