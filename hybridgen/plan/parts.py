"""The parts of a plan: Tempo, Bar, Section and Ending, and the checks that every part and every request passes.

Bars are counted from 1. Every musical field may be None: unknown, as real recordings lack labels.
"""

import contextlib
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hybridgen.plan.harmony import METERS, parse_chord

T = TypeVar("T")
MIN_TEMPO, MAX_TEMPO = 30.0, 300.0  # quarter notes a minute, in steps of 0.1
MIN_SECONDS, MAX_SECONDS = 0.1, 600.0
MAX_ENERGY = 7
MAX_SEED = 2**53 - 1  # exact in JSON wherever it is read
MAX_BARS = 4095  # what the grammar's two digits count to; more than MAX_SECONDS holds at any tempo
MAX_PROMPT = 10_000  # characters
ROLES = ("drums", "percussion", "bass", "keys", "guitar", "strings", "winds", "lead", "pad")
ENDINGS = ("ring-out", "cut", "fade", "loop", "open")
LABELS = ("intro", "verse", "chorus", "bridge", "break", "build", "drop", "solo", "interlude", "outro")


def show(number: float) -> str:
    """A number in a message, however large it is."""
    if isinstance(number, int):
        return f"{str(number)[:15]}..." if abs(number) >= 10**15 else str(number)
    return f"{number:g}"


def whole(value: Any, field: str) -> int:
    """`value` as an int: Python's, NumPy's and torch's integers; TypeError for anything else, 1.0 and True too."""
    if not _is_bool(value):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise TypeError(f"{field} {_named(value)} should be a whole number")


def number(value: Any, field: str) -> float:
    """`value` as Python's float (an int stays one): numbers of Python, NumPy and torch; TypeError for anything else."""
    if isinstance(value, int) and not _is_bool(value):
        return value
    if hasattr(value, "__float__") and not _is_bool(value):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            return float(value)
    raise TypeError(f"{field} {_named(value)} should be a number")


def words(value: Any, field: str) -> str:
    """`value` itself; TypeError unless it is text."""
    if not isinstance(value, str):
        raise TypeError(f"{field} {_named(value)} should be text")
    return value


def instance(value: Any, kind: type[T], field: str, hint: str = "") -> T:
    """`value` itself; TypeError unless it is a `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{field} {_named(value)} should be of type {kind.__name__}{hint}")
    return value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _named(value: Any) -> str:
    """A value in a message: plain ones as they are, all others by their type."""
    plain = isinstance(value, (str, int, float, bool)) or value is None
    return repr(value)[:60] if plain else f"of type {type(value).__name__}"


def check_tempo(bpm: float, field: str = "tempo") -> float:
    """`bpm` as a float on the grid of 0.1; ValueError outside 30.0-300.0."""
    bpm = number(bpm, field)
    if not MIN_TEMPO <= bpm <= MAX_TEMPO:  # also refuses NaN
        raise ValueError(f"{field} {show(bpm)} is outside {MIN_TEMPO:g}-{MAX_TEMPO:g} BPM")
    return round(float(bpm), 1)


def check_meter(meter: str, field: str = "meter") -> str:
    """`meter` itself; ValueError if it is none of `METERS`."""
    if words(meter, field) not in METERS:
        raise ValueError(f"{field} {meter[:60]!r} is none of {', '.join(METERS)}")
    return meter


def check_label(label: str, field: str = "label") -> str:
    """`label` itself; ValueError if it is none of `LABELS`."""
    if label not in LABELS:
        raise ValueError(f"{field} {str(label)[:60]!r} is none of {', '.join(LABELS)}")
    return label


def check_energy(energy: int, field: str = "energy") -> int:
    """`energy` itself; ValueError unless it is an integer of 0-7."""
    if not (isinstance(energy, int) and 0 <= energy <= MAX_ENERGY):
        raise ValueError(f"{field} {str(energy)[:60]} is outside 0-{MAX_ENERGY}")
    return energy


def check_prompt(prompt: str) -> str:
    """`prompt` itself; ValueError when it is longer than `MAX_PROMPT` characters."""
    if len(words(prompt, "prompt")) > MAX_PROMPT:
        raise ValueError(f"prompt of {len(prompt)} characters is over the limit of {MAX_PROMPT}")
    return prompt


def parse_bar(chords: "str | Iterable[str] | None", field: str = "chords") -> tuple[str, ...] | None:
    """One bar's chords, canonical: "Am", "F,G" or "F G" (half a bar each), a sequence of one or two, or None."""
    if chords is None:
        return None
    names = chords.replace(",", " ").split() if isinstance(chords, str) else list(chords)
    if not 1 <= len(names) <= 2:
        raise ValueError(f"{field}: {len(names)} chords in a bar, but a bar holds one or two")
    try:
        return tuple(parse_chord(name) for name in names)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def order_roles(roles: Iterable[str], field: str = "roles") -> tuple[str, ...]:
    """`roles` in the order of `ROLES`; ValueError on an unknown or repeated one, TypeError for no list of them."""
    if isinstance(roles, str) or not isinstance(roles, Iterable):
        raise TypeError(f"{field} {_named(roles)} should be a list of roles, such as ['drums', 'bass']")
    roles = tuple(roles)
    for role in roles:
        if role not in ROLES:
            raise ValueError(f"{field}: {str(role)[:60]!r} is none of {', '.join(ROLES)}")
        if roles.count(role) > 1:
            raise ValueError(f"{field}: {role!r} is named {roles.count(role)} times")
    return tuple(sorted(roles, key=ROLES.index))


