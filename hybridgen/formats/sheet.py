"""What every sheet has: measures with repeats and endings, chords that stay in force, notes tied over bar lines.

Readers make `Measure`s and `plan_of` makes the plan; writers ask `written_bars` for the notes and rests of each bar.
Positions are ticks, 480 a quarter note.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.notes import TICKS, Note, NoteBar, Part
from hybridgen.plan.parts import MAX_BARS, MAX_TEMPO, MIN_TEMPO, Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import Score
from hybridgen.text.form import PARTS

ROLE = "lead"  # who plays the notes of a sheet
NO_LABEL = "?"  # heading of a section without a label
MAX_REPEATS = 99
_MAX_REMARKS = 40


class Remarks:
    """What a reader could not carry, each once with how often it was met."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, text: str) -> None:
        """One more of these."""
        self._counts[text] = self._counts.get(text, 0) + 1

    def lines(self) -> tuple[str, ...]:
        """A line each, in the order in which they were first met."""
        lines = [text if n == 1 else f"{text} ({n} times)" for text, n in self._counts.items()]
        more = len(lines) - _MAX_REMARKS
        return (*lines[:_MAX_REMARKS], *([f"and {more} more"] if more > 0 else []))


@dataclass(frozen=True)
class WrittenNote:
    """A note head: where in its measure it begins, how long it is, and whether a tie leads on from it."""

    tick: int
    length: int
    pitch: int
    is_tied: bool = False


@dataclass
class Measure:
    """What stands between two bar lines."""

    place: str  # for messages: "bar 3", "line 4, bar 2"
    length: int = 0  # ticks that are filled
    chords: list[tuple[int, str | None]] = field(default_factory=list)  # (tick, canonical chord, None = unknown)
    notes: list[WrittenNote] = field(default_factory=list)
    is_hidden: bool = False  # what is not a note is an invisible rest: unknown
    heading: str | None = None  # a section begins here
    tempo: float | None = None  # from here on, quarter notes a minute
    begins: bool = False  # a repeat
    passes: int = 1  # how often the repeat that ends here is played
    endings: tuple[int, ...] = ()  # the passes in which it is played; () = all


def bar_ticks(meter: str) -> int:
    """Ticks in a bar of one of METERS."""
    return round(meter_quarters(meter) * TICKS)


def to_ticks(position: Fraction, remarks: Remarks) -> int:
    """The nearest tick, which is said where it is another place."""
    if position.denominator != 1:
        remarks.add(f"a position or length is moved to the nearest of {TICKS} ticks a quarter note")
    return round(position)


