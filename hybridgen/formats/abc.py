"""ABC 2.1: the notes of one voice, its chord symbols, parts and tempi; https://abcnotation.com/wiki/abc:standard:v2.1

Read: X T M L Q K P, notes, rests, ties, accidentals, tuplets, broken rhythm, repeats and endings. Other voices, lyrics,
grace notes and decorations are passed over. A bar of invisible rests (x) is one of which nothing is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hybridgen.formats.pitches import key_of, midi, sharpened, signature, signature_of, spell, tonic_of
from hybridgen.formats.sheet import (
    MAX_REPEATS,
    NO_LABEL,
    TRIPLETS,
    Event,
    Measure,
    Remarks,
    WrittenNote,
    bar_ticks,
    check_has_bars,
    chord_changes,
    first_tempo,
    passes_named,
    plan_of,
    to_ticks,
    written_bars,
)
from hybridgen.formats.symbols import UNKNOWN, read_symbol
from hybridgen.plan.harmony import NO_CHORD, split_key
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import MAX_BARS, check_meter
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import Score

MAX_CHARACTERS = 1_000_000
MAX_TITLE = 200  # characters
MAX_HEADS = 4096  # notes and rests of a bar
MAX_BELOW = 1024  # of the fraction that a length is
BARS_A_LINE = 4
DEFAULT_TEMPO = 120.0  # quarter notes a minute
UNIT = Fraction(1, 8)  # of a whole note, for what is written
WHOLE = 4 * TICKS
MODES = {
    **{"": "major", "m": "minor", "maj": "major", "min": "minor", "ion": "ionian", "dor": "dorian"},
    **{"phr": "phrygian", "lyd": "lydian", "mix": "mixolydian", "aeo": "aeolian", "loc": "locrian"},
}
ALTERS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
COMPOUND = ("6/8", "9/8", "12/8")
PASSED_OVER = {"w": "lyrics", "W": "lyrics", "s": "symbol lines", "m": "macros", "U": "user-defined symbols"}
_FIELD = re.compile(r"([A-Za-z+]):(?![|:\]])\s*(.*)")
_LENGTH = r"\d{0,4}(?:/+\d{0,4})?"
_NOTE = re.compile(
    rf"(?P<sign>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']{{0,9}})(?P<length>{_LENGTH})(?P<tie>-?)"
)
_TOKEN = re.compile(
    rf'(?P<space>[\s`\\y]+)|"(?P<text>[^"]*)"|(?P<decoration>![^!]*!|\+[^+]*\+|[~.H-Wh-w])|(?P<grace>\{{[^}}]*\}})'
    r"|\[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]"
    r"|(?P<line>\[\|+\]?:*|:*\|[|\]:]*|::+)(?P<endings>\d[\d,-]*)?|\[(?P<volta>\d[\d,-]*)"
    r"|\((?P<tuplet>\d)(?::(?P<into>\d?)(?::(?P<count>\d?))?)?|(?P<slur>[()])"
    rf"|(?P<rest>[zx])(?P<rest_length>{_LENGTH})|(?P<bars>[ZX])(?P<n_bars>\d{{0,4}})"
    rf"|\[(?P<chord>[^\[\]|:]*)\](?P<chord_length>{_LENGTH})|(?P<note>{_NOTE.pattern})"
    r"|(?P<tied>-)|(?P<broken>>{1,3}|<{1,3})|(?P<overlay>&)"
)


@dataclass
class _Head:
    """Notes that begin together, or a rest: lengths in ticks."""

    length: Fraction
    notes: list[tuple[int, Fraction]] = field(default_factory=list)  # (MIDI pitch, length)
    spelled: list[tuple[str, int, int]] = field(default_factory=list)  # (letter, octave, sharps or flats) of each
    tied: set[int] = field(default_factory=set)  # indices of those with a tie
    symbols: list[str | None] = field(default_factory=list)
    is_hidden: bool = False

    def stretch(self, factor: Fraction) -> None:
        """Longer by a factor."""
        self.length *= factor
        self.notes = [(pitch, length * factor) for pitch, length in self.notes]


@dataclass
class _Tune:
    """What has been read of a tune."""

    remarks: Remarks = field(default_factory=Remarks)
    measures: list[Measure] = field(default_factory=list)
    title: str = ""
    meter: str | None = None
    unit: Fraction | None = None  # of a whole note
    tempo: str = ""  # as it stands in the head
    bpm: float | None = None  # quarter notes a minute
    key: str | None = None
    in_body: bool = False
    signs: dict[str, int] = field(default_factory=dict)  # of the key signature
    propagate: str = "pitch"  # accidentals: to all octaves; "octave": to their own, "not": to none
    octaves: int = 0
    voice: str | None = None  # the one that is read
    current_voice: str | None = None
    # of the measure that is open
    heads: list[_Head] = field(default_factory=list)
    altered: dict[tuple[str, int], int] = field(default_factory=dict)
    is_overlay: bool = False
    before: _Head = field(default_factory=lambda: _Head(Fraction(0)))  # the last head, perhaps of the measure before
    # for the next head
    symbols: list[str | None] = field(default_factory=list)
    factor: Fraction = Fraction(1)  # of a broken rhythm
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # factor, heads that it is still for
    # for the next measure
    heading: str | None = None
    next_tempo: float | None = None
    begins: bool = False
    endings: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """The measure that is open, for messages."""
        return f"abc: bar {len(self.measures) + 1}" if self.in_body else "abc: head"

    # ---- fields

    def read_field(self, name: str, value: str) -> None:
        """One information field; ValueError for what it says and cannot be."""
        if name == "V":
            self._read_voice(value)
        elif name == "K":
            self._read_key(value)
        elif name == "M":
            self._read_meter(value)
        elif name == "L":
            match = re.fullmatch(r"(\d{1,2})(?:/(\d{1,4}))?", value)
            if match is None or not int(match[1]) or not int(match[2] or 1):
                raise ValueError(f"{self.place}: L:{value[:40]} is no length such as 1/8")
            self.unit = Fraction(int(match[1]), int(match[2] or 1))
        elif name == "Q" and self.in_body:
            self.next_tempo = self.read_tempo(value) or self.next_tempo
        elif name == "Q":
            self.tempo = value
        elif name == "P" and self.in_body:
            self.heading = value
        elif name == "P":
            self.remarks.add("P: the order of the parts is not followed, they are played as written")
        elif name == "T" and not self.in_body and not self.title:
            self.title = re.sub(r"\\(.)", r"\1", value)
        elif name == "I" and value.startswith("propagate-accidentals"):
            self.propagate = value.split()[-1]
        elif name in PASSED_OVER:
            self.remarks.add(f"{PASSED_OVER[name]} are passed over")

    def _read_voice(self, value: str) -> None:
        name = value.split()[0] if value.split() else ""
        self.voice = self.voice if self.voice is not None else name
        if self.in_body:
            self.current_voice = name

    @property
    def is_other_voice(self) -> bool:
        """Whether what comes next is of a voice that is not read."""
        return self.current_voice is not None and self.current_voice != self.voice

    def _read_meter(self, value: str) -> None:
        meter = {"C": "4/4", "C|": "2/2"}.get(value, value.replace(" ", ""))
        try:
            check_meter(meter)
        except ValueError as error:
            raise ValueError(f"{self.place}: M:{value[:20]}: {error}") from None
        if self.in_body and meter != self.meter:
            raise ValueError(f"{self.place}: the meter changes to {meter}, but a plan has one meter")
        self.meter = meter

    def _read_key(self, value: str) -> None:
        words = value.split()
        shifts = [re.fullmatch(r"octave=([+-]?\d)", word) for word in words]
        self.octaves = next((int(shift[1]) for shift in shifts if shift), 0)
        if any(re.match(r"transpose=|(?:clef=)?\w+[+-]8$", word) for word in words):
            self.remarks.add("K: a clef's octave and transpose are not followed")
        match = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", value)
        fifths, key = 0, None
        if words and words[0] == "Hp":
            fifths = 2
        elif match and words[0] not in ("HP", "none"):
            word = match[3].lower()
            mode = MODES.get(word if word in MODES else word[:3], "major")
            if word in ("exp", "explicit"):
                self.remarks.add("K: the accidentals of an explicit key are kept, its name is not")
            else:
                try:
                    fifths = signature_of(match[1], {"#": 1, "b": -1, "": 0}[match[2]], mode)
                except ValueError as error:
                    raise ValueError(f"{self.place}: K:{value[:20]}: {error}") from None
                key = key_of(fifths, mode)
            if mode not in ("major", "minor"):
                self.remarks.add(f"K: the key is {key}, its mode {mode} is kept in the notes alone")
        elif words and words[0] not in ("HP", "none") and not re.match(r"\w+=|treble|bass|alto|tenor|perc", words[0]):
            raise ValueError(f"{self.place}: K:{value[:20]} is no key")
        self.signs = sharpened(fifths)
        self.signs |= {letter.upper(): ALTERS[sign] for sign, letter in re.findall(r"(?<!\S)([\^_=])([a-gA-G])", value)}
        if not self.in_body:
            self.key = key
            self._close_head()
            self.in_body = True
        elif key != self.key:
            self.remarks.add(f"the change of key to {key} is kept in the notes alone")

    def _close_head(self) -> None:
        """What the head leaves out, and its tempo, which may count in its unit."""
        if self.meter is None:
            self.meter = "4/4"
            self.remarks.add("no meter (M:), 4/4 is taken")
        if self.unit is None:
            self.unit = Fraction(1, 16) if bar_ticks(self.meter) < WHOLE * 3 // 4 else Fraction(1, 8)
        self.bpm = self.read_tempo(self.tempo) if self.tempo else None

    def read_tempo(self, value: str) -> float | None:
        """Quarter notes a minute; None, said, where only words are given."""
        plain = re.sub(r'"[^"]*"', "", value).strip()
        match = re.fullmatch(r"(\d{1,2}/\d{1,2}(?:\s+\d{1,2}/\d{1,2})*)\s*=\s*(\d{1,4}(?:\.\d{1,4})?)", plain)
        alone = re.fullmatch(r"(?:C\d?\s*=\s*)?(\d{1,4})", plain)
        if match and not re.search(r"/0", match[1]):
            beat = sum((Fraction(one) for one in match[1].split()), Fraction(0))
            return float(Fraction(match[2]) * beat * 4)
        if alone:
            return float(int(alone[1]) * (self.unit or UNIT) * 4)
        if plain:
            raise ValueError(f"{self.place}: Q:{value[:40]} is no tempo such as 1/4=120")
        self.remarks.add(f"Q: {value[:40]} names no tempo")
        return None

    # ---- music

    def read_music(self, text: str) -> None:
        """One line of music; ValueError, naming the bar, for what is none."""
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"{self.place}: {text[at : at + 20]!r} is not understood")
            at = match.end()
            if match["field"] == "V" or not (self.is_other_voice or (self.is_overlay and not match["line"])):
                self._read_token(match)
            elif self.is_other_voice:
                self.remarks.add("voices after the first are passed over")

    def _read_token(self, match: re.Match[str]) -> None:
        if match["line"]:
            self._bar_line(match["line"], match["endings"])
        elif match["volta"]:
            self.close()
            self.endings = passes_named(match["volta"], self.place)
        elif match["field"]:
            self.read_field(match["field"], match["value"].strip())
        elif match["text"] is not None:
            self._read_text(match["text"].strip())
        elif match["tuplet"]:
            self._read_tuplet(match)
        elif match["rest"]:
            self._add(_Head(self._length(match["rest_length"]), is_hidden=match["rest"] == "x"))
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
                self.remarks.add(f"{words} are passed over")

    def _read_text(self, text: str) -> None:
        if text[:1] in ("^", "_", "<", ">", "@") or not text:
            self.remarks.add("annotations are passed over")
        elif text == UNKNOWN:
            self.symbols.append(None)
        else:
            try:
                chord, lost = read_symbol(text)
            except ValueError:
                self.remarks.add(f"text {text[:40]!r} is no chord symbol and passed over")
                return
            if lost:
                self.remarks.add(lost)
            self.symbols.append(chord)

    def _read_tuplet(self, match: re.Match[str]) -> None:
        notes = int(match["tuplet"])
        three = 3 if self.meter in COMPOUND else 2
        usual = {2: 3, 3: 2, 4: 3, 5: three, 6: 2, 7: three, 8: 3, 9: three}
        into = int(match["into"] or usual.get(notes, 0))
        if notes < 2 or into < 1:
            raise ValueError(f"{self.place}: {match[0]} is no tuplet")
        self.tuplet = Fraction(into, notes), int(match["count"] or notes)

    def _read_rests(self, count: int, is_hidden: bool) -> None:
        assert self.meter is not None
        for number in range(count):
            if number:
                self.close()
            self._add(_Head(Fraction(bar_ticks(self.meter)), is_hidden=is_hidden))

    def _read_broken(self, signs: str) -> None:
        if not self.heads:
            raise ValueError(f"{self.place}: {signs} has no note before it")
        short = Fraction(1, 2 ** len(signs))
        before, after = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        self.heads[-1].stretch(before)
        self.factor = after

    def _length(self, text: str) -> Fraction:
        """Ticks of a written length: "", "3", "/2", "3/2", "//"."""
        match = re.fullmatch(r"(\d*)(/*)(\d*)", text)
        assert match is not None and self.unit is not None
        above = int(match[1] or 1)
        below = int(match[3]) if match[3] else 2 ** min(len(match[2]), 10)
        if above == 0 or not 1 <= below <= MAX_BELOW:
            raise ValueError(f"{self.place}: {text} is no length")
        return Fraction(above, below) * self.unit * WHOLE

    def _read_notes(self, text: str, factor: Fraction) -> None:
        head, at = _Head(Fraction(0)), 0
        open_ties = {self.before.spelled[i][:2]: self.before.spelled[i][2] for i in self.before.tied}
        while at < len(text):
            match = _NOTE.match(text, at)
            if match is None and text[at].isspace():
                at += 1
                continue
            if match is None:
                raise ValueError(f"{self.place}: {text[at : at + 20]!r} in a chord is no note")
            at = match.end()
            letter = match["letter"].upper()
            octave = 4 + match["letter"].islower() + match["octave"].count("'") - match["octave"].count(",")
            alter = self._alter(letter, octave, match["sign"], open_ties)
            pitch = midi(letter, alter, octave + self.octaves)
            if not 0 <= pitch <= 127:
                raise ValueError(f"{self.place}: {match[0]} is outside the MIDI pitches 0-127")
            if match["tie"]:
                head.tied.add(len(head.notes))
            head.notes.append((pitch, self._length(match["length"]) * factor))
            head.spelled.append((letter, octave, alter))
        if not head.notes:
            raise ValueError(f"{self.place}: a chord without notes")
        head.length = head.notes[0][1]
        self._add(head)

    def _alter(self, letter: str, octave: int, sign: str | None, open_ties: dict[tuple[str, int], int]) -> int:
        where = (letter, 0 if self.propagate == "pitch" else octave)
        if sign is not None:
            if self.propagate != "not":
                self.altered[where] = ALTERS[sign]
            return ALTERS[sign]
        if (letter, octave) in open_ties:
            return open_ties[letter, octave]
        return self.altered.get(where, self.signs[letter])

    def _add(self, head: _Head) -> None:
        if len(self.heads) >= MAX_HEADS:
            raise ValueError(f"{self.place}: more than {MAX_HEADS} notes and rests")
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
                raise ValueError(f"{self.place}: a repeat ends, but there is no bar in it")
            self.measures[-1].passes = 2 if not line.strip(":") else min(before + 1, MAX_REPEATS)
        self.close()
        if line != "|":
            self.endings = ()
        if endings:
            self.endings = passes_named(endings, self.place)
        self.begins = self.begins or line.endswith(":")

    def close(self) -> None:
        """The open measure ends; one without notes and rests is none."""
        self.is_overlay = False
        if not self.heads:
            return
        if len(self.measures) >= MAX_BARS:
            raise ValueError(f"{self.place}: more than {MAX_BARS} bars")
        measure = Measure(self.place, heading=self.heading, tempo=self.next_tempo, begins=self.begins)
        measure.endings = self.endings
        self.heading, self.next_tempo, self.begins = None, None, False
        position = Fraction(0)
        for head in self.heads:
            tick = to_ticks(position, self.remarks)
            measure.chords += [(tick, chord) for chord in head.symbols]
            for i, (pitch, length) in enumerate(head.notes):
                end = to_ticks(position + length, self.remarks)
                measure.notes.append(WrittenNote(tick, max(end - tick, 1), pitch, i in head.tied))
            position += head.length
        measure.length = to_ticks(position, self.remarks)
        rests = [head for head in self.heads if not head.notes]
        measure.is_hidden = bool(rests) and all(head.is_hidden for head in rests)
        self.measures.append(measure)
        self.heads, self.altered = [], {}


def from_abc(text: str) -> tuple[Plan, tuple[str, ...]]:
    """(the plan, what could not be carried) of the first tune of an ABC file; its notes are those of the lead.

    The title becomes the prompt. ValueError, naming the bar, for what cannot be read, and for a meter that is none of
    METERS or changes.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"abc: {len(text)} characters are over the limit of {MAX_CHARACTERS}")
    tune = _Tune()
    lines = _tune_lines(text, tune.remarks)
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None and not tune.in_body:
            raise ValueError(f"abc: {line[:40]!r} stands before the key (K:), where the music begins")
        if match is None:
            tune.read_music(line)
        elif not (tune.is_other_voice and match[1] != "V"):
            tune.read_field(match[1], match[2].strip())
    if not tune.in_body:
        raise ValueError("abc: no tune with a key (K:) is found")
    tune.close()
    assert tune.meter is not None
    try:
        plan = plan_of(
            tune.measures,
            tune.remarks,
            meter=tune.meter,
            tempo=tune.bpm or DEFAULT_TEMPO,
            key=tune.key,
            prompt=tune.title,
        )
    except ValueError as error:
        raise ValueError(f"abc: {str(error).removeprefix('abc: ')}") from None
    return plan, tune.remarks.lines()


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