def by_role(values: Any, field: str) -> list[tuple[Any, Any]]:
    """(role, value) pairs of a mapping, or of such pairs; TypeError for anything else."""
    given = values.items() if isinstance(values, Mapping) else values
    pairs: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [()]
    if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise TypeError(f"{field} {str(values)[:60]!r} should map roles to instruments, such as {{'keys': 'rhodes'}}")
    return pairs


def order_instruments(
    instruments: "Mapping[str, int | None] | Iterable[tuple[str, int | None]]",
) -> tuple[tuple[str, int | None], ...]:
    """(role, General MIDI program 0-127 or None) pairs in the order of `ROLES`; ValueError on what is neither."""
    pairs = by_role(instruments, "instruments")
    for role, program in pairs:
        if program is not None and not (isinstance(program, int) and 0 <= program <= 127):
            raise ValueError(f"instruments: program {str(program)[:60]} of {str(role)[:60]} is outside 0-127")
    order = order_roles((role for role, _ in pairs), "instruments")
    return tuple((role, dict(pairs)[role]) for role in order)


@dataclass(frozen=True)
class Tempo:
    """A tempo mark at the start of `bar` (from 1); a ramp runs linearly in quarter notes to the next mark."""

    bar: int
    bpm: float
    ramp: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bpm", check_tempo(self.bpm))


@dataclass(frozen=True)
class TempoChange:
    """A change of tempo in a track whose length is still free.

    At `bar` (from 1; negative from the end, -1 is the last bar) the tempo is `bpm`, or `scale` times the first tempo.
    It is a step, or with `ramp` the end of a steady change since the change before it, or since the start.
    """

    bar: int
    bpm: float | None = None
    scale: float | None = None
    ramp: bool = False

    def __post_init__(self) -> None:
        if not 1 <= abs(self.bar) <= MAX_BARS:
            raise ValueError(f"tempo change: bar {self.bar} is neither 1 to {MAX_BARS} nor -{MAX_BARS} to -1")
        if (self.bpm is None) == (self.scale is None):
            raise ValueError(f"tempo change: give bpm ({self.bpm}) or scale ({self.scale}), one of the two")
        if self.bpm is not None:
            object.__setattr__(self, "bpm", check_tempo(self.bpm, "tempo change: bpm"))
        elif not 0.1 <= (self.scale or 0) <= 10:
            raise ValueError(f"tempo change: scale {self.scale} is outside 0.1-10")

    def mark(self, first_bpm: float, n_bars: int) -> tuple[int, float]:
        """(bar, BPM) in a track of `n_bars` that begins at `first_bpm`; never bar 1, BPM kept within 30-300."""
        bar = max(2, n_bars + 1 + self.bar) if self.bar < 0 else self.bar
        bpm = self.bpm if self.bpm is not None else first_bpm * (self.scale or 1.0)
        return bar, round(min(max(bpm, MIN_TEMPO), MAX_TEMPO), 1)

    def text(self) -> str:
        """For people: "to 140 BPM by the last bar", "to 70% of the tempo by the last bar", "at bar 9 to 140 BPM"."""
        from_end = "the last bar" if self.bar == -1 else f"bar {-self.bar} from the end"
        where = f"bar {self.bar}" if self.bar > 0 else from_end
        to = f"{self.bpm:g} BPM" if self.bpm is not None else f"{100 * (self.scale or 1):g}% of the tempo"
        return f"to {to} by {where}" if self.ramp else f"at {where} to {to}"


@dataclass(frozen=True)
class Bar:
    """One or two canonical chords, half a bar each; None where they are unknown."""

    chords: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "chords", parse_bar(self.chords))


@dataclass(frozen=True)
class Section:
    """Bars that belong together: label of `LABELS`, energy 0-7, and the roles that play."""

    label: str | None
    bars: tuple[Bar, ...]
    energy: int | None = None
    roles: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.label is not None:
            check_label(self.label, "section label")
        if not self.bars:
            raise ValueError(f"section {self.label!r} has 0 bars, it needs at least 1")
        if self.energy is not None:
            check_energy(self.energy, "section energy")
        object.__setattr__(self, "bars", tuple(self.bars))
        if self.roles is not None:
            object.__setattr__(self, "roles", order_roles(self.roles, "section roles"))