def passes_named(text: str, place: str) -> tuple[int, ...]:
    """The passes of an ending, "1", "1,3" or "1-3"; ValueError, beginning with the place, for what names none."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,2})(?:-(\d{1,2}))?\s*\.?", part)
        passes = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not passes or passes[0] == 0:
            raise ValueError(f"{place}: ending {text[:20]!r} should read 1, 1,3 or 1-3")
        found |= set(passes)
    return tuple(sorted(found))


# ---- in


def plan_of(
    measures: Sequence[Measure],
    remarks: Remarks,
    *,
    meter: str,
    tempo: float,
    key: str | None = None,
    prompt: str = "",
) -> Plan:
    """The plan that measures make, repeats written out; ValueError for no bars, too many, or one that is too long.

    tempo: quarter notes a minute at the start. A measure without a chord goes on with that of the one written before.
    """
    if not measures:
        raise ValueError("no bars are found")
    ticks = bar_ticks(meter)
    for measure in measures:
        if measure.length > ticks:
            raise ValueError(f"{measure.place}: {measure.length} ticks are more than the {ticks} of a bar of {meter}")
    settled = _settled(measures, tempo)
    bars = _whole([settled[i] for i in unfold(measures)], ticks, remarks)
    sections = []
    for number, bar in enumerate(bars):
        if number == 0 or bar.section != bars[number - 1].section:
            sections.append((bar.heading, [Bar(_chords(bar, ticks, remarks))]))
        else:
            sections[-1][1].append(Bar(_chords(bar, ticks, remarks)))
    lead = _part(bars, ticks)
    return Plan(
        tuple(Section(_label(heading, remarks), tuple(inside)) for heading, inside in sections),
        _marks(bars, remarks),
        meter,
        key,
        () if lead.is_unknown else ((ROLE, None),),
        prompt=prompt,
        notes=(lead,),
    )


def unfold(measures: Sequence[Measure]) -> list[int]:
    """The measures in the order in which they are played, by their index; ValueError for more than a plan holds.

    A repeat without a beginning goes back to the end of the one before it, or to the first measure.
    """
    order: list[int] = []
    start, turn, i = 0, 1, 0  # of the repeat that is played: its first measure, and for which time
    while i < len(measures):
        measure = measures[i]
        leaves = i > 0 and bool(measures[i - 1].endings) and not measure.endings
        if i > start and (measure.begins or leaves):
            start, turn = i, 1
        if measure.endings and turn not in measure.endings:
            i += 1
            continue
        order.append(i)
        if len(order) > MAX_BARS:
            raise ValueError(f"{measure.place}: with its repeats the sheet has more than {MAX_BARS} bars")
        i += 1
        if measure.passes > 1:
            passes = max(measure.passes, _last_ending(measures, start)) if measure.endings else measure.passes
            if turn < passes:
                i, turn = start, turn + 1
            elif not measure.endings:
                start, turn = i, 1
    return order


def _last_ending(measures: Sequence[Measure], start: int) -> int:
    """The last pass that an ending of the repeat from `start` on names, 0 without endings."""
    last, has_begun = 0, False
    for measure in measures[start:]:
        if has_begun and not measure.endings:
            break
        has_begun = has_begun or bool(measure.endings)
        last = max(last, *measure.endings, 0)
    return last


@dataclass
class _Settled:
    """A measure with what is in force where it begins: the section's number and heading, tempo and chord."""

    measure: Measure
    section: int
    heading: str | None
    tempo: float
    chord: str | None
    length: int
    chords: list[tuple[int, str | None]]
    notes: list[WrittenNote]


def _settled(measures: Sequence[Measure], tempo: float) -> list[_Settled]:
    settled = []
    section, chord, heading = 0, None, None
    for measure in measures:
        if measure.heading is not None:
            section, heading = section + 1, measure.heading
        tempo = measure.tempo or tempo
        chords, notes = list(measure.chords), list(measure.notes)
        settled.append(_Settled(measure, section, heading, tempo, chord, measure.length, chords, notes))
        chord = measure.chords[-1][1] if measure.chords else chord
    return settled


def _whole(played: Sequence[_Settled], ticks: int, remarks: Remarks) -> list[_Settled]:
    """Whole bars: two short measures may make one; one alone is an upbeat where a part begins, or ends in silence."""
    bars: list[_Settled] = []
    for measure in played:
        if bars and 0 < bars[-1].length < ticks and bars[-1].length + measure.length == ticks:
            _append(bars[-1], measure, bars[-1].length)
        else:
            bars.append(replace(measure, chords=list(measure.chords), notes=list(measure.notes)))
    for number, bar in enumerate(bars):
        is_first = number == 0 or bar.measure.begins or bar.measure.heading is not None
        if bar.length < ticks and is_first and len(bars) > 1:
            bars[number] = replace(bar, length=ticks - bar.length, chords=[], notes=[])
            _append(bars[number], bar, ticks - bar.length)
            remarks.add(f"{bar.measure.place}: an upbeat, at the end of a whole bar")
        elif bar.length < ticks:
            remarks.add(f"{bar.measure.place}: {bar.length} of {ticks} ticks, filled with silence")
    return bars


def _append(bar: _Settled, measure: _Settled, shift: int) -> None:
    bar.chords += [(tick + shift, chord) for tick, chord in measure.chords]
    bar.notes += [replace(note, tick=note.tick + shift) for note in measure.notes]
    bar.length += measure.length
    if not measure.measure.is_hidden:
        bar.measure = replace(bar.measure, is_hidden=False)


