"""Plucked strings: two waveguides a note, what the finger or pick puts into them, and the body or amplifier behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from hybridgen.data.song import SAMPLE_RATE, Note
from hybridgen.data.sound import loops
from hybridgen.data.sound.notes import NoteByNote, Touch
from hybridgen.data.sound.shaping import butter, distort, filtered, peak, peaks

LEAST_PERIOD = 8.0  # samples


@dataclass(frozen=True)
class StringPatch:
    """A plucked string; called with how a note is struck, it gives that note."""

    seed: int
    ring: float  # seconds in which middle C falls by 60 dB
    dullness: float  # 0-0.5, how fast the highs go
    pick: float  # 0.05-0.5, where on the string it is plucked
    soft: float  # Hz, up to where a pluck of medium force reaches
    release: float = 0.08  # seconds in which it falls by 60 dB once let go
    noise: float = 0.05  # of finger or pick
    spread: float = 0.15  # 0-1, of the two ways in which it swings, from left to right
    palm: bool = False  # muted with the palm

    def __call__(self, touch: Touch) -> np.ndarray:
        """The note (2, n), peaks about 0.5 at full force."""
        rng = touch.rng(self.seed)
        n = round((touch.seconds + self.release) * SAMPLE_RATE)
        ring = self.ring * (261.6 / touch.frequency) ** 0.5 * (0.15 if self.palm else 1.0)
        out = np.zeros((2, n), np.float32)
        for detune, angle in (
            (0.0, np.pi / 4 * (1 - self.spread)),
            (rng.uniform(0.6, 1.6), np.pi / 4 * (1 + self.spread)),
        ):
            frequency = touch.frequency * 2 ** (detune / 1200)
            period = max(SAMPLE_RATE / frequency, LEAST_PERIOD)
            gain = 10 ** (-3 / (frequency * ring * (0.7 if detune else 1.0)))
            wave = np.zeros(n)
            loops.string(self._pluck(period, touch, rng), period, gain, self.dullness, wave)
            out += np.stack([np.cos(angle) * wave, np.sin(angle) * wave]).astype(np.float32)
        t = np.arange(n) / SAMPLE_RATE - touch.seconds
        out *= np.where(t > 0, np.exp(-6.9 * t / self.release) * np.clip(10 * (1 - t / self.release), 0, 1), 1).astype(
            np.float32
        )
        return out * np.float32(0.5 * touch.force**1.3)

    def _pluck(self, period: float, touch: Touch, rng: np.random.Generator) -> np.ndarray:
        """One round of the string: a bent string let go, some noise, without what the place of the pluck damps."""
        n = int(period)
        corner = max(2, round(self.pick * n))
        bent = np.concatenate([np.linspace(0, 1, corner, endpoint=False), np.linspace(1, 0, n - corner)])
        burst = np.diff(bent, prepend=0.0) * n * 0.25 + self.noise * 4 * rng.standard_normal(n)
        reach = min(0.9, self.soft * 2 ** (2.5 * (touch.force - 0.7)) / (SAMPLE_RATE / 2))
        shaped = signal.lfilter(*signal.butter(1, reach), np.concatenate([burst, np.zeros(64)]))
        shaped -= shaped.mean()
        return shaped / max(np.sqrt(np.mean(shaped**2)), 1e-6) * 0.35


@dataclass(frozen=True)
class Strings:
    """An engine of one plucked instrument."""

    patch: StringPatch
    body: tuple[tuple[float, float, float], ...] = ()  # resonances: Hz, gain in dB, Q
    drive: float = 0.0  # dB into an amplifier; 0 is none

    def play(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        """Samples (2, length)."""
        out = NoteByNote(self.patch).play(notes, program, length)
        out = filtered(out, *peaks(self.body))
        return cabinet(distort(out, self.drive)) if self.drive else out


def cabinet(sound: np.ndarray) -> np.ndarray:
    """What a guitar's loudspeaker leaves of a sound (2, n): 80 Hz to 5 kHz, with a bump at 2.5 kHz."""
    low = butter(2, 80, "highpass")
    high = butter(4, 5000)
    return filtered(sound, low, high, peak(120, 2, 1.0), peak(400, -3, 0.8), peak(2500, 4, 1.2))
