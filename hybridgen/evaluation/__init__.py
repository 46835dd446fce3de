"""Measures a model against songs that no training has seen: `hybridgen evaluate FOLDER --out report`.

The composer writes the songs and prompts that state their tempo, key and genre; estimators see samples alone, and
every figure is beside its floor, the same figure of the composer's own songs. The files in the order of the work:

prompts   which songs, and the prompts that describe them
tasks     what one process measures at a time: a song, a generated track, a reference
results   what a task found, as a JSON file
summary   from the results to figures
checks    the bounds that a release must keep
pictures  the figures and tracks drawn
report    report.json and report.md
run       all of it, in order

Of files that anyone made, and of tracks that are to be chosen from:

judge      what sound files measure, beside their plans
candidates several tracks of one prompt, the one that keeps its plan best first
"""

from importlib.util import find_spec

REQUIRED = ("librosa", "mir_eval")


def check_installed(what: str = "evaluation") -> None:
    """Raises ValueError, in one line, for a package that `what` needs and that is missing."""
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if missing:
        raise ValueError(f"{what} needs {' and '.join(missing)}: pip install 'hybridgen[eval]'")
