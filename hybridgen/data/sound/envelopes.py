"""How sounds begin, hold and end."""

from dataclasses import dataclass

import numpy as np

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound.loops import CONTROL

LEAST_ATTACK = 0.0008  # seconds; less would click
SILENCE = 6.9  # time constants in which a release falls by 60 dB


@dataclass(frozen=True)
class Envelope:
    """Seconds of attack (a curve up), of decay (to a third of the way) and of release (by 60 dB); sustain 0-1."""

    attack: float
    decay: float
    sustain: float
    release: float

    def length(self, seconds: float) -> int:
        """Samples that a note held for `seconds` sounds."""
        return round((max(seconds, self.attack) + self.release) * SAMPLE_RATE)

    def curve(self, seconds: float, every: int = 1) -> np.ndarray:
        """Its values 0-1, float32, one for each `every` samples of `length(seconds)`; it ends in silence."""
        held = max(seconds, self.attack)
        n = self.length(seconds)
        t = np.arange(0, n if every == 1 else n + 2 * every, every, dtype=np.float64) / SAMPLE_RATE
        attack = max(self.attack, LEAST_ATTACK)
        rise = np.minimum(t / attack, 1.0)
        body = self.sustain + (1 - self.sustain) * np.exp(-np.maximum(t - attack, 0) / max(self.decay, 1e-3))
        late = np.maximum(t - held, 0)
        fall = np.exp(-SILENCE * late / self.release) * np.clip(11 * (1 - late / self.release), 0, 1)
        return (rise * (2 - rise) * body * fall).astype(np.float32)


def control_times(n: int) -> np.ndarray:
    """Seconds of the values of a control curve over n samples."""
    return np.arange(n // CONTROL + 2) * (CONTROL / SAMPLE_RATE)
