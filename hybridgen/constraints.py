"""What the controls of a request leave open, and whether anything is left: read by the grammar."""

from collections.abc import Sequence

import numpy as np

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import KEYS, METERS, MODES, meter_quarters, split_key
from hybridgen.plan.parts import MAX_BARS, MAX_ENERGY, MAX_SECONDS, MAX_TEMPO, MIN_TEMPO, ROLES, Tempo
from hybridgen.plan.tempo_map import from_marks

TENTHS = np.arange(round(MIN_TEMPO * 10), round(MAX_TEMPO * 10) + 1)  # every tempo, in tenths of a BPM
ROUNDING = 1e-9  # relative; a bar that ends on the limit to the last bit is inside it


def bars_within(seconds: float, meter: str, bpm: float | np.ndarray) -> np.ndarray:
    """Whole bars that end within `seconds`, and at least 1."""
    bars = seconds * bpm / (60 * meter_quarters(meter))
    return np.maximum(np.floor(bars * (1 + ROUNDING)), 1)


def tempo_marks(controls: Controls, bpm: float, n_bars: int) -> list[Tempo]:
    """The marks of a track of `n_bars` that begins at `bpm`, first to last; changes after its end are left out."""
    marks = [Tempo(1, bpm)]
    for change in controls.tempo_changes or ():
        bar, target = change.mark(bpm, n_bars)
        if marks[-1].bar < bar <= n_bars:
            marks[-1] = Tempo(marks[-1].bar, marks[-1].bpm, change.ramp)
            marks.append(Tempo(bar, target))
    marks[0] = Tempo(1, bpm, begins_with_ramp(controls))
    return marks


def begins_with_ramp(controls: Controls) -> bool:
    """Whether the tempo moves from the start on, as far as it is fixed; it is chosen before the number of bars."""
    return any(change.ramp for change in (controls.tempo_changes or ())[:1])


def seconds_of(marks: Sequence[Tempo], n_bars: int, meter: str) -> float:
    """How long `n_bars` last at these tempo marks."""
    quarters = meter_quarters(meter)
    starts = [(mark.bar - 1) * quarters for mark in marks]
    tempo = from_marks(starts, [mark.bpm for mark in marks], [mark.ramp for mark in marks])
    return float(tempo.seconds_at(np.array(n_bars * quarters)))


def most_bars(controls: Controls, seconds: float, meter: str, bpm: float) -> int:
    """The whole bars that end within `seconds` of a start at `bpm`, 1 at least."""
    if not controls.tempo_changes:
        return min(int(bars_within(seconds, meter, bpm)), MAX_BARS)
    low, high = 1, MAX_BARS
    while low < high:
        middle = (low + high + 1) // 2
        if seconds_of(tempo_marks(controls, bpm, middle), middle, meter) <= seconds * (1 + ROUNDING):
            low = middle
        else:
            high = middle - 1
    return low


def may_change_tempo(controls: Controls) -> bool:
    """Whether tempo changes are free: where no tempo is fixed, and no place in seconds."""
    in_seconds = controls.seconds is not None or any(cue.seconds is not None for cue in controls.cues or ())
    return controls.tempo is None and controls.tempo_changes is None and not in_seconds


def tempos_in_time(last: Tempo, passed: float, left: float, elapsed: float) -> np.ndarray:
    """(2701,) bool: the tempos that a mark may have, `passed` quarter notes after the `last`, with `left` to come.

    It may be slow only as far as the rest still ends in time; `elapsed` seconds went by before the last mark.
    """
    if last.ramp:
        lowest = 60 * (passed + left) / (MAX_SECONDS - elapsed)
    else:
        lowest = 60 * left / (MAX_SECONDS - elapsed - 60 * passed / last.bpm)
    return 10 * min(lowest, last.bpm) * (1 - ROUNDING) <= TENTHS


def energies(dynamics: str | None, written: Sequence[int], is_last: bool) -> Sequence[int]:
    """Rising or falling where the dynamics are fixed, from one end of the scale to the other; () = any."""
    if dynamics is None:
        return ()
    turned = dynamics == "diminuendo"
    scale = [MAX_ENERGY - energy if turned else energy for energy in range(MAX_ENERGY + 1)]
    low, high = (scale[written[-1]], MAX_ENERGY) if written else (0, MAX_ENERGY // 2 - 1)
    if is_last and written:
        low = max(low, MAX_ENERGY - 2)
    return [energy for energy, place in enumerate(scale) if low <= place <= high]


def keys_allowed(controls: Controls) -> Sequence[str]:
    """The keys of the kind, major or minor, that the mode is of."""
    kind = MODES[controls.mode][1] if controls.mode is not None else None
    return [key for key in KEYS if kind in (None, split_key(key)[1])]


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
    if n_bars is not None and controls.seconds is not None and not controls.tempo_changes:
        tempos = bars_within(controls.seconds, meter, TENTHS / 10) == n_bars
    elif n_bars is not None and not controls.tempo_changes:
        tempos = n_bars * meter_quarters(meter) * 60 <= MAX_SECONDS * TENTHS / 10 * (1 + ROUNDING)
    if controls.tempo is not None:
        low, high = tempo_range(controls.tempo)
        tempos = tempos & (round(low * 10) <= TENTHS) & (round(high * 10) >= TENTHS)
    return tempos & _changes_fit(controls, n_bars, meter, tempos) if controls.tempo_changes else tempos


def _changes_fit(controls: Controls, n_bars: int | None, meter: str, tempos: np.ndarray) -> np.ndarray:
    """(2701,) bool: the `tempos` from which the bars that are fixed last as long as they may, changes counted."""
    if n_bars is None:
        return tempos
    fits = np.zeros(len(TENTHS), dtype=bool)
    for i in np.flatnonzero(tempos):
        bpm = TENTHS[i] / 10
        seconds = seconds_of(tempo_marks(controls, bpm, n_bars), n_bars, meter)
        fits[i] = seconds <= MAX_SECONDS * (1 + ROUNDING)
        if controls.seconds is not None:
            fits[i] = most_bars(controls, controls.seconds, meter, bpm) == n_bars
    return fits


def check(controls: Controls) -> None:
    """ValueError where the controls contradict each other."""
    meters = METERS if controls.meter is None else (controls.meter,)
    if not any(tempos_allowed(controls, meter).any() for meter in meters):
        n_bars, meter = fixed_bars(controls), controls.meter or "any meter"
        length = f"last seconds {controls.seconds:g}" if controls.seconds else f"end within {MAX_SECONDS:g} s"
        low, high = tempo_range(controls.tempo or 0.0)
        tempo = "any tempo" if not high else f"tempo {low:g}" if low == high else f"any tempo of {low:g}-{high:g}"
        raise ValueError(f"bars {n_bars} of {meter} cannot {length} at {tempo}")
    if controls.key is not None and controls.key not in keys_allowed(controls):
        raise ValueError(f"mode {controls.mode} is of a {MODES[controls.mode or ''][1]} key, but key is {controls.key}")
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
