"""The documentation: its commands run, its links lead somewhere, and what it says of prompts is what is read."""

import ast
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from hybridgen import formats
from hybridgen.cli import build_parser, main
from hybridgen.pipeline import Pipeline
from hybridgen.text.controls import understand

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
RUN = ("tour", "plan", "prompts", "changes", "formats", "style")  # whose blocks marked sh are run, each in a new folder
RATE = 44_100
SHORTER = (  # what a test has no time for: other numbers, the same commands
    ("--seconds 30", "--seconds 8"),
    ("122 BPM", "240 BPM"),
    ("--bars 16", "--bars 12"),
    ("12-15.5,20-22", "2-3.5,5-6"),
    ("--for 60", "--for 1"),
    ("-o my-style", "-o my-style --steps 1"),
)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page that are marked with one of these languages."""
    found = re.findall(r"(?m)^( *)```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL)
    return [body for _, language, body in found if language in languages]


def commands(page: Path, *languages: str) -> list[str]:
    """The hybridgen command lines of these blocks, without their comments."""
    lines = [
        line.strip().split("   ")[0].split(" #")[0] for body in blocks(page, *languages) for line in body.splitlines()
    ]
    return [line for line in lines if line.startswith("hybridgen ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_command_line_knows_every_command(page: Path):
    for line in commands(page, "", "sh", "text", "bash"):
        build_parser().parse_args(shlex.split(line)[1:])


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a person has: a song, a hummed tune, a MIDI file, a track, songs to learn from."""
    monkeypatch.chdir(tmp_path)
    time = np.arange(8 * RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 220 * time) * (0.5 + 0.5 * np.sin(4 * np.pi * time))
    (tmp_path / "my-songs").mkdir()
    for path in ("my-song.wav", "my-songs/dawn.wav", "my-songs/dusk.wav"):
        soundfile.write(path, np.stack([tone, 0.8 * tone], 1), RATE)
    Path("my-songs/dawn.txt").write_text("soft piano, 120 BPM in A minor\n")
    steps = np.array([0, 2, 4, 5])[(time[: 4 * RATE] * 1.5).astype(int) % 4]
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (steps / 12)) / RATE
    soundfile.write("hum.wav", 0.3 * np.sin(phase), RATE)
    return tmp_path


@pytest.fixture(scope="module")
def shipped() -> Pipeline:
    """The shipped model, loaded once for all commands."""
    return Pipeline.from_pretrained()


@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_run_one_after_the_other(
    name: str, workplace: Path, shipped: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *_, **__: shipped)
    lines = commands(ROOT / f"docs/{name}.md", "sh")
    assert lines
    if "song.mid" in " ".join(lines):
        Path("song.mid").write_bytes(formats.dump(shipped.plan("jazz, 200 BPM", bars=4, seed=1)[0], ".mid"))
    wrong = []
    for line in lines:
        for old, new in SHORTER:
            line = line.replace(old, new)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(shlex.split(line)[1:])
        out = re.search(r"-o (\S+)", line)
        if code != 0 or (out is not None and " -n " not in line and not (workplace / out[1]).exists()):
            wrong.append((line, code, capsys.readouterr().err))
    assert wrong == []


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its cells in order, on a shorter track; what a cell shows can be shown."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "demos/first_track.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    lines = ["SHOWN = []"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            body = ast.parse("".join(cell["source"]).replace("SECONDS = 20", "SECONDS = 14")).body
            lines += [ast.unparse(one) for one in body[:-1]]
            last = ast.unparse(body[-1])
            lines.append(f"SHOWN.append({last})" if isinstance(body[-1], ast.Expr) else last)
    (tmp_path / "cells.py").write_text("\n".join(lines), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("cells", tmp_path / "cells.py")
    cells = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cells)
    pages = [one._repr_html_() for one in cells.SHOWN if hasattr(one, "_repr_html_")]
    assert [page.startswith("<audio controls") for page in pages] == [False, True, True]
    assert (tmp_path / "first.flac").exists()
    assert np.abs(cells.sum_of_stems - cells.new.samples).max() < 1e-4


# ---- the site


@pytest.fixture(scope="module")
def hooks(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/docs_hooks.py")


def test_it_builds_and_no_link_is_dead(tmp_path: Path):
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "site" / "reference.html").read_text()
    for name in ("Pipeline.generate", "Pipeline.repaint", "Pipeline.push_to_hub", "Track.save", "Plan.edit"):
        assert f'id="hybridgen.{name}"' in reference, name
    prompts = (tmp_path / "site" / "prompts.html").read_text()
    assert "<!-- understood" not in prompts and "<!-- words" not in prompts
    assert "rhodes" in prompts and "50-92 BPM" in prompts
    for page in (tmp_path / "site").glob("*.html"):  # nothing is fetched from any other host
        assert not re.search(
            r'<(?:script|link|img)[^>]+(?:src|href)="https?://(?!huggingface\.co)', page.read_text()
        ), page


def test_what_the_page_of_prompts_says_is_read(hooks: ModuleType):
    page = (ROOT / "docs/prompts.md").read_text(encoding="utf-8")
    prompts = [line for body in hooks.UNDERSTOOD.findall(page) for line in body.strip().splitlines()]
    assert len(prompts) > 30
    for prompt in prompts:
        found = understand(prompt)
        assert found.summary() or found.notes, prompt
    assert set(hooks.WORD_LIST.findall(page)) == set(hooks.WORDS)
    instruments = hooks.WORDS["instruments"]()
    assert {"rhodes", "808", "congas", "nylon guitar"} <= set(instruments) and len(instruments) > 150
    assert set(hooks._flat(hooks.NAMES)) - set(instruments) == {"synth"}  # which of them, nobody knows
    for line_up in hooks.WORDS["ensembles"]():
        assert understand(line_up).controls.instruments, line_up


def test_a_link_that_leads_nowhere_stays_to_be_found(hooks: ModuleType):
    class Page:
        class file:
            src_uri = "tour.md"

    def turned(text: str) -> str:
        return hooks.on_page_markdown(text, Page, None, None)

    assert turned("[a](../nothing.md)") == "[a](../nothing.md)"
    assert turned("[a](../CONTRIBUTING.md#where)") == "[a](CONTRIBUTING.md#where)"
    assert turned("see [jobs](../hybridgen/serve/jobs.py).") == "see jobs."
    assert turned("![p](pictures/notes-1.png)") == "![p](pictures/notes-1.png)"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "MODEL_CARD.md"])
def test_the_links_of_the_root_lead_somewhere(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)#\s]+)", text), *re.findall(r'src="([^"]+)"', text)]
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]
