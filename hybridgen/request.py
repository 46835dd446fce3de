"""What is asked for, in arguments and in words, as what planner and renderer are told."""

import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from hybridgen.plan import (
    METER_BEATS,
    SAMPLE_RATE,
    Bar,
    Controls,
    Plan,
    Section,
    check_meter,
    check_tempo,
    meter_quarters,
)
from hybridgen.text import find_controls

DEFAULT_SECONDS = 30.0
MAX_SEED = 2**53 - 1  # exact in JSON wherever it is read


class Asked(TypedDict, total=False):
    """The keyword arguments of `Pipeline.plan` and `Pipeline.generate` that fix something; None or absent = free."""

    seconds: float | None  # exact length, 0.1-600; the default is 30
    bars: int | None  # length in whole bars, instead of seconds
    tempo: float | None  # quarter notes a minute, 30-300
    key: str | None  # "A minor", "F# major"
    meter: str | None  # "4/4", "7/8", ...
    sections: Sequence[Section] | None  # the form, with as much or little in each section as is known
    chords: Sequence[str | Sequence[str]] | None  # an entry a bar ("F,G" for two chords), repeated over the track
    instruments: Mapping[str, int | None] | None  # role -> General MIDI program 0-127, None = free


def resolve_controls(prompt: str, asked: Controls) -> Controls:
    """What is asked in arguments, then in the words of the prompt, then the default length; warns of what loses."""
    worded, notes = find_controls(prompt)
    values = {}
    for name, in_words in vars(worded).items():
        given = getattr(asked, name)
        if name in ("bars", "seconds", "sections") and _says_length(asked):
            lost = in_words is not None and given != in_words
        else:
            lost = in_words is not None and given is not None and given != in_words
            given = in_words if given is None else given
        if lost:
            notes = [*notes, f"{name} in the prompt ({in_words}) gives way to what was asked for explicitly"]
        values[name] = given
    if not any(values[name] for name in ("bars", "seconds", "sections")):
        values["seconds"] = DEFAULT_SECONDS
    for note in notes:
        warnings.warn(note, stacklevel=3)
    return Controls(**values)


def _says_length(controls: Controls) -> bool:
    return any(value is not None for value in (controls.bars, controls.seconds, controls.sections))


def plan_of_recording(n_samples: int, tempo: float, downbeat: float, meter: str) -> Plan:
    """A plan with the bars of a recording that holds `tempo` from `downbeat` (seconds) on, all else unknown.

    ValueError when tempo or meter are none we have, or not one whole bar lies inside the recording.
    """
    check_tempo(tempo), check_meter(meter)
    beats, bar_seconds = len(METER_BEATS[meter]), meter_quarters(meter) * 60 / tempo
    n_bars = int((n_samples / SAMPLE_RATE - downbeat) / bar_seconds + 1e-6)
    if downbeat < 0 or n_bars < 1:
        raise ValueError(f"downbeat {downbeat:g} s leaves no whole bar in {n_samples / SAMPLE_RATE:.2f} s")
    offsets = np.array(METER_BEATS[meter]) * 60 / tempo
    times = downbeat + (np.arange(n_bars)[:, None] * bar_seconds + offsets).reshape(-1)
    times = (*times.round(6).tolist(), round(downbeat + n_bars * bar_seconds, 6))
    assert len(times) == n_bars * beats + 1
    return Plan(sections=(Section(None, (Bar(),) * n_bars),), meter=meter, beats=times, n_samples=n_samples)


def random_seed() -> int:
    """A seed that nobody can foresee."""
    return secrets.randbelow(2**32)


def check_seed(seed: int) -> int:
    """`seed` itself; ValueError outside 0 to 2**53 - 1."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed} is outside 0-{MAX_SEED}")
    return seed