def _chords(bar: _Settled, ticks: int, remarks: Remarks) -> tuple[str, ...] | None:
    """One or two chords: those of the bar as they are; of more, the first and the one in force at half."""
    place, half = bar.measure.place, ticks // 2
    found: dict[int, str | None] = {}
    for tick, chord in sorted(bar.chords, key=lambda one: one[0]):
        if tick in found:
            remarks.add(f"{place}: of two chords on one place only the first is kept")
        found.setdefault(tick, chord)
    found = found if 0 in found else {0: bar.chord, **found}
    if len(found) == 2 and half not in found:
        remarks.add(f"{place}: the second chord is moved to the half of the bar")
    if len(found) > 2:
        first, second = found[0], [chord for tick, chord in found.items() if tick <= half][-1]
        found = {0: first} if first == second else {0: first, half: second}
        remarks.add(f"{place}: of its chords the first and the one at half are kept")
    known = tuple(chord for chord in found.values() if chord is not None)
    if 0 < len(known) < len(found):
        remarks.add(f"{place}: one chord is unknown, the other stands for both")
    return known or None


def _part(bars: Sequence[_Settled], ticks: int) -> Part:
    """The notes of all bars, tied ones joined; nothing is known where a sheet has no note at all."""
    notes: list[dict[tuple[int, int], Note]] = [{} for _ in bars]
    is_reached = [False] * len(bars)
    open_ties: dict[int, tuple[int, int, int]] = {}  # pitch -> (end in ticks from the start, bar, tick in it)
    for number, bar in enumerate(bars):
        for written in sorted(bar.notes, key=lambda note: note.tick):
            begin = number * ticks + written.tick
            end, first, tick = open_ties.pop(written.pitch, (-1, number, written.tick))
            is_joined = end == begin
            first, tick = (first, tick) if is_joined else (number, written.tick)
            try:
                before = notes[first].get((tick, written.pitch))
                length = max(written.length + (begin - first * ticks - tick), before.length if before else 0)
                notes[first][tick, written.pitch] = Note(tick, length, written.pitch)
            except ValueError as error:
                raise ValueError(f"{bar.measure.place}: {error}") from None
            is_reached[number] |= not is_joined
            if written.is_tied:
                open_ties[written.pitch] = (begin + written.length, first, tick)
    unknown = not any(notes)
    lines: list[NoteBar] = [
        None if unknown or (bar.measure.is_hidden and not reached) else tuple(sorted(inside.values()))
        for bar, inside, reached in zip(bars, notes, is_reached, strict=True)
    ]
    return Part(ROLE, tuple(lines))


def _marks(bars: Sequence[_Settled], remarks: Remarks) -> tuple[Tempo, ...]:
    marks: list[Tempo] = []
    for number, bar in enumerate(bars, start=1):
        try:
            mark = Tempo(number, bar.tempo)
        except ValueError as error:
            raise ValueError(f"{bar.measure.place}: {error}") from None
        if mark.bpm != bar.tempo:
            remarks.add(f"tempo {bar.tempo:.6g} is rounded to {mark.bpm:g}")
        if not marks or marks[-1].bpm != mark.bpm:
            marks.append(mark)
    return tuple(marks)


def _label(heading: str | None, remarks: Remarks) -> str | None:
    """The label that a heading such as "Verse 2" names; None, said, where it names none."""
    if heading is None or heading == NO_LABEL:
        return None
    word = heading.lower().replace("pre-chorus", "").replace("prechorus", "").strip(" .:-0123456789")
    if word not in PARTS:
        remarks.add(f"section {heading[:40]!r} is none of our labels")
    return PARTS.get(word)


# ---- out


@dataclass(frozen=True)
class Event:
    """A rest or pitches that sound together, in one bar; each with whether a tie leads on from it."""

    tick: int
    length: int
    pitches: tuple[tuple[int, bool], ...] = ()  # (MIDI pitch, is tied), ascending
    is_hidden: bool = False  # a rest in a bar of which nothing is known


