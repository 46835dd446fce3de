"""Plans as ElevenLabs' composition plans (music_v1), and back.

Tempo, key and meter stand among the global styles, energy, roles and chords among the local styles of a section, in
words that are read back when the plan is composed.
"""

import re
from collections.abc import Mapping
from typing import Any

from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.parts import LABELS, ROLES
from hybridgen.plan.plan import Plan
from hybridgen.serve.refusals import Refused
from hybridgen.text.controls import understand


def composition(plan: Plan) -> dict[str, Any]:
    """A plan as their composition plan."""
    tempo = f"{plan.tempo[0].bpm:g} BPM" if plan.tempo else None
    styles = [one for one in (plan.prompt, tempo, plan.key, plan.meter) if one]
    starts, sections, bar = plan.bar_starts() / plan.time_base.sample_rate, [], 0
    for section in plan.sections:
        stop = bar + len(section.bars)
        chords = ["?" if one.chords is None else ",".join(one.chords) for one in section.bars]
        local = [f"energy {section.energy}", f"roles {' '.join(section.roles or ())}", f"chords {' '.join(chords)}"]
        length = {"duration_ms": round(1000 * (starts[stop] - starts[bar])), "lines": []}
        names = {"section_name": section.label or "section", "positive_local_styles": local}
        sections.append({**names, "negative_local_styles": [], **length})
        bar = stop
    return {"positive_global_styles": styles, "negative_global_styles": [], "sections": sections}


def request_of(plan: Any) -> dict[str, Any]:
    """What their composition plan asks for, in our fields."""
    try:
        styles, sections = [str(one) for one in plan["positive_global_styles"]], list(plan["sections"])
        prompt = ", ".join([*styles, *(f"no {one}" for one in plan.get("negative_global_styles", ()))])
        asked = understand(prompt).controls
        tempo = asked.tempo if isinstance(asked.tempo, float) else 120.0
        bar = meter_quarters(asked.meter or "4/4") * 60 / tempo
        return {"prompt": prompt, "tempo": tempo, "sections": [_section(one, bar) for one in sections]}
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Refused(f"composition_plan: is none of music_v1 ({error!r})"[:200], "composition_plan") from None


def _section(section: Mapping[str, Any], bar_seconds: float) -> dict[str, Any]:
    if section.get("lines"):
        raise Refused("composition_plan: lines are sung, and hybridgen has no voice", "composition_plan")
    words = re.findall("[a-z]+", str(section["section_name"]).lower())
    said = dict(str(one).partition(" ")[::2] for one in section.get("positive_local_styles", ()))
    bars = max(1, min(600, round(section["duration_ms"] / 1000 / bar_seconds)))
    chords = [None if one == "?" else one for one in said.get("chords", "").split()] or [None]
    energy, roles = said.get("energy", ""), [one for one in said.get("roles", "").split() if one in ROLES]
    return {
        "label": next((word for word in words if word in LABELS), None),
        "energy": int(energy) if energy.isdecimal() else None,
        "roles": roles or None,
        "chords": [chords[i % len(chords)] for i in range(bars)],
    }
