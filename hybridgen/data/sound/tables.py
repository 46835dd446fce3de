"""Subtractive, supersaw, wavetable and 808 sounds: single cycles without partials that would alias, several voices of
them a little out of tune, a swept filter, an envelope.

Shapes: H partials, complex: level and phase of sines; sound is (2, n) float32 at 44.1 kHz.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound import loops
from hybridgen.data.sound.envelopes import Envelope, control_times
from hybridgen.data.sound.notes import Touch
from hybridgen.data.sound.shaping import saturated

SIZE = 4096  # samples of a cycle; read along lines, its images stay 80 dB under the sound
HIGHEST = 19_000.0  # Hz, of any partial
LOWEST_CUTOFF, HIGHEST_CUTOFF = 30.0, 18_000.0  # Hz
MIDDLE = 261.63  # Hz, where cutoffs are given
N_PARTIALS = 1024
VIBRATO_DELAY = 0.25  # seconds until it is at full depth

_H = np.arange(1, N_PARTIALS + 1)
SINE = (_H == 1).astype(np.complex128)
SAW = (1.0 / _H).astype(np.complex128)
SQUARE = np.where(_H % 2 == 1, 1.0 / _H, 0.0).astype(np.complex128)
_ANY_PHASE = np.exp(2j * math.pi * np.random.default_rng(0).random(N_PARTIALS))


def pulse(width: float) -> np.ndarray:
    """Partials (H,) of a pulse that is up for `width` (0-1) of its cycle, in the phases of a symmetric pulse."""
    return (np.sin(math.pi * _H * width) / _H).astype(np.complex128)


def drawbars(levels: tuple[float, ...]) -> np.ndarray:
    """Partials (H,) of an organ: levels 0-1 of 8', 4', 2 2/3', 2', 1 3/5', 1 1/3', 1'."""
    partials = np.zeros(N_PARTIALS, np.complex128)
    for harmonic, level in zip((1, 2, 3, 4, 5, 6, 8), levels, strict=True):
        partials[harmonic - 1] = level
    return partials * _ANY_PHASE


def formants(peaks: tuple[tuple[float, float], ...], tilt: float) -> np.ndarray:
    """Partials (H,) with hills at (harmonic, width) over a slope of `tilt` per octave, as of a sung or hollow sound."""
    hills = sum(np.exp(-0.5 * ((_H - at) / width) ** 2) for at, width in peaks)
    return (hills + 0.05) * _H**-tilt * _ANY_PHASE


