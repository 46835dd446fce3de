"""/v1: plans, tracks, edits, exports, uploads, and the jobs that make them."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response, StreamingResponse

from hybridgen.plan.parts import MAX_PROMPT
from hybridgen.serve import answers
from hybridgen.serve.answers import accepted, body_of, owner_of, submitted
from hybridgen.serve.jobs import Jobs, Upload
from hybridgen.serve.kinds import CHANGES
from hybridgen.serve.openapi import ANSWERS, EXAMPLES, takes
from hybridgen.serve.refusals import Refused
from hybridgen.text.controls import understand

EDITS = (*CHANGES, "stems")


def router(jobs: Jobs) -> APIRouter:
    """The routes over a queue."""
    routes = APIRouter(prefix="/v1")

    @routes.post("/plans", status_code=202, openapi_extra=takes("plans", "arrange"), responses=ANSWERS)
    async def plans(request: Request) -> Response:
        """Plans from a prompt, or a plan with its sections in another order (with `order`)."""
        fields = await body_of(request)
        return accepted(await submitted(jobs, request, "arrange" if "order" in fields else "plans", fields))

    @routes.post("/tracks", status_code=202, openapi_extra=takes("track"), responses=ANSWERS)
    async def tracks(request: Request) -> Response:
        """A track from a prompt or of a plan."""
        return accepted(await submitted(jobs, request, "track", await body_of(request)))

    @routes.post("/edits", status_code=202, openapi_extra=takes(*EDITS, named_by="change"), responses=ANSWERS)
    async def edits(request: Request) -> Response:
        """Another track out of a track, or what each role plays of it; `change` says which change."""
        fields = await body_of(request)
        change = fields.pop("change", None)
        if change not in EDITS:
            raise Refused(f"change {str(change)[:60]!r} is none of {', '.join(EDITS)}", "change", {"change": EDITS[0]})
        return accepted(await submitted(jobs, request, change, fields))

    @routes.post("/exports", status_code=202, openapi_extra=takes("export"), responses=ANSWERS)
    async def exports(request: Request) -> Response:
        """A track as a pack for a DAW, its plan as notes, or its sound with chapters."""
        return accepted(await submitted(jobs, request, "export", await body_of(request)))

    @routes.get("/understand", responses={422: ANSWERS[422]})
    def understood(prompt: Annotated[str, Query(max_length=MAX_PROMPT, examples=EXAMPLES["prompt"])]) -> JSONResponse:
        """What the words of a prompt fix, what cannot be had, and what nothing here understands."""
        found = understand(prompt)
        return JSONResponse({"summary": found.summary(), "notes": found.notes, "unread": found.unread})

    @routes.get("/jobs/{job}", responses={404: ANSWERS[404]})
    async def job_as_it_is(request: Request, job: str) -> JSONResponse:
        """How a job stands, and what it has made."""
        return JSONResponse(answers.job_facts(jobs.find(job, owner_of(request))))

    @routes.get("/jobs/{job}/events", responses={404: ANSWERS[404]})
    async def events(request: Request, job: str) -> StreamingResponse:
        """What becomes of a job, as server-sent events, until it has ended; the last one holds the result."""
        found = jobs.find(job, owner_of(request))

        async def lines() -> AsyncIterator[str]:
            async for event in jobs.watch(found):
                facts = answers.job_facts(found) if event.is_final else event.to_dict()
                yield f"event: {event.state}\ndata: {json.dumps(facts)}\n\n"

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    @routes.delete("/jobs/{job}", status_code=204, responses={404: ANSWERS[404]})
    async def end_job(request: Request, job: str) -> Response:
        """Cancels a job; one that has ended is removed, and its files with it."""
        jobs.remove(jobs.find(job, owner_of(request)))
        return Response(status_code=204)

    @routes.get("/jobs/{job}/files/{name}", responses={404: ANSWERS[404]})
    async def job_file(request: Request, job: str, name: str) -> Response:
        """A file that a job has made."""
        return answers.file_of(jobs.find(job, owner_of(request)), name)

    @routes.get("/jobs/{job}/live.mp3", responses={404: ANSWERS[404]})
    async def live(request: Request, job: str) -> StreamingResponse:
        """The sound of a track that was asked for with `live`, while it is rendered."""
        return await answers.streamed(jobs, jobs.find(job, owner_of(request)))

    @routes.post("/uploads", status_code=201, openapi_extra=takes(), responses=ANSWERS)
    async def upload(request: Request) -> JSONResponse:
        """A track, a recording or a score (MIDI, ABC, MusicXML, chart, plan): a form with one `file`."""
        async with request.form(max_files=1, max_fields=1) as form:
            sent = form.get("file")
            if not isinstance(sent, UploadFile):
                raise Refused("file: is missing; send a form with a file of this name", "file")
            made = await run_in_threadpool(jobs.upload, sent.filename or "", sent.file, owner_of(request))
        return JSONResponse(answers.upload_facts(made), 201, {"Location": f"/v1/uploads/{made.id}"})

    @routes.get("/uploads/{upload}", responses={404: ANSWERS[404]})
    async def upload_as_it_is(request: Request, upload: str) -> JSONResponse:
        """What is known of an upload."""
        return JSONResponse(answers.upload_facts(jobs.store.find(upload, owner_of(request), Upload)))

    @routes.get("/uploads/{upload}/files/{name}", responses={404: ANSWERS[404]})
    async def upload_file(request: Request, upload: str, name: str) -> Response:
        """A file that was made of an upload: its plan."""
        return answers.file_of(jobs.store.find(upload, owner_of(request), Upload), name)

    @routes.delete("/uploads/{upload}", status_code=204, responses={404: ANSWERS[404]})
    async def end_upload(request: Request, upload: str) -> Response:
        """Removes an upload."""
        jobs.remove(jobs.store.find(upload, owner_of(request), Upload))
        return Response(status_code=204)

    return routes
