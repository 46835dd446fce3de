"""POST /v1/music, /v1/music/plan, /stream and /detailed, as ElevenLabs has them, for their published clients."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from hybridgen.plan.plan import Plan
from hybridgen.serve import answers
from hybridgen.serve.aliases import dropped
from hybridgen.serve.answers import queue_of
from hybridgen.serve.compositions import composition, request_of
from hybridgen.serve.items import Job
from hybridgen.serve.kinds import WORDS
from hybridgen.serve.openapi import WAITED, gives, takes_object
from hybridgen.serve.refusals import Refused
from hybridgen.serve.schemas import or_null

IGNORED = ("model_id", "respect_sections_durations", "store_for_inpainting", "with_timestamps", "with_waveform_visual")
FORMATS = {"auto": "mp3", "mp3_44100_128": "mp3", "mp3_44100_192": "mp3"}
BOUNDARY = "hybridgen-4c0f8e2a"
ASKED = {
    "prompt": {"type": "string", **WORDS},
    "music_length_ms": or_null("number"),
    "seed": or_null("integer"),
    "composition_plan": or_null("object"),
}
BODY = takes_object(
    {"type": "object", "properties": ASKED, "description": "and any field of a track"},
    {"prompt": "deep house, 122 BPM in F minor", "music_length_ms": 30_000},
)
SOUND = gives("the sound", media=("audio/mpeg",), fails=WAITED)
routes = APIRouter(prefix="/v1/music", tags=["ElevenLabs"])


async def begun(request: Request, **more: Any) -> Job:
    fields = dropped(await answers.body_of(request), IGNORED)
    kind = request.query_params.get("output_format", "auto")
    if kind not in FORMATS:
        suggestion = {"output_format": "mp3_44100_128"}
        raise Refused(f"output_format {kind[:60]!r} is none of {', '.join(FORMATS)}", "output_format", suggestion)
    if fields.pop("sign_with_c2pa", False):
        raise Refused("sign_with_c2pa true: the manifest in the file is not signed", "sign_with_c2pa")
    if (plan := fields.pop("composition_plan", None)) is not None:
        fields = {**request_of(plan), **fields}
    return await answers.submitted(request, "track", {**fields, "format": FORMATS[kind], **more})


@routes.post("", response_class=FileResponse, openapi_extra=BODY, responses=SOUND)
async def compose(request: Request) -> Response:
    """The sound; the header song-id is the id of its job."""
    return answers.sound(await answers.finished(request, await begun(request)))


@routes.post("/stream", response_class=StreamingResponse, openapi_extra=BODY, responses=SOUND)
async def stream(request: Request) -> Response:
    """The sound while it is rendered."""
    job = await begun(request, live=True)
    return await answers.streamed(queue_of(request), job)


@routes.post(
    "/detailed",
    response_class=Response,
    openapi_extra=BODY,
    responses=gives("plan and sound", media=("multipart/mixed",), fails=WAITED),
)
async def detailed(request: Request) -> Response:
    """The composition plan as JSON, and the sound, as two parts of one answer."""
    job = await answers.finished(request, await begun(request))
    plan, sound = await run_in_threadpool(_plan_and_sound, job)
    title = {"title": job.request.get("prompt", "")[:60], "description": "", "genres": [], "languages": []}
    facts = {"composition_plan": composition(plan), "song_metadata": {**title, "is_explicit": False}, **job.facts}
    head = f"--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{json.dumps(facts)}\r\n--{BOUNDARY}\r\n"
    head += 'Content-Type: audio/mpeg\r\nContent-Disposition: attachment; filename="track.mp3"\r\n\r\n'
    media = f"multipart/mixed; boundary={BOUNDARY}"  # without an end, which their client takes for sound
    return Response(head.encode() + sound, 200, {"song-id": job.id}, media)


@routes.post("/plan", openapi_extra=BODY, responses=gives("a composition plan", fails=WAITED))
async def plan(request: Request) -> JSONResponse:
    """A composition plan for a prompt."""
    fields = dropped(await answers.body_of(request), ("model_id",))
    if fields.pop("source_composition_plan", None) is not None:
        raise Refused("source_composition_plan: change the plan itself, and compose it", "source_composition_plan")
    job = await answers.finished(request, await answers.submitted(request, "plans", fields))
    found = await run_in_threadpool(job.files["plan.json"].read_text, "utf-8")
    return JSONResponse(composition(Plan.from_json(found)), headers={"song-id": job.id})


def _plan_and_sound(job: Job) -> tuple[Plan, bytes]:
    return Plan.from_json(job.files["plan.json"].read_text("utf-8")), job.files["track.mp3"].read_bytes()
