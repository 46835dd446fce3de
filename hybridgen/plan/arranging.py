"""The sections of a plan in another order: "intro A A B A outro".

A name and what it stands for:

    verse, chorus       the first section with this label
    verse2              the second one with it
    A, B, C             labels other than intro and outro, in the order in which the plan first has them: A is the first
                        section that is neither, B the first with another label. Sections without a label have one
                        letter where their chords are the same
    A2                  the second section of this letter
    A*2, 2xA            twice
    A[4]                its first four bars

Names are separated by spaces or commas, in capitals or not. A list of numbers, from 1, names sections by their place.
"""

import hashlib
import re
import string
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hybridgen.plan.editing import tempo_at, with_tail
from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.notes import NoteBar
from hybridgen.plan.parts import MAX_BARS, Tempo, number, whole, words
from hybridgen.plan.score import Score

P = TypeVar("P", bound=Score)
Item = tuple[int, int]  # which section of the plan, from 0, and how many of its bars

_WORD = re.compile(
    r"(?:(?P<before>\d{1,4})[x×])?(?P<name>[a-z]+)(?P<which>\d{1,4})?(?:\[(?P<bars>\d{1,4})\])?(?:\*(?P<after>\d{1,4}))?"
)


def arrange(plan: P, order: str | Sequence[int], variation: float = 0.0) -> P:
    """The plan with its sections in this order; see `Plan.arrange`."""
    if plan.n_bars == 0:
        raise ValueError("arrange: the plan has no bars, so no sections to put in order")
    variation = number(variation, "variation")
    if not 0 <= variation <= 1:  # also refuses NaN
        raise ValueError(f"variation {variation:g} is outside 0-1")
    items = _numbered(plan, order) if isinstance(order, list | tuple) else _items(plan, words(order, "arrange"))
    starts = np.cumsum([1, *(len(section.bars) for section in plan.sections)]).tolist()
    bars = [bar for index, n_bars in items for bar in range(starts[index], starts[index] + n_bars)]
    keeps_end = bars[-1] == plan.n_bars or str(plan.ending) in ("cut", "loop")
    moved = with_tail(
        plan,
        sections=tuple(replace(plan.sections[i], bars=plan.sections[i].bars[:n_bars]) for i, n_bars in items),
        tempo=_marks(plan, bars),
        beats=_beats(plan, bars),
        ending=plan.ending if keeps_end else None,
        notes=tuple(replace(part, bars=tuple(part.bars[bar - 1] for bar in bars)) for part in plan.notes),
        codes=(),
        pre_roll=0,
    )
    return _varied(moved, bars, variation)


# ---- names


def _names(plan: Score) -> Iterator[tuple[str, ...]]:
    """The names of each section, label before letter: ("verse", "A"), ("chorus", "B"), ("verse2", "A2")."""
    alphabet, letters, counts = iter(string.ascii_uppercase), dict[Hashable, str](), Counter[str]()
    for section in plan.sections:
        own = [] if section.label is None else [section.label]
        if section.label not in ("intro", "outro"):
            kind = section.label or section.bars
            if kind not in letters:
                letters[kind] = next(alphabet, "")
            own += [letters[kind]] if letters[kind] else []
        counts.update(own)
        yield tuple(name if counts[name] == 1 else f"{name}{counts[name]}" for name in own)


def _items(plan: Score, order: str) -> list[Item]:
    """The sections that `order` names; ValueError for what is none, and for more bars than a plan has."""
    names = list(_names(plan))
    known = {name.lower(): index for index, own in enumerate(names) for name in own}
    listed = ", ".join(f"{own[0]} ({own[1]})" if own[1:] else own[0] for own in names if own)
    found = [_item(plan, known, word, listed) for word in order.replace(",", " ").split()]
    if not found:
        raise ValueError(f"arrange: {order[:60]!r} names no section; the plan has {listed}")
    if (n_bars := sum(item[1] * times for item, times in found)) > MAX_BARS:
        raise ValueError(f"arrange: {n_bars} bars are more than {MAX_BARS}")
    return [item for item, times in found for _ in range(times)]


def _numbered(plan: Score, order: Sequence[int]) -> list[Item]:
    """The sections of these numbers, from 1; ValueError for none, and for more bars than a plan has."""
    for one in order:
        if not 1 <= whole(one, "arrange") <= len(plan.sections):
            raise ValueError(f"arrange: section {one} is outside 1-{len(plan.sections)}")
    items = [(one - 1, len(plan.sections[one - 1].bars)) for one in order]
    if not 1 <= (n_bars := sum(length for _, length in items)) <= MAX_BARS:
        raise ValueError(f"arrange: {n_bars} bars are outside 1-{MAX_BARS}")
    return items


