"""The information fields of a tune: meter, unit, tempo, key, voice, title, and the parts and tempi between its bars."""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from hybridgen.formats.abc.tokens import UNIT, WHOLE
from hybridgen.formats.pitches import key_of, sharpened, signature_of
from hybridgen.formats.sheet import (
    Remarks,
    bar_ticks,
)
from hybridgen.plan.parts import check_meter

MODES = {
    **{"": "major", "m": "minor", "maj": "major", "min": "minor", "ion": "ionian", "dor": "dorian"},
    **{"phr": "phrygian", "lyd": "lydian", "mix": "mixolydian", "aeo": "aeolian", "loc": "locrian"},
}
ALTERS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
PASSED_OVER = {"w": "lyrics", "W": "lyrics", "s": "symbol lines", "m": "macros", "U": "user-defined symbols"}


@dataclass
class Fields:
    """What the fields read so far say."""

    remarks: Remarks = field(default_factory=Remarks)
    bar: int = 1  # the one that is open, for messages
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
    # for the next measure
    heading: str | None = None
    next_tempo: float | None = None

    @property
    def place(self) -> str:
        """Where the tune is read, for messages."""
        return f"abc: bar {self.bar}" if self.in_body else "abc: head"

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
        if meter == "2/2":
            meter = "4/4"
            self.remarks.add(f"M:{value[:20]}: two halves a bar are read as 4/4, which is as long")
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
