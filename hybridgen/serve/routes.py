"""/v1: plans, tracks, edits, exports, uploads, and the jobs that make them."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from hybridgen.plan.parts import MAX_PROMPT
from hybridgen.serve import answers, choices
from hybridgen.serve.answers import MEDIA, accepted, body_of, owner_of, queue_of, submitted
from hybridgen.serve.items import Job, Upload
from hybridgen.serve.jobs import Jobs
from hybridgen.serve.kinds import CHANGES
from hybridgen.serve.openapi import EXAMPLES, LOCKED, MISSING, SENT, WORKS, gives, takes
from hybridgen.serve.refusals import Refused
from hybridgen.text.controls import understand

EDITS = (*CHANGES, "stems")
WAITS = gives("it waits in the queue", "Job", 202, fails=WORKS)
KEPT = gives("what it is", "Upload", 201, fails=SENT)
FILE = gives("the file", media=("*/*",), fails=MISSING)
HEARD = {kind: gives("its sound", media=(MEDIA[f".{kind}"],), fails=(*MISSING, 409, 503)) for kind in ("mp3", "wav")}
routes = APIRouter(prefix="/v1")


async def own_job(request: Request, job: str) -> Job:
    """The job of a path, which is the client's own."""
    return queue_of(request).find(job, owner_of(request))


async def own_upload(request: Request, upload: str) -> Upload:
    """The upload of a path, which is the client's own."""
    return queue_of(request).store.find(upload, owner_of(request), Upload)


Queue = Annotated[Jobs, Depends(queue_of)]
OwnJob = Annotated[Job, Depends(own_job)]
OwnUpload = Annotated[Upload, Depends(own_upload)]


@routes.post("/plans", status_code=202, openapi_extra=takes("plans", "arrange", "notes"), responses=WAITS)
async def plans(request: Request) -> Response:
    """Plans from a prompt; or a plan with its sections in another order (with `order`), or with the notes it lacks."""
    fields = await body_of(request)
    kind = "arrange" if "order" in fields else "notes" if "plan" in fields else "plans"
    return accepted(await submitted(request, kind, fields))


@routes.post("/tracks", status_code=202, openapi_extra=takes("track"), responses=WAITS)
async def tracks(request: Request) -> Response:
    """A track from a prompt or of a plan."""
    return accepted(await submitted(request, "track", await body_of(request)))


@routes.post("/edits", status_code=202, openapi_extra=takes(*EDITS, named_by="change"), responses=WAITS)
async def edits(request: Request) -> Response:
    """Another track out of a track, or what each role plays of it; `change` says which change."""
    fields = await body_of(request)
    change = fields.pop("change", None)
    if change not in EDITS:
        raise Refused(f"change {str(change)[:60]!r} is none of {', '.join(EDITS)}", "change", {"change": EDITS[0]})
    return accepted(await submitted(request, change, fields))


@routes.post("/exports", status_code=202, openapi_extra=takes("export"), responses=WAITS)
async def exports(request: Request) -> Response:
    """A track as a pack for a DAW, its plan as notes, or its sound with chapters."""
    return accepted(await submitted(request, "export", await body_of(request)))


@routes.get("/understand", responses=gives("what is read in it", "Understood", fails=(*LOCKED, 422)))
def understood(prompt: Annotated[str, Query(max_length=MAX_PROMPT, examples=EXAMPLES["prompt"])]) -> JSONResponse:
    """What the words of a prompt fix, what cannot be had, and what nothing here understands."""
    found = understand(prompt)
    answer = {"summary": found.summary(), "notes": found.notes, "unread": found.unread}
    return JSONResponse({**answer, "controls": choices.understood(found)})


@routes.get("/options", responses=gives("what there is to choose"))
def options(jobs: Queue) -> JSONResponse:
    """What there is to choose: fields with their defaults and ranges, roles, instruments, and this server's limits."""
    return JSONResponse(choices.everything(jobs.model.title, jobs.limits))


@routes.get("/jobs/{job}", responses=gives("the job", "Job", fails=MISSING))
async def job_as_it_is(found: OwnJob) -> JSONResponse:
    """How a job stands, and what it has made."""
    return JSONResponse(answers.job_facts(found))


@routes.get(
    "/jobs/{job}/events", responses=gives("what becomes of it", fails=MISSING), response_class=EventSourceResponse
)
async def events(jobs: Queue, found: OwnJob) -> AsyncIterator[ServerSentEvent]:
    """What becomes of a job, as server-sent events, until it has ended; the last one holds the result."""
    async for event in jobs.watch(found):
        facts = answers.job_facts(found) if event.is_final else event.to_dict()
        yield ServerSentEvent(event=event.state, data=facts)


@routes.delete("/jobs/{job}", status_code=204, responses=gives("it has gone", status=204, fails=MISSING))
async def end_job(jobs: Queue, found: OwnJob) -> Response:
    """Cancels a job; one that has ended is removed, and its files with it."""
    await run_in_threadpool(jobs.remove, found)
    return Response(status_code=204)


@routes.get("/jobs/{job}/files/{name}", response_class=FileResponse, responses=FILE)
async def job_file(found: OwnJob, name: str) -> Response:
    """A file that a job has made."""
    return answers.file_of(found, name)


@routes.get("/jobs/{job}/live.mp3", response_class=StreamingResponse, responses=HEARD["mp3"])
async def live(jobs: Queue, found: OwnJob) -> StreamingResponse:
    """The sound of a track that was asked for with `live`, while it is rendered; who stops listening cancels it."""
    return await answers.streamed(jobs, found)


@routes.get("/jobs/{job}/live.wav", response_class=StreamingResponse, responses=HEARD["wav"])
async def live_samples(jobs: Queue, found: OwnJob) -> StreamingResponse:
    """The same in samples of 16 bits; who stops listening still gets the track."""
    return await answers.streamed(jobs, found, "wav", cancels=False)


@routes.post("/uploads", status_code=201, openapi_extra=takes(), responses=KEPT)
async def upload(request: Request, jobs: Queue) -> JSONResponse:
    """A track, a recording or a score (MIDI, ABC, MusicXML, chart, plan): a form with one `file`."""
    async with request.form(max_files=1, max_fields=1) as form:
        sent = form.get("file")
        if not isinstance(sent, UploadFile):
            raise Refused("file: is missing; send a form with a file of this name", "file")
        made = await run_in_threadpool(jobs.upload, sent.filename or "", sent.file, owner_of(request))
    return JSONResponse(answers.upload_facts(made), 201, {"Location": f"/v1/uploads/{made.id}"})


@routes.get("/uploads/{upload}", responses=gives("the upload", "Upload", fails=MISSING))
async def upload_as_it_is(found: OwnUpload) -> JSONResponse:
    """What is known of an upload."""
    return JSONResponse(answers.upload_facts(found))


@routes.get("/uploads/{upload}/files/{name}", response_class=FileResponse, responses=FILE)
async def upload_file(found: OwnUpload, name: str) -> Response:
    """A file that was made of an upload: its plan."""
    return answers.file_of(found, name)


@routes.delete("/uploads/{upload}", status_code=204, responses=gives("it has gone", status=204, fails=MISSING))
async def end_upload(jobs: Queue, found: OwnUpload) -> Response:
    """Removes an upload."""
    await run_in_threadpool(jobs.remove, found)
    return Response(status_code=204)