# ---- out


def to_abc(plan: Score) -> str:
    """The lead, the chords, sections and tempo marks as one tune; ValueError for a plan without bars.

    Velocities, swing, ramps between tempo marks and all other parts are not written.
    """
    check_has_bars(plan, "abc")
    title = " ".join(plan.prompt.split())[:MAX_TITLE]
    title = re.sub(r"([\\%])", r"\\\1", title)
    lines = ["X:1", f"T:{title}", f"M:{plan.meter}", f"L:{UNIT}", f"Q:1/4={first_tempo(plan):g}", f"K:{_key(plan.key)}"]
    writer = _Writer(signature(plan.key))
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
    letter, alter = tonic_of(key)
    return letter + {1: "#", -1: "b", 0: ""}[alter] + ("m" if split_key(key)[1] == "minor" else "")


class _Writer:
    """Notes under a key signature; accidentals are written wherever readers might differ."""

    def __init__(self, fifths: int) -> None:
        self.fifths = fifths
        self.signs = sharpened(fifths)
        self.altered: set[str] = set()  # letters that have had an accidental in the bar
        self.tied: dict[tuple[str, int], int] = {}  # what the notes before are tied to

    def bar(self, events: Sequence[Event], chords: dict[int, str | None]) -> str:
        """One bar, with chords at their ticks."""
        self.altered = set()
        words, left = [], 0  # of a triplet
        for i, event in enumerate(events):
            word = ""
            if event.tick in chords:
                chord = chords[event.tick]
                word = f'"{UNKNOWN if chord is None else "N.C." if chord == NO_CHORD else chord}"'
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
