"""Drums out of sines and noise, as machines make them; every kit is a little different.

Sound is (2, n) float32 at 44.1 kHz, the same on both sides.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound.notes import Touch
from hybridgen.data.sound.shaping import butter, filtered

RISE, FADE = 0.0003, 0.004  # seconds at the start and the end of every hit
METAL = (2.0, 3.0, 4.16, 5.43, 6.79, 8.21)  # ratios of the oscillators of a machine's hats and cymbals
SKINS = {60: (420.0, 0.14), 61: (300.0, 0.2), 62: (330.0, 0.09), 63: (260.0, 0.26), 64: (190.0, 0.32)}  # Hz, seconds
TOMS = {41: 0.7, 43: 0.8, 45: 0.95, 47: 1.1, 48: 1.3, 50: 1.55}  # pitch -> times the middle tom's frequency


@dataclass(frozen=True)
class DrumPatch:
    """A drum machine; called with how a drum is struck, it gives that hit."""

    seed: int
    kick: float  # Hz at the end of its sweep
    kick_seconds: float  # until it is 60 dB down
    sweep: float  # octaves from which it falls
    click: float  # 0-1, of the beater
    snare: float  # Hz
    snap: float  # 0-1, noise over tone
    snare_seconds: float
    hat: float  # Hz, above which hats sound
    hat_seconds: float  # of a closed one
    metal: float  # 0-1, oscillators over noise
    tom: float  # Hz of the middle one

    def __call__(self, touch: Touch) -> np.ndarray:
        """The hit (2, n), peaks about 1, duller when it is soft."""
        wave = _hit(self, touch.pitch, touch.variant)
        if touch.force < 0.75:
            wave = filtered(wave, butter(1, min(18_000.0, 2500 * 2 ** (4 * touch.force))))
        return np.repeat(wave, 2, axis=0)

    def _kick(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(self.kick_seconds)
        octaves = self.sweep * (0.75 * np.exp(-t / 0.008) + 0.25 * np.exp(-t / 0.05))
        body = np.sin(2 * math.pi * np.cumsum(self.kick * np.exp2(octaves)) / SAMPLE_RATE)
        body *= _fall(t, self.kick_seconds) * np.minimum(t / 0.0006, 1)
        click = self.click * np.exp(-t / 0.0012) * _high(rng.standard_normal(len(t)), 2500)
        return np.tanh(1.6 * body) + 0.5 * click

    def _snare(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(self.snare_seconds)
        tone = sum(
            level * np.sin(2 * math.pi * np.cumsum(self.snare * ratio * np.exp2(0.6 * np.exp(-t / 0.01))) / SAMPLE_RATE)
            for ratio, level in ((1.0, 1.0), (1.58, 0.6))
        )
        noise = _high(rng.standard_normal(len(t)), 1200) * _fall(t, self.snare_seconds)
        noise += 0.7 * _high(rng.standard_normal(len(t)), 4000) * np.exp(-t / 0.015)
        return (1 - self.snap) * tone * _fall(t, 0.6 * self.snare_seconds) + self.snap * noise

    def _rim(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.06)
        knocks = [np.sin(2 * math.pi * f * t) * np.exp(-t / s) for f, s in ((480.0, 0.006), (1720.0, 0.01))]
        return np.sum(knocks, axis=0)

    def _clap(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.35)
        noise = _band(rng.standard_normal(len(t)), 900, 3800)
        shape = 0.35 * np.where(t > 0.03, np.exp(-np.maximum(t - 0.03, 0) / 0.06), 0.0)
        for start in (0.0, 0.011, 0.021, 0.031):
            shape = shape + np.where(t >= start, np.exp(-np.maximum(t - start, 0) / 0.004), 0.0)
        return noise * shape

    def _metal(self, rng: np.random.Generator, seconds: float, base: float) -> np.ndarray:
        t = _times(seconds)
        tones = np.zeros(len(t))
        for ratio in METAL:
            f = base * ratio * rng.uniform(0.997, 1.003)
            for harmonic in range(1, max(2, int(18_000 / f) + 1), 2):
                tones += np.sin(2 * math.pi * (f * harmonic * t + rng.random())) / harmonic
        noise = rng.standard_normal(len(t))
        mixed = self.metal * tones / tones.std() + (1 - self.metal) * noise
        return _high(mixed, self.hat) * _fall(t, seconds) * np.minimum(t / 0.0004, 1)

    def _closed(self, rng: np.random.Generator) -> np.ndarray:
        return self._metal(rng, self.hat_seconds, 205.0)

    def _open(self, rng: np.random.Generator) -> np.ndarray:
        return self._metal(rng, 7 * self.hat_seconds, 205.0)

    def _crash(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(2.4)
        noise = _high(rng.standard_normal(len(t)), 2500) * (0.5 * _fall(t, 2.4) + 0.5 * np.exp(-t / 0.12))
        return noise + 0.5 * self._metal(rng, 2.4, 280.0)

    def _ride(self, rng: np.random.Generator) -> np.ndarray:
        bell = self._metal(rng, 1.2, 340.0)
        t = _times(1.2)
        return 0.7 * bell + 0.3 * _high(rng.standard_normal(len(t)), 6000) * np.exp(-t / 0.03)

    def _cowbell(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.35)
        squares = [
            np.sin(2 * math.pi * f * k * t) / k for f in (562.0, 845.0) for k in range(1, int(15_000 / f) + 1, 2)
        ]
        return _band(np.sum(squares, axis=0), 500, 5000) * (0.7 * np.exp(-t / 0.015) + 0.3 * _fall(t, 0.35))

    def _shaker(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.09)
        return (
            _high(rng.standard_normal(len(t)), 5000)
            * np.minimum(t / 0.012, 1)
            * np.exp(-np.maximum(t - 0.012, 0) / 0.015)
        )

    def _tambourine(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.25)
        jingles = sum(np.sin(2 * math.pi * (f * t + rng.random())) for f in rng.uniform(5500, 12_000, 12))
        return (0.6 * jingles + _high(rng.standard_normal(len(t)), 6500)) * _fall(t, 0.25)

    def _claves(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(0.12)
        return np.sin(2 * math.pi * 2450 * t) * _fall(t, 0.12) * np.minimum(t / 0.0005, 1)

    def _triangle(self, rng: np.random.Generator) -> np.ndarray:
        t = _times(1.4)
        tones = ((4070.0, 1.4), (6550.0, 0.7), (9130.0, 0.5))  # Hz, seconds
        return np.sum([np.sin(2 * math.pi * f * t) * _fall(t, seconds) for f, seconds in tones], axis=0)

    def _skin(self, pitch: int, rng: np.random.Generator) -> np.ndarray:
        frequency, seconds = SKINS.get(pitch) or (self.tom * TOMS.get(pitch, 1.0), 0.45)
        t = _times(seconds)
        swept = np.cumsum(frequency * np.exp2(0.25 * np.exp(-t / 0.015))) / SAMPLE_RATE
        slap = 0.25 * _band(rng.standard_normal(len(t)), 800, 5000) * np.exp(-t / 0.004)
        return np.sin(2 * math.pi * swept) * _fall(t, seconds) * np.minimum(t / 0.0006, 1) + slap


_HITS: dict[int, Callable[[DrumPatch, np.random.Generator], np.ndarray]] = {
    pitch: make
    for pitches, make in (
        ((35, 36), DrumPatch._kick),
        ((37,), DrumPatch._rim),
        ((38, 40), DrumPatch._snare),
        ((39,), DrumPatch._clap),
        ((42, 44), DrumPatch._closed),
        ((46,), DrumPatch._open),
        ((49, 52, 55, 57), DrumPatch._crash),
        ((51, 53, 59), DrumPatch._ride),
        ((54,), DrumPatch._tambourine),
        ((56,), DrumPatch._cowbell),
        ((69, 70, 82), DrumPatch._shaker),
        ((75, 76, 77), DrumPatch._claves),
        ((80, 81), DrumPatch._triangle),
    )
    for pitch in pitches
}


@functools.lru_cache(maxsize=128)
def _hit(patch: DrumPatch, drum: int, variant: int) -> np.ndarray:
    """A hit (1, n) with a peak of 1."""
    rng = Touch(drum, 127, 0.0, variant).rng(patch.seed)
    make = _HITS.get(drum)
    wave = patch._skin(drum, rng) if make is None else make(patch, rng)
    fade, rise = min(len(wave), round(FADE * SAMPLE_RATE)), round(RISE * SAMPLE_RATE)
    wave[:rise] *= np.linspace(0, 1, rise)
    wave[len(wave) - fade :] *= np.linspace(1, 0, fade)
    return (wave / np.abs(wave).max()).astype(np.float32)[None]


def _times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _fall(t: np.ndarray, seconds: float) -> np.ndarray:
    return np.exp(-6.9 * t / seconds)


def _high(noise: np.ndarray, frequency: float) -> np.ndarray:
    return np.asarray(signal.sosfilt(butter(2, frequency, "highpass"), noise))


def _band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(signal.sosfilt(butter(2, (low, high), "bandpass"), noise))
