"""What the routes say of themselves: schemas of the requests, made of their fields, and examples that work."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import create_model
from pydantic.json_schema import models_json_schema

from hybridgen import __version__
from hybridgen.serve.kinds import KINDS, ONE_OF, Body
from hybridgen.serve.schemas import ANSWERED, BINARY

PROMPT = "deep house with warm pads, 122 BPM in F minor"
ID = "5f0c8a9e7d6b4c3a2f1e0d9c8b7a6f5e"
EXAMPLES: dict[str, Any] = {
    "prompt": [PROMPT],
    "plans": {"prompt": "bossa nova for nylon guitar, 132 BPM", "n": 8, "seconds": 60},
    "arrange": {"plan": {"hybridgen_plan": 1, "sections": []}, "order": "A B A A"},
    "notes": {"plan": {"hybridgen_plan": 1, "sections": []}, "seed": 7},
    "track": {"prompt": PROMPT, "seconds": 30, "seed": 7},
    "repaint": {"change": "repaint", "track": ID, "bars": [9, 12], "chords": ["Am", "F", "C", "G"]},
    "extend": {"change": "extend", "track": ID, "bars": 8},
    "loop": {"change": "loop", "track": ID, "bars": [9, 12]},
    "vary": {"change": "vary", "track": ID, "amount": 0.3},
    "cover": {"change": "cover", "track": ID, "prompt": "string quartet"},
    "layer": {"change": "layer", "track": ID, "role": "lead", "instrument": "violin"},
    "style": {"change": "style", "track": ID, "reference": ID, "strength": 0.7},
    "stems": {"change": "stems", "track": ID},
    "export": {"track": ID, "format": "zip"},
}
_PROBLEMS = {
    400: "it is no form that can be read",
    401: "a key is needed",
    403: "the page or the host it is called from is not meant by this server",
    404: "there is nothing of this id, or it is another owner's",
    409: "its job was cancelled",
    413: "the body is too large",
    422: "it cannot be done, and why",
    429: "the queue is full; Retry-After says for how long",
    503: "a worker has died or the disk is full; Retry-After says when to try again",
}
LOCKED, MISSING, WORKS = (401, 403), (401, 403, 404, 422), (401, 403, 404, 413, 422, 429, 503)
WAITED = (*WORKS, 409)  # of a route that answers when the job has ended
SENT = (400, *WORKS)
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
    "additionalProperties": False,
}
_ID = "$response.body#/id"
_JOB, _UPLOAD, _ITEM = {"path.job": _ID}, {"path.upload": _ID}, {"path.item": _ID}
LINKS: dict[str, dict[str, dict[str, str]]] = {  # schema -> routes that take its id, and their parameters
    "Job": {
        **dict.fromkeys(("job_as_it_is", "end_job", "events", "live", "live_samples"), _JOB),
        "job_file": {**_JOB, "path.name": "plan.json"},
        **dict.fromkeys(("track", "mark"), _ITEM),
        "view": {**_ITEM, "path.name": "plan.json"},
    },
    "Upload": {
        **dict.fromkeys(("upload_as_it_is", "end_upload"), _UPLOAD),
        "upload_file": {**_UPLOAD, "path.name": "plan.json"},
    },
}


def gives(
    about: str, schema: str | None = None, status: int = 200, media: Sequence[str] = (), fails: Sequence[int] = LOCKED
) -> dict[int | str, dict[str, Any]]:
    """What a route answers: JSON as a schema says, or bytes of these media types; and with which status it fails."""
    answer: dict[str, Any] = {"description": about}
    if schema is not None:
        answer["content"] = _as_json(schema)
        links = {name: {"operationId": name, "parameters": values} for name, values in LINKS.get(schema, {}).items()}
        answer |= {"links": links} if links else {}
    elif media:
        answer["content"] = {one: {} if one == "*/*" else {"schema": BINARY} for one in media}
    if status in (201, 202):
        answer["headers"] = {"Location": {"description": "where it is", "schema": {"type": "string"}}}
    return {status: answer, **{one: {"description": _PROBLEMS[one], "content": _as_json("Error")} for one in fails}}


def _as_json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def takes(*kinds: str, named_by: str | None = None) -> dict[str, Any]:
    """What a route takes: one of several kinds of requests, as the field `named_by` says; without any, a file."""
    if not kinds:
        return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}}
    refs = [{"$ref": f"#/components/schemas/{_name(kind)}"} for kind in kinds]
    schema: dict[str, Any] = refs[0] if len(refs) == 1 else {"oneOf": refs}
    if named_by is not None:
        mapping = {kind: ref["$ref"] for kind, ref in zip(kinds, refs, strict=True)}
        schema["discriminator"] = {"propertyName": named_by, "mapping": mapping}
    examples = {kind: {"value": EXAMPLES[kind]} for kind in kinds}
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def takes_object(schema: Mapping[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    """What a route takes that has a schema of its own."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _name(kind: str) -> str:
    return KINDS[kind].__name__


def describe(app: FastAPI, others: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI document of an application, with the schemas that its routes name; `others` are not of `KINDS`."""
    if app.openapi_schema is None:
        found = get_openapi(title="hybridgen", version=__version__, description=app.description, routes=app.routes)
        models = [_documented(kind, model) for kind, model in KINDS.items()]
        _, schemas = models_json_schema(
            [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
        )
        for kind, names in ONE_OF.items():
            schemas["$defs"][_name(kind)]["oneOf"] = [_with(*names), _with(*reversed(names))]
        found.setdefault("components", {}).setdefault("schemas", {}).update({**schemas["$defs"], **others, **ANSWERED})
        app.openapi_schema = found
    return app.openapi_schema


def _with(name: str, other: str) -> dict[str, Any]:
    """What a request is that has the first of two fields and not the other."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}, other: {"type": "null"}}}


def _documented(kind: str, model: type[Body]) -> type[Body]:
    """A kind as its route takes it: an edit says which change it is."""
    if "change" not in EXAMPLES[kind]:
        return model
    field: Any = (Literal[kind], ...)
    return create_model(model.__name__, __base__=model, change=field)
