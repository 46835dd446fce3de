"""What differs between two plans: facts, then sections, chords and notes bar by bar, in lines that a person reads.

Bars are compared by their number, from 1.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from hybridgen.plan.instruments import name_of
from hybridgen.plan.notes import NoteBar
from hybridgen.plan.parts import ROLES, Section
from hybridgen.plan.score import Score
from hybridgen.plan.serial import clock, n_written, tempo_text

MAX_CHORDS = 8  # bars of a run whose chords are written out


@dataclass(frozen=True)
class Differences:
    """How a second plan differs from a first: lines of each kind, () where nothing does."""

    facts: tuple[str, ...]  # "key: A minor -> C minor"
    sections: tuple[str, ...]  # "bars 9-16: verse -> chorus, energy 4 -> 6, +lead -pad"
    chords: tuple[str, ...]  # "bars 9-12: Am F Am F -> Dm G Dm G"
    notes: tuple[str, ...]  # "bass: 4 of 16 bars: 9-12"
    bars: tuple[int, ...]  # the bars that differ in any of these, or that one of the plans does not have


def differences(first: Score, second: Score) -> Differences:
    """How `second` differs from `first`."""
    shared = min(first.n_bars, second.n_bars)
    forms = [[_form(section) for section in plan.sections for _ in section.bars] for plan in (first, second)]
    form = _unlike(*forms)
    cuts = [bar for bar in sorted(_begins(first) ^ _begins(second)) if bar <= shared and bar not in form]
    chords = _unlike(first.bars, second.bars)
    roles = [role for role in ROLES if any(role == part.role for part in (*first.notes, *second.notes))]
    notes = {role: _unlike(first.part(role).bars, second.part(role).bars) for role in roles}
    longer = range(shared + 1, max(first.n_bars, second.n_bars) + 1)
    return Differences(
        facts=(*changed(facts(first), facts(second)), *_only_in_one(first, second), *_codes(first, second)),
        sections=(*_section_lines(form, *forms), *(_cut_line(bar, second) for bar in cuts)),
        chords=tuple(_chord_lines(chords, first, second)),
        notes=tuple(
            _note_line(role, bars, shared, first.part(role).bars, second.part(role).bars)
            for role, bars in notes.items()
            if bars
        ),
        bars=tuple(sorted({*form, *cuts, *chords, *(bar for bars in notes.values() for bar in bars), *longer})),
    )


def facts(plan: Score) -> dict[str, str]:
    """What holds for a whole plan, by name, in words."""
    named = {
        "prompt": repr(plan.prompt),
        "tempo": tempo_text(plan),
        "key": plan.key or "unknown",
        "meter": plan.meter or "unknown",
        "bars": str(plan.n_bars),
        "length": clock(plan.seconds),
        "ending": "not chosen yet" if plan.ending is None else str(plan.ending),
        "swing": "unknown" if plan.swing is None else str(plan.swing),
        "sound": ", ".join(plan.sound) or "free",
        "plan seed": str(plan.seed),
        "sample rate": f"{plan.time_base.sample_rate} Hz",
    }
    instruments = {
        f"instrument of {role}": "any" if program is None else f"{program} ({name_of(role, program)})"
        for role, program in plan.instruments
    }
    return named | instruments


def changed(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each fact that differs: "key: A minor -> C minor"; "-" where there is none."""
    names = dict.fromkeys((*first, *second))
    pairs = {name: (first.get(name, "-"), second.get(name, "-")) for name in names}
    return tuple(f"{name}: {before} -> {after}" for name, (before, after) in pairs.items() if before != after)


def ranges(bars: Iterable[int]) -> str:
    """Numbers in ascending order as people write them: "3, 5-6, 9-12"."""
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in _runs(bars))


def _runs(bars: Iterable[int]) -> Iterator[list[int]]:
    """Numbers in ascending order, those that follow one another together."""
    for _, run in groupby(enumerate(bars), key=lambda pair: pair[1] - pair[0]):
        yield [bar for _, bar in run]


def _where(run: Sequence[int]) -> str:
    return f"bar{'s' if len(run) > 1 else ''} {ranges(run)}"


