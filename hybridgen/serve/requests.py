"""Requests: all that can be checked of one before any work, and what would have been accepted in its place."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from hybridgen.history import check_strength
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import MAX_BARS, MAX_SEED, check_prompt, check_seed, show
from hybridgen.request import DEFAULT_SECONDS, LENGTHS, resolve_controls
from hybridgen.sampling import LIMITS, MAX_PLANS, RenderOptions, random_seed
from hybridgen.serve.aliases import canonical
from hybridgen.serve.kinds import KINDS, ONE_OF, controls, misread, ranges, read
from hybridgen.serve.limits import Limits
from hybridgen.serve.refusals import Refused, field_of, with_suggestion
from hybridgen.text.controls import understand

Check = Callable[[Mapping[str, Any], Limits], None]
_understood = functools.lru_cache(64)(understand)


def check(kind: str, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The request as JSON values by our names, with a seed; Refused, with a suggestion where there is one."""
    if kind not in KINDS:
        raise Refused(f"kind {kind[:60]!r} is none of {', '.join(KINDS)}", "kind")
    fields = canonical(request, KINDS[kind].model_fields)
    try:
        checked = _checked(kind, fields, limits)
    except Refused as refused:
        raise with_suggestion(refused, fields, lambda other: _checked(kind, other, limits), ranges(kind)) from None
    if kind in ("plans", "track") or (kind == "loop" and "prompt" in checked):
        checked.setdefault("seed", random_seed())
    return checked