# lengths that a note head has, with dots or in a triplet, from the longest
PLAIN = sorted([15 * 2**k for k in range(8)] + [45 * 2**k for k in range(7)], reverse=True)
TRIPLETS = [20 * 2**k for k in range(7)][::-1]


def written_bars(plan: Score) -> list[list[Event]]:
    """What the lead plays, bar by bar, as heads that can be written, tied where a sound goes on.

    A note ends where its pitch begins anew, and with the last bar; velocities are not written.
    """
    ticks, part = plan.bar_ticks, plan.part(ROLE)
    placed = sorted(
        (number * ticks + note.tick, note.pitch, note.length)
        for number, bar in enumerate(part.bars)
        for note in bar or ()
    )
    stops: list[int] = []
    following: dict[int, int] = {}
    for begin, pitch, length in reversed(placed):
        stops.append(min(begin + length, following.get(pitch, plan.n_bars * ticks)))
        following[pitch] = begin
    spans = [(begin, stop, pitch) for (begin, pitch, _), stop in zip(placed, reversed(stops), strict=True)]
    bars, i, sounding = [], 0, list[tuple[int, int, int]]()
    for number, bar in enumerate(plan.bars):
        start = number * ticks
        while i < len(spans) and spans[i][0] < start + ticks:
            sounding.append(spans[i])
            i += 1
        breaks = {start, start + ticks} | ({start + ticks // 2} if len(bar.chords or ()) > 1 else set())
        breaks |= {time for span in sounding for time in span[:2] if start < time < start + ticks}
        pieces = [part for a, b in pairwise(sorted(breaks)) for part in _heads(a, b)]
        bars.append([_event(a, b, start, sounding, part.bars[number] is None) for a, b in pieces])
        sounding = [span for span in sounding if span[1] > start + ticks]
    return bars


def _event(begin: int, end: int, bar_start: int, sounding: Sequence[tuple[int, int, int]], is_unknown: bool) -> Event:
    pitches = sorted((pitch, stop > end) for start, stop, pitch in sounding if start <= begin < stop)
    return Event(begin - bar_start, end - begin, tuple(pitches), is_unknown and not pitches)


def _heads(begin: int, end: int) -> list[tuple[int, int]]:
    """(begin, end) of the heads that fill a length; what no head has is left in one piece."""
    heads = []
    while begin < end:
        left = end - begin
        sizes = PLAIN if left % 15 == 0 else [left] if left in TRIPLETS else sorted(PLAIN + TRIPLETS, reverse=True)
        size = next((size for size in sizes if size <= left), left)
        heads.append((begin, begin + size))
        begin += size
    return heads


def first_tempo(plan: Score) -> float:
    """Quarter notes a minute: of the first mark, or of played beats on average, inside the limits of a plan."""
    if plan.tempo:
        return plan.tempo[0].bpm
    minutes = (plan.beats[-1] - plan.beats[0]) / 60
    bpm = plan.n_bars * plan.bar_ticks / TICKS / minutes
    return round(min(max(bpm, MIN_TEMPO), MAX_TEMPO), 1)


def check_has_bars(plan: Score, name: str) -> None:
    """ValueError for a plan that has nothing to write."""
    if plan.n_bars == 0:
        raise ValueError(f"{name}: the plan has no bars")


def chord_changes(plan: Score) -> list[list[tuple[int, str | None]]]:
    """For each bar (tick, chord or None where unknown): those to write where a chord stays in force until the next."""
    changes: list[list[tuple[int, str | None]]] = []
    current: str | None = None
    for bar in plan.bars:
        chords: tuple[str | None, ...] = bar.chords or (None,)
        is_new = len(chords) > 1 or chords[0] != current
        changes.append([(i * plan.bar_ticks // 2, chord) for i, chord in enumerate(chords)] if is_new else [])
        current = chords[-1]
    return changes
