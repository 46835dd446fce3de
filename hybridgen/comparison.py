"""Two sounds side by side: where their samples differ, and how loud each bar is.

Shapes: N samples of the first, M of the second; n bars, whose `starts` (n + 1,) are those of `Plan.bar_starts`.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from hybridgen.plan.differences import ranges
from hybridgen.plan.plan import Plan
from hybridgen.plan.serial import BARS_A_LINE, clock

SILENCE_DB = -120.0  # the level of a bar in which nothing sounds
LEAST_DB = 0.05  # of a difference in level that is said


def differing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(max(N, M),) bool: which samples differ between (2, N) and (2, M), those that one does not have among them."""
    shared, most = sorted((first.shape[1], second.shape[1]))
    unlike = np.ones(most, dtype=bool)
    unlike[:shared] = (first[:, :shared] != second[:, :shared]).any(axis=0)
    return unlike


def bars_with(marked: np.ndarray, starts: np.ndarray) -> tuple[int, ...]:
    """Numbers, from 1, of the bars that hold a marked sample of (N,) bool; one before or after all is the nearest's."""
    if len(starts) < 2:
        return ()
    edges = [0, *starts[1:-1].tolist(), max(len(marked), int(starts[-1]))]
    return tuple(number for number, (a, b) in enumerate(pairwise(edges), start=1) if marked[a:b].any())


def bar_levels(samples: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(n,): the mean power of each bar of samples (2, N) in dB, full scale 0; at least `SILENCE_DB`."""
    power = np.append(0.0, np.cumsum(np.square(samples, dtype=np.float64).mean(axis=0)))
    edges = np.minimum(starts, samples.shape[1])
    mean = np.diff(power[edges]) / np.maximum(np.diff(edges), 1)
    return 10 * np.log10(np.maximum(mean, 10 ** (SILENCE_DB / 10)))


def sound_differences(
    plans: tuple[Plan, Plan], sounds: tuple[np.ndarray, np.ndarray]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """What differs between sounds (2, N) and (2, M) at the rates of their plans, in lines; and the bars that differ.

    Bars whose samples differ are known where the bars that both have begin at the same samples.
    """
    starts = plans[0].bar_starts(), plans[1].bar_starts()
    levels = tuple(_level_lines(*(bar_levels(*each) for each in zip(sounds, starts, strict=True))))
    if plans[0].time_base.sample_rate != plans[1].time_base.sample_rate:
        return ("at two sample rates, so their samples are not compared", *levels), ()
    unlike = differing(*sounds)
    if not unlike.any():
        return ("every sample is the same",), ()
    rate, stop = plans[0].time_base.sample_rate, len(unlike) - int(unlike[::-1].argmax())
    span = f"{clock(int(unlike.argmax()) / rate)} to {clock(stop / rate)}"
    shorter, longer = sorted(starts, key=len)
    if not np.array_equal(shorter, longer[: len(shorter)]):
        return (f"samples differ from {span}; bars begin at other times", *levels), ()
    bars = bars_with(unlike, longer)
    where = f" (bars {ranges(bars)})" if bars else ""
    rest = "" if unlike[0] and unlike[-1] else ", all others are the same"
    return (f"samples differ from {span}{where}{rest}", *levels), bars


def _level_lines(first: np.ndarray, second: np.ndarray) -> Iterator[str]:
    """How much louder bars of the second are, (n,) and (m,) dB; lines of bars that are as loud are left out."""
    shared = min(len(first), len(second))
    louder = second[:shared] - first[:shared]
    if not (np.abs(louder) >= LEAST_DB).any():
        return
    yield "level of the second over the first, dB, bar by bar:"
    for start in range(0, shared, BARS_A_LINE):
        row = louder[start : start + BARS_A_LINE]
        if (np.abs(row) >= LEAST_DB).any():
            cells = (f"{level:+6.1f}" if abs(level) >= LEAST_DB else "     ." for level in row)
            yield f"{start + 1:5d} | {' '.join(cells)}"
