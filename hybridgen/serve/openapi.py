"""What the routes say of themselves: schemas of the requests, made of their fields, and examples that work."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import create_model
from pydantic.json_schema import models_json_schema

from hybridgen import __version__
from hybridgen.serve.kinds import KINDS, Body

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
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string", "description": "one line that names the field and both values"},
                "field": {"type": "string"},
                "suggestion": {"type": "object", "description": "fields that make the request one that is accepted"},
            },
        }
    },
}
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
ANSWERS: dict[int | str, dict[str, Any]] = {  # as FastAPI has them
    401: {"description": "a key is needed", "content": _CONTENT},
    404: {"description": "there is nothing of this id, or it is another owner's", "content": _CONTENT},
    413: {"description": "the body is too large", "content": _CONTENT},
    422: {"description": "it cannot be done, and why", "content": _CONTENT},
    429: {"description": "the queue is full; Retry-After says for how long", "content": _CONTENT},
}
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
}


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
        found.setdefault("components", {}).setdefault("schemas", {}).update(
            {**schemas["$defs"], **others, "Error": ERROR}
        )
        app.openapi_schema = found
    return app.openapi_schema


def _documented(kind: str, model: type[Body]) -> type[Body]:
    """A kind as its route takes it: an edit says which change it is."""
    if "change" not in EXAMPLES[kind]:
        return model
    field: Any = (Literal[kind], ...)
    return create_model(model.__name__, __base__=model, change=field)
