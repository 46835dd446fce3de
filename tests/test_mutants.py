"""The mutants still apply and every core file has one; that they are noticed is for tools/mutants.py to say."""

from collections import Counter
from pathlib import Path

import pytest

from tools.mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
CORE = ("*.py", "plan/*.py", "text/*.py", "metrics/*.py", "data/shards.py", "data/prepared.py", "data/captions.py")
CORE += tuple(f"training/{name}.py" for name in ("checkpoints", "dataset", "ema", "guards", "losses", "objectives"))
CORE += ("training/planner_data.py",)
NOT_CORE = {"__init__.py", "__main__.py", "cli.py", "plot.py"}  # they compute nothing


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.path}: {mutant.why}")
def test_a_mutant_still_applies(mutant: Mutant):
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutant.applied_to(text)
    assert changed != text
    compile(changed, mutant.path, "exec")
    for test in mutant.tests.split():
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


def test_every_core_file_has_a_mutant():
    core = {path for pattern in CORE for path in (ROOT / "hybridgen").glob(pattern) if path.name not in NOT_CORE}
    assert {path.relative_to(ROOT).as_posix() for path in core} <= {mutant.path for mutant in MUTANTS}
    assert len(MUTANTS) >= 40


def test_no_change_is_listed_twice():
    counts = Counter((mutant.path, mutant.old, mutant.new) for mutant in MUTANTS)
    assert counts.most_common(1)[0][1] == 1
