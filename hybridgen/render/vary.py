"""Another version of a track: its score, some of its notes, and more or less of its sound made anew."""

from dataclasses import replace

import numpy as np

from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.parts import MAX_SEED, number
from hybridgen.plan.plan import Plan
from hybridgen.render import change
from hybridgen.render.change import Remake
from hybridgen.sampling import RenderOptions, random_seed
from hybridgen.stages import Stages
from hybridgen.track import Track


def vary(stages: Stages, track: Track, amount: float, options: RenderOptions) -> Track:
    """The track with a share of its notes written anew, and its sound begun so far from what it was.

    amount: 0, the track itself, to 1, another render with other notes of the same score. ValueError outside.
    """
    amount = number(amount, "amount")
    if not 0 <= amount <= 1:
        raise ValueError(f"amount {amount:g} is outside 0-1")
    if amount == 0:
        return track
    seed = random_seed() if options.seed is None else options.seed
    plan = with_other_notes(replace(track.plan, seed=seed % (MAX_SEED + 1)), amount)
    whole = (-plan.pre_roll, plan.length)
    return change.make(stages, track, Remake(plan, (whole,), strength=amount), replace(options, seed=seed))


def with_other_notes(plan: Plan, amount: float) -> Plan:
    """The plan with the notes of a share of its bars and pitched roles unknown: which ones its seed says."""
    rng = np.random.default_rng(plan.seed)
    parts = []
    for part in plan.notes:
        cleared = rng.random(plan.n_bars) < amount
        if part.role not in UNPITCHED or amount == 1:
            bars = [None if gone else bar for bar, gone in zip(part.bars, cleared, strict=True)]
            parts.append(part.with_bars(1, bars))
    new = plan.with_parts(parts)
    return replace(new, codes=()) if amount == 1 else new
