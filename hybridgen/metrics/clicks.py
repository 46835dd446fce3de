"""Clicks: whether samples bend more at certain borders than around them. Samples are float arrays (2, N)."""

from dataclasses import dataclass

import numpy as np

CLICK_REACH = 32  # samples on either side of a border in which a click would be
CLICK_SURROUNDINGS = 1024  # samples on either side that say how much is normal there


@dataclass(frozen=True)
class Clicks:
    """How much more samples bend within 32 of certain borders than elsewhere; about 1 where there are no clicks.

    Bends are second differences. All are NaN where there is no border or no sound.
    """

    local: float  # root mean square against that of the 1,024 samples on either side, median over borders
    rms: float  # root mean square of all borders together against that of the rest of the track
    peak: float  # the same of 99.9th percentiles; low where few samples are near a border


def measure_clicks(samples: np.ndarray, borders: np.ndarray) -> Clicks:
    """Clicks of samples (2, N) at borders (n,), each the index of the first sample after one."""
    bend = np.abs(np.diff(np.asarray(samples, dtype=np.float64), n=2, axis=-1))  # [i] is centered on sample i + 1
    centers = np.asarray(borders, dtype=int) - 1
    around = np.add.outer(centers, np.arange(-CLICK_REACH, CLICK_REACH)).reshape(-1)
    near = np.zeros(bend.shape[-1], dtype=bool)
    near[around[(around >= 0) & (around < len(near))]] = True
    if not near.any() or near.all() or not bend[:, ~near].any():
        return Clicks(float("nan"), float("nan"), float("nan"))
    there, elsewhere = bend[:, near], bend[:, ~near]
    return Clicks(
        local=_local_bend((bend**2).mean(axis=0), centers),
        rms=float(np.sqrt((there**2).mean() / (elsewhere**2).mean())),
        peak=float(np.percentile(there, 99.9) / max(np.percentile(elsewhere, 99.9), 1e-12)),
    )


def _local_bend(power: np.ndarray, centers: np.ndarray) -> float:
    """Median over centers of the root of power (N,) near them against that around them, without those at the ends."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    inside = centers[(centers >= CLICK_SURROUNDINGS) & (centers <= len(power) - CLICK_SURROUNDINGS)]
    near, around = (total[inside + reach] - total[inside - reach] for reach in (CLICK_REACH, CLICK_SURROUNDINGS))
    rest = (around - near) / (CLICK_SURROUNDINGS - CLICK_REACH)
    loud = rest > 1e-9 * power.mean()
    return float(np.median(np.sqrt(near[loud] / CLICK_REACH / rest[loud]))) if loud.any() else float("nan")
