"""POST /v1/chat/completions and GET /v1/models, in OpenAI's style: a message asks for music, the answer holds it.

How it should be is in `audio_config` (duration, bpm, key_scale, time_signature, instrumental, format), as ACE-Step has
it, and comes back as a list of data URLs; with OpenAI's own `modalities` and `audio`, as OpenAI has it.
"""

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from hybridgen.serve import answers
from hybridgen.serve.answers import queue_of
from hybridgen.serve.items import Job
from hybridgen.serve.openapi import WAITED, gives, takes_object
from hybridgen.serve.refusals import Refused
from hybridgen.serve.schemas import ANY, or_null

KEPT = 3600  # seconds that are promised for `expires_at`
BODY = takes_object(
    {
        "type": "object",
        "required": ["messages"],
        "properties": {
            "messages": {"type": "array", "minItems": 1, "items": ANY},
            "audio_config": or_null("object"),
            "audio": or_null("object"),
        },
    },
    {
        "messages": [{"role": "user", "content": "deep house, 122 BPM in F minor"}],
        "modalities": ["text", "audio"],
        "audio": {"format": "mp3"},
        "audio_config": {"duration": 30},
    },
)
routes = APIRouter(prefix="/v1", tags=["chat completions"])


@routes.post("/chat/completions", openapi_extra=BODY, responses=gives("text and sound", fails=WAITED))
async def complete(request: Request) -> JSONResponse:
    """Music for the last message of a user."""
    body = await answers.body_of(request)
    if body.get("stream"):
        raise Refused("stream: a track comes whole here; /v1/music/stream streams one", "stream", {"stream": False})
    messages, modalities = (_listed(body, name) for name in ("messages", "modalities"))
    fields = {"prompt": _prompt(messages), "format": "mp3"}
    fields |= {name: body[name] for name in ("seed",) if body.get(name) is not None}
    for place in ("audio", "audio_config"):
        chosen = body.get(place)
        if chosen is not None and not isinstance(chosen, dict):
            raise Refused(f"{place} {str(chosen)[:60]!r} is no object", place)
        fields |= {name: value for name, value in (chosen or {}).items() if name != "voice"}
    job = await answers.submitted(request, "track", fields)
    await answers.finished(request, job)
    is_openai = "audio" in modalities
    return JSONResponse(await run_in_threadpool(_completion, queue_of(request).model.title, job, is_openai))


@routes.get("/models", responses=gives("what is served"))
async def models(request: Request) -> JSONResponse:
    """The model that is served."""
    kinds = {"input_modalities": ["text"], "output_modalities": ["audio"]}
    model = {"id": queue_of(request).model.title, "object": "model", "created": 0, "owned_by": "hybridgen", **kinds}
    return JSONResponse({"object": "list", "data": [model]})


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name) or []
    if not isinstance(found, list):
        raise Refused(f"{name} {str(found)[:60]!r} is no list", name)
    return found


def _prompt(messages: Sequence[Any]) -> str:
    """The text of the last message of a user."""
    asked = [one for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    if not asked:
        raise Refused("messages: hold none of a user", "messages")
    content = asked[-1].get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        raise Refused("messages: only text is read; /v1/uploads takes sound", "messages")
    return "\n".join(str(part.get("text", "")) for part in parts)


def _completion(model: str, job: Job, is_openai: bool) -> dict[str, Any]:
    path = job.files[f"track.{job.request['format']}"]
    data, facts = base64.b64encode(path.read_bytes()).decode(), job.facts
    what = f"{facts['tempo']} BPM, {facts['key']}, {facts['meter']}, {facts['seconds']} s, seed {facts['seed']}"
    now = int(time.time())
    sound: Any = [{"type": "audio_url", "audio_url": {"url": f"data:{answers.media(path)};base64,{data}"}}]
    if is_openai:
        sound = {"id": job.id, "data": data, "expires_at": now + KEPT, "transcript": what}
    message = {"role": "assistant", "content": what, "audio": sound}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    base = {"id": job.id, "object": "chat.completion", "created": now, "model": model}
    return {**base, "choices": [choice], "seed": facts["seed"]}
