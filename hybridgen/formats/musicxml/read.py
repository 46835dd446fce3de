"""MusicXML -> a plan: one part of a score-partwise file.

A bar of rests that are not printed is one of which nothing is known.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from hybridgen.formats.musicxml.container import MAX_BYTES, parse_xml, unpack
from hybridgen.formats.musicxml.kinds import QUALITIES
from hybridgen.formats.pitches import key_of, midi
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
from hybridgen.plan.harmony import LETTERS, NO_CHORD
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import MAX_BARS, check_meter
from hybridgen.plan.plan import Plan

MAX_DIVISIONS = 100_000  # of a quarter note
ACCIDENTALS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
BEATS = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25}  # quarter notes


def from_musicxml(data: bytes) -> tuple[Plan, tuple[str, ...]]:
    """(the plan, what could not be carried) of a lead sheet: the notes of one part are those of the lead.

    The title becomes the prompt. ValueError, naming the measure, for what cannot be read, and for a meter that is none
    of METERS or changes.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"musicxml: {len(data)} bytes are over the limit of {MAX_BYTES}")
    root = parse_xml(unpack(data) if data.startswith(b"PK") else data)
    if root.tag != "score-partwise":
        raise ValueError(f"musicxml: the root is {root.tag[:40]!r}, expected score-partwise")
    parts = root.findall("part")
    if not parts:
        raise ValueError("musicxml: no part is found")
    sheet = _Sheet()
    chosen = next((part for part in parts if part.find("measure/note/pitch") is not None), parts[0])
    if len(parts) > 1:
        sheet.remarks.add(f"parts after the first with notes are passed over, {len(parts) - 1} of {len(parts)}")
    for measure in chosen.findall("measure"):
        sheet.read_measure(measure)
    if sheet.meter is None:
        sheet.remarks.add("no meter, 4/4 is taken")
    title = _text(root, "work/work-title") or _text(root, "movement-title")
    try:
        plan = plan_of(
            sheet.measures, sheet.remarks, meter=sheet.meter or "4/4", tempo=120.0, key=sheet.key, prompt=title
        )
    except ValueError as error:
        raise ValueError(f"musicxml: {str(error).removeprefix('musicxml: ')}") from None
    return plan, sheet.remarks.lines()


def _text(element: Element, path: str) -> str:
    return " ".join((element.findtext(path) or "").split())


