"""MusicXML lead sheets: one part's notes and harmonies, rehearsal marks, tempi; https://www.w3.org/2021/06/musicxml40/

Read as plain or compressed (.mxl) score-partwise files, without entities, up to `MAX_BYTES` and `MAX_ELEMENTS`. A bar
of rests that are not printed is one of which nothing is known.
"""

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, indent, tostring
from xml.parsers import expat

from hybridgen.formats.pitches import key_of, midi, signature, spell
from hybridgen.formats.sheet import (
    MAX_REPEATS,
    NO_LABEL,
    PLAIN,
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
from hybridgen.plan.harmony import LETTERS, NO_CHORD, PITCHES, split_chord, split_key
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import MAX_BARS, check_meter
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import Score

MAX_BYTES = 4_000_000
MAX_ELEMENTS = 100_000
MAX_DEPTH = 40
MAX_TITLE = 200  # characters
MAX_DIVISIONS = 100_000  # of a quarter note
KINDS = {  # quality of ours -> kind
    "": "major",
    "m": "minor",
    "7": "dominant",
    "maj7": "major-seventh",
    "m7": "minor-seventh",
    "dim": "diminished",
    "aug": "augmented",
    "sus2": "suspended-second",
    "sus4": "suspended-fourth",
    "m7b5": "half-diminished",
    "dim7": "diminished-seventh",
    "6": "major-sixth",
    "m6": "minor-sixth",
    "add9": "major",  # with a degree added
    "9": "dominant-ninth",
    "m9": "minor-ninth",
    "maj9": "major-ninth",
    "5": "power",
}
QUALITIES = {kind: quality for quality, kind in reversed(KINDS.items())} | {
    "augmented-seventh": "7#5",
    "major-minor": "mmaj7",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "pedal": "1",
}
ACCIDENTALS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
BEATS = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25}  # quarter notes
NAMES = (
    "128th",
    "64th",
    "32nd",
    "16th",
    "eighth",
    "quarter",
    "half",
    "whole",
)  # from 15 ticks, each twice the one before
_DOCTYPE = (
    b'<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    b'"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, KeyError, OSError),
)


# ---- in


def parse_xml(data: bytes) -> Element:
    """The root element; ValueError, naming line and column, for what is no XML, has entities or is too large."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"musicxml: {len(data)} bytes are over the limit of {MAX_BYTES}")
    builder, parser = TreeBuilder(), expat.ParserCreate()
    count = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count, depth
        count, depth = count + 1, depth + 1
        if count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise ValueError(f"musicxml: more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} inside each other")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(name: str, *_: Any) -> None:
        raise ValueError(f"musicxml: entity {name[:40]!r} is declared, entities are not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = builder.data, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"musicxml: not XML: {str(error)[:100]}") from None
    return builder.close()


def unpack(data: bytes) -> bytes:
    """The score inside a compressed file; ValueError for a container that is broken, or larger than `MAX_BYTES`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as container:
            root = parse_xml(_member(container, "META-INF/container.xml"))
            entry = root.find(".//rootfile")
            if entry is None:
                raise ValueError("musicxml: the container names no score")
            return _member(container, entry.get("full-path", ""))
    except _BROKEN_ZIP as error:
        raise ValueError(f"musicxml: no readable container: {' '.join(str(error).split())[:100]}") from None


def _member(container: zipfile.ZipFile, name: str) -> bytes:
    with container.open(name) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"musicxml: {name[:60]!r} in the container is over the limit of {MAX_BYTES} bytes")
    return data


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


# ---- out


def to_musicxml(plan: Score) -> bytes:
    """The lead, the chords, sections and tempo marks as one part; ValueError for a plan without bars.

    Velocities, swing, ramps between tempo marks and all other parts are not written.
    """
    check_has_bars(plan, "musicxml")
    root = Element("score-partwise", version="4.0")
    title = "".join(letter for letter in " ".join(plan.prompt.split())[:MAX_TITLE] if letter.isprintable())
    SubElement(SubElement(root, "work"), "work-title").text = title
    SubElement(SubElement(SubElement(root, "part-list"), "score-part", id="P1"), "part-name").text = "Lead"
    part = SubElement(root, "part", id="P1")
    headings = _headings(plan)
    tempi = {1: first_tempo(plan)} | {mark.bar: mark.bpm for mark in plan.tempo}
    changes, events, writer = chord_changes(plan), written_bars(plan), _Writer(signature(plan.key))
    for number in range(1, plan.n_bars + 1):
        measure = SubElement(part, "measure", number=str(number))
        if number == 1:
            _write_attributes(measure, plan)
        if number in headings:
            direction = SubElement(measure, "direction", placement="above")
            SubElement(SubElement(direction, "direction-type"), "rehearsal").text = headings[number]
        if number in tempi:
            _write_tempo(measure, tempi[number])
        writer.bar(measure, events[number - 1], dict(changes[number - 1]))
    indent(root)
    text = tostring(root, encoding="unicode")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + _DOCTYPE + text.encode() + b"\n"


