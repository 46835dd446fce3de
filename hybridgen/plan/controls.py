"""Controls: what a person can fix, in a request or in an edit of some bars.

One dataclass, from which the command line, the keyword arguments of `Pipeline.plan` and `Plan.edit`, and other doors
are made: each field says where it may be given, how it is written there, and what it means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

from hybridgen.plan.harmony import parse_key
from hybridgen.plan.parts import (
    LABELS,
    MAX_BARS,
    MAX_ENERGY,
    MAX_SECONDS,
    MIN_SECONDS,
    ROLES,
    Ending,
    Section,
    check_meter,
    check_prompt,
    check_tempo,
    instance,
    number,
    order_instruments,
    order_roles,
    parse_bar,
    parse_ending,
    show,
    whole,
    words,
)


@dataclass(frozen=True)
class Option:
    """How a field is given: where ("request", "edit" or both), and on a command line, where it can be."""

    places: tuple[str, ...]
    help: str
    parse: Callable[[str], Any] | None = None  # of an argument; None = not on the command line
    metavar: str | None = None


def _option(places: str, help: str, parse: Callable[[str], Any] | None = None, metavar: str | None = None) -> Any:
    return field(default=None, metadata={"option": Option(tuple(places.split()), help, parse, metavar)})


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


@dataclass(frozen=True)
class Controls:
    """What is fixed; None = free in a request, unchanged in an edit. `bars` and `seconds` exclude each other.

    Values are stored in canonical form. Raises ValueError naming the field and both values.
    """

    seconds: float | None = _option("request", "exact length, 0.1 to 600 (default 30)", float, "S")
    bars: int | None = _option("request", "length in whole bars, instead of seconds", int, "N")
    tempo: float | None = _option("request edit", "quarter notes a minute, 30 to 300", float, "BPM")
    key: str | None = _option(
        "request edit", "one of the 24 major and minor keys; in an edit its chords are transposed", str, '"A minor"'
    )
    meter: str | None = _option("request", "2/4 3/4 4/4 5/4 6/8 7/8 9/8 or 12/8", str, "7/8")
    sections: tuple[Section, ...] | None = _option("request", "the form, with as much in each section as is known")
    chords: tuple[tuple[str, ...] | None, ...] | None = _option(
        "request edit", "one entry a bar, repeated; a comma splits a bar", str.split, '"Am F C,G"'
    )
    instruments: tuple[tuple[str, int | None], ...] | None = _option(
        "request edit", "General MIDI program 0-127 of each role, None = free"
    )
    ending: Ending | None = _option(  # noqa: RUF009, a field like the others
        "request edit", "how it ends: ring-out, cut (at the last bar line) or a fade over some bars", str, '"fade 4"'
    )
    label: str | None = _option("edit", "what kind of section: " + " ".join(LABELS), str, "chorus")
    energy: int | None = _option("edit", f"0 to {MAX_ENERGY}", int, f"0-{MAX_ENERGY}")
    roles: tuple[str, ...] | None = _option(
        "edit", "who plays in these bars, of " + " ".join(ROLES), _words, '"drums bass"'
    )
    prompt: str | None = _option("edit", "other words for the whole plan", str, "WORDS")

    def __post_init__(self) -> None:
        for name, canonical in _CANONICAL.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, canonical(value))
        self._check_length()

    def _check_length(self) -> None:
        if self.bars is not None and self.seconds is not None:
            raise ValueError(f"bars {self.bars} and seconds {show(self.seconds)} are both given, choose one")
        if self.bars is not None and not 1 <= self.bars <= MAX_BARS:
            raise ValueError(f"bars {self.bars} are outside 1-{MAX_BARS}")
        if self.seconds is not None and not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds {show(self.seconds)} are outside {MIN_SECONDS:g}-{MAX_SECONDS:g}")
        n_bars = sum(len(section.bars) for section in self.sections or ())
        if self.sections is not None and self.bars is not None and n_bars != self.bars:
            raise ValueError(f"sections hold {n_bars} bars, but bars {self.bars} are requested")

    @classmethod
    def of(cls, place: str, args: "ControlArgs | EditArgs") -> "Controls":
        """The keyword arguments of a "request" or an "edit"; TypeError for one that does not belong there."""
        values: dict[str, Any] = dict(args)
        for name in values.keys() - options(place).keys():
            raise TypeError(f"{name!r} is an unexpected keyword argument; known are {', '.join(options(place))}")
        return cls(**values)

    @property
    def fixes_length(self) -> bool:
        """Whether bars, seconds or sections say how long the track is."""
        return any(value is not None for value in (self.bars, self.seconds, self.sections))


def _chords(bars: Sequence[str | Sequence[str] | None]) -> tuple[tuple[str, ...] | None, ...]:
    if isinstance(bars, str) or not isinstance(bars, Sequence):
        raise TypeError(f"chords {str(bars)[:60]!r} should be a list with an entry for each bar")
    if not len(bars):
        raise ValueError("chords are empty, at least one is needed")
    return tuple(parse_bar(bar) for bar in bars)


def _sections(sections: Sequence[Section]) -> tuple[Section, ...]:
    if isinstance(sections, str) or not isinstance(sections, Sequence):
        raise TypeError(f"sections {str(sections)[:60]!r} should be a list of Section")
    return tuple(instance(section, Section, f"sections: number {i}") for i, section in enumerate(sections, start=1))


_CANONICAL: dict[str, Callable[[Any], Any]] = {
    "seconds": lambda value: number(value, "seconds"),
    "bars": lambda value: whole(value, "bars"),
    "tempo": check_tempo,
    "key": lambda value: parse_key(words(value, "key")),
    "meter": check_meter,
    "sections": _sections,
    "chords": _chords,
    "instruments": order_instruments,
    "ending": parse_ending,
    "label": lambda value: words(value, "label"),
    "energy": lambda value: whole(value, "energy"),
    "roles": order_roles,
    "prompt": check_prompt,
}


def options(place: str) -> dict[str, Option]:
    """The fields of `Controls` that may be given in a "request" or an "edit", by name, in order."""
    found = {one.name: one.metadata["option"] for one in fields(Controls)}
    return {name: option for name, option in found.items() if place in option.places}


class ControlArgs(TypedDict, total=False):
    """The keyword arguments of `Pipeline.plan` and `Pipeline.generate` that fix something; None or absent = free."""

    seconds: float | None  # exact length, 0.1-600; the default is 30
    bars: int | None  # length in whole bars, instead of seconds
    tempo: float | None  # quarter notes a minute, 30-300
    key: str | None  # "A minor", "F# major"
    meter: str | None  # "4/4", "7/8", ...
    sections: Sequence[Section] | None  # the form, with as much or little in each section as is known
    chords: Sequence[str | Sequence[str] | None] | None  # an entry a bar ("F,G" for two chords), repeated
    instruments: Mapping[str, int | None] | None  # role -> General MIDI program 0-127, None = free
    ending: Ending | str | None  # "ring-out", "cut" (at the last bar line), "fade", "fade 4" (over so many bars)


class EditArgs(TypedDict, total=False):
    """The keyword arguments of `Plan.edit`; None or absent = as it is."""

    tempo: float | None
    key: str | None
    chords: Sequence[str | Sequence[str] | None] | None
    instruments: Mapping[str, int | None] | None
    ending: Ending | str | None
    label: str | None
    energy: int | None
    roles: Sequence[str] | None
    prompt: str | None