@dataclass(frozen=True)
class Cue:
    """What happens at a place of a form that is not written yet: who enters, who is silent, which section begins.

    At `bar` (from 1), or at `seconds` where the bar nearest to it begins; up to the bar `last`, or in the one section
    that begins there where it is None.
    """

    bar: int = 1
    last: int | None = None
    seconds: float | None = None
    enter: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    label: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bar", whole(self.bar, "cue: bar"))
        if self.last is not None:
            object.__setattr__(self, "last", whole(self.last, "cue: last"))
        if self.seconds is not None:
            object.__setattr__(self, "seconds", number(self.seconds, "cue: seconds"))
            if not 0 <= self.seconds <= MAX_SECONDS:
                raise ValueError(f"cue: seconds {show(self.seconds)} are outside 0-{MAX_SECONDS:g}")
        if not 1 <= self.bar <= (self.last or MAX_BARS) <= MAX_BARS:
            raise ValueError(f"cue: bars {self.bar}-{self.last or MAX_BARS} are not a range inside 1-{MAX_BARS}")
        object.__setattr__(self, "enter", order_roles(self.enter, "cue: enter"))
        object.__setattr__(self, "silent", order_roles(self.silent, "cue: silent"))
        if self.label is not None:
            check_label(self.label, "cue: label")

    def text(self) -> str:
        """The cue in words: "bars 1-8 without drums", "from bar 9 without drums", "bass from bar 9"."""
        where = f"at {self.seconds:g} s" if self.seconds is not None else f"from bar {self.bar}"
        if self.silent and self.enter:
            return f"only {' '.join(self.enter)} {where}"
        if self.silent and self.last == MAX_BARS:
            return f"{where} without {' '.join(self.silent)}"
        if self.silent:
            return f"bars {self.bar}-{self.last or self.bar} without {' '.join(self.silent)}"
        return f"{self.label or ' '.join(self.enter)} {where}"


@dataclass(frozen=True)
class Ending:
    """How a track ends. "ring-out": what sounds dies away by the last sample; "cut": all stops at the last bar line.

    "fade": all fades out over the last `bars` bars, by default a quarter of the track and at most 8. "loop": not at
    all, the last bar leads back into the first. "open": it is the beginning of something longer, and is only faded so
    fast that it does not click. Written as text: a kind, or "fade 4". Raises ValueError for another kind, or for bars
    that are not those of a fade.
    """

    kind: str  # of ENDINGS
    bars: int | None = None  # of a fade, from 1 to MAX_BARS

    def __post_init__(self) -> None:
        if self.kind not in ENDINGS:
            raise ValueError(
                f"ending {str(self.kind)[:60]!r} is none of {', '.join(ENDINGS)} (or a fade over bars: fade 4)"
            )
        if self.bars is None:
            return
        if self.kind != "fade":
            raise ValueError(f"ending {self.kind!r} has no bars, but bars {str(self.bars)[:60]} are given")
        if type(self.bars) is not int or not 1 <= self.bars <= MAX_BARS:
            raise ValueError(f"ending: a fade over {str(self.bars)[:60]} bars is outside 1-{MAX_BARS}")

    def __str__(self) -> str:
        return self.kind if self.bars is None else f"{self.kind} {self.bars}"


def parse_ending(ending: "Ending | str") -> Ending:
    """An ending as such or as its text, "fade 4 bars" and "ring out" included; ValueError for anything else."""
    if isinstance(ending, Ending):
        return ending
    if not isinstance(ending, str):
        raise ValueError(f"ending {str(ending)[:60]!r} is none of {', '.join(ENDINGS)}")
    match = re.fullmatch(r"(?P<kind>\D*?)(?:[\s:]+(?P<bars>\d{1,6})(?:\s*bars?)?)?", ending.strip().lower())
    if match is None:
        return Ending(ending[:60])
    return Ending(re.sub(r"[\s_]+", "-", match["kind"]), int(match["bars"]) if match["bars"] else None)


def check_bars(bars: tuple[int, int], n_bars: int) -> tuple[int, int]:
    """(first, last), counted from 1, both included; ValueError unless 1 <= first <= last <= n_bars.

    TypeError for what is no pair of whole numbers.
    """
    pair = tuple(bars) if isinstance(bars, Iterable) and not isinstance(bars, str) else ()
    if len(pair) != 2:
        raise TypeError(f"bars {str(bars)[:60]!r} should be a pair such as (9, 12)")
    first, last = (whole(bar, "bars") for bar in pair)
    if not 1 <= first <= last <= n_bars:
        raise ValueError(f"bars {first}-{last} are not inside the plan's bars 1-{n_bars}")
    return first, last


def check_seed(seed: int) -> int:
    """`seed` as an int; ValueError outside 0 to 2**53 - 1, TypeError for what is no whole number."""
    seed = whole(seed, "seed")
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {str(seed)[:60]} is outside 0-{MAX_SEED}")
    return seed
