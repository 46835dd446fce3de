"""Staging: who opens a song and how the others come in, who leaves first at its end, and how its last chord is played.

A genre has some of each (`Style.intros`, `Style.endings`), of which a song draws one. Players write intros and endings
like any other section; here notes are taken from them, so a role that is left without any does not play in the section.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.rhythm import STEP
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.parts import ROLES

SOLOISTS = ("lead", "winds", "keys", "guitar", "strings")  # of whom the first that plays goes on alone after a stop
EARLY = 0.01  # quarter notes: a note at a bar line belongs to the bar after it
Notes = dict[str, list[Event]]  # by role


@dataclass(frozen=True)
class Staging:
    """Who plays in the section that opens or ends a song; roles that are not named rest in it."""

    core: tuple[str, ...] = ()  # play all of it; where none of them would play, the role that always does
    steps: tuple[str, ...] = ()  # enter one after another in an intro, leave one after another in an ending
    energy: int = 0  # least by which roles and layers of drums are chosen, however quiet the section is
    pickup: bool = False  # drums lead out of it in the second half of its last bar
    last: Literal["ring", "cold", "stop"] = "ring"  # the last chord rings, is struck short, or follows a silence


EVERYONE = Staging(ROLES)
SOLO = Staging(energy=2, pickup=True)  # one instrument, and drums that lead out of its intro
GATHER = Staging(steps=("bass", "strings", "keys", "guitar", "pad", "percussion", "drums", "winds", "lead"), energy=2)
BEAT_FIRST = Staging(("drums", "percussion"), ("bass", "keys", "guitar", "strings", "pad"), energy=3)  # to mix into
RHYTHM_FIRST = Staging(("drums", "bass", "percussion"), ("guitar", "keys", "pad", "strings", "winds"), energy=3)
PADS_FIRST = Staging(("pad", "strings"), ("keys", "guitar", "bass", "percussion"), energy=2, pickup=True)

RING_OUT = EVERYONE
COLD = Staging(ROLES, last="cold")
STOP = Staging(ROLES, last="stop")
FALL_AWAY = Staging(steps=("drums", "percussion", "winds", "lead", "bass", "guitar", "strings", "keys", "pad"))
BEAT_LAST = Staging(
    ("drums", "percussion"), ("lead", "winds", "strings", "guitar", "pad", "keys", "bass"), energy=3, last="cold"
)  # to mix out of
PADS_LAST = Staging(("pad", "strings"), ("drums", "percussion", "lead", "winds", "bass", "guitar", "keys"))


def staging_of(
    context: SongContext, passage: Passage, intros: tuple[Staging, ...], endings: tuple[Staging, ...]
) -> Staging:
    """How a section is staged: the song's intro, its ending, or everyone in between."""
    if passage.closing:
        return context.choices("ending").choice(endings)
    if passage.label == "intro" and len(passage.bars) > 1:
        return context.choices("intro").choice(intros)
    return EVERYONE


def staged(notes: Notes, staging: Staging, always: str, context: SongContext, passage: Passage) -> Notes:
    """What is played of the notes of an intro or an ending, by role; `always`: the role that plays in every section."""
    core = [role for role in staging.core if notes.get(role)] or [always]
    last = context.quarter(passage, passage.n_played)
    kept = {}
    for role, (first, stop) in _spans(staging, core, notes, passage).items():
        kept[role] = _between(notes[role], context.quarter(passage, first), context.quarter(passage, stop))
    if staging.pickup and not passage.closing and "drums" in notes and "drums" not in core:
        middle = last - context.grid.quarters / 2
        kept["drums"] = [*kept.get("drums", []), *_between(notes["drums"], middle, last)]
    if not passage.closing:
        return kept
    if all(role in UNPITCHED for role in core):  # those who left come back for the last chord: it needs pitches
        for role, own in notes.items():
            kept[role] = [event for event in kept.get(role, []) if event.start < last - EARLY]
            kept[role] += [event for event in own if event.start >= last - EARLY]
    return _ended(kept, staging.last, context, passage)


def _spans(
    staging: Staging, core: Sequence[str], notes: Mapping[str, list[Event]], passage: Passage
) -> dict[str, tuple[int, int]]:
    """Of each role that plays its first bar, and the one after its last."""
    n_bars = passage.n_played
    whole = 0, len(passage.bars)
    if n_bars < 2:
        return dict.fromkeys(notes, whole)
    steps = [role for role in staging.steps if notes.get(role) and role not in core]
    unit = 4 if n_bars >= 16 else 2 if n_bars >= 8 else 1
    entries = [max(1, unit * round((i + 1) * n_bars / (len(steps) + 1) / unit)) for i in range(len(steps))]
    if passage.closing:
        own = {role: (0, n_bars - entry) for role, entry in zip(steps, reversed(entries), strict=True)}
    else:
        own = {role: (entry, n_bars) for role, entry in zip(steps, entries, strict=True)}
    return {role: whole for role in core if role in notes} | own


def _ended(notes: Notes, last: str, context: SongContext, passage: Passage) -> Notes:
    """The notes of an ending, with its last chord as it is to be played."""
    end = context.quarter(passage, passage.n_played)
    beat = context.grid.beat_lengths[0] * STEP
    if last == "cold":
        return {
            role: [
                event if event.start < end - EARLY else event._replace(start=end, length=min(beat, event.length))
                for event in own
            ]
            for role, own in notes.items()
        }
    if last == "stop" and passage.n_played:
        start = end - context.grid.quarters
        soloist = next((role for role in SOLOISTS if _between(notes.get(role, []), start + beat, end)), None)
        goes_on = {soloist: start, "drums": end - context.grid.quarters / 2}  # drums fill the second half
        return {role: _stopped(own, start, beat, goes_on.get(role, end)) for role, own in notes.items()}
    return notes


def _stopped(events: list[Event], start: float, beat: float, again: float) -> list[Event]:
    """Notes with silence from a beat after `start` until they go on at `again`; notes of the beat end with it."""
    kept = []
    for event in events:
        if event.start < start - EARLY or event.start >= again - EARLY:
            kept.append(event)
        elif event.start < start + beat - EARLY:
            kept.append(event._replace(length=min(event.length, start + beat - event.start)))
    return kept


def _between(events: list[Event], start: float, stop: float) -> list[Event]:
    return [event for event in events if start - EARLY <= event.start < stop - EARLY]
