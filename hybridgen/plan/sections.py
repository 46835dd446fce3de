"""The borders of a plan's sections: moved, set and taken away. No bar comes or goes, so nothing moves in time.

A bar that comes to another section plays as that section does, so what every role plays in it is written anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hybridgen.plan.editing import unset_codes
from hybridgen.plan.parts import Section, whole
from hybridgen.plan.score import Score

P = TypeVar("P", bound=Score)


def move_border(plan: P, bar: int, to: int) -> P:
    """The plan with the section that begins at `bar` beginning at bar `to`; the one before it ends there.

    ValueError where no section but the first begins, and where one of the two would have no bar left.
    """
    firsts, index = _first_bars(plan), _section_at(plan, bar)
    if index == 0:
        raise ValueError(f"bar {bar} begins the first section, which nothing is before")
    low, high = firsts[index - 1] + 1, firsts[index + 1] - 1
    if not low <= whole(to, "to") <= high:
        raise ValueError(f"to {to} is outside {low}-{high}: both sections keep a bar")
    before, after = plan.sections[index - 1 : index + 1]
    bars, n = (*before.bars, *after.bars), to - firsts[index - 1]
    pair = (replace(before, bars=bars[:n]), replace(after, bars=bars[n:]))
    return _resectioned(plan, (*plan.sections[: index - 1], *pair, *plan.sections[index + 1 :]))


def split(plan: P, bar: int) -> P:
    """The plan with a section that begins at `bar`, which plays as before; ValueError where one begins."""
    firsts = _first_bars(plan)
    if not 1 <= whole(bar, "bar") <= plan.n_bars or bar in firsts:
        raise ValueError(f"bar {bar} begins a section already, or is outside 1-{plan.n_bars}")
    index = int(np.searchsorted(firsts, bar, side="right")) - 1
    section, n = plan.sections[index], bar - firsts[index]
    pair = (replace(section, bars=section.bars[:n]), replace(section, bars=section.bars[n:]))
    return _resectioned(plan, (*plan.sections[:index], *pair, *plan.sections[index + 1 :]))


def merge(plan: P, bar: int) -> P:
    """The plan with the section that begins at `bar` a part of the one before; ValueError where there is none."""
    index = _section_at(plan, bar)
    if index == 0:
        raise ValueError(f"bar {bar} begins the first section, which nothing is before")
    before, after = plan.sections[index - 1 : index + 1]
    joined = replace(before, bars=(*before.bars, *after.bars))
    return _resectioned(plan, (*plan.sections[: index - 1], joined, *plan.sections[index + 1 :]))


def _first_bars(plan: Score) -> list[int]:
    """The first bar of each section, from 1, and the one after the last."""
    return np.cumsum([1, *(len(section.bars) for section in plan.sections)]).tolist()


def _section_at(plan: Score, bar: int) -> int:
    """The index of the section that begins at `bar`."""
    firsts = _first_bars(plan)[:-1]
    if whole(bar, "bar") not in firsts:
        raise ValueError(f"bar {bar} begins no section: they begin at {', '.join(map(str, firsts))}")
    return firsts.index(bar)


def _resectioned(plan: P, sections: Sequence[Section]) -> P:
    """The plan with these sections over the same bars; notes and codes of bars that play otherwise are unset."""
    old, new = ([(s.label, s.energy, s.roles) for s in one for _ in s.bars] for one in (plan.sections, sections))
    changed = [before != after for before, after in zip(old, new, strict=True)]
    parts = [
        replace(part, bars=tuple(None if is_new else bar for bar, is_new in zip(part.bars, changed, strict=True)))
        for part in plan.notes
    ]
    moved = replace(plan, sections=tuple(sections), notes=tuple(parts))
    numbers = [number for number, is_new in enumerate(changed, start=1) if is_new]
    return unset_codes(moved, (numbers[0], numbers[-1])) if numbers else moved
