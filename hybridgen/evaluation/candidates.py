"""Several tracks of one prompt, the one that keeps its plan best first.

A track is listened to as `judge` does, and what is heard is compared with its own plan. Its score is the mean of what
is known of these shares, 0-1 each:

beats   F-measure of the beats that are heard against those of the plan (within 70 ms)
key     1 for the plan's key, 0.5 a fifth above it, 0.3 its relative, 0.2 its parallel, else 0 (MIREX)
chords  time in which the plan's major or minor triad is heard
notes   share of the notes that are heard, the mean of bass, lead and drums

It says how exactly a plan is played, and nothing of how good it is.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np

from hybridgen.evaluation import judge
from hybridgen.metrics import scores
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import ControlArgs
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.progress import Progress, report
from hybridgen.render import change
from hybridgen.sampling import RenderOptions
from hybridgen.track import Track

MAX_SECONDS = 3600.0  # of all tracks together: they are in memory until they are ranked
SHARES = ("beats", "key", "chords", "notes")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A track, and how it keeps its plan: each of `SHARES`, 0-1; NaN where the plan or the sound says nothing of it."""

    track: Track
    kept: dict[str, float]

    @property
    def score(self) -> float:
        """The mean of the shares that are known, 0-1; NaN where none is."""
        known = [share for share in self.kept.values() if not math.isnan(share)]
        return float(np.mean(known)) if known else math.nan


def candidates(
    pipe: Pipeline,
    prompt: str,
    n: int = 8,
    *,
    seed: int | None = None,
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    melody: Plan | None = None,
    progress: Progress | None = None,
    **controls: Unpack[ControlArgs],
) -> list[Candidate]:
    """`n` tracks of one prompt, the highest score first; those of equal scores, and of none, in order of their seeds.

    Their plans are written together, with the seeds seed, seed + 1, ...; each is the track that `Pipeline.generate`
    makes with its seed. The other arguments are those of `Pipeline.generate`. Raises ValueError for n outside 1-64, a
    plan shorter than four seconds, plans of more than an hour together, and whatever else `generate` refuses.
    """
    RenderOptions(None, num_steps, guidance_scale)  # before any work
    plans = pipe.plan(prompt, n, seed=seed, melody=melody, progress=progress, **controls)
    _check_lengths(plans)
    states, found = pipe.encode_prompt(prompt), list[Candidate]()
    for plan in plans:
        track = change.render(pipe, plan, RenderOptions(plan.seed, num_steps, guidance_scale, progress), states)
        found.append(Candidate(track.with_notes(plans.notes), shares_kept(track)))
        report(progress, "candidates", len(found), n)
    for note in dict.fromkeys(note for one in found for note in one.track.notes if note not in plans.notes):
        warnings.warn(note, stacklevel=2)  # those of the plans are said already
    return sorted(found, key=lambda one: math.inf if math.isnan(one.score) else -one.score)


def shares_kept(track: Track) -> dict[str, float]:
    """How a track keeps its plan: each of `SHARES`, 0-1 or NaN. It lasts four seconds or more."""
    heard = judge.against(track.audio.resample(SAMPLE_RATE).samples, track.plan.on(TimeBase()))
    if heard is None:
        return dict.fromkeys(SHARES, math.nan)
    measured, notes = heard.measurements, [share for share in heard.notes.values() if not math.isnan(share)]
    return {
        "beats": measured.beat_f_measure,
        "key": scores.key_weighted(measured.key_target, measured.key_detected),
        "chords": measured.chord_majmin,
        "notes": float(np.mean(notes)) if notes else math.nan,
    }


def table(ranked: Sequence[Candidate], files: Sequence[Path | None]) -> str:
    """A row for each candidate: its rank, seed, score and shares, and the file that it went to, if it did."""
    lines = ["  ".join(["rank", f"{'seed':>10}", *(f"{name:>6}" for name in ("score", *SHARES)), "file"])]
    for rank, (one, file) in enumerate(zip(ranked, files, strict=True), start=1):
        cells = [_cell(share) for share in (one.score, *one.kept.values())]
        lines.append("  ".join([f"{rank:4d}", f"{one.track.seed:10d}", *cells, "-" if file is None else str(file)]))
    return "\n".join(lines)


def _cell(share: float) -> str:
    return f"{'-':>6}" if math.isnan(share) else f"{share:6.2f}"


def _check_lengths(plans: Sequence[Plan]) -> None:
    shortest, total = min(plan.seconds for plan in plans), sum(plan.seconds for plan in plans)
    if shortest < judge.MIN_SECONDS:
        raise ValueError(f"seconds {shortest:.2f} are fewer than the {judge.MIN_SECONDS:g} that tracks are ranked by")
    if total > MAX_SECONDS:
        raise ValueError(f"n {len(plans)} tracks last {total:.0f} s together, over the limit of {MAX_SECONDS:g} s")
