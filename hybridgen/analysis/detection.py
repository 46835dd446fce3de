"""A whole recording -> a plan: what is known of it beforehand, and what the detectors add."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.parts import Bar, Section
from hybridgen.plan.plan import Plan

DEFAULT_METER = "4/4"  # of detected beats where no meter is known


@dataclass(frozen=True)
class Detected:
    """What detection adds to what is known of a recording."""

    beats: np.ndarray  # (n,) seconds, the first of a bar first; empty where no even beat was found
    key: str | None


NOTHING_DETECTED = Detected(np.zeros(0), None)

Detector = Callable[[np.ndarray, Controls], Detected]  # samples (2, N), what is known


def can_detect() -> bool:
    """Whether what the detectors need is installed."""
    return importlib.util.find_spec("librosa") is not None


def detect(samples: np.ndarray, known: Controls) -> Detected:
    """Beats of samples (2, N) at the known tempo, or else at the strongest pulse; and the key if it is not known."""
    from hybridgen.analysis.beats import detect_beats  # librosa is optional
    from hybridgen.analysis.key import detect_key

    tempo = None if isinstance(known.tempo, tuple) else known.tempo  # a range in words says too little
    beats = detect_beats(samples, known.meter or DEFAULT_METER, tempo)
    return Detected(beats, known.key or detect_key(samples))


def plan_recording(samples: np.ndarray, known: Controls, detect: Detector = detect) -> Plan:
    """The plan of samples (2, N): their length, and key, meter and beats where they are known or detected.

    Bars are in the known meter, else in `DEFAULT_METER`; a last bar that is not complete is left out. Chords, sections
    and instruments stay unknown.
    """
    detected = detect(samples, known)
    key, n_samples = known.key or detected.key, samples.shape[1]
    meter = known.meter or DEFAULT_METER
    beats_per_bar = len(METER_BEATS[meter])
    n_bars = max(0, len(detected.beats) - 1) // beats_per_bar
    if not n_bars:
        return Plan(meter=known.meter, key=key, n_samples=n_samples)
    beats = tuple(detected.beats[: n_bars * beats_per_bar + 1].round(6).tolist())
    return Plan((Section(None, (Bar(),) * n_bars),), meter=meter, key=key, beats=beats, n_samples=n_samples)
