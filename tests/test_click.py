"""Facts about click tracks: a click begins on the sample of every beat and nowhere else, the first of a bar louder."""

import random

import numpy as np
import pytest

from hybridgen.formats.click import FIRST, OTHER, to_click
from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan


def onsets(samples: np.ndarray) -> list[tuple[int, float]]:
    """(sample, level) at which a click begins: no decay comes to these levels by itself."""
    levels = np.float32([FIRST[1], OTHER[1]])
    return [(int(at), float(samples[at])) for at in np.flatnonzero(np.isin(samples, levels))]


def test_clicks_begin_on_the_beats():
    rng = random.Random(0)
    for _ in range(30):
        plan = random_plan(rng)
        left, right = to_click(plan)
        assert left.dtype == np.float32 and len(left) == plan.length and np.array_equal(left, right)
        n_beats = len(METER_BEATS[plan.meter])
        wanted = [
            (start, float(np.float32((OTHER if i % n_beats else FIRST)[1])))
            for i, start in enumerate(plan.beat_starts().tolist())
            if start < plan.length
        ]
        assert onsets(left) == wanted
        assert not left[: wanted[0][0] if wanted else None].any()


def test_a_plan_without_bars_has_no_beats():
    with pytest.raises(ValueError, match="without bars"):
        to_click(Plan(n_samples=1000))
