"""A melody that the user brings: what of a request follows from it, and the lead of the plans that play it."""

from dataclasses import replace
from typing import Any

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import NO_CHORD
from hybridgen.plan.notes import Part
from hybridgen.plan.parts import instance, order_roles
from hybridgen.plan.plan import Plan

LEAD = "lead"


def check_melody(melody: Plan, given: Controls) -> None:
    """ValueError for a plan without a lead, and where the request contradicts it; TypeError for what is no plan."""
    instance(melody, Plan, "melody", ": `hear_melody` makes one of a recording")
    if melody.part(LEAD).is_unknown:
        parts = ", ".join(part.role for part in melody.notes) or "no notes"
        raise ValueError(f"melody: the plan has {parts}, the melody should be its lead")
    if melody.meter is None or given.meter not in (None, melody.meter):
        raise ValueError(f"meter {given.meter} is requested, the melody is in {melody.meter}")
    if LEAD in (given.without or ()) or (given.roles is not None and LEAD not in given.roles):
        raise ValueError("melody: the lead is asked not to play, and the melody is what it plays")


def fitted(given: Controls, worded: Controls, melody: Plan) -> tuple[Controls, Controls]:
    """The arguments and the words of a request, the lead among who plays; the melody's tempo, meter, key, chords and
    length are among the words, where neither says another.

    The chords repeat after the melody, as chords of a request do.
    """
    chords: list[tuple[str, ...]] = []
    for bar in melody.bars:
        if bar.chords and bar.chords != (NO_CHORD,):
            chords.append(bar.chords)
        else:
            chords += chords[-1:]  # the harmony goes on where the melody rests
    found = {
        "tempo": melody.tempo[0].bpm if len(melody.tempo) == 1 else None,
        "key": melody.key,
        "chords": tuple(chords) or None,
    }
    free: dict[str, Any] = {
        name: value for name, value in found.items() if getattr(given, name) is None and getattr(worded, name) is None
    }
    if not given.fixes_length and not worded.fixes_length:
        free["bars"] = melody.n_bars
    given, worded = (_with_lead(controls) for controls in (given, worded))
    if given.instruments is None and worded.instruments is None:
        free["instruments"] = ((LEAD, None),)
    return replace(given, meter=melody.meter), replace(worded, meter=melody.meter, **free)


def _with_lead(controls: Controls) -> Controls:
    """The lead among the roles and the instruments, where there are some."""
    roles, instruments = controls.roles, controls.instruments
    if roles is not None and LEAD not in roles:
        roles = order_roles((*roles, LEAD), "roles")
    if instruments is not None and LEAD not in dict(instruments):
        instruments = (*instruments, (LEAD, None))
    return replace(controls, roles=roles, instruments=instruments)


def with_melody(plan: Plan, melody: Plan) -> Plan:
    """The plan with the melody from its first bar on: its lead plays there, and what it plays is known."""
    bars = melody.part(LEAD).bars[: plan.n_bars]
    sections, first = [], 0
    for section in plan.sections:
        own = bars[first : first + len(section.bars)]
        if any(own) and section.roles is not None and LEAD not in section.roles:
            section = replace(section, roles=order_roles((*section.roles, LEAD), "roles"))
        sections.append(section)
        first += len(section.bars)
    instruments = plan.instruments if LEAD in dict(plan.instruments) else (*plan.instruments, (LEAD, None))
    with_lead = replace(plan, sections=tuple(sections), instruments=instruments)
    return with_lead.with_parts([Part(LEAD, (None,) * plan.n_bars).with_bars(1, bars)])