def _unlike(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[int]:
    """Numbers, from 1, of the bars that both have and that differ."""
    return [bar for bar, (a, b) in enumerate(zip(first, second, strict=False), start=1) if a != b]


def _only_in_one(first: Score, second: Score) -> tuple[str, ...]:
    """What facts in words do not say: bars that one plan has, and beats that were played elsewhere."""
    shared, most = sorted((first.n_bars, second.n_bars))
    lines = []
    if shared < most:
        which = "first" if first.n_bars > second.n_bars else "second"
        lines.append(f"{_where(range(shared + 1, most + 1))}: only in the {which}")
    if first.beats and second.beats and first.beats != second.beats:
        moved = _unlike(first.beats, second.beats)
        lines.append(f"beats as played: {len(moved)} of {max(len(first.beats), len(second.beats))} are elsewhere")
    return tuple(lines)


def _codes(first: Score, second: Score) -> tuple[str, ...]:
    before, after = n_written(first), n_written(second)
    if before != after:
        return (f"codes: {before} of {first.n_code_frames} frames written -> {after} of {second.n_code_frames}",)
    unlike = _unlike(list(zip(*first.codes, strict=True)), list(zip(*second.codes, strict=True)))
    return (f"codes: {len(unlike)} of {first.n_code_frames} frames differ",) if unlike else ()


Form = tuple[str | None, int | None, tuple[str, ...] | None]  # label, energy and roles of a bar


def _form(section: Section) -> Form:
    return section.label, section.energy, section.roles


def _begins(plan: Score) -> set[int]:
    """The bars at which a section begins."""
    return set(accumulate((len(section.bars) for section in plan.sections), initial=1))


def _cut_line(bar: int, second: Score) -> str:
    return f"bar {bar}: {'a' if bar in _begins(second) else 'no'} section begins in the second"


def _section_lines(bars: Sequence[int], first: Sequence[Form], second: Sequence[Form]) -> Iterator[str]:
    """A line for each run of bars in which the same changes to the same."""
    for run in _runs(bars):
        for (before, after), same in groupby(run, key=lambda bar: (first[bar - 1], second[bar - 1])):
            yield f"{_where(list(same))}: {', '.join(_form_changes(before, after))}"


def _form_changes(before: Form, after: Form) -> Iterator[str]:
    (label, energy, roles), (new_label, new_energy, new_roles) = before, after
    if label != new_label:
        yield f"{label or '?'} -> {new_label or '?'}"
    if energy != new_energy:
        yield f"energy {'?' if energy is None else energy} -> {'?' if new_energy is None else new_energy}"
    if roles is None or new_roles is None:
        known = ["unknown" if one is None else " ".join(one) or "none" for one in (roles, new_roles)]
        yield from [f"roles {known[0]} -> {known[1]}"] if roles != new_roles else []
    elif roles != new_roles:
        gone, new = (role for role in roles if role not in new_roles), (role for role in new_roles if role not in roles)
        yield " ".join([*(f"+{role}" for role in new), *(f"-{role}" for role in gone)])


def _chord_lines(bars: Sequence[int], first: Score, second: Score) -> Iterator[str]:
    for run in _runs(bars):
        yield f"{_where(run)}: {_chords(first, run)} -> {_chords(second, run)}"


def _chords(plan: Score, bars: Sequence[int]) -> str:
    names = ["?" if (chords := plan.bars[bar - 1].chords) is None else ",".join(chords) for bar in bars[:MAX_CHORDS]]
    return " ".join([*names, *(["..."] if len(bars) > MAX_CHORDS else [])])


def _note_line(role: str, bars: Sequence[int], n_bars: int, first: Sequence[NoteBar], second: Sequence[NoteBar]) -> str:
    unknown = {
        name: sum(notes[bar - 1] is None for bar in bars) for name, notes in (("first", first), ("second", second))
    }
    said = "".join(f"; {count} of them unknown in the {name}" for name, count in unknown.items() if count)
    return f"{role}: {len(bars)} of {n_bars} bars: {ranges(bars)}{said}"