def _item(plan: Score, known: dict[str, int], word: str, listed: str) -> tuple[Item, int]:
    """What one word names, and how often."""
    match = _WORD.fullmatch(word.lower())
    which = 1 if match is None else int(match["which"] or 1)
    name = word.lower() if match is None else match["name"] + (str(which) if which != 1 else "")
    if match is None or name not in known:
        raise ValueError(f"arrange: {word[:60]!r} is no section; the plan has {listed}")
    index, times = known[name], int(match["before"] or 1) * int(match["after"] or 1)
    length = len(plan.sections[index].bars)
    n_bars = length if match["bars"] is None else int(match["bars"])
    if not 1 <= n_bars <= length:
        raise ValueError(f"arrange: {word[:60]!r} takes {n_bars} bars, outside the section's 1-{length}")
    if times < 1:
        raise ValueError(f"arrange: {word[:60]!r} plays the section {times} times, at least 1 is needed")
    return (index, n_bars), times


# ---- time; `bars` holds the number in the plan, from 1, of each bar of the new order


def _marks(plan: Score, bars: Sequence[int]) -> tuple[Tempo, ...]:
    """The tempo marks that give every bar the tempo that it had; a ramp whose end does not follow is held."""
    own, marks = {mark.bar: mark for mark in plan.tempo}, list[Tempo]()
    for place, bar in enumerate(bars if plan.tempo else ()):
        goes_on = place > 0 and bar == bars[place - 1] + 1
        mark = own.get(bar) or (None if goes_on else tempo_at(plan, bar))
        if mark is None:
            continue
        mark = Tempo(place + 1, mark.bpm, mark.ramp and _reaches_its_end(plan, bars, place))
        if mark.ramp or not marks or marks[-1].ramp or marks[-1].bpm != mark.bpm:
            marks.append(mark)
    return tuple(marks)


def _reaches_its_end(plan: Score, bars: Sequence[int], place: int) -> bool:
    """Whether the bars from `place` on go on as in the plan up to its next tempo mark."""
    end = next((mark.bar for mark in plan.tempo if mark.bar > bars[place]), None)
    if end is None:
        return False
    between = range(bars[place], end + 1)
    return list(bars[place : place + len(between)]) == list(between)


def _beats(plan: Score, bars: Sequence[int]) -> tuple[float, ...]:
    """The beats of played music, each bar as long as it was; () for a plan with a tempo.

    Bars that follow one another as in the plan are moved as one, so that the plan's own order moves nothing.
    """
    if not plan.beats or plan.meter is None:
        return ()
    starts = np.arange(plan.n_bars + 1) * len(METER_BEATS[plan.meter])  # index of each bar's first beat
    times, beats, shift = np.array(plan.beats), list[float](), 0.0
    before = 0  # the bar before, so that its end is the start of the next
    for bar in bars:
        if bar != before + 1:
            shift += times[starts[before]] - times[starts[bar - 1]]
        beats += (times[starts[bar - 1] : starts[bar]] + shift).tolist()
        before = bar
    return (*beats, float(times[starts[before]] + shift))


# ---- variation


def _varied(plan: P, bars: Sequence[int], variation: float) -> P:
    """The plan with the notes of a share of the (role, bar) cells that return cleared; which ones its seed decides."""
    seen, returns = set[int](), list[bool]()
    for bar in bars:
        returns.append(bar in seen)
        seen.add(bar)
    everyone = tuple(role for role, _ in plan.instruments)
    playing = [everyone if section.roles is None else section.roles for section in plan.sections for _ in section.bars]
    cells = [
        (part.role, place)
        for part in plan.notes
        for place, bar in enumerate(part.bars)
        if returns[place] and bar is not None and part.role in playing[place]
    ]
    cells.sort(key=lambda cell: hashlib.sha256(f"{plan.seed} {cell[0]} {cell[1]}".encode()).digest())
    cleared = set(cells[: round(variation * len(cells))])

    def heard(role: str, place: int, bar: NoteBar) -> NoteBar:
        return None if (role, place) in cleared else bar

    return plan.with_parts(
        replace(part, bars=tuple(heard(part.role, place, bar) for place, bar in enumerate(part.bars)))
        for part in plan.notes
    )
