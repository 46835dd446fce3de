"""A plan as plain JSON values that can be drawn and played: where every bar, section, chord and note is, in seconds."""

from typing import Any

from hybridgen.plan.instruments import name_of
from hybridgen.plan.notes import pitch_name
from hybridgen.plan.score import Score
from hybridgen.plan.serial import summary

DIGITS = 5  # of seconds: a hundredth of a millisecond


def view(plan: Score) -> dict[str, Any]:
    """What there is to see of a plan.

    bars: seconds at which each bar begins, and the end of the last. beats: the same of beats. sections: each with its
    first and last bar, from 1. chords: a list for each bar, or None. parts: for each role of the plan its instrument,
    whether its notes are known in each bar, and its notes as [start, stop, pitch, velocity, bar, tick, length], the
    first two in seconds as they sound, the last two in ticks as they are written.
    """
    rate, first, sections = plan.time_base.sample_rate, 1, []
    for section in plan.sections:
        last = first + len(section.bars) - 1
        roles = None if section.roles is None else list(section.roles)
        sections.append(
            {"label": section.label, "energy": section.energy, "roles": roles, "first": first, "last": last}
        )
        first = last + 1
    return {
        "summary": summary(plan),
        "seconds": round(plan.seconds, DIGITS),
        "bars": [round(sample / rate, DIGITS) for sample in plan.bar_starts().tolist()],
        "beats": [round(sample / rate, DIGITS) for sample in plan.beat_starts().tolist()],
        "bar_ticks": plan.bar_ticks if plan.n_bars else 0,
        "sections": sections,
        "chords": [None if bar.chords is None else list(bar.chords) for bar in plan.bars],
        "parts": [_part(plan, role, program) for role, program in plan.instruments],
    }


def _part(plan: Score, role: str, program: int | None) -> dict[str, Any]:
    part = plan.part(role)
    spans, notes = plan.note_samples(role)
    rate = plan.time_base.sample_rate
    bars = [number for number, bar in enumerate(part.bars, start=1) for _ in bar or ()]  # in the order of `notes`
    rows = [
        [*(round(sample / rate, DIGITS) for sample in span), note.pitch, note.velocity, bar, note.tick, note.length]
        for span, note, bar in zip(spans.tolist(), notes, bars, strict=True)
    ]
    return {
        "role": role,
        "program": program,
        "instrument": None if program is None else name_of(role, program),
        "known": [bar is not None for bar in part.bars],
        "notes": rows,
        "names": {str(pitch): pitch_name(pitch, role) for pitch in sorted({note.pitch for note in notes})},
    }
