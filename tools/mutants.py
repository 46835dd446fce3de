"""Small wrong changes, each of which some test must notice.

    python tools/mutants.py                          all of mutant_list.py, about half an hour
    python tools/mutants.py --only plan/editing.py   those whose file or description holds a text
    python tools/mutants.py --list                   what they are

The tree is copied to a temporary folder, and every change is made and taken back there, one at a time. Exits with 1
when a change survives its tests, no longer applies, or when the tests fail without any change.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutant_list import MUTANTS, Mutant
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
COPIED = (
    "hybridgen",
    "kernels",
    "tests",
    "configs",
    "train",
    "tools",
    "demos",
    "docs",
    "pyproject.toml",
)  # where they exist
LINKED = ("hybridgen/presets", "hybridgen/metrics/probe.safetensors")  # large, and no test writes to them
LIMIT = 300  # seconds: a change that makes the tests run longer has been noticed


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a mutant."""

    mutant: Mutant
    noticed: str | None  # the first test that failed; None: none did, or the mutant does not apply
    seconds: float
    problem: str = ""  # why it could not be tried


def copy_tree(folder: Path) -> None:
    """What the tests need of the repository, in `folder`; large files that no test writes to are links."""
    linked = [ROOT / path for path in LINKED]

    def ignored(here: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or Path(here, name) in linked]

    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        elif source.is_file():
            shutil.copy2(source, folder / name)
    for path in linked:
        if path.exists():
            (folder / path.relative_to(ROOT)).symlink_to(path)


def run_tests(folder: Path, tests: Sequence[str], limit: float | None = None) -> str | None:
    """The first test that fails in a copy of the tree, or None; ValueError when there is nothing to run.

    Not to end within `limit` seconds counts as a failure.
    """
    settings = ("OMP_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={folder}:{folder / 'kernels'}")
    command = ("env", *settings, sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider", *tests)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"(no end within {limit} s)"
    if done.returncode == 0:
        return None
    if done.returncode == 4 and "while loading conftest" in done.stdout + done.stderr:
        return "tests/conftest.py, which cannot be imported"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode not in (1, 2) or failed is None:
        raise ValueError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}")
    return failed[1]


def try_mutant(mutant: Mutant, folder: Path) -> Outcome:
    """Changes the copy, runs the mutant's tests, and takes the change back."""
    path = folder / mutant.path
    started = time.monotonic()
    try:
        text = path.read_text(encoding="utf-8")
        changed = mutant.applied_to(text)
    except (OSError, ValueError) as error:
        return Outcome(mutant, None, 0.0, str(error))
    path.write_text(changed, encoding="utf-8")
    try:
        return Outcome(mutant, run_tests(folder, mutant.tests.split(), LIMIT), time.monotonic() - started)
    except ValueError as error:
        return Outcome(mutant, None, time.monotonic() - started, str(error))
    finally:
        path.write_text(text, encoding="utf-8")


def chosen(only: str) -> list[Mutant]:
    """The mutants whose file or description holds a text."""
    return [mutant for mutant in MUTANTS if only in mutant.path or only in mutant.why]


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A line for each outcome under the name of its file, then one about all."""
    path = ""
    for outcome in outcomes:
        if outcome.mutant.path != path:
            path = outcome.mutant.path
            yield path
        said = outcome.problem or (f"noticed by {outcome.noticed}" if outcome.noticed else "SURVIVED")
        yield f"  {outcome.mutant.why}: {said} ({outcome.seconds:.1f} s)"
    n_noticed = sum(outcome.noticed is not None for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    yield f"{n_noticed} of {len(outcomes)} mutants noticed, {seconds:.0f} s"


def main() -> None:
    """The command line: exits with 1 unless every mutant is noticed."""
    parser = argparse.ArgumentParser(description="Makes small wrong changes; some test must notice each of them.")
    parser.add_argument("--only", default="", help="those whose file or description holds this text")
    parser.add_argument("--list", action="store_true", help="say what they are and run nothing")
    args = parser.parse_args()
    mutants = chosen(args.only)
    if args.list or not mutants:
        print("\n".join(f"{mutant.path}: {mutant.why}" for mutant in mutants) or f"no mutant holds {args.only!r}")
        sys.exit(not mutants)
    with tempfile.TemporaryDirectory(prefix="hybridgen-mutants-") as name:
        folder = Path(name).resolve()
        copy_tree(folder)
        tests = sorted({test for mutant in mutants for test in mutant.tests.split()})
        if failed := run_tests(folder, tests):
            sys.exit(f"{failed} fails without any change")
        outcomes = [try_mutant(mutant, folder) for mutant in tqdm(mutants, "mutants")]
    print("\n".join(lines(outcomes)))
    sys.exit(any(outcome.noticed is None for outcome in outcomes))


if __name__ == "__main__":
    main()
