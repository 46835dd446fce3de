"""What an engine is, and notes played one by one.

An engine plays the notes of one role and nothing else: dry, in the middle, as loud as it likes (`casting` measures how
loud), the same samples each time. Sound is (2, n) float32 at 44.1 kHz.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hybridgen.data.song import SAMPLE_RATE, Note

VELOCITY_STEP = 4  # velocities are played as the nearest multiple
SECONDS_STEP = 0.02  # durations too
VARIANTS = 3  # ways in which a note that repeats is played, in turn


class Engine(Protocol):
    """Plays one role."""

    def play(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        """Samples (2, length) of notes of one role; program: General MIDI, a kit for drums and percussion."""


@dataclass(frozen=True)
class Touch:
    """How one note is struck."""

    pitch: int  # MIDI
    velocity: int  # 1-127
    seconds: float  # until it is let go
    variant: int  # 0 to VARIANTS - 1

    @property
    def force(self) -> float:
        """0-1, the velocity on a line."""
        return self.velocity / 127

    @property
    def frequency(self) -> float:
        """Hz."""
        return float(440.0 * 2 ** ((self.pitch - 69) / 12))

    def rng(self, seed: int) -> np.random.Generator:
        """The random choices of this note: of its pitch and variant alone, not of its force."""
        return np.random.default_rng((seed, self.pitch, self.variant))


@dataclass(frozen=True)
class NoteByNote:
    """An engine that plays each note by itself and adds them up."""

    sound: Callable[[Touch], np.ndarray]  # (2, n), with its own release

    def play(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        """Samples (2, length); notes that are played the same way are computed once."""
        out = np.zeros((2, length), np.float32)
        played: dict[Touch, np.ndarray] = {}
        for start, touch in touches(notes):
            if touch not in played:
                played[touch] = self.sound(touch)
            add(out, played[touch], start)
        return out


def touches(notes: Sequence[Note]) -> list[tuple[int, Touch]]:
    """(first sample, how it is struck) of each note; the same pitch goes through the variants in turn."""
    seen: Counter[int] = Counter()
    found = []
    for note in notes:
        velocity = max(VELOCITY_STEP, min(124, round(note.velocity / VELOCITY_STEP) * VELOCITY_STEP))
        seconds = max(1, round(note.duration / SECONDS_STEP)) * SECONDS_STEP
        touch = Touch(note.pitch, velocity, round(seconds, 3), seen[note.pitch] % VARIANTS)
        found.append((max(0, round(note.start * SAMPLE_RATE)), touch))
        seen[note.pitch] += 1
    return found


def add(out: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Adds a sound (2, n) to `out` (2, N) from sample `start`, as far as it fits."""
    n = min(sound.shape[1], out.shape[1] - start)
    if n > 0:
        out[:, start : start + n] += sound[:, :n]