@dataclass
class _Sheet:
    """What has been read of a part."""

    remarks: Remarks = field(default_factory=Remarks)
    measures: list[Measure] = field(default_factory=list)
    meter: str | None = None
    key: str | None = None
    has_key: bool = False
    divisions: int = 1  # of a quarter note
    transpose: int = 0  # semitones from what is written to what sounds
    voice: str | None = None  # the one that is read
    endings: tuple[int, ...] = ()
    place: str = "musicxml"
    # of the measure that is read, in ticks
    cursor: Fraction = Fraction(0)
    onset: Fraction = Fraction(0)  # of the note before, for those that make a chord with it
    filled: Fraction = Fraction(0)
    has_printed_rest: bool = False
    has_hidden_rest: bool = False

    def read_measure(self, element: Element) -> None:
        """One measure more; ValueError, naming it, for what cannot be read."""
        if len(self.measures) >= MAX_BARS:
            raise ValueError(f"musicxml: more than {MAX_BARS} measures")
        self.place = f"musicxml: measure {len(self.measures) + 1}"
        measure = Measure(self.place)
        self.cursor = self.onset = self.filled = Fraction(0)
        self.has_printed_rest = self.has_hidden_rest = False
        lines = element.findall("barline")
        for line in lines:
            self._read_barline(line, measure)
        measure.endings = self.endings
        if any(line.find("ending") is not None and line.find("ending[@type='start']") is None for line in lines):
            self.endings = ()
        for child in element:
            self._read_child(child, measure)
        measure.length = to_ticks(self.filled, self.remarks)
        measure.is_hidden = self.has_hidden_rest and not self.has_printed_rest
        if not measure.length:
            measure.length, measure.is_hidden = bar_ticks(self.meter or "4/4"), True
        self.measures.append(measure)

    def _read_child(self, child: Element, measure: Measure) -> None:
        if child.tag == "attributes":
            self._read_attributes(child)
        elif child.tag == "note":
            self._read_note(child, measure)
        elif child.tag == "harmony":
            self._read_harmony(child, measure)
        elif child.tag in ("direction", "sound"):
            self._read_direction(child, measure)
        elif child.tag in ("backup", "forward"):
            self.cursor += self._duration(child) * (1 if child.tag == "forward" else -1)
            self.cursor = max(self.cursor, Fraction(0))
            self.filled = max(self.filled, self.cursor)

    def _number(self, element: Element, path: str, default: str = "0") -> int:
        text = (element.findtext(path) or default).strip()
        if not re.fullmatch(r"[+-]?\d{1,6}(?:\.0*)?", text):
            raise ValueError(f"{self.place}: {path} {text[:20]!r} is no whole number")
        return int(text.split(".")[0])

    def _read_attributes(self, element: Element) -> None:
        if element.find("divisions") is not None:
            self.divisions = self._number(element, "divisions")
            if not 1 <= self.divisions <= MAX_DIVISIONS:
                raise ValueError(f"{self.place}: divisions {self.divisions} are outside 1-{MAX_DIVISIONS}")
            if self.cursor:
                raise ValueError(f"{self.place}: the divisions change inside the measure")
        if element.find("time") is not None:
            self._read_time(element)
        if element.find("key") is not None:
            self._read_key(element)
        if element.find("transpose") is not None:
            self.transpose = self._number(element, "transpose/chromatic")
            self.transpose += 12 * self._number(element, "transpose/octave-change")

    def _read_time(self, element: Element) -> None:
        beats, unit = _text(element, "time/beats"), _text(element, "time/beat-type")
        try:
            meter = check_meter(f"{beats}/{unit}")
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}") from None
        if self.meter not in (None, meter):
            raise ValueError(f"{self.place}: the meter changes to {meter}, but a plan has one meter")
        if self.meter is None and self.measures:
            raise ValueError(f"{self.place}: the meter stands behind the first measure")
        self.meter = meter

    def _read_key(self, element: Element) -> None:
        mode = _text(element, "key/mode").lower() or "major"
        try:
            key = None if mode == "none" else key_of(self._number(element, "key/fifths"), mode)
        except ValueError as error:
            raise ValueError(f"{self.place}: {str(error).removeprefix(self.place + ': ')}") from None
        if mode not in ("major", "minor", "none"):
            self.remarks.add(f"the key is {key}, its mode {mode} is kept in the notes alone")
        if not self.measures and not self.has_key:
            self.key, self.has_key = key, True
        elif key != self.key:
            self.remarks.add(f"the change of key to {key} is kept in the notes alone")

    def _duration(self, element: Element) -> Fraction:
        text = (element.findtext("duration") or "0").strip()
        if not re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", text):
            raise ValueError(f"{self.place}: duration {text[:20]!r} is no number")
        return Fraction(text) * TICKS / self.divisions

    def _read_note(self, element: Element, measure: Measure) -> None:
        is_passed_over = [kind for kind in ("grace", "cue") if element.find(kind) is not None]
        if is_passed_over:
            self.remarks.add(f"{is_passed_over[0]} notes are passed over")
            return
        if element.find("lyric") is not None:
            self.remarks.add("lyrics are passed over")
        length = self._duration(element)
        voice = _text(element, "voice") or "1"
        self.voice = self.voice or voice
        begin = self.onset if element.find("chord") is not None else self.cursor
        self.onset, self.cursor = begin, max(self.cursor, begin + length)
        if voice != self.voice:
            self.remarks.add("voices after the first are passed over")
            return
        self.filled = max(self.filled, begin + length)
        if element.find("rest") is not None:
            is_hidden = element.get("print-object") == "no"
            self.has_hidden_rest |= is_hidden
            self.has_printed_rest |= not is_hidden
        elif element.find("pitch") is None:
            self.remarks.add("notes without a pitch are passed over")
        else:
            tick, end = to_ticks(begin, self.remarks), to_ticks(begin + length, self.remarks)
            is_tied = element.find("tie[@type='start']") is not None
            measure.notes.append(WrittenNote(tick, max(end - tick, 1), self._pitch(element), is_tied))

    def _pitch(self, element: Element) -> int:
        letter = _text(element, "pitch/step")
        if letter not in LETTERS:
            raise ValueError(f"{self.place}: step {letter[:20]!r} is none of C D E F G A B")
        octave = self._number(element, "pitch/octave", "4")
        alter = self._number(element, "pitch/alter")
        pitch = midi(letter, alter, octave) + self.transpose
        if not 0 <= pitch <= 127:
            raise ValueError(f"{self.place}: {letter}{octave} is outside the MIDI pitches 0-127")
        return pitch

    def _read_harmony(self, element: Element, measure: Measure) -> None:
        shift = Fraction(self._number(element, "offset")) * TICKS / self.divisions
        tick = to_ticks(max(self.cursor + shift, Fraction(0)), self.remarks)
        kind = element.find("kind")
        name = _text(element, "kind")
        if kind is not None and kind.get("text") == UNKNOWN:
            measure.chords.append((tick, None))
        elif name == "none":
            measure.chords.append((tick, NO_CHORD))
        else:
            text = self._symbol(element, name)
            try:
                chord, lost = read_symbol(text)
            except ValueError as error:
                self.remarks.add(f"{self.place}: harmony {error} and passed over")
                return
            if lost:
                self.remarks.add(lost)
            measure.chords.append((tick, chord))

    def _symbol(self, element: Element, kind: str) -> str:
        """The chord symbol that a harmony is, word for word."""
        root = self._letter(element, "root/root-step", "root/root-alter")
        degrees = ""
        for degree in element.findall("degree"):
            value, alter = self._number(degree, "degree-value"), self._number(degree, "degree-alter")
            sign = ACCIDENTALS.get(alter, "?")
            if _text(degree, "degree-type") == "subtract":
                degrees += f"no{value}"
            else:
                degrees += f"add{value}" if not sign else f"{sign}{value}"
        bass = self._letter(element, "bass/bass-step", "bass/bass-alter")
        return root + QUALITIES.get(kind, kind) + degrees + (f"/{bass}" if bass else "")

    def _letter(self, element: Element, step: str, alter: str) -> str:
        if element.find(step) is None:
            return ""
        return _text(element, step) + ACCIDENTALS.get(self._number(element, alter), "?")

    def _read_direction(self, element: Element, measure: Measure) -> None:
        heading = _text(element, "direction-type/rehearsal")
        if heading and measure.heading is None:
            measure.heading = heading
        elif heading:
            self.remarks.add(f"{self.place}: rehearsal mark {heading[:40]!r} is the second of one measure")
        sound = element if element.tag == "sound" else element.find("sound")
        tempo = self._tempo(element, sound)
        if tempo is not None:
            if self.cursor:
                self.remarks.add(f"{self.place}: the tempo changes inside the measure, it is moved to its beginning")
            measure.tempo = measure.tempo or tempo
        if sound is not None and any(name in sound.attrib for name in ("dacapo", "dalsegno", "tocoda", "fine")):
            self.remarks.add(f"{self.place}: da capo, dal segno, coda and fine are not followed")

    def _tempo(self, element: Element, sound: Element | None) -> float | None:
        """Quarter notes a minute, of the sound or else of the metronome mark."""
        text = sound.get("tempo") if sound is not None else None
        beat = Fraction(1)
        if text is None:
            mark = element.find("direction-type/metronome")
            if mark is None or mark.find("per-minute") is None:
                return None
            text = _text(mark, "per-minute")
            beat = Fraction(BEATS.get(_text(mark, "beat-unit"), 1))
            beat *= Fraction(3, 2) if mark.find("beat-unit-dot") is not None else 1
        match = re.fullmatch(r"\s*(?:c(?:a)?\.?\s*)?(\d{1,4}(?:\.\d{1,10})?)\s*", text)
        if match is None:
            self.remarks.add(f"tempo {text[:40]!r} is no number")
            return None
        return float(Fraction(match[1]) * beat) or None

    def _read_barline(self, element: Element, measure: Measure) -> None:
        ending, repeat = element.find("ending"), element.find("repeat")
        if ending is not None and ending.get("type") == "start":
            self.endings = passes_named(ending.get("number", ""), self.place)
        if repeat is not None and repeat.get("direction") == "forward":
            measure.begins = True
        elif repeat is not None:
            times = repeat.get("times", "2")
            if not re.fullmatch(r"\d{1,2}", times) or not 1 <= int(times) <= MAX_REPEATS:
                raise ValueError(f"{self.place}: a repeat {times[:20]!r} times is outside 1-{MAX_REPEATS}")
            measure.passes = int(times)
