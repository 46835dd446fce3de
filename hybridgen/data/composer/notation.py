"""The notes of a composed song as its plan says them: on the grid of the score, before swing and human timing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from hybridgen.data.composer.context import Event
from hybridgen.plan.notes import GRID, MAX_VELOCITY, TICKS, UNPITCHED, VELOCITY_STEP, Note, Part, Swing
from hybridgen.plan.plan import Plan

STRUCK = 6 * GRID  # ticks that a drum is written with: it rings as long as it does, whatever is written


@lru_cache(maxsize=65536)
def _note(tick: int, length: int, pitch: int, velocity: int) -> Note:
    """A note, made and checked once: most come back in other bars."""
    return Note(tick, length, pitch, velocity)


def write(
    plan: Plan, events: Mapping[str, Sequence[Event]], dynamics: Sequence[tuple[float, float]], swing: Swing
) -> Plan:
    """The plan with every note of each role, and the swing.

    dynamics: as `perform` takes them; a bar has the change of velocity at its start, in whole steps of the grid, so
    that a bar that returns louder returns as it was.
    """
    starts = np.arange(plan.n_bars) * plan.bar_ticks / TICKS
    changes = VELOCITY_STEP * np.rint(np.interp(starts, *np.array(dynamics).T) / VELOCITY_STEP).astype(int)
    parts = [_part(plan, role, own, changes.tolist()) for role, own in events.items()]
    return replace(plan, swing=swing).with_parts(parts)


def _part(plan: Plan, role: str, events: Sequence[Event], changes: Sequence[int]) -> Part:
    bars: list[dict[tuple[int, int], Note]] = [{} for _ in range(plan.n_bars)]
    for event in events:
        start = GRID * round(event.start * TICKS / GRID)
        length = STRUCK if role in UNPITCHED else max(1, round(event.length * TICKS / GRID)) * GRID
        number, tick = divmod(start, plan.bar_ticks)
        velocity = min(max(event.velocity + changes[number], 1), MAX_VELOCITY)
        bars[number][tick, event.pitch] = _note(tick, length, event.pitch, velocity)
    return Part(role, tuple(tuple(bar.values()) for bar in bars))
