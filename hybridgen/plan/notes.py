"""Notes: what each role plays in each bar, counted in ticks of the score, 480 a quarter note as MIDI files count.

A bar of a role is known (a tuple of notes, perhaps empty) or unknown (None): recordings have no notes, and an edit
leaves those to be written anew that it makes wrong. Written by hand a bar reads

    "A1 0 240 v80, E2 240 240 v76"        pitch (C4 = 60 = middle C), tick, length in ticks, velocity 1-127
    "C4+E4+G4 0 960 v70"                  a chord
    "kick 0 60 v100, closed-hat 240 60 v60"       drums and percussion, by their names in the General MIDI map
    "as 9"    "as 9 +2"                   what the role plays in bar 9, two semitones higher
    ""                                    nothing
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybridgen.plan.harmony import LETTERS, PITCHES
from hybridgen.plan.parts import ROLES, order_roles, show, whole

TICKS = 480  # in a quarter note
MAX_LENGTH = 1 << 20  # ticks of a note; more than any track holds at 300 BPM in ten minutes is not needed
MAX_NOTES = 512  # of a role in a bar
MAX_VELOCITY = 127
DEFAULT_VELOCITY = 80
GRID = 20  # ticks: the planner writes on a grid of 24 a quarter note
VELOCITY_STEP = 4  # and velocities in steps
UNPITCHED = ("drums", "percussion")  # roles whose pitches are instruments
PERCUSSION = dict(  # General MIDI level 1, keys 35-81
    enumerate(
        [
            *("low-kick", "kick", "side-stick", "snare", "clap", "electric-snare", "low-floor-tom", "closed-hat"),
            *("high-floor-tom", "pedal-hat", "low-tom", "open-hat", "low-mid-tom", "high-mid-tom", "crash", "high-tom"),
            *("ride", "china", "ride-bell", "tambourine", "splash", "cowbell", "crash-2", "vibraslap", "ride-2"),
            *("high-bongo", "low-bongo", "mute-conga", "high-conga", "low-conga", "high-timbale", "low-timbale"),
            *("high-agogo", "low-agogo", "cabasa", "maracas", "short-whistle", "long-whistle", "short-guiro"),
            *("long-guiro", "claves", "high-wood-block", "low-wood-block", "mute-cuica", "open-cuica"),
            *("mute-triangle", "triangle"),
        ],
        start=35,
    )
)
_KEYS = {name: key for key, name in PERCUSSION.items()}
_PITCH = re.compile(r"([A-Ga-g])([#b♯♭]?)(-?\d)")
_NOTE = re.compile(r"(?P<pitches>\S+)\s+(?P<tick>\d{1,7})\s+(?P<length>\d{1,7})(?:\s+v(?P<velocity>\d{1,3}))?")
_AS = re.compile(r"as\s+(?P<bar>\d{1,4})(?:\s+(?P<moved>[+-]\d{1,2}))?")


@dataclass(frozen=True, order=True)
class Note:
    """One note: where in its bar it begins, how long it sounds (it may run on into later bars), and what."""

    tick: int  # from 0
    length: int  # ticks, from 1
    pitch: int  # MIDI 0-127, 60 = middle C; General MIDI percussion for drums and percussion
    velocity: int = DEFAULT_VELOCITY  # 1-127

    def __post_init__(self) -> None:
        limits = {"tick": (0, MAX_LENGTH), "length": (1, MAX_LENGTH), "pitch": (0, 127), "velocity": (1, MAX_VELOCITY)}
        for name, (low, high) in limits.items():
            value = whole(getattr(self, name), f"note {name}")
            object.__setattr__(self, name, value)
            if not low <= value <= high:
                raise ValueError(f"note {name} {show(value)} is outside {low}-{high}")

    def moved(self, semitones: int) -> "Note":
        """The same note higher; ValueError where it leaves 0-127."""
        return replace(self, pitch=self.pitch + semitones)


NoteBar = tuple[Note, ...] | None


@dataclass(frozen=True)
class Part:
    """What one role plays, a tuple of notes for each bar of the plan; None where it is unknown.

    Notes are kept in order. ValueError, naming role and bar, for two notes of one pitch that begin together.
    """

    role: str
    bars: tuple[NoteBar, ...]

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"notes: role {str(self.role)[:60]!r} is none of {', '.join(ROLES)}")
        object.__setattr__(self, "bars", tuple(self._ordered(i, bar) for i, bar in enumerate(self.bars, start=1)))

    def _ordered(self, number: int, bar: Iterable[Note] | None) -> NoteBar:
        if bar is None:
            return None
        notes = tuple(sorted(bar))
        if len(notes) > MAX_NOTES:
            raise ValueError(f"notes: {self.role}, bar {number}: {len(notes)} notes are more than {MAX_NOTES}")
        if len({(note.tick, note.pitch) for note in notes}) < len(notes):
            seen = [(note.tick, note.pitch) for note in notes]
            tick, pitch = next(one for one in seen if seen.count(one) > 1)
            name = pitch_name(pitch, self.role)
            raise ValueError(f"notes: {self.role}, bar {number}: {name} begins twice at tick {tick}")
        return notes

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of any bar."""
        return all(bar is None for bar in self.bars)

    def with_bars(self, first: int, bars: Sequence[NoteBar]) -> "Part":
        """The part with other notes in the bars from `first` (from 1) on."""
        return replace(self, bars=(*self.bars[: first - 1], *bars, *self.bars[first - 1 + len(bars) :]))


