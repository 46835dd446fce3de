"""A track that goes on: more bars before its outro, or an introduction before its first bar."""

from dataclasses import replace

from hybridgen.plan import extending
from hybridgen.plan.plan import Plan
from hybridgen.render import change
from hybridgen.render.change import Remake
from hybridgen.sampling import RenderOptions
from hybridgen.stages import Stages
from hybridgen.track import Track


def extend(
    stages: Stages, track: Track, bars: int | None, seconds: float | None, where: str, options: RenderOptions
) -> Track:
    """The track with more bars at one end, as the planner goes on with its form.

    At the end all is new from where the form goes on, an outro included; at the start all that was there is kept, as
    many samples later as the new bars have.
    """
    change.check_time_base(stages, track.plan)
    n_bars = extending.bars_for(track.plan, bars, seconds, where)
    remake = at_end(track.plan, n_bars) if where == "end" else at_start(track.plan, n_bars)
    return change.make(stages, track, remake, options)


def at_end(plan: Plan, n_bars: int) -> Remake:
    """The form goes on; of a loop what leads into its first bar is new too."""
    new = extending.extended(plan, n_bars)
    fresh = ((min(plan.length, int(plan.bar_starts()[extending.insertion(plan)])), new.length),)
    moved = (new.pre_roll - plan.pre_roll) // plan.time_base.latent_hop  # where a loop's last bar needs more
    return Remake(new, ((-new.pre_roll, int(new.beat_starts()[1])), *fresh) if new.is_loop else fresh, moved)


def at_start(plan: Plan, n_bars: int) -> Remake:
    """An introduction before the first bar. What is kept moves by whole frames, so the first may begin before it."""
    new, base = extending.preceded(plan, n_bars), plan.time_base
    added = int(new.bar_starts()[n_bars] - plan.bar_starts()[0])
    moved = -(-(added - plan.pre_roll) // base.code_hop) * base.frames_per_code
    length = new.n_samples if new.is_loop else plan.length + added  # a bar's samples may round otherwise elsewhere
    new = replace(new, n_samples=length, pre_roll=moved * base.latent_hop + plan.pre_roll - added)
    moved = (added + new.pre_roll - plan.pre_roll) // base.latent_hop  # more where a loop's last bar needs it
    return Remake(new, ((-new.pre_roll, added),), moved)
