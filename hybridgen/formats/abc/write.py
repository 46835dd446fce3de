"""A plan -> ABC."""

import re
from collections.abc import Sequence
from fractions import Fraction

from hybridgen.formats.abc.tokens import UNIT, WHOLE
from hybridgen.formats.pitches import sharpened, signature, spell, spell_root, tonic_of
from hybridgen.formats.sheet import (
    NO_LABEL,
    TRIPLETS,
    Event,
    check_has_bars,
    chord_changes,
    first_tempo,
    written_bars,
)
from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.harmony import NO_CHORD, split_chord, split_key
from hybridgen.plan.score import Score

MAX_TITLE = 200  # characters
BARS_A_LINE = 4


def to_abc(plan: Score) -> str:
    """The lead, the chords, sections and tempo marks as one tune; ValueError for a plan without bars.

    Velocities, swing, ramps between tempo marks and all other parts are not written.
    """
    check_has_bars(plan, "abc")
    title = " ".join(plan.prompt.split())[:MAX_TITLE]
    title = re.sub(r"([\\%])", r"\\\1", title)
    lines = ["X:1", f"T:{title}", f"M:{plan.meter}", f"L:{UNIT}", f"Q:1/4={first_tempo(plan):g}", f"K:{_key(plan.key)}"]
    writer = _Writer(plan.key)
    marks = {mark.bar: mark.bpm for mark in plan.tempo[1:]}
    chords, events = chord_changes(plan), written_bars(plan)
    number = 0
    for section in plan.sections:
        if len(plan.sections) > 1 or section.label is not None:
            lines.append(f"P:{section.label or NO_LABEL}")
        bars = []
        for _ in section.bars:
            mark = f"[Q:1/4={marks[number + 1]:g}]" if number + 1 in marks else ""
            bars.append(mark + writer.bar(events[number], dict(chords[number])))
            number += 1
        lines += [" | ".join(bars[i : i + BARS_A_LINE]) + " |" for i in range(0, len(bars), BARS_A_LINE)]
    return "\n".join(lines) + "]\n"


def _key(key: str | None) -> str:
    if key is None:
        return "none"
    return _name(*tonic_of(key)) + ("m" if split_key(key)[1] == "minor" else "")


def _name(letter: str, alter: int) -> str:
    return letter + {1: "#", -1: "b", 0: ""}[alter]


def _symbol(chord: str | None, key: str | None) -> str:
    if chord is None or chord == NO_CHORD:
        return UNKNOWN if chord is None else "N.C."
    root, quality = split_chord(chord)
    return _name(*spell_root(root, key)) + quality


class _Writer:
    """Chords and notes as a key spells them; accidentals are written wherever readers might differ."""

    def __init__(self, key: str | None) -> None:
        self.key, self.fifths = key, signature(key)
        self.signs = sharpened(self.fifths)
        self.altered: set[str] = set()  # letters that have had an accidental in the bar
        self.tied: dict[tuple[str, int], int] = {}  # what the notes before are tied to

    def bar(self, events: Sequence[Event], chords: dict[int, str | None]) -> str:
        """One bar, with chords at their ticks."""
        self.altered = set()
        words, left = [], 0  # of a triplet
        for i, event in enumerate(events):
            word = ""
            if event.tick in chords:
                word = f'"{_symbol(chords[event.tick], self.key)}"'
            if left == 0 and event.length in TRIPLETS and [e.length for e in events[i : i + 3]] == [event.length] * 3:
                word, left = word + "(3", 3
            words.append(word + self._event(event, Fraction(3, 2) if left else Fraction(1)))
            left = max(left - 1, 0)
        return " ".join(words)

    def _event(self, event: Event, factor: Fraction) -> str:
        length = Fraction(event.length) * factor / (UNIT * WHOLE)
        text = "" if length.numerator == 1 else str(length.numerator)
        text += "" if length.denominator == 1 else f"/{length.denominator}"
        if not event.pitches:
            self.tied = {}
            return ("x" if event.is_hidden else "z") + text
        tied: dict[tuple[str, int], int] = {}
        notes = [self._note(pitch, is_tied, tied) for pitch, is_tied in event.pitches]
        self.tied = tied
        if len(notes) == 1:
            return notes[0].removesuffix("-") + text + ("-" if notes[0].endswith("-") else "")
        return f"[{''.join(notes)}]{text}"

    def _note(self, pitch: int, is_tied: bool, tied: dict[tuple[str, int], int]) -> str:
        letter, alter, octave = spell(pitch, self.fifths)
        sign = ""
        is_misread = self.tied.get((letter, octave), alter) != alter
        if alter != self.signs[letter] or letter in self.altered or is_misread:
            sign = {1: "^", -1: "_", 0: "="}[alter]
            self.altered.add(letter)
        if is_tied:
            tied[letter, octave] = alter
        name = letter.lower() + "'" * (octave - 5) if octave > 4 else letter + "," * (4 - octave)
        return sign + name + ("-" if is_tied else "")
