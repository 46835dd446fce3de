"""How a track begins and ends: a gain over its decoded samples, before they are mastered.

A codec decodes as if average music surrounded the track, so its first and last samples lie in the middle of a wave.
The start opens over a few milliseconds: that is shorter than the codec's own attacks, so a drum hit on the first beat
keeps its level. The end follows `Plan.ending`. A plan without one, as in files older than endings, is left as it was
decoded. A loop has no edges: over the last samples of its last bar the sound goes over to that of the pre-roll, the
same bar rendered once more, which leads into the first.

Shapes: N samples; n of them.
"""

from dataclasses import replace

import numpy as np

from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.parts import Ending
from hybridgen.plan.plan import Plan

OPENING = 0.005  # seconds from silence to full level
CLOSING = 0.010  # seconds, before a cut
RING_OUT = 1.0  # seconds that a ring-out takes at least, where the last bar has them after its first beat
SEAM = 4096  # samples in which a loop goes over to its pre-roll
MAX_FADE = 8  # bars of a fade whose bars are free


def with_ending(plan: Plan) -> Plan:
    """The plan with an ending; where it has none, the one that its form asks for.

    It rings out if there is time after the last bar, or the last section is an outro; a form that stops without one
    (bars to be looped) is cut at its last bar line.
    """
    if plan.ending is not None:
        return plan
    last = plan.sections[-1].label if plan.sections else None
    has_tail = plan.length > int(plan.bar_starts()[-1])
    return replace(plan, ending=Ending("ring-out" if has_tail or last == "outro" else "cut"))


def shaped(plan: Plan, first: int, samples: np.ndarray, lead: np.ndarray | None = None) -> np.ndarray:
    """Decoded samples (2, n) of the track from sample `first` on, opened and ended as the plan says.

    lead: of a loop, the last samples (2, SEAM) of its pre-roll.
    """
    if plan.ending is None:
        return samples
    if plan.is_loop:
        return samples if lead is None else _turned(plan, first, samples, lead)
    return samples * gain(plan, first, first + samples.shape[1])


def _turned(plan: Plan, first: int, samples: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Samples of a loop, those near its end mixed with what leads into its beginning, at constant power."""
    at = np.arange(first, first + samples.shape[1])
    at = at[at >= plan.length - lead.shape[1]] - (plan.length - lead.shape[1])
    angle = np.pi / 2 * _smooth((at + 0.5) / lead.shape[1])
    mixed = samples.copy()
    near = mixed[:, mixed.shape[1] - len(at) :]
    near *= np.cos(angle).astype(np.float32)
    near += np.sin(angle).astype(np.float32) * lead[:, at]
    return mixed


def gain(plan: Plan, start: int, stop: int) -> np.ndarray:
    """(stop - start,) float32, 0 to 1: the gain of samples start..stop-1 of a plan with an ending.

    Polynomials of the sample's index and nothing else: the same value, bit for bit, in blocks of any size.
    """
    out = np.ones(stop - start, dtype=np.float32)
    opening = opening_gain(plan.time_base.sample_rate)[start:stop]
    out[: len(opening)] *= opening
    begin, end = closing(plan)
    if stop > begin:
        at = np.arange(max(start, begin), stop)
        left = np.clip((end - 1 - at) / max(1, end - 1 - begin), 0.0, 1.0)
        is_fade = plan.ending is not None and plan.ending.kind == "fade"
        out[max(start, begin) - start :] *= left * left if is_fade else _smooth(left)
    return out


def opening_gain(sample_rate: int) -> np.ndarray:
    """(n,) float32: the gain of the first samples, from silence to just under full level."""
    n = max(1, round(OPENING * sample_rate))
    return _smooth(np.arange(n) / n).astype(np.float32)


def closing(plan: Plan) -> tuple[int, int]:
    """(begin, end): the samples over which a track with this plan goes to silence; from end - 1 on there is none.

    Both are the length where the plan has no ending; of a loop they are those in which it goes over to its beginning.
    """
    length, rate, starts = plan.length, plan.time_base.sample_rate, plan.bar_starts()
    if plan.ending is None:
        return length, length
    if plan.is_loop:
        return max(0, length - SEAM), length
    if plan.is_open:
        return max(0, length - round(CLOSING * rate)), length
    if plan.ending.kind == "cut":
        end = min(length, int(starts[-1])) if plan.n_bars else length
        return max(0, end - round(CLOSING * rate)), end
    if plan.ending.kind == "fade":
        bars = min(plan.n_bars, plan.ending.bars or min(MAX_FADE, max(1, plan.n_bars // 4)))
        return min(int(starts[-1 - bars]), length - 1), length
    begin = max(0, length - round(RING_OUT * rate))
    if plan.n_bars and length >= starts[-1]:  # the first beat of the last bar keeps its level
        begin = min(max(begin, _second_beat(plan)), int(starts[-1]))
    return min(begin, length - 1), length


def _second_beat(plan: Plan) -> int:
    """The sample of the second beat of the last bar."""
    assert plan.meter is not None
    return int(plan.beat_starts()[1 - len(METER_BEATS[plan.meter])])


def _smooth(x: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, level at both ends."""
    return x * x * (3 - 2 * x)
