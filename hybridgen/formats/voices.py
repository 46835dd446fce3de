"""The parts of a file, which may be many, merged into the nine roles of a plan."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hybridgen.plan.instruments import PERCUSSION_WORDS, home_role
from hybridgen.plan.notes import MAX_LENGTH, MAX_NOTES, UNPITCHED, Note, Part
from hybridgen.plan.parts import ROLES

DRUM_CHANNEL = 9  # the tenth, counted from 0
FAMILIES = (  # of General MIDI programs, up to this one; None: as the table of instruments says
    (23, "keys"), (31, "guitar"), (39, "bass"), (51, "strings"), (55, None), (79, "winds"), (87, "lead"), (95, "pad"),
)  # fmt: skip
LOW, HIGH = 48, 60  # a part without a family of its own is a bass below C3 and a lead from C4 on, on the average
OVERLAP = 60  # ticks: notes that overlap by less are one melody
NAMED = 6  # parts in a message


class Sounding(NamedTuple):
    """A note in the time of the file, in ticks from its start."""

    start: int
    stop: int
    pitch: int
    velocity: int


@dataclass
class Voice:
    """What one track plays on one channel with one program (None: none is chosen)."""

    track: int  # from 0
    name: str
    channel: int
    program: int | None
    notes: list[Sounding] = field(default_factory=list)

    @property
    def named_role(self) -> str | None:
        """The role whose name the track bears."""
        name = self.name.lower()
        return name if name in ROLES and (name in UNPITCHED) == (self.channel == DRUM_CHANNEL) else None

    @property
    def mean_pitch(self) -> float:
        """The middle of all its pitches."""
        return sum(note.pitch for note in self.notes) / len(self.notes)

    @property
    def is_monophonic(self) -> bool:
        """Whether hardly any note begins while another one sounds."""
        notes = sorted(self.notes)
        overlaps = sum(a.stop - b.start > OVERLAP for a, b in itertools.pairwise(notes))
        return overlaps <= 0.1 * len(notes)

    def __str__(self) -> str:
        name = repr(self.name[:40]) if self.name else f"channel {self.channel + 1}"
        return name if self.program is None else f"{name} (program {self.program})"


def assign(voices: Sequence[Voice]) -> tuple[dict[str, list[Voice]], list[str]]:
    """The voices of each role, and what people should know of it.

    A track that bears the name of a role plays it. Of the others those on the tenth channel are drums, or percussion
    where most notes are hand percussion; programs go by their family; without a bass the lowest melody, if it is low,
    is the bass, and without a lead the highest one that is no pad, if it is high, is the lead.
    """
    roles = {id(voice): voice.named_role or _usual_role(voice) for voice in voices}
    pitched = [voice for voice in voices if voice.channel != DRUM_CHANNEL]
    remarks = []
    for role, sign in (("bass", -1), ("lead", 1)):
        free = [one for one in pitched if one.named_role is None and roles[id(one)] not in ("bass", "lead", "pad")]
        if role in roles.values() or len(pitched) < 2 or not free:
            continue
        outer = max(free, key=lambda voice: sign * voice.mean_pitch)
        if outer.is_monophonic and (outer.mean_pitch < LOW if role == "bass" else outer.mean_pitch >= HIGH):
            roles[id(outer)] = role
            remarks.append(f"{role}: {outer} is the {'lowest' if role == 'bass' else 'highest'} melody")
    found = {role: [voice for voice in voices if roles[id(voice)] == role] for role in ROLES}
    for role, members in found.items():
        if len(members) > 1:
            more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
            remarks.append(f"{role}: {len(members)} parts are merged: {', '.join(map(str, members[:NAMED]))}{more}")
    return {role: members for role, members in found.items() if members}, remarks


def _usual_role(voice: Voice) -> str:
    if voice.channel == DRUM_CHANNEL:
        by_hand = sum(note.pitch in PERCUSSION_WORDS for note in voice.notes)
        return "percussion" if 2 * by_hand > len(voice.notes) else "drums"
    if voice.program is None:
        return "keys"
    family = next((role for last, role in FAMILIES if voice.program <= last), None)
    return family or home_role(voice.program)


def merged(role: str, voices: Iterable[Voice], n_bars: int, bar_ticks: int) -> tuple[Part, list[str]]:
    """What a role plays in each bar, all its voices together, and what was left out.

    A note ends where its pitch begins anew; of two that begin together the longer one stays; notes are cut to
    `MAX_LENGTH`, and a bar keeps its first `MAX_NOTES`.
    """
    notes = sorted(note for voice in voices for note in voice.notes)
    longest = {(note.start, note.pitch): note for note in notes}  # the last of equal starts is the longest
    counts = Counter(doubled=len(notes) - len(longest))
    bars: list[list[Note]] = [[] for _ in range(n_bars)]
    following: dict[int, int] = {}
    for note in sorted(longest.values(), reverse=True):
        stop = min(note.stop, following.get(note.pitch, note.stop))
        following[note.pitch] = note.start
        length = max(1, stop - note.start)
        counts["cut"] += length > MAX_LENGTH
        bar, tick = divmod(note.start, bar_ticks)
        bars[bar].append(Note(tick, min(length, MAX_LENGTH), note.pitch, note.velocity))
    for bar_notes in bars:
        bar_notes.reverse()
        counts["crowded"] += max(0, len(bar_notes) - MAX_NOTES)
    reasons = {
        "doubled": "left out, as another one has the same pitch and start",
        "cut": f"cut to {MAX_LENGTH} ticks",
        "crowded": f"left out, as a bar has more than {MAX_NOTES}",
    }
    remarks = [f"{role}: {notes_of(counts[what])} {why}" for what, why in reasons.items() if counts[what]]
    return Part(role, tuple(tuple(bar[:MAX_NOTES]) for bar in bars)), remarks


def notes_of(count: int) -> str:
    """ "1 note", "12 notes"."""
    return f"{count} note{'' if count == 1 else 's'}"
