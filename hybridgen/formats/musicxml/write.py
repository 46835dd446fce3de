"""A plan -> MusicXML."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hybridgen.formats.musicxml.kinds import KINDS
from hybridgen.formats.pitches import signature, spell, spell_root
from hybridgen.formats.sheet import (
    NO_LABEL,
    PLAIN,
    TRIPLETS,
    Event,
    check_has_bars,
    chord_changes,
    first_tempo,
    written_bars,
)
from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.harmony import NO_CHORD, split_chord, split_key
from hybridgen.plan.notes import TICKS
from hybridgen.plan.score import Score

MAX_TITLE = 200  # characters
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
    changes, events, writer = chord_changes(plan), written_bars(plan), _Writer(plan.key)
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


def _write_harmony(measure: Element, chord: str | None, key: str | None) -> None:
    harmony = SubElement(measure, "harmony")
    if chord is None or chord == NO_CHORD:
        _write_step(harmony, "root", "C", 0)
        SubElement(harmony, "kind", text=UNKNOWN if chord is None else "N.C.").text = "none"
        return
    root, quality = split_chord(chord)
    _write_step(harmony, "root", *spell_root(root, key))
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
    """Chords and notes as a key spells them, with their ties."""

    def __init__(self, key: str | None) -> None:
        self.key, self.fifths = key, signature(key)
        self.tied: set[int] = set()  # pitches with a tie that leads on

    def bar(self, measure: Element, events: Sequence[Event], chords: dict[int, str | None]) -> None:
        """The harmonies and notes of one bar, in order."""
        for event in events:
            if event.tick in chords:
                _write_harmony(measure, chords[event.tick], self.key)
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
