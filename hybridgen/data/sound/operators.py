"""FM sounds: electric pianos, bells, mallets, basses, of two pairs of sines."""

import math
from dataclasses import dataclass

import numpy as np

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound import loops
from hybridgen.data.sound.envelopes import Envelope
from hybridgen.data.sound.notes import Touch

HIGHEST = 17_000.0  # Hz that a side band may reach


@dataclass(frozen=True)
class Pair:
    """A sine that another one moves."""

    ratio: float  # of the modulator's frequency to the carrier's
    index: float  # radians at full force, where the note begins
    decay: float  # seconds in which the index falls to a third
    amp: Envelope
    level: float = 1.0
    multiple: float = 1.0  # of the carrier's frequency to the note's
    feedback: float = 0.0  # radians
    held: float = 0.0  # share of the index that stays


@dataclass(frozen=True)
class FmPatch:
    """Some pairs at once; called with how a note is struck, it gives that note."""

    seed: int
    pairs: tuple[Pair, ...]
    detune: float = 2.0  # cents between left and right
    tremolo: float = 0.0  # 0-1, from side to side
    rate: float = 5.0  # Hz of that
    hardness: float = 1.5  # how much the index follows the force

    def __call__(self, touch: Touch) -> np.ndarray:
        """The note (2, n), peaks about 0.5 at full force."""
        rng = touch.rng(self.seed)
        n = max(pair.amp.length(touch.seconds) for pair in self.pairs)
        t = np.arange(n) / SAMPLE_RATE
        out = np.zeros((2, n), np.float32)
        for pair in self.pairs:
            frequency = touch.frequency * pair.multiple
            if frequency * (1 + pair.ratio) > HIGHEST:
                continue
            index = self._index(pair, touch, frequency, t)
            curve = pair.amp.curve(touch.seconds)
            for c, cents in enumerate((-self.detune, self.detune)):
                wave = np.zeros(len(curve))
                off = 2 ** ((cents * 0.5 + rng.uniform(-1, 1)) / 1200)
                bend = np.full(len(curve), off)
                loops.operators(frequency / SAMPLE_RATE, pair.ratio, index, pair.feedback, bend, wave)
                out[c, : len(curve)] += pair.level * curve * wave
        if self.tremolo:
            sway = self.tremolo * np.sin(2 * math.pi * self.rate * t + rng.uniform(0, 2 * math.pi))
            out *= np.stack([1 + sway, 1 - sway]).astype(np.float32)
        return out * np.float32(0.4 * touch.force**1.5)

    def _index(self, pair: Pair, touch: Touch, frequency: float, t: np.ndarray) -> np.ndarray:
        peak = pair.index * (touch.force / 0.8) ** self.hardness
        room = (HIGHEST / frequency - 1) / pair.ratio - 2  # side bands that are heard reach to about index + 2
        peak = min(peak, max(0.0, room))
        return peak * (pair.held + (1 - pair.held) * np.exp(-t / pair.decay))
