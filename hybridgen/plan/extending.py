"""A plan that goes on, after its form or before it, and a part of one: some of its bars on their own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hybridgen.plan.editing import with_tail
from hybridgen.plan.harmony import METER_BEATS
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import MAX_BARS, Section, Tempo, check_bars, number, show, whole
from hybridgen.plan.score import Score

P = TypeVar("P", bound=Score)
CALM = 2  # steps of energy by which new bars before the first are under it
LEADING = ("lead", "drums", "percussion")  # roles that they leave out, where others play


def bars_for(plan: Score, bars: int | None, seconds: float | None, where: str) -> int:
    """How many bars are asked for: `bars`, or those nearest to `seconds` at the tempo of that end.

    ValueError unless one of the two is given, and for fewer than one bar.
    """
    if where not in ("start", "end"):
        raise ValueError(f"where {str(where)[:60]!r} is neither 'start' nor 'end'")
    if plan.n_bars == 0:
        raise ValueError("bars: the plan has none, so there is nothing to extend")
    if (bars is None) == (seconds is None):
        raise ValueError(f"bars {bars} and seconds {seconds}: give one of the two")
    if seconds is not None:
        starts = plan.bar_starts()
        at = 0 if where == "start" else insertion(plan) - 1
        bar = (starts[at + 1] - starts[at]) / plan.time_base.sample_rate
        if not 0 < number(seconds, "seconds") < 1e6:
            raise ValueError(f"seconds {show(seconds)} is not a length")
        bars = max(1, round(seconds / bar))
    n_bars, most = whole(bars, "bars"), MAX_BARS - plan.n_bars
    if not 1 <= n_bars <= most:
        raise ValueError(f"bars {show(n_bars)} is outside 1-{most}: a plan has {MAX_BARS} at most")
    return n_bars


def insertion(plan: Score) -> int:
    """The number of bars before the outro, or of all where there is none: after them a form goes on."""
    *before, last = plan.sections
    return plan.n_bars - len(last.bars) if before and last.label == "outro" else plan.n_bars


def extended(plan: P, n_bars: int) -> P:
    """The plan with `n_bars` more before its outro, or at its end: the form goes on as it went before.

    After a section comes what came after the last one of its label; their chords, roles and energy return, their notes
    are unknown. What follows moves later, and so does the length. ValueError where that is too long.
    """
    at = insertion(plan)
    body, rest = split(plan.sections, at)
    return _inserted(plan, at, (*body, *_going_on(body, n_bars), *rest), n_bars)


def preceded(plan: P, n_bars: int) -> P:
    """The plan with `n_bars` more before its first: an introduction on the chords of its first section.

    ValueError where that is too long, and for bars as played that begin more than a beat after the sound.
    """
    first = plan.sections[0]
    calm = [role for role in first.roles or () if role not in LEADING]
    is_intro = first.label in ("intro", None)
    section = Section(
        first.label if is_intro else "intro",
        tuple(first.bars[-(n_bars - i) % len(first.bars)] for i in range(n_bars)),
        first.energy if is_intro or first.energy is None else max(0, first.energy - CALM),
        first.roles if is_intro or not calm else tuple(calm),
    )
    return _inserted(plan, 0, (section, *plan.sections), n_bars)


def cut(plan: P, bars: tuple[int, int]) -> P:
    """Bars first..last (from 1, both included) of the plan on their own, without codes and without an ending.

    Every beat keeps its length: where a ramp is cut through, beats stand in the place of tempo marks.
    """
    first, last = check_bars(bars, plan.n_bars)
    sections = split(split(plan.sections, last)[0], first - 1)[1]
    parts = tuple(replace(part, bars=part.bars[first - 1 : last]) for part in plan.notes)
    cleared = replace(plan, codes=(), notes=(), ending=None, pre_roll=0)
    if plan.beats or _is_ramp_over(plan, first) or _is_ramp_at(plan, last):
        per_bar = len(METER_BEATS[plan.meter or "4/4"])
        times = _beats(plan)[(first - 1) * per_bar : last * per_bar + 1]
        beats = tuple((times - times[0]).round(6).tolist())
        return replace(cleared, sections=sections, tempo=(), beats=beats, notes=parts, n_samples=None)
    marks = [Tempo(1, _bpm_at(plan, first), _is_ramp_at(plan, first))]
    marks += [Tempo(mark.bar - first + 1, mark.bpm, mark.ramp) for mark in plan.tempo if first < mark.bar <= last]
    return replace(cleared, sections=sections, tempo=tuple(marks), notes=parts, n_samples=None)


def split(sections: Sequence[Section], at: int) -> tuple[tuple[Section, ...], tuple[Section, ...]]:
    """The sections before bar `at` + 1 and from it on; one that lies across it is cut in two."""
    before, after, first = list[Section](), list[Section](), 0
    for section in sections:
        inside = min(max(at - first, 0), len(section.bars))
        if inside:
            before.append(replace(section, bars=section.bars[:inside]))
        if inside < len(section.bars):
            after.append(replace(section, bars=section.bars[inside:]))
        first += len(section.bars)
    return tuple(before), tuple(after)


def following(body: Sequence[Section]) -> Section:
    """The section that comes next: what followed the last one of its label, else the first after the introduction."""
    labels = [section.label for section in body]
    alike = [i for i, label in enumerate(labels[:-1]) if label == labels[-1]]
    if alike:
        return body[alike[-1] + 1]
    return next((section for section in body if section.label != "intro"), body[0])


def _going_on(body: Sequence[Section], n_bars: int) -> list[Section]:
    """Sections of `n_bars` in all that follow `body`; the last may be cut."""
    new, left = list[Section](), n_bars
    while left:
        section = following([*body, *new])
        new.append(replace(section, bars=section.bars[:left]))
        left -= len(new[-1].bars)
    return new


def _inserted(plan: P, at: int, sections: Sequence[Section], n_bars: int) -> P:
    """The plan with `n_bars` new bars after bar `at`, in these sections; their notes are unknown, all codes unset.

    Bars before them stay where they are: where no tempo mark can say the tempo at which a ramp is cut through, beats
    stand in the place of the marks.
    """
    notes = tuple(replace(part, bars=(*part.bars[:at], *(None,) * n_bars, *part.bars[at:])) for part in plan.notes)
    cleared = replace(plan, codes=(), notes=())
    if not plan.beats:
        new = with_tail(cleared, sections=tuple(sections), tempo=_marks(plan, at, n_bars))
        if np.array_equal(new.bar_starts()[: at + 1], plan.bar_starts()[: at + 1]):
            return replace(new, notes=notes)
        cleared = replace(cleared, tempo=(), beats=tuple(_beats(plan).round(6).tolist()))
    return replace(_with_beats(cleared, at, sections, n_bars), notes=notes)


def _marks(plan: Score, at: int, n_bars: int) -> tuple[Tempo, ...]:
    """The tempo marks of a plan with `n_bars` more after bar `at`, in which the tempo is that of the place."""
    before = [mark for mark in plan.tempo if mark.bar <= at]
    after = [Tempo(mark.bar + n_bars, mark.bpm, mark.ramp) for mark in plan.tempo if mark.bar > at]
    if before and before[-1].ramp and after:  # which stops for the new bars, and then runs on where it has not arrived
        bpm = _bpm_at(plan, at + 1)
        before.append(Tempo(at + 1, bpm))
        if after[0].bar > at + 1 + n_bars:
            after.insert(0, Tempo(at + 1 + n_bars, bpm, True))
    return (*(before or [Tempo(1, after[0].bpm)]), *after)


def _with_beats(plan: P, at: int, sections: Sequence[Section], n_bars: int) -> P:
    """`_inserted` for beats as played: new bars are as long as the one beside them, in even beats."""
    offsets = np.array(METER_BEATS[plan.meter or "4/4"])
    beats, per_bar = np.array(plan.beats), len(offsets)
    beside = max(at - 1, 0)
    length = beats[(beside + 1) * per_bar] - beats[beside * per_bar]
    if at == 0 and beats[0] > beats[1] - beats[0]:
        raise ValueError(f"where 'start': {beats[0]:.2f} s of sound lie before bar 1, more than a beat")
    new = beats[at * per_bar] + (np.arange(n_bars)[:, None] + offsets / _quarters(plan)).reshape(-1) * length
    moved = beats[at * per_bar :] + n_bars * length
    all_beats = tuple(np.concatenate([beats[: at * per_bar], new, moved]).round(6).tolist())
    return with_tail(plan, sections=tuple(sections), beats=all_beats)


def _beats(plan: Score) -> np.ndarray:
    """Seconds of every beat of the bars, and of the one after them."""
    if plan.beats:
        return np.array(plan.beats)
    assert plan.tempo_map is not None
    bars = np.arange(plan.n_bars)[:, None] * _quarters(plan)
    beats = (bars + np.array(METER_BEATS[plan.meter or "4/4"])).reshape(-1)
    return plan.tempo_map.seconds_at(np.append(beats, plan.n_bars * _quarters(plan)))


def _quarters(plan: Score) -> float:
    return plan.bar_ticks / TICKS


def _bpm_at(plan: Score, bar: int) -> float:
    """The tempo at the start of a bar, from 1."""
    assert plan.tempo_map is not None
    return float(plan.tempo_map.bpm_at(np.array((bar - 1) * _quarters(plan))))


def _is_ramp_at(plan: Score, bar: int) -> bool:
    """Whether a ramp begins or runs on at the start of a bar."""
    before = [mark for mark in plan.tempo if mark.bar <= bar]
    return before[-1].ramp and any(mark.bar > bar for mark in plan.tempo)


def _is_ramp_over(plan: Score, bar: int) -> bool:
    """Whether a ramp begins before the start of a bar and runs on after it."""
    return _is_ramp_at(plan, bar) and all(mark.bar != bar for mark in plan.tempo)
