"""Controls: what a person can fix, in a request or in an edit of some bars.

One dataclass, from which the command line, the keyword arguments of `Pipeline.plan` and `Plan.edit`, and other doors
are made: each field says where it may be given, how it is written there, and what it means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, TypeVar

from hybridgen.plan.harmony import KEYS, METERS, MODES, parse_key
from hybridgen.plan.instruments import Programs, name_of, parse_exclusions, parse_instruments
from hybridgen.plan.notes import Swing, Written, check_written, parse_swing
from hybridgen.plan.parts import (
    ENDINGS,
    LABELS,
    MAX_BARS,
    MAX_ENERGY,
    MAX_SECONDS,
    MAX_TEMPO,
    MIN_SECONDS,
    MIN_TEMPO,
    ROLES,
    Cue,
    Ending,
    Section,
    TempoChange,
    check_energy,
    check_label,
    check_meter,
    check_prompt,
    check_tempo,
    instance,
    number,
    order_roles,
    parse_bar,
    parse_ending,
    show,
    whole,
    words,
)
from hybridgen.plan.sounds import SOUNDS, parse_sound

T = TypeVar("T")
DYNAMICS = ("crescendo", "diminuendo")


@dataclass(frozen=True)
class Option:
    """How a field is given: where ("request", "edit" or both), and on a command line, where it can be."""

    places: tuple[str, ...]
    help: str
    parse: Callable[[str], Any] | None = None  # of an argument; None = not on the command line
    metavar: str | None = None
    repeats: str | None = None  # the name of an argument that is given once for each entry of a mapping
    limits: tuple[float, float] | None = None  # of a number, or of each of several, both included
    choices: tuple[str, ...] = ()  # the usual words, or those of which several are given


def _option(
    places: str,
    help: str,
    parse: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    repeats: str | None = None,
    limits: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
) -> Any:
    option = Option(tuple(places.split()), help, parse, metavar, repeats, limits, tuple(choices))
    return field(default=None, metadata={"option": option})


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _tempo(text: str) -> float | tuple[float, float]:
    """ "84" -> 84, "96-100" -> (96, 100)."""
    low, dash, high = text.partition("-")
    try:
        return (float(low), float(high)) if dash and low else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a number nor a range such as 96-100") from None


def _instrument(text: str) -> dict[str, int | str]:
    """ "keys=rhodes" -> {"keys": "rhodes"}, "lead=40" -> {"lead": 40}."""
    role, equals, name = (word.strip() for word in text.partition("="))
    if not equals or not name:
        raise ValueError(f"{text!r} is not role=instrument")
    return {role: int(name) if name.isdecimal() else name}


def _notes(text: str) -> dict[str, list[str]]:
    """ "bass=A1 0 480; as 1" -> {"bass": ["A1 0 480", "as 1"]}."""
    role, equals, bars = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not role=notes")
    return {role.strip(): [bar.strip() for bar in bars.split(";")]}


@dataclass(frozen=True)
class Controls:
    """What is fixed; None = free in a request, unchanged in an edit. `bars` and `seconds` exclude each other.

    Values are stored in canonical form. Raises ValueError naming the field and both values.
    """

    seconds: float | None = _option(
        "request", "exact length, 0.1 to 600 (default 30)", float, "S", limits=(MIN_SECONDS, MAX_SECONDS)
    )
    bars: int | None = _option("request", "length in whole bars, instead of seconds", int, "N", limits=(1, MAX_BARS))
    tempo: float | tuple[float, float] | None = _option(
        "request edit",
        "quarter notes a minute, 30 to 300, or a range such as 96-100",
        _tempo,
        "BPM",
        limits=(MIN_TEMPO, MAX_TEMPO),
    )
    tempo_changes: tuple[TempoChange, ...] | None = _option("request", "steps and ramps of the tempo, in order")
    key: str | None = _option(
        "request edit",
        "one of the 24 major and minor keys; in an edit its chords are transposed",
        str,
        '"A minor"',
        choices=KEYS,
    )
    mode: str | None = _option(
        "request", "the chords keep to a mode of the key: " + ", ".join(MODES), str, "dorian", choices=tuple(MODES)
    )
    meter: str | None = _option("request", "2/4 3/4 4/4 5/4 6/8 7/8 9/8 or 12/8", str, "7/8", choices=METERS)
    sections: tuple[Section, ...] | None = _option("request", "the form, with as much in each section as is known")
    chords: tuple[tuple[str, ...] | None, ...] | None = _option(
        "request edit", "one entry a bar, repeated; a comma splits a bar", str.split, '"Am F C,G"'
    )
    form: tuple[str, ...] | None = _option(
        "request",
        "the sections in order, their lengths free, of " + " ".join(LABELS),
        _words,
        '"intro verse outro"',
        choices=LABELS,
    )
    cues: tuple[Cue, ...] | None = _option("request", "who enters or is silent where, which section begins where")
    dynamics: str | None = _option(
        "request", "the energy rises or falls: " + " ".join(DYNAMICS), str, "crescendo", choices=DYNAMICS
    )
    instruments: tuple[tuple[str, Programs], ...] | None = _option(
        "request edit",
        "what a role is played with, by name or General MIDI program; repeatable",
        _instrument,
        "keys=rhodes",
        "instrument",
    )
    without: tuple[str | int, ...] | None = _option(
        "request", "roles and instruments that do not play", _names, '"drums, piano"'
    )
    ending: Ending | None = _option(  # noqa: RUF009, a field like the others
        "request edit",
        "how it ends: ring-out, cut (at the last bar line) or a fade over some bars",
        str,
        '"fade 4"',
        choices=ENDINGS,
    )
    swing: Swing | None = _option(  # noqa: RUF009, a field like the others
        "request edit", "how late every second eighth or sixteenth is: straight, 62% or 58% of 16ths", str, '"62%"'
    )
    sound: tuple[str, ...] | None = _option(
        "request edit",
        "how it sounds, or does not, some of: " + ", ".join(SOUNDS),
        _names,
        '"vinyl, not wide"',
        choices=SOUNDS,
    )
    notes: tuple[tuple[str, Written], ...] | None = _option(
        "edit",
        "what a role plays, an entry a bar, repeated: PITCH TICK LENGTH vVELOCITY",
        _notes,
        '"bass=A1 0 480 v80"',
        "notes",
    )
    clear: tuple[str, ...] | None = _option(
        "edit", "roles whose notes are written anew", _words, '"lead bass"', choices=ROLES
    )
    keep_notes: bool | None = _option("edit", "notes stay where chords, key, energy or words change")
    label: str | None = _option("edit", "what kind of section: " + " ".join(LABELS), str, "chorus", choices=LABELS)
    energy: int | None = _option("edit", f"0 to {MAX_ENERGY}", int, f"0-{MAX_ENERGY}", limits=(0, MAX_ENERGY))
    roles: tuple[str, ...] | None = _option(
        "request edit",
        "who plays (in an edit: in these bars), of " + " ".join(ROLES),
        _words,
        '"drums bass"',
        choices=ROLES,
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
        if self.sections is not None and self.form is not None:
            raise ValueError(f"sections and form {' '.join(self.form)} are both given, choose one")

    @classmethod
    def of(cls, place: str, args: "ControlArgs | EditArgs") -> "Controls":
        """The keyword arguments of a "request" or an "edit"; TypeError for one that does not belong there."""
        values: dict[str, Any] = dict(args)
        for name in values.keys() - options(place).keys():
            raise TypeError(f"{name!r} is an unexpected keyword argument; known are {', '.join(options(place))}")
        return cls(**values)

    def text(self, spelling: Mapping[str, str] | None = None) -> str:
        """What is fixed, in one line for people: "84 BPM, A minor, keys = rhodes".

        spelling: how a key or a chord was written, by its canonical name.
        """
        spelled = spelling or {}
        parts = [] if self.tempo is None else [f"{_show_tempo(self.tempo)} BPM"]
        parts += [change.text() for change in self.tempo_changes or () if change.scale != 1]
        tonic = [] if self.key is None else [spelled.get(self.key, self.key)]
        parts += [" ".join([*(one.split()[0] for one in tonic), self.mode])] if self.mode else tonic
        parts += [] if self.meter is None else [self.meter]
        parts += [] if self.swing is None else [f"swing {self.swing}"]
        bars = self.bars or sum(len(section.bars) for section in self.sections or ())
        parts += [f"{bars} bars"] if bars else []
        parts += [] if self.seconds is None else [f"{show(self.seconds)} s"]
        labels = self.form or tuple(section.label or "?" for section in self.sections or ())
        parts += [f"form {' '.join(labels)}"] if labels else []
        parts += [f"chords {' '.join(_show_bar(bar, spelled) for bar in self.chords)}"] if self.chords else []
        for role, programs in self.instruments or ():
            names = list(dict.fromkeys(name_of(role, program) for program in programs or ()))
            parts.append(f"{role} = {' or '.join(names)}" if names else role)
        out = [one if isinstance(one, str) else name_of("keys", one) for one in self.without or ()]
        parts += [f"without {' '.join(dict.fromkeys(out))}"] if out else []
        parts += ["nobody else"] if self.roles is not None else []
        parts += [cue.text() for cue in self.cues or ()] + ([self.dynamics] if self.dynamics else [])
        parts += [f"sound {', '.join(self.sound)}"] if self.sound else []
        parts += [] if self.ending is None else [f"ending {self.ending}"]
        return ", ".join(parts)

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


def _show_bar(chords: Sequence[str] | None, spelled: Mapping[str, str]) -> str:
    return "?" if chords is None else ",".join(spelled.get(chord, chord) for chord in chords)


def _show_tempo(tempo: float | tuple[float, float]) -> str:
    return f"{tempo[0]:g}-{tempo[1]:g}" if isinstance(tempo, tuple) else f"{tempo:g}"


def _tempo_or_range(tempo: float | Sequence[float]) -> float | tuple[float, float]:
    if isinstance(tempo, str) or not isinstance(tempo, Sequence):
        return check_tempo(tempo)
    low, high = (check_tempo(end) for end in tempo) if len(tempo) == 2 else (1.0, 0.0)
    if low > high:
        raise ValueError(f"tempo {str(tempo)[:60]} should be a number or a range (low, high)")
    return (low, high)


def _one_of(field: str, choices: Sequence[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if words(value, field) not in choices:
            raise ValueError(f"{field} {value!r} is none of {', '.join(choices)}")
        return value

    return check


def _form(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise TypeError(f"form {str(labels)[:60]!r} should be a list of labels")
    if not labels:
        raise ValueError("form is empty, at least one section is needed")
    return tuple(check_label(words(label, "form: a label"), "form:") for label in labels)


def _all_of(field: str, kind: type[T]) -> Callable[[Sequence[T]], tuple[T, ...]]:
    def check(values: Sequence[T]) -> tuple[T, ...]:
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise TypeError(f"{field} {str(values)[:60]!r} should be a list of {kind.__name__}")
        return tuple(instance(value, kind, f"{field}: number {i}") for i, value in enumerate(values, start=1))

    return check


_CANONICAL: dict[str, Callable[[Any], Any]] = {
    "seconds": lambda value: number(value, "seconds"),
    "bars": lambda value: whole(value, "bars"),
    "tempo": _tempo_or_range,
    "tempo_changes": _all_of("tempo_changes", TempoChange),
    "mode": _one_of("mode", tuple(MODES)),
    "dynamics": _one_of("dynamics", DYNAMICS),
    "form": _form,
    "cues": _all_of("cues", Cue),
    "without": parse_exclusions,
    "key": lambda value: parse_key(words(value, "key")),
    "meter": check_meter,
    "sections": _all_of("sections", Section),
    "chords": _chords,
    "instruments": parse_instruments,
    "ending": parse_ending,
    "swing": parse_swing,
    "sound": parse_sound,
    "notes": check_written,
    "clear": lambda value: order_roles(value, "clear"),
    "label": lambda value: check_label(words(value, "label")),
    "energy": lambda value: check_energy(whole(value, "energy")),
    "roles": order_roles,
    "prompt": check_prompt,
}


def options(place: str) -> dict[str, Option]:
    """The fields of `Controls` that may be given in a "request" or an "edit", by name, in order."""
    found = {one.name: one.metadata["option"] for one in fields(Controls)}
    return {name: option for name, option in found.items() if place in option.places}


InstrumentArg = int | str | Sequence[int | str] | None  # a program 0-127, a name, or several of them


class ControlArgs(TypedDict, total=False):
    """The keyword arguments of `Pipeline.plan` and `Pipeline.generate` that fix something; None or absent = free."""

    seconds: float | None  # exact length, 0.1-600; the default is 30
    bars: int | None  # length in whole bars, instead of seconds
    tempo: float | tuple[float, float] | None  # quarter notes a minute, 30-300, or a range of them
    tempo_changes: Sequence[TempoChange] | None  # steps and ramps, in order
    key: str | None  # "A minor", "F# major"
    mode: str | None  # "dorian", "mixolydian", ...: the chords keep to it
    meter: str | None  # "4/4", "7/8", ...
    sections: Sequence[Section] | None  # the form, with as much or little in each section as is known
    chords: Sequence[str | Sequence[str] | None] | None  # an entry a bar ("F,G" for two chords), repeated
    form: Sequence[str] | None  # "intro", "verse", ...: the sections in order, their lengths free
    cues: Sequence[Cue] | None  # who enters or is silent where, which section begins where
    dynamics: str | None  # "crescendo" or "diminuendo": the energy of the sections
    instruments: Mapping[str, InstrumentArg] | None  # these roles play, with one of these; None = any instrument
    without: Sequence[str | int] | None  # roles, names and programs that do not play
    ending: Ending | str | None  # "ring-out", "cut" (at the last bar line), "fade", "fade 4" (over so many bars)
    swing: Swing | str | float | None  # "straight", "62%", "58% of 16ths"
    sound: Sequence[str] | None  # kinds of sound that are wanted, or not: "vinyl", "not wide"
    roles: Sequence[str] | None  # who plays, all of these and nobody else


class EditArgs(TypedDict, total=False):
    """The keyword arguments of `Plan.edit`; None or absent = as it is."""

    tempo: float | None
    key: str | None
    chords: Sequence[str | Sequence[str] | None] | None
    instruments: Mapping[str, InstrumentArg] | None
    ending: Ending | str | None
    swing: Swing | str | float | None
    sound: Sequence[str] | None  # of the whole plan, in place of what was said; [] = nothing
    notes: Mapping[str, Any] | None  # role -> a bar of notes ("A1 0 480 v80", or a list of Note), or a list of bars
    clear: Sequence[str] | None  # roles whose notes are written anew
    keep_notes: bool | None  # where chords, key, energy, label or words change
    label: str | None
    energy: int | None
    roles: Sequence[str] | None
    prompt: str | None
