"""Some bars of a track that go round without a seam: what rings over their end is heard at their beginning."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hybridgen.plan import extending
from hybridgen.plan.parts import Ending, check_bars, whole, words
from hybridgen.plan.plan import Plan
from hybridgen.render import change
from hybridgen.render.change import Remake
from hybridgen.sampling import RenderOptions
from hybridgen.stages import Stages
from hybridgen.text.controls import understand
from hybridgen.track import Track

EDGES = ("intro", "outro")


def asked(prompt: str, bars: int | tuple[int, int]) -> dict[str, Any]:
    """The controls of a loop made of a prompt: so many bars of one section, unless it names some."""
    form = None if understand(words(prompt, "source")).controls.form else ("verse",)
    return {"bars": whole(bars, "bars"), "form": form, "ending": "loop"}


def loop(stages: Stages, track: Track, bars: int | tuple[int, int], options: RenderOptions) -> Track:
    """The loop of bars first..last of a track, or of so many; what is heard of them stays, but for their first beat.

    ValueError for a recording, whose own sound cannot be led into itself.
    """
    change.check_time_base(stages, track.plan)
    if track.manifest.has_own_sound:
        kind = "began as a recording" if track.manifest.is_recording else "has layers"
        raise ValueError(f"bars: the track {kind}, so its own sound cannot be led into itself: no loop can be made")
    return change.make(stages, track, of_bars(track.plan, bars), options)


def of_bars(plan: Plan, bars: int | tuple[int, int]) -> Remake:
    """The change that makes a loop of some bars: a pre-roll of the last leads into the first beat, which is new too."""
    if plan.n_bars == 0:
        raise ValueError("bars: the plan has none, so there is nothing to loop")
    first, last = check_bars(bars, plan.n_bars) if isinstance(bars, Sequence) else best_bars(plan, whole(bars, "bars"))
    base, start = plan.time_base, int(plan.bar_starts()[first - 1]) + plan.pre_roll
    pre_roll = start % base.code_hop  # frames of what is kept stay whole
    new = replace(extending.cut(plan, (first, last)), ending=Ending("loop"), pre_roll=pre_roll)
    moved = (new.pre_roll - start) // base.latent_hop
    fresh, there = (-new.pre_roll, int(new.beat_starts()[1])), plan.length + plan.pre_roll - start
    if there >= new.length:
        return Remake(new, (fresh,), moved)
    return Remake(new, (fresh, (max(there, fresh[1]), new.length)), moved)  # the track stops inside its last bar


def best_bars(plan: Plan, n_bars: int) -> tuple[int, int]:
    """First and last of `n_bars` that are worth a loop: they begin with a section, the one of most energy that can.

    An introduction and an outro are taken only where nothing else is long enough. ValueError for more than there are.
    """
    if not 1 <= n_bars <= plan.n_bars:
        raise ValueError(f"bars {n_bars} is outside 1-{plan.n_bars}, those of the track")
    at, found = 1, list[tuple[bool, int, int]]()
    for section in plan.sections:
        if at + n_bars - 1 <= plan.n_bars:
            found.append((section.label not in EDGES, section.energy or 0, -at))
        at += len(section.bars)
    first = -max(found)[2] if found else plan.n_bars - n_bars + 1
    return first, first + n_bars - 1
