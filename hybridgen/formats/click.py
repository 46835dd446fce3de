"""The plan as a click track: a click on the sample of every beat, higher and louder on the first of each bar."""

import numpy as np

from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.score import Score

CLICK_SECONDS, DECAY_SECONDS = 0.03, 0.006
FIRST, OTHER = (1760.0, 0.8), (880.0, 0.5)  # Hz and level


def to_click(plan: Score) -> np.ndarray:
    """(2, N) float32: clicks that begin, at their level, on `plan.beat_starts()`; ValueError without bars."""
    if plan.meter is None or plan.n_bars == 0:
        raise ValueError("click: a plan without bars has no beats")
    rate, n_beats = plan.time_base.sample_rate, len(METER_BEATS[plan.meter])
    seconds = np.arange(round(CLICK_SECONDS * rate)) / rate
    decay = np.exp(-seconds / DECAY_SECONDS)
    first, other = (level * decay * np.cos(2 * np.pi * hertz * seconds) for hertz, level in (FIRST, OTHER))
    samples = np.zeros(plan.length, np.float32)
    for number, start in enumerate(plan.beat_starts().tolist()):
        click = other if number % n_beats else first
        samples[start : start + len(click)] = click[: max(0, plan.length - start)]
    return np.stack([samples, samples])
