"""What the controls of a request leave open, and whether anything is left: read by the grammar."""

from collections.abc import Sequence

import numpy as np

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import METERS, meter_quarters
from hybridgen.plan.parts import MAX_SECONDS, MAX_TEMPO, MIN_TEMPO, ROLES

TENTHS = np.arange(round(MIN_TEMPO * 10), round(MAX_TEMPO * 10) + 1)  # every tempo, in tenths of a BPM
ROUNDING = 1e-9  # relative; a bar that ends on the limit to the last bit is inside it


def bars_within(seconds: float, meter: str, bpm: float | np.ndarray) -> np.ndarray:
    """Whole bars that end within `seconds`, and at least 1."""
    bars = seconds * bpm / (60 * meter_quarters(meter))
    return np.maximum(np.floor(bars * (1 + ROUNDING)), 1)


def fixed_bars(controls: Controls) -> int | None:
    return sum(len(section.bars) for section in controls.sections) if controls.sections else controls.bars


def required_roles(controls: Controls) -> tuple[str, ...]:
    """Who plays, as far as it is fixed."""
    named = {role for section in controls.sections or () for role in section.roles or ()}
    named |= {role for cue in controls.cues or () for role in cue.enter}
    named |= {role for role, _ in controls.instruments or ()} | set(controls.roles or ())
    return tuple(role for role in ROLES if role in named)


def possible_roles(controls: Controls) -> tuple[str, ...]:
    """Who may play."""
    excluded = controls.without or ()
    cast = controls.roles if controls.roles is not None else ROLES
    return tuple(role for role in cast if role not in excluded)


def programs(controls: Controls, role: str) -> Sequence[int]:
    """The instruments that a role may have; none where it is free."""
    chosen = dict(controls.instruments or ()).get(role)
    excluded = (
        [] if role in ("drums", "percussion") else [one for one in controls.without or () if isinstance(one, int)]
    )
    if not excluded and chosen is None:
        return ()
    return [program for program in chosen or range(128) if program not in excluded]


def tempos_allowed(controls: Controls, meter: str) -> np.ndarray:
    """(2701,) bool: the tempos of `TENTHS` at which the bars that are fixed last as long as they may."""
    n_bars = fixed_bars(controls)
    tempos = np.ones(len(TENTHS), dtype=bool)
    if n_bars is not None and controls.seconds is not None:
        tempos = bars_within(controls.seconds, meter, TENTHS / 10) == n_bars
    elif n_bars is not None:
        tempos = n_bars * meter_quarters(meter) * 60 <= MAX_SECONDS * TENTHS / 10 * (1 + ROUNDING)
    if controls.tempo is not None:
        low, high = tempo_range(controls.tempo)
        tempos = tempos & (round(low * 10) <= TENTHS) & (round(high * 10) >= TENTHS)
    return tempos


def check(controls: Controls) -> None:
    """ValueError where the controls contradict each other."""
    meters = METERS if controls.meter is None else (controls.meter,)
    if not any(tempos_allowed(controls, meter).any() for meter in meters):
        n_bars, meter = fixed_bars(controls), controls.meter or "any meter"
        length = f"last seconds {controls.seconds:g}" if controls.seconds else f"end within {MAX_SECONDS:g} s"
        low, high = tempo_range(controls.tempo or 0.0)
        tempo = "any tempo" if not high else f"tempo {low:g}" if low == high else f"any tempo of {low:g}-{high:g}"
        raise ValueError(f"bars {n_bars} of {meter} cannot {length} at {tempo}")
    possible = possible_roles(controls)
    if missing := [role for role in required_roles(controls) if role not in possible]:
        excluded = f"without is {list(controls.without)}" if controls.without else f"roles are {list(possible)}"
        raise ValueError(f"{', '.join(missing)} should play, but {excluded}")
    for role, chosen in controls.instruments or ():
        if chosen and not programs(controls, role):
            raise ValueError(f"instruments: {role} should be one of {list(chosen)}, but without excludes them")


def tempo_range(tempo: float | tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest tempo that is allowed."""
    return tempo if isinstance(tempo, tuple) else (tempo, tempo)
