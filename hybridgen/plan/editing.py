"""Plan edits by bar range: what changes, what must stay, and which codes must be written again."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hybridgen.plan.harmony import parse_key, rekey_chord
from hybridgen.plan.parts import (
    CODE_HOP,
    SAMPLE_RATE,
    Bar,
    Section,
    Tempo,
    check_bars,
    order_instruments,
    order_roles,
    parse_bar,
)

if TYPE_CHECKING:
    from hybridgen.plan.score import Plan


@dataclass(frozen=True)
class Change:
    """The fields of `Plan.edit`; None leaves a field as it is."""

    tempo: float | None
    key: str | None
    chords: Sequence[str | Sequence[str]] | None
    label: str | None
    energy: int | None
    roles: Sequence[str] | None
    instruments: Mapping[str, int | None] | None
    prompt: str | None


def edit(plan: "Plan", bars: tuple[int, int] | None, change: Change) -> "Plan":
    """The plan with `change` made in `bars` (all bars if None), the codes of what it touches unset."""
    if plan.n_bars == 0:
        raise ValueError("bars: the plan has none, so there is nothing to edit by bars")
    first, last = check_bars((1, plan.n_bars) if bars is None else bars, plan.n_bars)
    everywhere = (first, last) == (1, plan.n_bars)
    new = _edit_instruments(plan, change)
    new = _edit_sections(new, first, last, change)
    if change.chords is not None or change.key is not None:
        new = _edit_chords(new, first, last, change)
    if change.key is not None and everywhere:
        new = replace(new, key=change.key)
    if change.tempo is not None:
        new = _edit_tempo(new, first, last, change.tempo)
    if change.prompt is not None:
        new = replace(new, prompt=change.prompt)
    all_codes = change.tempo is not None or change.prompt is not None or change.instruments is not None
    return _unset_codes(new, (1, plan.n_bars) if all_codes else (first, last))


def check_same_time(old: "Plan", new: "Plan", bars: tuple[int, int]) -> None:
    """ValueError unless `new` leaves the length and every bar outside `bars` where `old` has them."""
    first, last = check_bars(bars, old.n_bars)
    if (new.n_bars, new.length) != (old.n_bars, old.length):
        raise ValueError(
            f"the new plan has {new.n_bars} bars and {new.length} samples, the track {old.n_bars} and {old.length}: "
            "render it as a new track instead"
        )
    moved = np.flatnonzero(new.bar_starts() != old.bar_starts()) + 1
    moved = moved[(moved <= first) | (moved > last)]
    if len(moved):
        raise ValueError(f"the new plan moves bar {moved[0]}, which is outside bars {first}-{last}")


def keep_codes(old: "Plan", new: "Plan", bars: tuple[int, int]) -> "Plan":
    """`new` with the codes of `old` outside `bars`, and its own inside; unset where it has none."""
    start, stop = new.frame_range(bars, CODE_HOP)
    inside = new.codes or ((-1,) * new.n_code_frames,) * len(old.codes)
    rows = zip(old.codes, inside, strict=True)
    return replace(new, codes=tuple(row[:start] + own[start:stop] + row[stop:] for row, own in rows))


def _edit_instruments(plan: "Plan", change: Change) -> "Plan":
    programs = {role: None for role in order_roles(change.roles or ())} | dict(plan.instruments)
    programs |= dict(order_instruments(change.instruments or {}))
    return replace(plan, instruments=tuple(programs.items()))


def _edit_sections(plan: "Plan", first: int, last: int, change: Change) -> "Plan":
    named = {"label": change.label, "energy": change.energy, "roles": change.roles}
    fields = {name: value for name, value in named.items() if value is not None}
    if not fields:
        return plan
    sections: list[Section] = []
    at = 1
    for section in plan.sections:
        cuts = sorted({0, *(min(max(b - at, 0), len(section.bars)) for b in (first, last + 1)), len(section.bars)})
        for start, stop in itertools.pairwise(cuts):
            part = replace(section, bars=section.bars[start:stop])
            sections.append(replace(part, **fields) if first <= at + start <= last else part)
        at += len(section.bars)
    return replace(plan, sections=tuple(sections))


def _edit_chords(plan: "Plan", first: int, last: int, change: Change) -> "Plan":
    if change.chords is not None and not len(change.chords):
        raise ValueError("chords are empty, at least one is needed")
    if change.key is not None and plan.key is None:
        raise ValueError(f"key {change.key!r} is asked for, but the plan's key is unknown: nothing to transpose from")
    written = None if change.chords is None else [parse_bar(chords) for chords in change.chords]
    new_bars = list(plan.bars)
    for i in range(first - 1, last):
        chords = new_bars[i].chords if written is None else written[(i - first + 1) % len(written)]
        if change.key is not None and written is None and chords is not None:
            chords = tuple(rekey_chord(chord, plan.key, parse_key(change.key)) for chord in chords)
        new_bars[i] = Bar(chords)
    bars = iter(new_bars)
    return replace(plan, sections=tuple(replace(s, bars=tuple(next(bars) for _ in s.bars)) for s in plan.sections))


def _edit_tempo(plan: "Plan", first: int, last: int, bpm: float) -> "Plan":
    """One tempo in bars first..last; what was there before and after stays, and so does the tail in seconds."""
    if plan.beats:
        raise ValueError(
            f"tempo {bpm:g} is asked for, but the plan's beats are as played: they have no tempo to change"
        )
    marks = [replace(m, ramp=m.ramp and not _ramps_into(plan, m, first)) for m in plan.tempo if m.bar < first]
    marks.append(Tempo(first, bpm))
    if last < plan.n_bars:
        resume = next((m for m in plan.tempo if m.bar == last + 1), None)
        marks.append(resume or _tempo_at(plan, last + 1))
        marks += [m for m in plan.tempo if m.bar > last + 1]
    tail = None if plan.n_samples is None else plan.length - int(plan.bar_starts()[-1])
    new = replace(plan, tempo=tuple(marks), n_samples=None, codes=())
    return new if tail is None else replace(new, n_samples=max(1, int(new.bar_starts()[-1]) + tail))


def _ramps_into(plan: "Plan", mark: Tempo, bar: int) -> bool:
    """Whether the ramp that starts at `mark` would still run at `bar`."""
    following = [m.bar for m in plan.tempo if m.bar > mark.bar]
    return bool(following) and following[0] > bar


def _tempo_at(plan: "Plan", bar: int) -> Tempo:
    """The tempo that reigns at the start of `bar`, as a mark; it goes on with the ramp that runs there."""
    start = plan.time.quarters_at(plan.bar_starts()[bar - 1] / SAMPLE_RATE)
    before = [m for m in plan.tempo if m.bar <= bar][-1]
    bpm = round(float(plan.time.bpm_at(start)), 1)
    return Tempo(bar, bpm, before.ramp and _ramps_into(plan, before, bar))


def _unset_codes(plan: "Plan", bars: tuple[int, int]) -> "Plan":
    if not plan.codes:
        return plan
    start, stop = plan.frame_range(bars, CODE_HOP)
    rows = tuple(row[:start] + (-1,) * (stop - start) + row[stop:] for row in plan.codes)
    return replace(plan, codes=rows)
