"""POST /v1/audio/generate, as vLLM-Omni has it: the sound itself is answered."""

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from hybridgen.serve import answers
from hybridgen.serve.aliases import dropped
from hybridgen.serve.kinds import WORDS
from hybridgen.serve.openapi import WAITED, gives, takes_object
from hybridgen.serve.refusals import Refused
from hybridgen.serve.schemas import or_null

IGNORED = ("model", "audio_start")  # one model is served, and a track begins at 0
ASKED = {
    "input": {"type": "string", **WORDS},
    "audio_length": or_null("number"),
    "seed": or_null("integer"),
    "num_inference_steps": or_null("integer"),
}
BODY = takes_object(
    {"type": "object", "properties": ASKED, "description": "and any field of a track"},
    {"input": "deep house, 122 BPM in F minor", "audio_length": 30, "response_format": "mp3"},
)
SOUND = gives("the sound", media=("audio/*",), fails=WAITED)
routes = APIRouter(prefix="/v1/audio", tags=["vLLM-Omni"])


@routes.post("/generate", response_class=FileResponse, openapi_extra=BODY, responses=SOUND)
async def generate(request: Request) -> Response:
    """Sound from `input`; audio_length in seconds, response_format, num_inference_steps, guidance_scale, seed."""
    fields = await answers.body_of(request)
    if fields.get("audio_start") not in (None, 0, 0.0):
        raise Refused("audio_start: a track begins at 0; /v1/edits changes a part of one", "audio_start")
    unwanted = fields.pop("negative_prompt", None)
    if unwanted:
        fields["without"] = [word.strip() for word in str(unwanted).split(",")]
    job = await answers.submitted(request, "track", dropped(fields, IGNORED))
    await answers.finished(request, job)
    return answers.sound(job)
