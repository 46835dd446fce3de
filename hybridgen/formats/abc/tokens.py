"""What a line of music is made of, and the notes that one head stands for."""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from hybridgen.plan.notes import TICKS

UNIT = Fraction(1, 8)  # of a whole note, for what is written
WHOLE = 4 * TICKS
FIELD = re.compile(r"([A-Za-z+]):(?![|:\]])\s*(.*)")
_LENGTH = r"\d{0,4}(?:/+\d{0,4})?"
NOTE = re.compile(rf"(?P<sign>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']{{0,9}})(?P<length>{_LENGTH})(?P<tie>-?)")
TOKEN = re.compile(
    rf'(?P<space>[\s`\\y]+)|"(?P<text>[^"]*)"|(?P<decoration>![^!]*!|\+[^+]*\+|[~.H-Wh-w])|(?P<grace>\{{[^}}]*\}})'
    r"|\[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]"
    r"|(?P<line>\[\|+\]?:*|:*\|[|\]:]*|::+)(?P<endings>\d[\d,-]*)?|\[(?P<volta>\d[\d,-]*)"
    r"|\((?P<tuplet>\d)(?::(?P<into>\d?)(?::(?P<count>\d?))?)?|(?P<slur>[()])"
    rf"|(?P<rest>[zx])(?P<rest_length>{_LENGTH})|(?P<bars>[ZX])(?P<n_bars>\d{{0,4}})"
    rf"|\[(?P<chord>[^\[\]|:]*)\](?P<chord_length>{_LENGTH})|(?P<note>{NOTE.pattern})"
    r"|(?P<tied>-)|(?P<broken>>{1,3}|<{1,3})|(?P<overlay>&)"
)


@dataclass
class Head:
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