@dataclass(frozen=True, eq=False)
class TablePatch:
    """A sound of single cycles; called with how a note is struck, it gives that note."""

    seed: int
    partials: tuple[np.ndarray, ...]  # (H,) each; the note moves from the first to the last
    amp: Envelope
    filter: Envelope
    cutoff: float  # Hz at middle C
    sweep: float = 0.0  # octaves that the filter's envelope adds
    tracking: float = 0.5  # octaves of cutoff an octave of pitch
    resonance: float = 0.1  # 0-1
    poles: int = 2  # 2 or 4
    voices: int = 1
    detune: float = 0.0  # cents between the outer voices and the middle
    spread: float = 0.0  # 0-1, of the voices from left to right
    width: float = 0.0  # 0: one wave; else its inverted copy this much of a cycle later makes a moving pulse
    sub: float = 0.0  # level of a sine an octave below
    noise: float = 0.0
    morph: float = 1.0  # seconds from the first cycle to the last
    drop: float = 0.0  # semitones by which it starts higher
    drop_seconds: float = 0.03  # in which that falls to a third
    vibrato: float = 0.0  # cents
    drive: float = 0.0  # 0: clean
    bite: float = 0.6  # octaves of cutoff between a soft and a hard note

    def __call__(self, touch: Touch) -> np.ndarray:
        """The note (2, n), peaks about 0.5 at full force."""
        rng = touch.rng(self.seed)
        out = np.zeros((2, self.amp.length(touch.seconds)), np.float32)
        bend = self._bend(out.shape[1], rng)
        self._oscillate(out, touch, bend, rng)
        if self.noise:
            out += (self.noise * rng.standard_normal(out.shape)).astype(np.float32)
        self._filter(out, touch)
        if self.drive:
            out = saturated(out, 1 + 3 * self.drive, 0.0, doublings=1)
        out *= 0.5 * touch.force**1.4 * self.amp.curve(touch.seconds)
        return out

    def _bend(self, n: int, rng: np.random.Generator) -> np.ndarray:
        t = np.arange(n) / SAMPLE_RATE
        cents = np.zeros(n)
        if self.vibrato:
            rate = rng.uniform(4.8, 5.8)
            cents += self.vibrato * np.minimum(t / VIBRATO_DELAY, 1) ** 2 * np.sin(2 * math.pi * rate * t)
        if self.drop:
            cents += 100 * self.drop * np.exp(-t / self.drop_seconds)
        return np.exp2(cents / 1200)

    def _oscillate(self, out: np.ndarray, touch: Touch, bend: np.ndarray, rng: np.random.Generator) -> None:
        places = np.linspace(-1, 1, self.voices) if self.voices > 1 else np.zeros(1)
        steps = touch.frequency / SAMPLE_RATE * np.exp2(places * self.detune / 1200)
        phases = rng.random(self.voices) if self.voices > 1 else np.zeros(1)
        level = 1 / math.sqrt(self.voices)
        angle = (1 + self.spread * rng.permutation(places)) * math.pi / 4
        left, right = level * math.sqrt(2) * np.cos(angle), level * math.sqrt(2) * np.sin(angle)
        top = touch.frequency * float(bend.max())
        turned = np.concatenate([[0.0], np.cumsum(bend)])
        for table, gain in self._tables(top, out.shape[1]):
            heard = np.flatnonzero(gain)
            if not len(heard):
                continue
            first, stop = heard[0], heard[-1] + 1
            layer = np.zeros((2, stop - first), np.float32)
            begin = (phases + steps * turned[first]) % 1
            loops.unison(table, steps, begin, left, right, bend[first:stop], layer)
            if self.width:
                late = steps * (1 + 0.15 / touch.frequency)  # so that the width moves, once in some seconds
                begin = (phases + self.width + late * turned[first]) % 1
                loops.unison(table, late, begin, -left, -right, bend[first:stop], layer)
            out[:, first:stop] += gain[first:stop] * layer
        if self.sub:
            step, sub = np.array([0.5 * touch.frequency / SAMPLE_RATE]), np.array([self.sub])
            loops.unison(cycle(SINE.tobytes(), 1), step, np.zeros(1), sub, sub, bend, out)

    def _tables(self, top: float, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(cycle, gain (n,)) of each stage of the sound."""
        n_partials = max(1, min(N_PARTIALS, int(HIGHEST / top)))
        tables = [cycle(partials.tobytes(), n_partials) for partials in self.partials]
        if len(tables) == 1:
            return [(tables[0], np.ones(n, np.float32))]
        place = np.minimum(np.arange(n) / (self.morph * SAMPLE_RATE), 1) * (len(tables) - 1)
        weights = [np.maximum(0, 1 - np.abs(place - i)).astype(np.float32) for i in range(len(tables))]
        return list(zip(tables, weights, strict=True))

    def _filter(self, out: np.ndarray, touch: Touch) -> None:
        octaves = self.sweep * self.filter.curve(touch.seconds, loops.CONTROL)
        octaves = np.pad(octaves, (0, len(control_times(out.shape[1]))), "edge")[: len(control_times(out.shape[1]))]
        base = self.cutoff * (touch.frequency / MIDDLE) ** self.tracking * 2 ** (self.bite * (touch.force - 0.7))
        low_pass(out, base * np.exp2(octaves.astype(np.float64)), self.resonance, self.poles)


def low_pass(sound: np.ndarray, cutoff: np.ndarray, resonance: float, poles: int) -> None:
    """Filters `sound` (2, n) in place; cutoff: control curve in Hz; resonance 0-1; poles 2 (12 dB an octave) or 4."""
    g = np.tan(math.pi * np.clip(cutoff, LOWEST_CUTOFF, HIGHEST_CUTOFF) / SAMPLE_RATE)
    damping = 2 - 1.85 * resonance
    loops.swept_filter(sound, g, damping, 1.0, 0.0, 0.0)
    if poles == 4:
        loops.swept_filter(sound, g, 1.4, 1.0, 0.0, 0.0)


@functools.lru_cache(maxsize=512)
def cycle(partials: bytes, n_partials: int) -> np.ndarray:
    """One cycle (SIZE,) float32 of sines, the first `n_partials` of H (complex128), its rms that of a full sine."""
    levels = np.frombuffer(partials, np.complex128)[:n_partials]
    spectrum = np.zeros(SIZE // 2 + 1, np.complex128)
    spectrum[1 : n_partials + 1] = -0.5j * levels * SIZE
    wave = np.fft.irfft(spectrum, SIZE)
    return (wave * (math.sqrt(0.5) / np.sqrt(np.mean(wave**2)))).astype(np.float32)
