"""What there is to choose, for whoever draws a form: fields with defaults and ranges; and what words have fixed."""

import functools
from dataclasses import asdict, is_dataclass
from typing import Any

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import KEYS, METERS, MODES
from hybridgen.plan.instruments import HEARD, name_of
from hybridgen.plan.parts import ENDINGS, LABELS, MAX_ENERGY, ROLES
from hybridgen.request import DEFAULT_SECONDS
from hybridgen.serve.kinds import EXPORTS, KINDS, ranges
from hybridgen.serve.limits import Limits
from hybridgen.text.controls import Understanding


def everything(model: str, limits: Limits) -> dict[str, Any]:
    """All that can be chosen on a server with a model of this name and these limits, as JSON values."""
    most = {"seconds": limits.seconds, "num_steps": limits.steps, "upload_mb": limits.upload_mb}
    return {"model": model, "limits": most, "default_seconds": min(DEFAULT_SECONDS, limits.seconds), **_known()}


@functools.cache
def _known() -> dict[str, Any]:
    instruments = {
        role: [{"program": program, "name": name_of(role, program)} for program in HEARD[role]] for role in ROLES
    }
    words = {"roles": ROLES, "labels": LABELS, "keys": KEYS, "modes": tuple(MODES), "meters": METERS}
    words |= {"endings": ENDINGS[:3], "exports": EXPORTS}
    return {
        **words,
        "max_energy": MAX_ENERGY,
        "instruments": instruments,
        "fields": {kind: _fields(kind) for kind in KINDS},
    }


def _fields(kind: str) -> dict[str, Any]:
    """Each field of a kind: its default, what it means, and its range as far as it has one."""
    found = {}
    for name, one in KINDS[kind].model_fields.items():
        limits = ranges(kind)[name]
        facts = {"default": None if one.is_required() else one.default, "help": one.description}
        facts |= {"minimum": limits.low, "maximum": limits.high, "choices": list(limits.choices) or None}
        found[name] = {key: value for key, value in facts.items() if value is not None or key == "default"}
    return found


def understood(found: Understanding) -> dict[str, Any]:
    """What the words of a prompt fix, by the name of the field: for people, and as a request would say it."""
    fixed = {name: value for name, value in vars(found.controls).items() if value is not None}
    return {name: {"text": _text(found, name, value), "value": _value(name, value)} for name, value in fixed.items()}


def _text(found: Understanding, name: str, value: Any) -> str:
    alone = Controls(**{name: value}).text(found.spelling)
    return alone or (str(value) if isinstance(value, str | int | float) else str(_value(name, value)))


def _value(name: str, value: Any) -> Any:
    if name == "instruments":
        return {role: None if programs is None else list(programs) for role, programs in value}
    if name == "sections":
        return [
            {
                "label": s.label,
                "energy": s.energy,
                "roles": s.roles,
                "chords": [b.chords and " ".join(b.chords) for b in s.bars],
            }
            for s in value
        ]
    if name in ("ending", "swing"):
        return str(value)
    return (
        [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
        if isinstance(value, tuple)
        else value
    )