def _headings(plan: Score) -> dict[int, str]:
    """Number of a section's first bar -> its heading; a single section without a label has none."""
    if len(plan.sections) == 1 and plan.sections[0].label is None:
        return {}
    headings, first = {}, 1
    for section in plan.sections:
        headings[first] = section.label or NO_LABEL
        first += len(section.bars)
    return headings


def _write_attributes(measure: Element, plan: Score) -> None:
    attributes = SubElement(measure, "attributes")
    SubElement(attributes, "divisions").text = str(TICKS)
    if plan.key is not None:
        key = SubElement(attributes, "key")
        SubElement(key, "fifths").text = str(signature(plan.key))
        SubElement(key, "mode").text = split_key(plan.key)[1]
    assert plan.meter is not None
    beats, unit = plan.meter.split("/")
    time = SubElement(attributes, "time")
    SubElement(time, "beats").text = beats
    SubElement(time, "beat-type").text = unit
    clef = SubElement(attributes, "clef")
    SubElement(clef, "sign").text = "G"
    SubElement(clef, "line").text = "2"


def _write_tempo(measure: Element, bpm: float) -> None:
    direction = SubElement(measure, "direction", placement="above")
    metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
    SubElement(metronome, "beat-unit").text = "quarter"
    SubElement(metronome, "per-minute").text = f"{bpm:g}"
    SubElement(direction, "sound", tempo=f"{bpm:g}")


def _write_harmony(measure: Element, chord: str | None) -> None:
    harmony = SubElement(measure, "harmony")
    if chord is None or chord == NO_CHORD:
        _write_step(harmony, "root", "C", 0)
        SubElement(harmony, "kind", text=UNKNOWN if chord is None else "N.C.").text = "none"
        return
    root, quality = split_chord(chord)
    _write_step(harmony, "root", PITCHES[root][0], {"#": 1, "b": -1, "": 0}[PITCHES[root][1:]])
    SubElement(harmony, "kind", text=quality).text = KINDS[quality]
    if quality == "add9":
        degree = SubElement(harmony, "degree", {"print-object": "no"})
        SubElement(degree, "degree-value").text = "9"
        SubElement(degree, "degree-alter").text = "0"
        SubElement(degree, "degree-type").text = "add"


def _write_step(parent: Element, name: str, letter: str, alter: int) -> None:
    root = SubElement(parent, name)
    SubElement(root, f"{name}-step").text = letter
    if alter:
        SubElement(root, f"{name}-alter").text = str(alter)


def _write_note(measure: Element, event: Event, pitch: int | None, fifths: int) -> Element:
    """A note of an event as far as its length, or a rest where the pitch is None."""
    note = SubElement(measure, "note", {"print-object": "no"} if event.is_hidden else {})
    if pitch is None:
        SubElement(note, "rest")
    else:
        if pitch != event.pitches[0][0]:
            SubElement(note, "chord")
        letter, alter, octave = spell(pitch, fifths)
        place = SubElement(note, "pitch")
        SubElement(place, "step").text = letter
        if alter:
            SubElement(place, "alter").text = str(alter)
        SubElement(place, "octave").text = str(octave)
    SubElement(note, "duration").text = str(event.length)
    return note


def _write_look(note: Element, ticks: int) -> None:
    """The head that a length has; none where none fits."""
    if ticks in TRIPLETS:
        size, is_dotted = (ticks * 3 // 2) // 15, False
    else:
        is_dotted = ticks % 45 == 0
        size = ticks * 2 // 45 if is_dotted else ticks // 15
    if ticks not in PLAIN and ticks not in TRIPLETS:
        return
    SubElement(note, "type").text = NAMES[size.bit_length() - 1]
    if is_dotted:
        SubElement(note, "dot")
    if ticks in TRIPLETS:
        change = SubElement(note, "time-modification")
        SubElement(change, "actual-notes").text = "3"
        SubElement(change, "normal-notes").text = "2"


class _Writer:
    """Notes under a key signature, with their ties."""

    def __init__(self, fifths: int) -> None:
        self.fifths = fifths
        self.tied: set[int] = set()  # pitches with a tie that leads on

    def bar(self, measure: Element, events: Sequence[Event], chords: dict[int, str | None]) -> None:
        """The harmonies and notes of one bar, in order."""
        for event in events:
            if event.tick in chords:
                _write_harmony(measure, chords[event.tick])
            for pitch, is_tied in event.pitches or ((None, False),):
                note = _write_note(measure, event, pitch, self.fifths)
                ties = [*(["stop"] if pitch in self.tied else []), *(["start"] if is_tied else [])]
                for kind in ties:
                    SubElement(note, "tie", type=kind)
                SubElement(note, "voice").text = "1"
                _write_look(note, event.length)
                if ties:
                    notations = SubElement(note, "notations")
                    for kind in ties:
                        SubElement(notations, "tied", type=kind)
            self.tied = {pitch for pitch, is_tied in event.pitches if is_tied}
