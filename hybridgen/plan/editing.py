"""Plan edits by bar range: what changes, what must stay, and which codes must be written again."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import rekey_chord, split_key
from hybridgen.plan.notes import UNPITCHED, NoteBar, Part, Written, parse_bar, transposed
from hybridgen.plan.parts import (
    Bar,
    Section,
    Tempo,
    check_bars,
    order_roles,
)
from hybridgen.plan.score import Score

P = TypeVar("P", bound=Score)


def edit(plan: P, bars: tuple[int, int] | None, change: Controls) -> P:
    """The plan with `change` made in `bars` (all bars if None), the codes of what it touches unset."""
    if plan.n_bars == 0:
        raise ValueError("bars: the plan has none, so there is nothing to edit by bars")
    first, last = check_bars((1, plan.n_bars) if bars is None else bars, plan.n_bars)
    everywhere = (first, last) == (1, plan.n_bars)
    new = _edit_instruments(_without_stale_notes(plan, first, last, change), change)
    new = _edit_sections(new, first, last, change)
    if change.chords is not None or change.key is not None:
        new = _edit_chords(new, first, last, change)
    if change.key is not None and everywhere:
        new = replace(new, key=change.key)
    if change.tempo is not None:
        if isinstance(change.tempo, tuple):
            raise ValueError(f"tempo {change.tempo} is a range; an edit needs one tempo")
        new = _edit_tempo(new, first, last, change.tempo)
    if change.prompt is not None:
        new = replace(new, prompt=change.prompt)
    if change.swing is not None:
        new = replace(new, swing=change.swing)
    if change.notes is not None:
        new = _write_notes(new, first, last, change.notes)
    if change.ending is not None:
        new = replace(new, ending=change.ending)
        if change == Controls(ending=change.ending):
            return new  # no bar plays anything else
    all_codes = any(value is not None for value in (change.tempo, change.prompt, change.instruments, change.swing))
    return _unset_codes(new, (1, plan.n_bars) if all_codes else (first, last))


def transpose(plan: P, bars: tuple[int, int] | None, semitones: int, roles: Sequence[str] | None = None) -> P:
    """The plan with the notes of pitched roles (all, or these) higher in some bars or all; their codes are unset."""
    first, last = check_bars((1, plan.n_bars) if bars is None else bars, plan.n_bars)
    chosen = [part for part in plan.notes if part.role not in UNPITCHED and (roles is None or part.role in roles)]
    parts = [
        part.with_bars(first, [transposed(bar, semitones) for bar in part.bars[first - 1 : last]]) for part in chosen
    ]
    return _unset_codes(plan.with_parts(parts), (first, last))


def copy(plan: P, bars: tuple[int, int], to: int, roles: Sequence[str] | None = None) -> P:
    """The plan with what is played in bars first..last played from bar `to` on too: chords, and notes (of these roles).

    A role that does not play in a bar there has no notes in it. ValueError where the bars run over the end.
    """
    first, last = check_bars(bars, plan.n_bars)
    stop = to + last - first
    check_bars((to, stop), plan.n_bars)
    new_bars = list(plan.bars)
    new_bars[to - 1 : stop] = plan.bars[first - 1 : last]
    new = _with_bars(plan, new_bars) if roles is None else plan
    playing = [section.roles for section in plan.sections for _ in section.bars][to - 1 : stop]
    parts = []
    for part in plan.notes:
        if roles is None or part.role in roles:
            pairs = zip(part.bars[first - 1 : last], playing, strict=True)
            parts.append(part.with_bars(to, [bar if who is None or part.role in who else None for bar, who in pairs]))
    return _unset_codes(new.with_parts(parts), (to, stop))


def check_same_time(old: P, new: P, bars: tuple[int, int]) -> None:
    """ValueError unless `new` leaves the length and every bar outside `bars` where `old` has them."""
    first, last = check_bars(bars, old.n_bars)
    if (new.n_bars, new.length) != (old.n_bars, old.length):
        raise ValueError(
            f"the new plan has {new.n_bars} bars and {new.length} samples, the track {old.n_bars} and {old.length}: "
            "render it as a new track instead"
        )
    moved = np.flatnonzero(new.bar_starts() != old.bar_starts()) + 1
    moved = moved[(moved <= first) | (moved > last)]
    if len(moved):
        raise ValueError(f"the new plan moves the start of bar {moved[0]}; an edit of bars {first}-{last} may not")


def keep_codes(old: P, new: P, bars: tuple[int, int]) -> P:
    """`new` with the codes of `old` outside `bars`, and its own inside; unset where it has none.

    ValueError when they have different numbers of codebooks.
    """
    start, stop = new.frame_range(bars, new.time_base.code_hop)
    n_books = len(old.codes or new.codes)
    outside, inside = (one.codes or ((-1,) * new.n_code_frames,) * n_books for one in (old, new))
    if len(inside) != len(outside):
        raise ValueError(f"codes: {len(inside)} rows in the new plan, {len(outside)} in the track's")
    rows = zip(outside, inside, strict=True)
    return replace(new, codes=tuple(row[:start] + own[start:stop] + row[stop:] for row, own in rows))


def with_notes_before(old: P, new: P) -> P:
    """`new` with the notes of `old`, which has the same bars, wherever both know what a role plays in a bar."""
    parts = []
    for part in new.notes:
        pairs = zip(old.part(part.role).bars, part.bars, strict=True)
        parts.append(
            part.with_bars(1, [after if before is None or after is None else before for before, after in pairs])
        )
    return new.with_parts(parts)


def tempo_at(plan: Score, bar: int) -> Tempo:
    """The tempo in force at the start of `bar`, as a mark; it continues the ramp in force there."""
    assert plan.tempo_map is not None
    start = plan.tempo_map.quarters_at(plan.bar_starts()[bar - 1] / plan.time_base.sample_rate)
    before = [m for m in plan.tempo if m.bar <= bar][-1]
    bpm = round(float(plan.tempo_map.bpm_at(start)), 1)
    return Tempo(bar, bpm, before.ramp and _ramps_into(plan, before, bar))


def with_tail_of(old: Score, new: P) -> P:
    """`new` with as many samples after its last bar line as `old` has, or as few of its last bar."""
    if old.n_samples is None:
        return replace(new, n_samples=None)
    return replace(new, n_samples=max(1, int(new.bar_starts()[-1]) + old.length - int(old.bar_starts()[-1])))


def _edit_instruments(plan: P, change: Controls) -> P:
    programs = {role: None for role in order_roles(change.roles or ())} | dict(plan.instruments)
    programs |= {role: chosen[0] if chosen else None for role, chosen in change.instruments or ()}
    return replace(plan, instruments=tuple(programs.items()))


def _edit_sections(plan: P, first: int, last: int, change: Controls) -> P:
    if change.label is None and change.energy is None and change.roles is None:
        return plan
    sections: list[Section] = []
    at = 1
    for section in plan.sections:
        cuts = sorted({0, *(min(max(b - at, 0), len(section.bars)) for b in (first, last + 1)), len(section.bars)})
        for start, stop in itertools.pairwise(cuts):
            part = replace(section, bars=section.bars[start:stop])
            sections.append(_edit_section(part, change) if first <= at + start <= last else part)
        at += len(section.bars)
    return replace(plan, sections=tuple(sections))


def _edit_section(section: Section, change: Controls) -> Section:
    return Section(
        section.label if change.label is None else change.label,
        section.bars,
        section.energy if change.energy is None else change.energy,
        section.roles if change.roles is None else change.roles,
    )


def _edit_chords(plan: P, first: int, last: int, change: Controls) -> P:
    old_key, new_key = plan.key, change.key
    if new_key is not None and old_key is None:
        raise ValueError(f"key {change.key!r} is requested, but the plan's key is unknown: nothing to transpose from")
    written = change.chords
    new_bars = list(plan.bars)
    for i in range(first - 1, last):
        chords = new_bars[i].chords if written is None else written[(i - first + 1) % len(written)]
        if old_key and new_key and written is None and chords is not None:
            chords = tuple(rekey_chord(chord, old_key, new_key) for chord in chords)
        new_bars[i] = Bar(chords)
    return _with_bars(plan, new_bars)


def _with_bars(plan: P, new_bars: Iterable[Bar]) -> P:
    bars = iter(new_bars)
    return replace(plan, sections=tuple(replace(s, bars=tuple(next(bars) for _ in s.bars)) for s in plan.sections))


def _without_stale_notes(plan: P, first: int, last: int, change: Controls) -> P:
    """The plan without the notes that `change` makes wrong; a new key moves those of pitched roles."""
    moved = _key_distance(plan, change)
    rewords = any(value is not None for value in (change.energy, change.label, change.prompt))

    def changed(role: str, bar: NoteBar) -> NoteBar:
        if role in (change.clear or ()) or (change.roles is not None and role not in change.roles):
            return None
        if change.keep_notes:
            return bar
        is_pitched = role not in UNPITCHED
        if rewords or (is_pitched and (change.chords is not None or (change.key is not None and moved is None))):
            return None
        return transposed(bar, moved) if moved and is_pitched else bar

    parts = [
        part.with_bars(first, [changed(part.role, bar) for bar in part.bars[first - 1 : last]]) for part in plan.notes
    ]
    return plan.with_parts(parts)


def _key_distance(plan: Score, change: Controls) -> int | None:
    """Semitones, -5 to 6, from the plan's key to another of the same mode; None where there is none such."""
    if change.key is None or plan.key is None:
        return None
    (old, old_mode), (new, new_mode) = split_key(plan.key), split_key(change.key)
    return (new - old + 5) % 12 - 5 if old_mode == new_mode else None