def transposed(bar: NoteBar, semitones: int) -> NoteBar:
    """A bar higher by some semitones; notes that would leave 0-127 go an octave the other way."""
    if bar is None:
        return None
    return tuple(note.moved(_inside(note.pitch + semitones) - note.pitch) for note in bar)


def _inside(pitch: int) -> int:
    while pitch > 127:
        pitch -= 12
    while pitch < 0:
        pitch += 12
    return pitch


# ---- words


def pitch_name(pitch: int, role: str) -> str:
    """ "A1", or "kick" for a role without pitch; its number where the General MIDI map has no name."""
    if role in UNPITCHED:
        return PERCUSSION.get(pitch, str(pitch))
    return f"{PITCHES[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str, role: str) -> int:
    """A MIDI pitch from "A1", "Bb-1", "kick" or a number; ValueError for anything else."""
    if re.fullmatch(r"\d{1,3}", text):
        return int(text)
    if role in UNPITCHED:
        if text.lower() not in _KEYS:
            raise ValueError(f"{text[:40]!r} is no sound of the General MIDI percussion map such as kick or closed-hat")
        return _KEYS[text.lower()]
    match = _PITCH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no pitch such as A1 or F#4")
    step, accidental, octave = match.groups()
    return LETTERS[step.upper()] + {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(accidental, 0) + 12 * (int(octave) + 1)


def bar_text(bar: tuple[Note, ...], role: str) -> str:
    """One bar's notes as they are written by hand; those that begin and end together as a chord."""
    chords: dict[tuple[int, int, int], list[str]] = {}
    for note in bar:
        chords.setdefault((note.tick, note.length, note.velocity), []).append(pitch_name(note.pitch, role))
    return ", ".join(
        f"{'+'.join(pitches)} {tick} {length} v{velocity}" for (tick, length, velocity), pitches in chords.items()
    )


def parse_bar(text: str, role: str, earlier: Callable[[int], NoteBar], where: str) -> NoteBar:
    """One bar's notes from what is written by hand; `earlier` gives the notes of a bar by its number.

    ValueError, beginning with `where` and naming the note, for what is none.
    """
    if repeated := _AS.fullmatch(text.strip()):
        bar = earlier(int(repeated["bar"]))
        if bar is None:
            raise ValueError(f"{where}: as {repeated['bar']}: nothing is known of that bar")
        return transposed(bar, int(repeated["moved"] or 0))
    notes: list[Note] = []
    for number, part in enumerate(text.split(",") if text.strip() else (), start=1):
        match = _NOTE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{where}: note {number} {part.strip()[:60]!r} should read PITCH TICK LENGTH vVELOCITY")
        velocity = int(match["velocity"] or DEFAULT_VELOCITY)
        try:
            pitches = [parse_pitch(one, role) for one in match["pitches"].split("+")]
            notes += [Note(int(match["tick"]), int(match["length"]), pitch, velocity) for pitch in pitches]
        except ValueError as error:
            raise ValueError(f"{where}: note {number}: {error}") from None
    return tuple(notes)


# ---- swing


@dataclass(frozen=True)
class Swing:
    """How late every second eighth or sixteenth is: the first of two takes `ratio` of both, 0.5 (straight) to 0.75."""

    ratio: float = 0.5
    unit: int = 8  # 8: eighths, 16: sixteenths

    def __post_init__(self) -> None:
        if self.unit not in (8, 16):
            raise ValueError(f"swing of {self.unit}ths is none of 8 or 16")
        if not 0.5 <= self.ratio <= 0.75:
            raise ValueError(f"swing {self.ratio:g} is outside 0.5 (straight) to 0.75")
        if self.ratio == 0.5:
            object.__setattr__(self, "unit", 8)  # what is straight is so in every unit

    def __str__(self) -> str:
        return (
            "straight" if self.ratio == 0.5 else f"{100 * self.ratio:g}% of {'eighths' if self.unit == 8 else '16ths'}"
        )


def parse_swing(value: "Swing | str | float") -> Swing:
    """A Swing from "straight", "62%", "58% of 16ths" or a ratio; ValueError for anything else."""
    if isinstance(value, Swing):
        return value
    if isinstance(value, str):
        match = re.fullmatch(
            r"(\d{2}(?:\.\d{1,2})?)\s*%?(?:\s*(?:of\s+)?(eighths|8ths|16ths|sixteenths))?", value.strip()
        )
        if value.strip().lower() == "straight":
            return Swing()
        if match is None:
            raise ValueError(f"swing {value[:60]!r} should read straight, 62% or 58% of 16ths")
        return Swing(round(float(match[1]) / 100, 4), 16 if match[2] in ("16ths", "sixteenths") else 8)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"swing of type {type(value).__name__} should be a ratio or text")
    return Swing(float(value))


