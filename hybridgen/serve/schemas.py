"""JSON schemas of what is answered, for the OpenAPI document."""

from typing import Any

from pydantic import TypeAdapter

from hybridgen.serve.items import FINAL, Event

TEXT, WHOLE, BOOLEAN, ANY = ({"type": name} for name in ("string", "integer", "boolean", "object"))
STATES = ["queued", "running", *FINAL]
FILES = {"type": "object", "additionalProperties": TEXT, "description": "name -> path from which it is fetched"}
BINARY = {"type": "string", "format": "binary"}


def or_null(kind: str) -> dict[str, Any]:
    """A value of this type that may be null, as a field that is not given."""
    return {"type": [kind, "null"]}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _event() -> dict[str, Any]:
    properties = TypeAdapter(Event).json_schema()["properties"]
    return {**properties, "state": {"type": "string", "enum": STATES}}


ERROR = _object(
    "error",
    error=_object(
        "message",
        message={"type": "string", "description": "one line that names the field and both values"},
        field=TEXT,
        suggestion={"type": "object", "description": "fields that make the request one that is accepted"},
    ),
)
JOB = _object(
    "id kind state ahead stage done total seconds_left heard seed events",
    id=TEXT,
    kind=TEXT,
    **_event(),
    seed=or_null("integer"),
    events={"type": "string", "description": "path of its server-sent events"},
    result={**_object("files", files=FILES), "description": "of a job that is done"},
    error={**_object("message", message=TEXT), "description": "why it failed"},
)
UPLOAD = _object(
    "id what name files notes",
    id=TEXT,
    what={"type": "string", "enum": ["track", "recording", "score"]},
    name=TEXT,
    files=FILES,
    notes={"type": "array", "items": TEXT},
)
ENTRY = _object(
    "id kind state made starred removed of where files title prompt",
    id=TEXT,
    kind=TEXT,
    **_event(),
    made={"type": "number", "description": "seconds since 1970"},
    starred=BOOLEAN,
    removed={"type": "boolean", "description": "whether it is in the bin"},
    of={**or_null("string"), "description": "the track that it was made of"},
    where=TEXT,
    files=FILES,
    title=TEXT,
    prompt=TEXT,
)
LISTED = _object("tracks total", tracks={"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}, total=WHOLE)
VIEWED = _object("plan view", plan=ANY, view=ANY)
UNDERSTOOD = _object(
    "summary notes unread controls",
    summary=TEXT,
    notes={"type": "array", "items": TEXT},
    unread={"type": "array", "items": TEXT},
    controls=ANY,
)
ANSWERED = {
    "Error": ERROR,
    "Job": JOB,
    "Upload": UPLOAD,
    "Entry": ENTRY,
    "Listed": LISTED,
    "Viewed": VIEWED,
    "Understood": UNDERSTOOD,
}
