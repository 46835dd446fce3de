"""Bars, or seconds, of a track made anew as a plan has them, everything else untouched."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hybridgen.history import check_strength
from hybridgen.plan.controls import EditArgs
from hybridgen.plan.editing import check_same_time
from hybridgen.plan.parts import check_bars, number, show
from hybridgen.plan.plan import Plan
from hybridgen.render import change
from hybridgen.render.change import Remake
from hybridgen.request import reworded
from hybridgen.sampling import RenderOptions, random_seed
from hybridgen.stages import Stages
from hybridgen.track import Track

Bars = tuple[int, int] | Sequence[tuple[int, int]]
Seconds = tuple[float, float] | Sequence[tuple[float, float]]


def repaint(
    stages: Stages,
    track: Track,
    plan: Plan | None,
    spans: Sequence[tuple[int, int]],
    options: RenderOptions,
    strength: float = 1.0,
) -> Track:
    """The track with these spans of samples as `plan` has them; without any, its ending alone.

    Of their sound only what the plan changes is made anew. All of it is where the plan says nothing new, or has other
    bar lines, or a seed is given. ValueError when the plan moves anything outside the spans.
    """
    check_strength(strength)
    change.check_time_base(stages, track.plan)
    plan = track.plan if plan is None else plan.on(track.plan.time_base)
    plan = replace(plan, ending=plan.ending or track.plan.ending, pre_roll=track.plan.pre_roll)
    if plan.is_loop != track.plan.is_loop or plan.pre_roll != track.plan.pre_roll:
        was, becomes = (str(one.ending) for one in (track.plan, plan))
        raise ValueError(
            f"ending {becomes}: the track's is {was}; what goes round is made by loop, not by repainting bars"
        )
    if not spans and replace(plan, ending=track.plan.ending) != track.plan:
        raise ValueError("bars: none are named, so nothing but the ending of the plan may differ from the track's")
    if not spans and strength != 1:
        raise ValueError(f"strength {strength:g} is given, but without bars nothing begins from what was there")
    if not spans and plan == track.plan:
        raise ValueError("bars: none are named, and the plan has the ending of the track: nothing is to change")
    has_layers = track.manifest.has_own_sound and not track.manifest.is_recording
    is_ended = has_layers or (track.manifest.is_recording and track.plan.ending is not None)
    if plan.ending != track.plan.ending and is_ended:
        raise ValueError(f"ending {plan.ending}: the track has a sound of its own, with ending {track.plan.ending}")
    _check_sound(track.plan, plan, spans)
    check_same_time(track.plan, plan, spans)
    says_nothing_new = plan == track.plan
    keeps = bool(spans) and not says_nothing_new and options.seed is None and change.same_time(track.plan, plan)
    if spans and says_nothing_new and options.seed is None:
        options = replace(options, seed=random_seed())
    return change.make(stages, track, Remake(plan, tuple(spans), strength=strength, keeps=keeps), options)


def _check_sound(old: Plan, new: Plan, spans: Sequence[tuple[int, int]]) -> None:
    """ValueError where some bars alone are to sound in another way: a plan has one sound, which is that of all bars."""
    is_whole = len(spans) == 1 and spans[0][0] <= new.bar_starts()[0] and spans[0][1] >= new.length
    if new.sound != old.sound and not is_whole:
        was, becomes = (", ".join(one.sound) or "free" for one in (old, new))
        raise ValueError(f"sound {becomes}: the track's is {was}, and it is that of all bars: repaint all of them")


def spans_of(plan: Plan, bars: Bars | None, seconds: Seconds | None) -> list[tuple[int, int]]:
    """Spans of samples, ascending and joined where they meet, of ranges of bars (from 1) and of seconds.

    ValueError for bars that the plan lacks, and for seconds that are not inside the track.
    """
    found, rate = list[tuple[int, int]](), plan.time_base.sample_rate
    for first, last in _pairs(bars, "bars"):
        found.append(plan.span((first, last)))
        if found[-1][0] >= found[-1][1]:
            raise ValueError(f"bars {first}-{last} begin after the {plan.seconds:g} s of the track")
    for start, stop in _pairs(seconds, "seconds"):
        low, high = number(start, "seconds"), number(stop, "seconds")
        if not 0 <= low < high <= plan.seconds + 1 / rate:
            raise ValueError(f"seconds {show(low)}-{show(high)} are not inside the track's 0-{plan.seconds:g} s")
        found.append((round(low * rate), min(plan.length, round(high * rate))))
        if found[-1][0] >= found[-1][1]:
            raise ValueError(f"seconds {low:g}-{high:g} are shorter than a sample")
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def in_other_words(plan: Plan, spans: Sequence[tuple[int, int]], prompt: str) -> tuple[Plan, tuple[str, ...]]:
    """The plan with the bars that the spans reach into as `prompt` says, see `request.reworded`; and notes."""
    notes = tuple[str, ...]()
    for span in spans:
        inside = change.bars_in(plan, [span]).nonzero()[0] + 1
        if len(inside):
            plan, notes = reworded(plan, (int(inside[0]), int(inside[-1])), prompt)
    return plan, notes


def edited(
    plan: Plan, bars: Bars | None, seconds: Seconds | None, changes: Mapping[str, Any]
) -> tuple[Plan, tuple[str, ...]]:
    """The plan with `changes`, which are `EditArgs`, in each of the ranges, in all bars without any; and notes.

    ValueError for bars that the plan lacks, and for seconds after its last bar.
    """
    ranges = list[tuple[int, int] | None](check_bars(pair, plan.n_bars) for pair in _pairs(bars, "bars"))
    if all(value is None for value in changes.values()):
        return plan, ()
    for span in spans_of(plan, None, seconds):
        inside = change.bars_in(plan, [span]).nonzero()[0] + 1
        if not len(inside):
            raise ValueError("seconds: a range lies after the last bar, where the plan says nothing to change")
        ranges.append((int(inside[0]), int(inside[-1])))
    prompt, notes = changes.get("prompt"), tuple[str, ...]()
    others = {name: value for name, value in changes.items() if name != "prompt"}
    for one in ranges or [None]:
        if prompt is not None:  # the words first
            plan, said = reworded(plan, one, prompt)
            notes += said
        plan = plan.edit(one, **cast(EditArgs, others))
    return plan, notes


def _pairs(ranges: Bars | Seconds | None, field: str) -> Sequence:
    """Ranges as a list of pairs; TypeError for what is none."""
    if ranges is None:
        return ()
    if not isinstance(ranges, Sequence):
        raise TypeError(f"{field} {str(ranges)[:60]!r} should be a pair such as (9, 12), or several")
    items = list(ranges)
    if len(items) == 2 and not any(isinstance(item, Sequence) for item in items):
        items = [tuple(items)]
    for item in items:
        if not isinstance(item, Sequence) or len(item) != 2:
            raise TypeError(f"{field} {str(item)[:60]!r} should be a pair such as (9, 12)")
    return items
