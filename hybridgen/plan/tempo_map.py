"""Quarter notes <-> seconds, in closed form.

A map is a list of pieces. In each the tempo is constant or runs linearly in quarter notes from one value to another;
before the first and after the last piece the nearest tempo continues. Positions are float64; only samples are rounded,
so a thousand bars drift by nothing.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TempoMap:
    """Pieces that start at `quarters[i]` and `seconds[i]`, with tempo `bpm[i]` there and `slope[i]` BPM a quarter."""

    quarters: np.ndarray  # (S,) ascending, first 0
    seconds: np.ndarray  # (S,)
    bpm: np.ndarray  # (S,)
    slope: np.ndarray  # (S,)

    def seconds_at(self, quarters: np.ndarray) -> np.ndarray:
        """Seconds from the start for positions in quarter notes, any shape."""
        i = np.clip(np.searchsorted(self.quarters, quarters, side="right") - 1, 0, None)
        q, bpm, slope = quarters - self.quarters[i], self.bpm[i], self.slope[i]
        safe = np.where(slope == 0, 1.0, slope)
        ramped = 60.0 / safe * np.log1p(np.where(slope == 0, 0.0, slope) * q / bpm)
        return self.seconds[i] + np.where(slope == 0, 60.0 * q / bpm, ramped)

    def quarters_at(self, seconds: np.ndarray) -> np.ndarray:
        """The inverse of `seconds_at`."""
        i = np.clip(np.searchsorted(self.seconds, seconds, side="right") - 1, 0, None)
        s, bpm, slope = seconds - self.seconds[i], self.bpm[i], self.slope[i]
        safe = np.where(slope == 0, 1.0, slope)
        ramped = bpm / safe * np.expm1(np.where(slope == 0, 0.0, slope) * s / 60.0)
        return self.quarters[i] + np.where(slope == 0, s * bpm / 60.0, ramped)

    def bpm_at(self, quarters: np.ndarray) -> np.ndarray:
        """Tempo in quarter notes a minute at positions in quarter notes."""
        i = np.clip(np.searchsorted(self.quarters, quarters, side="right") - 1, 0, None)
        return self.bpm[i] + self.slope[i] * (quarters - self.quarters[i])


def from_marks(starts: list[float], bpm: list[float], ramps: list[bool]) -> TempoMap:
    """The map of tempo marks at `starts` (quarter notes, first 0); a ramp runs to the next mark's tempo."""
    seconds, slopes = [0.0], []
    for i in range(len(starts)):
        last = i == len(starts) - 1
        length = np.inf if last else starts[i + 1] - starts[i]
        slope = (bpm[i + 1] - bpm[i]) / length if ramps[i] and not last else 0.0
        slopes.append(slope)
        if not last:
            took = 60.0 / slope * np.log(bpm[i + 1] / bpm[i]) if slope else 60.0 * length / bpm[i]
            seconds.append(seconds[-1] + took)
    return TempoMap(np.array(starts), np.array(seconds), np.array(bpm, dtype=float), np.array(slopes))


def from_beats(quarters: np.ndarray, seconds: np.ndarray) -> TempoMap:
    """The map through explicit beats: `quarters[i]` falls on `seconds[i]`, tempo constant between two beats.

    Position 0 is the first beat; what comes before it has negative positions at the first beat's tempo.
    """
    bpm = 60.0 * np.diff(quarters) / np.diff(seconds)
    bpm = np.append(bpm, bpm[-1])
    return TempoMap(np.asarray(quarters, float), np.asarray(seconds, float), bpm, np.zeros(len(bpm)))