def swung(quarters: np.ndarray, swing: Swing | None, bar_quarters: float) -> np.ndarray:
    """Positions in quarter notes with every second eighth or sixteenth late, any shape.

    Bars that hold no whole number of such pairs, as those of 7/8 do of eighths, stay straight.
    """
    if swing is None or swing.ratio == 0.5:
        return quarters
    pair = 2 * 4 / swing.unit  # quarter notes
    if bar_quarters % pair:
        return quarters
    pairs = np.floor(quarters / pair + 1e-9)
    phase = np.clip(quarters / pair - pairs, 0, 1)
    late = np.where(phase < 0.5, 2 * phase * swing.ratio, swing.ratio + (2 * phase - 1) * (1 - swing.ratio))
    return (pairs + late) * pair


# ---- in an edit

Written = tuple[str | tuple[Note, ...], ...]  # of a role, an entry a bar, repeated


def check_written(notes: Mapping[str, Any]) -> tuple[tuple[str, Written], ...]:
    """What an edit writes: role -> one bar as text or as notes, or a list of such bars; TypeError for anything else."""
    if not isinstance(notes, Mapping):
        notes = dict(notes)
    return tuple((role, _written(role, notes[role])) for role in order_roles(notes, "notes"))


def _written(role: str, value: Any) -> Written:
    is_one = isinstance(value, str) or (isinstance(value, Sequence) and all(isinstance(one, Note) for one in value))
    bars = (value,) if is_one and value != [] else tuple(value) if isinstance(value, Sequence) else ()
    if not bars:
        raise TypeError(f"notes of {role} should be text, a list of Note, or a list of such bars")
    for bar in bars:
        if not isinstance(bar, str) and not all(isinstance(note, Note) for note in bar):
            raise TypeError(f"notes of {role}: a bar should be text or a list of Note")
    return tuple(bar if isinstance(bar, str) else tuple(bar) for bar in bars)
