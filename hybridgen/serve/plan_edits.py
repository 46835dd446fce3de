"""Edits of a plan, one after the other and each checked, with what there is to see of the plan that comes out.

They are methods of `Plan` by their names; an edit names its own in `edit`. No model is needed, so nothing waits.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, TypeAdapter, ValidationError, create_model
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from hybridgen.plan.plan import Plan
from hybridgen.serve.answers import body_of, queue_of
from hybridgen.serve.kinds import EDIT_FIELDS, PLAN_FIELDS, ROLE, Body, misread
from hybridgen.serve.openapi import LOCKED, gives, takes_object
from hybridgen.serve.refusals import Refused

MAX_EDITS = 64  # in one request
BARS = tuple[int, int] | None


class Transpose(Body):
    """The notes of pitched roles higher."""

    edit: Literal["transpose"]
    bars: BARS = None
    semitones: int = Field(ge=-48, le=48)
    roles: list[ROLE] | None = None


class Copy(Body):
    """What is played in some bars played from another bar on too."""

    edit: Literal["copy"]
    bars: tuple[int, int]
    to: int
    roles: list[ROLE] | None = None


class Arrange(Body):
    """The sections in another order, by their names or their numbers."""

    edit: Literal["arrange"]
    order: str | list[int]
    variation: float = Field(0.0, ge=0, le=1)


class MoveBorder(Body):
    """The section that begins at a bar begins at another."""

    edit: Literal["move_border"]
    bar: int
    to: int


class Split(Body):
    """Another section begins at a bar."""

    edit: Literal["split"]
    bar: int


class Merge(Body):
    """The section that begins at a bar is a part of the one before."""

    edit: Literal["merge"]
    bar: int


_FIELDS: dict[str, Any] = {"edit": (Literal["edit"], ...), "bars": (BARS, Field(None, description="all, unless given"))}
BarsEdit: Any = create_model("BarsEdit", __base__=Body, **_FIELDS, **EDIT_FIELDS)
_EDITS = (BarsEdit, Transpose, Copy, Arrange, MoveBorder, Split, Merge)
Edit: Any = Annotated[functools.reduce(operator.or_, _EDITS), Field(discriminator="edit")]
EDITS: TypeAdapter[Any] = TypeAdapter(list[Edit])
DOCUMENT = EDITS.json_schema(ref_template="#/components/schemas/{model}")
EXAMPLE = {
    "plan": {"hybridgen_plan": 1, "meter": "4/4", "tempo": 120, "sections": [{"chords": ["Am", "F", "C", "G"]}]},
    "edits": [{"edit": "split", "bar": 3}, {"edit": "edit", "bars": [3, 4], "label": "chorus", "energy": 6}],
}
SHAPE = {
    "type": "object",
    "required": ["plan"],
    "properties": {
        "plan": {"type": "object", **PLAN_FIELDS},
        "edits": {"maxItems": MAX_EDITS, **{key: DOCUMENT[key] for key in ("type", "items")}},
    },
    "additionalProperties": False,
}
routes = APIRouter(prefix="/v1")


@routes.post(
    "/plans/edits",
    responses=gives("the plan after them", "Viewed", fails=(*LOCKED, 413, 422)),
    openapi_extra=takes_object(SHAPE, EXAMPLE),
)
async def edit_plan(request: Request) -> JSONResponse:
    """A plan after some edits (edit, transpose, copy, arrange, move_border, split, merge), and how it looks."""
    fields = await body_of(request)
    if unknown := fields.keys() - {"plan", "edits"}:
        raise Refused(f"{min(unknown)[:60]} is no field of it; known are plan, edits", min(unknown))
    plan = await run_in_threadpool(edited, fields.get("plan"), fields.get("edits", []))
    limit = queue_of(request).limits.seconds
    if plan.seconds > limit:
        raise Refused(f"edits: {plan.seconds:g} s are over the limit of {limit:g} s here", "edits")
    return JSONResponse(await run_in_threadpool(seen, plan))


def edited(plan: Any, edits: Sequence[Any]) -> Plan:
    """The plan in JSON values after these edits; Refused, naming the edit by its number, for what cannot be done."""
    try:
        new = Plan.from_dict(plan)
    except (ValueError, TypeError) as error:
        raise Refused(_line(error), "plan") from None
    if not isinstance(edits, list) or len(edits) > MAX_EDITS:
        raise Refused(f"edits: should be a list of up to {MAX_EDITS}", "edits")
    try:
        found = EDITS.validate_python(edits)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = " ".join(str(part) for part in problem["loc"][1:] if isinstance(part, str))
        raise Refused(f"edits: number {_number(problem['loc'])} {where}: {problem['msg']}", "edits") from None
    for number, one in enumerate(found, start=1):
        for truth in misread(edits[number - 1], one):
            raise Refused(f"edits: number {number}: {str(truth).lower()} should be a number", "edits")
        given = one.model_dump(exclude={"edit"}).items()
        values = {name: value for name, value in given if value is not None or name == "bars"}
        try:
            new = getattr(new, one.edit)(**values)
        except (ValueError, TypeError) as error:
            raise Refused(f"edits: number {number}: {_line(error)}", "edits") from None
    return new


def seen(plan: Plan) -> dict[str, Any]:
    """A plan as itself, and what there is to draw and play of it."""
    return {"plan": plan.to_dict(), "view": plan.view()}


def _number(place: tuple[int | str, ...]) -> int:
    return int(place[0]) + 1 if place and isinstance(place[0], int) else 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
