"""ABC -> a plan.

Read: X T M L Q K P, notes, rests, ties, accidentals, tuplets, broken rhythm, repeats and endings. Other voices, lyrics,
grace notes and decorations are passed over. A bar of invisible rests (x) is one of which nothing is known.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from hybridgen.formats.abc.fields import ALTERS, Fields
from hybridgen.formats.abc.tokens import FIELD, NOTE, TOKEN, WHOLE, Head
from hybridgen.formats.pitches import midi
from hybridgen.formats.sheet import (
    MAX_REPEATS,
    Measure,
    Remarks,
    WrittenNote,
    bar_ticks,
    passes_named,
    plan_of,
    to_ticks,
)
from hybridgen.formats.symbols import UNKNOWN, read_symbol
from hybridgen.plan.parts import MAX_BARS
from hybridgen.plan.plan import Plan

MAX_CHARACTERS = 1_000_000
MAX_HEADS = 4096  # notes and rests of a bar
MAX_BELOW = 1024  # of the fraction that a length is
DEFAULT_TEMPO = 120.0  # quarter notes a minute
COMPOUND = ("6/8", "9/8", "12/8")


@dataclass
class _Tune:
    """What has been read of a tune."""

    fields: Fields = field(default_factory=Fields)
    measures: list[Measure] = field(default_factory=list)
    # of the measure that is open
    heads: list[Head] = field(default_factory=list)
    altered: dict[tuple[str, int], int] = field(default_factory=dict)
    is_overlay: bool = False
    before: Head = field(default_factory=lambda: Head(Fraction(0)))  # the last head, perhaps of the measure before
    # for the next head
    symbols: list[str | None] = field(default_factory=list)
    factor: Fraction = Fraction(1)  # of a broken rhythm
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # factor, heads that it is still for
    # for the next measure
    begins: bool = False
    endings: tuple[int, ...] = ()

    def read_music(self, text: str) -> None:
        """One line of music; ValueError, naming the bar, for what is none."""
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"{self.fields.place}: {text[at : at + 20]!r} is not understood")
            at = match.end()
            if match["field"] == "V" or not (self.fields.is_other_voice or (self.is_overlay and not match["line"])):
                self._read_token(match)
            elif self.fields.is_other_voice:
                self.fields.remarks.add("voices after the first are passed over")

    def _read_token(self, match: re.Match[str]) -> None:
        if match["line"]:
            self._bar_line(match["line"], match["endings"])
        elif match["volta"]:
            self.close()
            self.endings = passes_named(match["volta"], self.fields.place)
        elif match["field"]:
            self.fields.read_field(match["field"], match["value"].strip())
        elif match["text"] is not None:
            self._read_text(match["text"].strip())
        elif match["tuplet"]:
            self._read_tuplet(match)
        elif match["rest"]:
            self._add(Head(self._length(match["rest_length"]), is_hidden=match["rest"] == "x"))
        elif match["bars"]:
            self._read_rests(int(match["n_bars"] or 1), match["bars"] == "X")
        elif match["chord"] is not None:
            self._read_notes(match["chord"], self._length(match["chord_length"]) / self._length(""))
        elif match["note"]:
            self._read_notes(match["note"], Fraction(1))
        elif match["tied"]:
            if self.heads:
                self.heads[-1].tied |= set(range(len(self.heads[-1].notes)))
        elif match["broken"]:
            self._read_broken(match["broken"])
        else:
            self._pass_over(match)

    def _pass_over(self, match: re.Match[str]) -> None:
        self.is_overlay = self.is_overlay or bool(match["overlay"])
        names = {"decoration": "decorations", "grace": "grace notes", "slur": "slurs", "overlay": "voice overlays (&)"}
        for name, words in names.items():
            if match[name]:
                self.fields.remarks.add(f"{words} are passed over")

    def _read_text(self, text: str) -> None:
        if text[:1] in ("^", "_", "<", ">", "@") or not text:
            self.fields.remarks.add("annotations are passed over")
        elif text == UNKNOWN:
            self.symbols.append(None)
        else:
            try:
                chord, lost = read_symbol(text)
            except ValueError:
                self.fields.remarks.add(f"text {text[:40]!r} is no chord symbol and passed over")
                return
            if lost:
                self.fields.remarks.add(lost)
            self.symbols.append(chord)

    def _read_tuplet(self, match: re.Match[str]) -> None:
        notes = int(match["tuplet"])
        three = 3 if self.fields.meter in COMPOUND else 2
        usual = {2: 3, 3: 2, 4: 3, 5: three, 6: 2, 7: three, 8: 3, 9: three}
        into = int(match["into"] or usual.get(notes, 0))
        if notes < 2 or into < 1:
            raise ValueError(f"{self.fields.place}: {match[0]} is no tuplet")
        self.tuplet = Fraction(into, notes), int(match["count"] or notes)

    def _read_rests(self, count: int, is_hidden: bool) -> None:
        assert self.fields.meter is not None
        for number in range(count):
            if number:
                self.close()
            self._add(Head(Fraction(bar_ticks(self.fields.meter)), is_hidden=is_hidden))

    def _read_broken(self, signs: str) -> None:
        if not self.heads:
            raise ValueError(f"{self.fields.place}: {signs} has no note before it")
        short = Fraction(1, 2 ** len(signs))
        before, after = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        self.heads[-1].stretch(before)
        self.factor = after

    def _length(self, text: str) -> Fraction:
        """Ticks of a written length: "", "3", "/2", "3/2", "//"."""
        match = re.fullmatch(r"(\d*)(/*)(\d*)", text)
        assert match is not None and self.fields.unit is not None
        above = int(match[1] or 1)
        below = int(match[3]) if match[3] else 2 ** min(len(match[2]), 10)
        if above == 0 or not 1 <= below <= MAX_BELOW:
            raise ValueError(f"{self.fields.place}: {text} is no length")
        return Fraction(above, below) * self.fields.unit * WHOLE

    def _read_notes(self, text: str, factor: Fraction) -> None:
        head, at = Head(Fraction(0)), 0
        open_ties = {self.before.spelled[i][:2]: self.before.spelled[i][2] for i in self.before.tied}
        while at < len(text):
            match = NOTE.match(text, at)
            if match is None and text[at].isspace():
                at += 1
                continue
            if match is None:
                raise ValueError(f"{self.fields.place}: {text[at : at + 20]!r} in a chord is no note")
            at = match.end()
            letter = match["letter"].upper()
            octave = 4 + match["letter"].islower() + match["octave"].count("'") - match["octave"].count(",")
            alter = self._alter(letter, octave, match["sign"], open_ties)
            pitch = midi(letter, alter, octave + self.fields.octaves)
            if not 0 <= pitch <= 127:
                raise ValueError(f"{self.fields.place}: {match[0]} is outside the MIDI pitches 0-127")
            if match["tie"]:
                head.tied.add(len(head.notes))
            head.notes.append((pitch, self._length(match["length"]) * factor))
            head.spelled.append((letter, octave, alter))
        if not head.notes:
            raise ValueError(f"{self.fields.place}: a chord without notes")
        head.length = head.notes[0][1]
        self._add(head)

    def _alter(self, letter: str, octave: int, sign: str | None, open_ties: dict[tuple[str, int], int]) -> int:
        where = (letter, 0 if self.fields.propagate == "pitch" else octave)
        if sign is not None:
            if self.fields.propagate != "not":
                self.altered[where] = ALTERS[sign]
            return ALTERS[sign]
        if (letter, octave) in open_ties:
            return open_ties[letter, octave]
        return self.altered.get(where, self.fields.signs[letter])

    def _add(self, head: Head) -> None:
        if len(self.heads) >= MAX_HEADS:
            raise ValueError(f"{self.fields.place}: more than {MAX_HEADS} notes and rests")
        factor, left = self.tuplet
        if left:
            head.stretch(factor)
            self.tuplet = factor, left - 1
        head.stretch(self.factor)
        self.factor = Fraction(1)
        head.symbols, self.symbols = self.symbols, []
        self.heads.append(head)
        self.before = head

    def _bar_line(self, line: str, endings: str | None) -> None:
        before = len(line) - len(line.lstrip(":"))
        if before:
            self.close()
            if not self.measures:
                raise ValueError(f"{self.fields.place}: a repeat ends, but there is no bar in it")
            self.measures[-1].passes = 2 if not line.strip(":") else min(before + 1, MAX_REPEATS)
        self.close()
        if line != "|":
            self.endings = ()
        if endings:
            self.endings = passes_named(endings, self.fields.place)
        self.begins = self.begins or line.endswith(":")

    def close(self) -> None:
        """The open measure ends; one without notes and rests is none."""
        self.is_overlay = False
        if not self.heads:
            return
        if len(self.measures) >= MAX_BARS:
            raise ValueError(f"{self.fields.place}: more than {MAX_BARS} bars")
        measure = Measure(
            self.fields.place, heading=self.fields.heading, tempo=self.fields.next_tempo, begins=self.begins
        )
        measure.endings = self.endings
        self.fields.heading, self.fields.next_tempo, self.begins = None, None, False
        position = Fraction(0)
        for head in self.heads:
            tick = to_ticks(position, self.fields.remarks)
            measure.chords += [(tick, chord) for chord in head.symbols]
            for i, (pitch, length) in enumerate(head.notes):
                end = to_ticks(position + length, self.fields.remarks)
                measure.notes.append(WrittenNote(tick, max(end - tick, 1), pitch, i in head.tied))
            position += head.length
        measure.length = to_ticks(position, self.fields.remarks)
        rests = [head for head in self.heads if not head.notes]
        measure.is_hidden = bool(rests) and all(head.is_hidden for head in rests)
        self.measures.append(measure)
        self.fields.bar = len(self.measures) + 1
        self.heads, self.altered = [], {}


def from_abc(text: str) -> tuple[Plan, tuple[str, ...]]:
    """(the plan, what could not be carried) of the first tune of an ABC file; its notes are those of the lead.

    The title becomes the prompt. ValueError, naming the bar, for what cannot be read, and for a meter that is none of
    METERS or changes.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"abc: {len(text)} characters are over the limit of {MAX_CHARACTERS}")
    tune = _Tune()
    lines = _tune_lines(text, tune.fields.remarks)
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None and not tune.fields.in_body:
            raise ValueError(f"abc: {line[:40]!r} stands before the key (K:), where the music begins")
        if match is None:
            tune.read_music(line)
        elif not (tune.fields.is_other_voice and match[1] != "V"):
            tune.fields.read_field(match[1], match[2].strip())
    if not tune.fields.in_body:
        raise ValueError("abc: no tune with a key (K:) is found")
    tune.close()
    assert tune.fields.meter is not None
    try:
        plan = plan_of(
            tune.measures,
            tune.fields.remarks,
            meter=tune.fields.meter,
            tempo=tune.fields.bpm or DEFAULT_TEMPO,
            key=tune.fields.key,
            prompt=tune.fields.title,
        )
    except ValueError as error:
        raise ValueError(f"abc: {str(error).removeprefix('abc: ')}") from None
    return plan, tune.fields.remarks.lines()


def _tune_lines(text: str, remarks: Remarks) -> list[str]:
    """The lines of the first tune, without comments."""
    lines = text.removeprefix("\ufeff").splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("X:")), None)
    if first is None:
        raise ValueError("abc: no tune (X:) is found")
    found = []
    for line in lines[first + 1 :]:
        if not line.strip():
            break
        if line.startswith("%%propagate-accidentals"):
            line = "I:" + line[2:]
        plain = re.split(r"(?<!\\)%", line)[0].strip()
        if plain:
            found.append(plain)
    if any(line.startswith("X:") for line in lines[first + 1 :]):
        remarks.add("tunes after the first are passed over")
    return found
