"""Plan edits by bar range: what changes, what must stay, and which codes must be written again."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import rekey_chord, split_key
from hybridgen.plan.notes import UNPITCHED, NoteBar, Part, Written, parse_bar, transposed
from hybridgen.plan.parts import (
    ROLES,
    Bar,
    Ending,
    Section,
    Tempo,
    check_bars,
    order_roles,
    whole,
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
    if change.sound is not None:
        new = replace(new, sound=change.sound)
    if change.notes is not None:
        new = _write_notes(new, first, last, change.notes)
    if change.ending is not None:
        new = _edit_ending(new, change.ending)
    if change == Controls(ending=change.ending, sound=change.sound):
        return new  # no bar plays anything else
    all_codes = any(value is not None for value in (change.tempo, change.prompt, change.instruments, change.swing))
    return unset_codes(new, (1, plan.n_bars) if all_codes else (first, last))


def transpose(plan: P, bars: tuple[int, int] | None, semitones: int, roles: Sequence[str] | None = None) -> P:
    """The plan with the notes of pitched roles (all, or these) higher in some bars or all; their codes are unset."""
    first, last = check_bars((1, plan.n_bars) if bars is None else bars, plan.n_bars)
    semitones, among = whole(semitones, "semitones"), ROLES if roles is None else order_roles(roles)
    chosen = [part for part in plan.notes if part.role not in UNPITCHED and part.role in among]
    parts = [
        part.with_bars(first, [transposed(bar, semitones) for bar in part.bars[first - 1 : last]]) for part in chosen
    ]
    return unset_codes(plan.with_parts(parts), (first, last))


def copy(plan: P, bars: tuple[int, int], to: int, roles: Sequence[str] | None = None) -> P:
    """The plan with what is played in bars first..last played from bar `to` on too: chords, and notes (of these roles).

    A role that does not play in a bar there has no notes in it. ValueError where the bars run over the end.
    """
    first, last = check_bars(bars, plan.n_bars)
    to, among = whole(to, "to"), ROLES if roles is None else order_roles(roles)
    stop = to + last - first
    check_bars((to, stop), plan.n_bars)
    new_bars = list(plan.bars)
    new_bars[to - 1 : stop] = plan.bars[first - 1 : last]
    new = _with_bars(plan, new_bars) if roles is None else plan
    playing = [section.roles for section in plan.sections for _ in section.bars][to - 1 : stop]
    parts = []
    for part in plan.notes:
        if part.role in among:
            pairs = zip(part.bars[first - 1 : last], playing, strict=True)
            parts.append(part.with_bars(to, [bar if who is None or part.role in who else None for bar, who in pairs]))
    return unset_codes(new.with_parts(parts), (to, stop))


def check_same_time(old: P, new: P, fresh: Sequence[tuple[int, int]]) -> None:
    """ValueError unless `new` has the length of `old`, and every bar line where `old` has it but for those in `fresh`.

    fresh: spans of samples; a bar line at the first sample of one, or at the one after its last, is not in it.
    """
    if (new.n_bars, new.length) != (old.n_bars, old.length):
        raise ValueError(
            f"the new plan has {new.n_bars} bars and {new.length} samples, the track {old.n_bars} and {old.length}: "
            "render it as a new track instead"
        )
    starts = old.bar_starts()
    inside = np.zeros(len(starts), dtype=bool)
    for start, stop in fresh:
        inside |= (starts > start) & (starts < stop)
    moved = np.flatnonzero((new.bar_starts() != starts) & ~inside) + 1
    if len(moved):
        raise ValueError(f"the new plan moves the start of bar {moved[0]}, which the edit does not make anew")


def keep_codes(old: P, new: P, fresh: Sequence[tuple[int, int]], moved: int = 0) -> P:
    """`new` with its own codes in the spans of samples `fresh`, and outside them those of `old`, `moved` frames later.

    Unset where neither has any. ValueError when they have different numbers of codebooks.
    """
    n_books = len(old.codes or new.codes)
    theirs, own = (one.codes or ((-1,) * one.n_code_frames,) * n_books for one in (old, new))
    if len(own) != len(theirs):
        raise ValueError(f"codes: {len(own)} rows in the new plan, {len(theirs)} in the track's")
    rows = np.full((n_books, new.n_code_frames), -1)
    kept = np.arange(max(0, moved), min(new.n_code_frames, old.n_code_frames + moved))
    rows[:, kept] = np.array(theirs, dtype=int).reshape(n_books, -1)[:, kept - moved]
    for span in fresh:
        start, stop = new.frames_of(span, new.time_base.code_hop)
        rows[:, start:stop] = np.array(own, dtype=int).reshape(n_books, -1)[:, start:stop]
    return replace(new, codes=tuple(map(tuple, rows.tolist())))


def with_codes_in_common(old: P, new: P) -> P:
    """`old`, which has as many frames, with its codes where `new` has codes too, and unset ones elsewhere."""
    if not old.codes or not new.codes:
        return replace(old, codes=())
    common = np.where(np.array(new.codes) >= 0, np.array(old.codes), -1)
    return replace(old, codes=tuple(map(tuple, common.tolist())))


def with_notes_before(old: P, new: P) -> P:
    """`new` with the notes of `old`, which has the same bars, wherever both know what a role plays in a bar.

    Where a role does not play any more it has none.
    """
    parts, playing = [], [section.roles for section in new.sections for _ in section.bars]
    for part in new.notes:
        bars = list[NoteBar]()
        for before, after, who in zip(old.part(part.role).bars, part.bars, playing, strict=True):
            is_comparable = before is not None and after is not None and (who is None or part.role in who)
            bars.append(before if is_comparable else after)
        parts.append(part.with_bars(1, bars))
    return new.with_parts(parts)


def tempo_at(plan: Score, bar: int) -> Tempo:
    """The tempo in force at the start of `bar`, as a mark; it continues the ramp in force there."""
    assert plan.tempo_map is not None
    start = plan.tempo_map.quarters_at(plan.bar_starts()[bar - 1] / plan.time_base.sample_rate)
    before = [m for m in plan.tempo if m.bar <= bar][-1]
    bpm = round(float(plan.tempo_map.bpm_at(start)), 1)
    return Tempo(bar, bpm, before.ramp and _ramps_into(plan, before, bar))


def with_tail(plan: P, **changes: Any) -> P:
    """The plan with other fields, and as many samples after its last bar line as it had, or as few of its last bar."""
    new = replace(plan, n_samples=None, **changes)
    if plan.n_samples is None:
        return new
    return replace(new, n_samples=max(1, int(new.bar_starts()[-1]) + plan.length - int(plan.bar_starts()[-1])))


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
    return with_tail(plan, tempo=tuple(marks), codes=())


def _edit_ending(plan: P, ending: Ending) -> P:
    """The plan with another ending; what leads into a loop, or no longer does, changes its frames and its length."""
    if not plan.is_loop and ending.kind != "loop":
        return replace(plan, ending=ending)
    n_samples = None if ending.kind == "loop" else plan.n_samples
    return replace(plan, ending=ending, n_samples=n_samples, codes=(), pre_roll=0)


def _ramps_into(plan: Score, mark: Tempo, bar: int) -> bool:
    """Whether the ramp that starts at `mark` would still run at `bar`."""
    following = [m.bar for m in plan.tempo if m.bar > mark.bar]
    return bool(following) and following[0] > bar


def unset_codes(plan: P, bars: tuple[int, int]) -> P:
    if not plan.codes:
        return plan
    start, stop = plan.frames_of(plan.span(bars), plan.time_base.code_hop)
    rows = tuple(row[:start] + (-1,) * (stop - start) + row[stop:] for row in plan.codes)
    return replace(plan, codes=rows)