def _checked(kind: str, fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    try:
        model = KINDS[kind].model_validate(dict(fields))
        for name, value in fields.items():
            for truth in misread(value, getattr(model, name)):
                raise Refused(f"{name} {str(value)[:60]!r}: {str(truth).lower()} should be a number", name)
        found = read(kind, model.model_dump(exclude_none=True))
        for one in CHECKS[kind]:
            one(found, limits)
        plain = model.model_dump(mode="json", exclude_none=True)
        if kind in ("plans", "track") and "prompt" in found and not _asks_for_length(found):
            plain |= {"seconds": limits.seconds} if limits.seconds < DEFAULT_SECONDS else {}
        json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()  # half a character is no text
        return plain
    except ValidationError as error:
        raise _refused(kind, error) from None
    except Refused:
        raise
    except (ValueError, TypeError) as error:
        raise Refused(_line(error), field_of(str(error), fields)) from None


def _refused(kind: str, error: ValidationError) -> Refused:
    """The first field that has the wrong shape, in one line."""
    problems = error.errors(include_url=False)
    name = str(problems[0]["loc"][0])
    if problems[0]["type"] == "extra_forbidden":
        return Refused(f"{name[:60]} is no field of {kind}; known are {', '.join(KINDS[kind].model_fields)}", name)
    if problems[0]["type"] == "missing":
        return Refused(f"{name} is missing", name)
    why = dict.fromkeys(str(one["msg"]) for one in problems if one["loc"][0] == name)
    value = str(problems[0]["input"])[:60]
    return Refused(f"{name} {value!r}: {'; '.join(why)}", name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_prompt(fields: Mapping[str, Any], limits: Limits) -> None:
    if not check_prompt(fields["prompt"]).strip():
        raise Refused("prompt is empty: say in words what the music should be", "prompt")


def _check_length(fields: Mapping[str, Any], limits: Limits) -> None:
    """What is asked for, in fields or in words, can be had, and is not longer than the server allows."""
    given = Controls.of("request", controls(fields, "request"))  # type: ignore[arg-type]  # fields by their names
    found, _ = resolve_controls(_understood(fields["prompt"]), given)
    if found.seconds is not None and found.seconds > limits.seconds and _asks_for_length(fields):
        _refuse_length("seconds", found.seconds, limits)


def _asks_for_length(fields: Mapping[str, Any]) -> bool:
    return any(fields.get(name) for name in LENGTHS) or _understood(fields["prompt"]).controls.fixes_length


def _refuse_length(field: str, seconds: float, limits: Limits) -> None:
    raise Refused(
        f"{field} {show(seconds)} is over the limit of {limits.seconds:g} here", field, {"seconds": limits.seconds}
    )


def _check_rendering(fields: Mapping[str, Any], limits: Limits) -> None:
    chosen = {name: fields.get(name) for name in LIMITS}
    options = RenderOptions(**chosen)
    if options.num_steps is not None and options.num_steps > limits.steps:
        steps = options.num_steps
        raise Refused(
            f"num_steps {steps} is over the limit of {limits.steps} here", "num_steps", {"num_steps": limits.steps}
        )


def _check_seeds(fields: Mapping[str, Any], limits: Limits) -> None:
    for name in ("plan_seed", "render_seed", "seed"):
        if name in fields:
            check_seed(fields[name])
    n = fields.get("n", 1)
    if not 1 <= n <= MAX_PLANS:
        raise Refused(f"n {show(n)} is outside 1-{MAX_PLANS}", "n")
    if fields.get("seed", 0) + n - 1 > MAX_SEED:
        raise Refused(f"seed {fields['seed']} + {n - 1} is over {MAX_SEED}", "seed")


def _check_one_of(kind: str) -> Check:
    first, second = ONE_OF[kind]

    def check(fields: Mapping[str, Any], limits: Limits) -> None:
        if (first in fields) == (second in fields):
            what = "both given" if first in fields else "missing"
            raise Refused(f"{first} and {second} are {what}: give one of the two", second)

    return check


def _check_source_of_track(fields: Mapping[str, Any], limits: Limits) -> None:
    _check_one_of("track")(fields, limits)
    if "prompt" in fields:
        _check_prompt(fields, limits)
        _check_length(fields, limits)
        return
    given = [*controls(fields, "request"), *(name for name in ("melody", "plan_seed") if name in fields)]
    if given:
        raise Refused(f"{given[0]} is for a prompt, and a plan is rendered as it is: edit it before", given[0])
    _check_plan(fields, limits)


def _check_plan(fields: Mapping[str, Any], limits: Limits) -> None:
    if fields["plan"].seconds > limits.seconds:
        raise Refused(f"plan of {fields['plan'].seconds:g} s is over the limit of {limits.seconds:g} s here", "plan")


def _check_loop(fields: Mapping[str, Any], limits: Limits) -> None:
    _check_one_of("loop")(fields, limits)
    if "prompt" in fields:
        _check_prompt(fields, limits)
        bars = fields.get("bars", 8)
        if not isinstance(bars, int):
            raise Refused(f"bars {list(bars)} are bars of a track, and a prompt has none: say how many", "bars")
        _check_length({"prompt": fields["prompt"], "bars": bars}, limits)


def _check_edit(fields: Mapping[str, Any], limits: Limits) -> None:
    check_strength(fields["strength"])
    changes = controls(fields, "edit")
    Controls.of("edit", changes)  # type: ignore[arg-type]  # fields by their names
    if "plan" in fields and changes:
        raise Refused(f"plan and {next(iter(changes))} both say what the bars become: give one of them", "plan")


def _check_style(fields: Mapping[str, Any], limits: Limits) -> None:
    check_strength(fields["strength"])


def _check_share(name: str) -> Check:
    def check(fields: Mapping[str, Any], limits: Limits) -> None:
        if name in fields and not 0 <= fields[name] <= 1:
            raise Refused(f"{name} {show(fields[name])} is outside 0-1", name)

    return check


def _check_bars_more(fields: Mapping[str, Any], limits: Limits) -> None:
    _check_one_of("extend")(fields, limits)
    if "bars" in fields and not 1 <= fields["bars"] <= MAX_BARS:
        raise Refused(f"bars {show(fields['bars'])} are outside 1-{MAX_BARS}", "bars")
    if "seconds" in fields and not 0 < fields["seconds"] <= limits.seconds:
        raise Refused(f"seconds {show(fields['seconds'])} are outside 0-{limits.seconds:g}", "seconds")


def _check_export(fields: Mapping[str, Any], limits: Limits) -> None:
    if "labels" in fields and fields["format"] != "txt":
        raise Refused(f"labels are written as txt, not as {fields['format']}", "format", {"format": "txt"})


def _check_order(fields: Mapping[str, Any], limits: Limits) -> None:
    new = fields["plan"].arrange(fields["order"], fields["variation"])
    if new.seconds > limits.seconds:
        raise Refused(f"order: its {new.seconds:g} s are over the limit of {limits.seconds:g} s here", "order")


CHECKS: dict[str, tuple[Check, ...]] = {
    "plans": (_check_prompt, _check_seeds, _check_length),
    "arrange": (_check_order,),
    "notes": (_check_seeds, _check_plan),
    "track": (_check_seeds, _check_rendering, _check_source_of_track),
    "repaint": (_check_rendering, _check_edit),
    "extend": (_check_rendering, _check_bars_more),
    "loop": (_check_rendering, _check_loop),
    "vary": (_check_rendering, _check_share("amount")),
    "cover": (_check_rendering, _check_prompt, _check_share("strength")),
    "layer": (_check_rendering,),
    "style": (_check_style,),
    "stems": (),
    "export": (_check_export,),
}
