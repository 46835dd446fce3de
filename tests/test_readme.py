"""What the README says to type exists: commands, options, scripts, files of the tree."""

import re
from pathlib import Path

import pytest

from hybridgen.cli import build_parser

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
