"""What the README says to type exists: commands, options, scripts, files of the tree; docs/plan.md shows a plan."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hybridgen.cli import build_parser
from hybridgen.plan.parts import Tempo
from hybridgen.plan.plan import Plan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))


def commands() -> list[str]:
    """Every hybridgen command line of the README, without its comment."""
    lines = [line.split("   ")[0].split(" #")[0].strip() for line in BLOCKS.splitlines()]
    return [line for line in lines if line.startswith("hybridgen ")]


@pytest.mark.parametrize("line", commands())
def test_the_command_line_knows_it(line: str):
    import shlex

    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:train|tools|configs)/[\w/]+\.(?:py|yaml)", README))))
def test_the_script_is_there(path: str):
    assert (ROOT / path).is_file()


def test_the_two_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("track", "test", "corpus"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"^    ([\w/]+(?:\.py|/))  ", README, re.MULTILINE))
def test_the_tree_is_the_tree(name: str):
    assert (ROOT / "hybridgen" / name).exists()


def test_no_file_of_the_library_is_missing_from_the_tree():
    listed = set(re.findall(r"^    ([\w]+)(?:\.py|/)", README, re.MULTILINE))
    found = {p.stem for p in (ROOT / "hybridgen").iterdir() if p.suffix in ("", ".py") and not p.name.startswith("_")}
    assert found - listed <= set()


def test_the_plan_of_the_documentation_is_a_plan():
    page = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
    plan = Plan.from_json(page.partition("```json")[2].partition("```")[0])
    assert plan.tempo == (Tempo(1, 84.0, ramp=True), Tempo(5, 104.0)) and str(plan.ending) == "fade 2"
    assert (np.diff(np.diff(plan.bar_starts())[:5]) < 0).all()  # faster from bar to bar
    assert len(set(np.diff(plan.bar_starts())[4:])) <= 2  # then steady, to the sample
    fields = json.loads(plan.to_json()).keys() | {"beats", "codes", "time_base"}
    assert all(f"| `{name}` |" in page for name in fields - {"hybridgen_plan", "prompt", "seed"})
