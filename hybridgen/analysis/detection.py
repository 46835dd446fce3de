"""A whole recording -> a plan: what is known of it beforehand, and what the detectors add."""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridgen.audio import Audio
from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.parts import Bar, Section, check_meter, check_tempo
from hybridgen.plan.plan import Plan

DEFAULT_METER = "4/4"  # of detected beats where no meter is known
SLOW = 90.0  # BPM under which twice as many may be meant


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


@dataclass(frozen=True)
class Bars:
    """Where the bars of a recording are, and how that was found."""

    tempo: float  # quarter notes a minute
    downbeat: float  # seconds
    notes: tuple[str, ...]  # what was heard, and how sure it is


def find_bars(
    path: Path, recording: Audio, tempo: float | None = None, downbeat: float | None = None, meter: str | None = None
) -> Bars:
    """Tempo and first bar line of a recording; what is not given is heard, where librosa is installed.

    ValueError, naming the file, where it is not, or where no steady beat is heard.
    """
    if tempo is not None and downbeat is not None:
        return Bars(tempo, downbeat, ())
    wanted = " and ".join(name for name, value in (("tempo", tempo), ("downbeat", downbeat)) if value is None)
    give = f"{wanted} must say where its bars are (--tempo BPM, --downbeat SECONDS)"
    if not can_detect():
        offer = "with librosa (pip install 'hybridgen[eval]') they would be heard"
        raise ValueError(f"{path}: carries no hybridgen manifest, so {give}; {offer}")
    from hybridgen.analysis.beats import NEAR_MS, detect_grid  # librosa is optional

    meter = check_meter(DEFAULT_METER if meter is None else meter)
    samples = recording.resample(44_100).samples
    grid = detect_grid(samples, meter, None if tempo is None else check_tempo(tempo))
    if grid is None:
        raise ValueError(f"{path}: no steady beat is heard in it, so {give}")
    heard = []
    if tempo is None:
        tempo = round(grid.tempo, 2)
        is_slow = tempo < SLOW
        double = f"; {2 * tempo:g} if it is fast music" if is_slow else ""
        even = f"{grid.on_grid:.0%} of {grid.n_beats} beats within {NEAR_MS:g} ms of a steady grid"
        heard.append(f"{tempo:g} BPM ({_sure(grid.on_grid, math.inf if is_slow else 0.9, 0.7)}: {even}{double})")
    if downbeat is None:
        downbeat = round(grid.downbeat, 3)
        change = f"harmony changes {grid.contrast:.1f} times as much there as on any other beat"
        heard.append(f"bar 1 at {downbeat:g} s ({_sure(grid.contrast, 1.5, 1.15)}: {change})")
    note = f"{path}: heard {' and '.join(heard)}; --tempo and --downbeat correct it"
    return Bars(tempo, downbeat, (note,))


def hear_harmony(plan: Plan, recording: Audio) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a recording with its key and the triads of its bars, or halves of bars; and what was heard."""
    from hybridgen.metrics import harmony  # needs librosa

    samples = recording.resample(44_100).samples
    starts = plan.bar_starts() / plan.time_base.sample_rate
    edges = np.stack([starts[:-1], (starts[:-1] + starts[1:]) / 2, starts[1:]], axis=1)  # (bars, 3)
    found = harmony.chords(samples, np.concatenate([edges[:, :2], edges[:, 1:]]))
    halves = list(zip(found[: plan.n_bars], found[plan.n_bars :], strict=True))
    bars = [Bar((first,) if first == second else (first, second)) for first, second in halves]
    key, at, sections = harmony.key(samples)[0], 0, list[Section]()
    for section in plan.sections:
        sections.append(replace(section, bars=tuple(bars[at : at + len(section.bars)])))
        at += len(section.bars)
    shown = " | ".join(" ".join(bar.chords or ()) for bar in bars[:8]) + (" ..." if len(bars) > 8 else "")
    return replace(plan, sections=tuple(sections), key=key), (f"heard {key}, chords {shown}",)


def _sure(value: float, sure: float, likely: float) -> str:
    return "sure" if value >= sure else "likely" if value >= likely else "unsure"


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