def _write_notes(plan: P, first: int, last: int, notes: Sequence[tuple[str, Written]]) -> P:
    parts = []
    for role, written in notes:
        part = plan.part(role)
        for number in range(first, last + 1):
            text = written[(number - first) % len(written)]
            where = f"notes: {role}, bar {number}"

            def earlier(bar: int, part: Part = part) -> NoteBar:
                return part.bars[bar - 1] if 1 <= bar <= len(part.bars) else None

            bar = parse_bar(text, role, earlier, where) if isinstance(text, str) else text
            part = part.with_bars(number, [bar])
        parts.append(part)
    return plan.with_parts(parts)


def _edit_tempo(plan: P, first: int, last: int, bpm: float) -> P:
    """One tempo in bars first..last; the bars before and after keep theirs, and the tail its length in samples.

    A ramp that would run on into the bars is held at its first tempo; one that ends at them goes to the new tempo.
    """
    if plan.beats:
        raise ValueError(
            f"tempo {bpm:g} is requested, but the plan's beats are as played: they have no tempo to change"
        )
    marks = [replace(m, ramp=m.ramp and not _ramps_into(plan, m, first)) for m in plan.tempo if m.bar < first]
    marks.append(Tempo(first, bpm))
    if last < plan.n_bars:
        resume = next((m for m in plan.tempo if m.bar == last + 1), None)
        marks.append(resume or tempo_at(plan, last + 1))
        marks += [m for m in plan.tempo if m.bar > last + 1]
    return with_tail_of(plan, replace(plan, tempo=tuple(marks), n_samples=1, codes=()))


def _ramps_into(plan: Score, mark: Tempo, bar: int) -> bool:
    """Whether the ramp that starts at `mark` would still run at `bar`."""
    following = [m.bar for m in plan.tempo if m.bar > mark.bar]
    return bool(following) and following[0] > bar


def _unset_codes(plan: P, bars: tuple[int, int]) -> P:
    if not plan.codes:
        return plan
    start, stop = plan.frame_range(bars, plan.time_base.code_hop)
    rows = tuple(row[:start] + (-1,) * (stop - start) + row[stop:] for row in plan.codes)
    return replace(plan, codes=rows)
