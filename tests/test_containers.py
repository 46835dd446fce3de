"""The container files: what they copy is there, what they install is pinned, and nobody in them is root.

No container is built here. The lines are read as a builder reads them, and held to what they must agree with.
"""

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("Containerfile", "Containerfile.cuda")
KNOWN = {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV", "ENTRYPOINT", "CMD"}


def instructions(name: str) -> list[tuple[str, str]]:
    """(word, rest) of every instruction, lines that go on joined."""
    text = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def ignored(path: str) -> bool:
    """Whether a builder leaves a file out: the last pattern that names it, or a folder above it, decides."""
    out = False
    for line in (ROOT / ".containerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
            anywhere = [part for part in path.split("/") if fnmatch.fnmatch(part, pattern.removeprefix("**/"))]
            if any(fnmatch.fnmatch(one, pattern) for one in above) or (pattern.startswith("**/") and anywhere):
                out = not line.startswith("!")
    return out


@pytest.mark.parametrize("name", FILES)
def test_it_is_made_of_what_is_there(name: str):
    lines = instructions(name)
    assert lines[0][0] == "FROM" and {word for word, _ in lines} <= KNOWN
    for sources in (rest.split()[:-1] for word, rest in lines if word == "COPY"):
        for source in sources:
            assert (ROOT / source).exists() and (source == "." or not ignored(source)), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    version = re.fullmatch(r"docker\.io/library/python:(3\.\d+)-slim", lines[0][1])[1]
    assert f"Python :: {version}" in "".join(project["project"]["classifiers"])
    entry = json.loads(next(rest for word, rest in lines if word == "ENTRYPOINT"))
    assert entry[0] in project["project"]["scripts"]
    assert json.loads(next(rest for word, rest in lines if word == "CMD")) == ["--help"]


@pytest.mark.parametrize("name", FILES)
def test_what_it_installs_is_pinned_and_nobody_is_root(name: str):
    lines = instructions(name)
    makefile = (ROOT / "Makefile").read_text()
    torch = next(rest for word, rest in lines if word == "RUN" and "torch==" in rest)
    assert re.search(r"torch==[\d.]+", torch)[0] == re.search(r"torch==[\d.]+", makefile)[0]
    for command in (rest for word, rest in lines if word == "RUN" and "-r " in rest):
        assert "--no-deps --require-hashes" in command
    others = [rest for word, rest in lines if word == "RUN" and "pip install" in rest and "-r " not in rest]
    assert others == [torch, "pip install --no-cache-dir --no-deps /tmp/hybridgen"]
    words = [word for word, _ in lines]
    assert dict(lines)["USER"] == "hybridgen" and "RUN" not in words[words.index("USER") :]


def test_the_builder_sees_what_the_wheel_needs_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md", "LICENSE"]
    assert all((ROOT / path).exists() and not ignored(path) for path in needed)
    assert not ignored("hybridgen/presets/tiny/config.yaml") and not ignored("kernels/hybridgen_kernels/rms_norm.py")
    for path in (".venv/bin/python", ".git/config", "tests/conftest.py", "corpus/000001/mix.flac", "secrets.txt"):
        assert ignored(path), path
    assert ignored("hybridgen/__pycache__/x.pyc")
    assert (ROOT / ".dockerignore").resolve() == ROOT / ".containerignore"
