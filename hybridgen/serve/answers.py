"""What is answered: jobs and uploads as JSON, results as files, refusals with what would have been accepted."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from hybridgen.progress import Cancelled
from hybridgen.serve.guard import error_body
from hybridgen.serve.items import Failed, Job, Upload, outcome
from hybridgen.serve.jobs import Full, Jobs
from hybridgen.serve.refusals import Refused
from hybridgen.serve.store import Kept, Unknown

MEDIA = {  # ending -> type of a file
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".opus": "audio/ogg",
    ".json": "application/json",
    ".jams": "application/json",
    ".zip": "application/zip",
    ".mid": "audio/midi",
    ".midi": "audio/midi",
    ".musicxml": "application/vnd.recordare.musicxml+xml",
}
POLLED = 0.05  # seconds between two looks at a file that grows, or at whether a client is still there


def media(path: Path) -> str:
    """The media type of one of our files."""
    return MEDIA.get(path.suffix, "text/plain; charset=utf-8")


def job_facts(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    base = f"/v1/jobs/{job.id}"
    facts: dict[str, Any] = {"id": job.id, "kind": job.kind, **job.event.to_dict()}
    facts |= {"seed": job.facts.get("seed", job.request.get("seed")), "events": f"{base}/events"}
    if job.event.state == "done":
        facts["result"] = {**job.facts, "files": {name: f"{base}/files/{name}" for name in job.files}}
    if job.problem is not None:
        facts["error"] = {"message": job.problem}
    return facts


def upload_facts(upload: Upload) -> dict[str, Any]:
    """An upload as JSON values."""
    files = {name: f"/v1/uploads/{upload.id}/files/{name}" for name in upload.files}
    return {"id": upload.id, **upload.facts, "files": files}


def accepted(job: Job) -> JSONResponse:
    """That a job waits, and where it is."""
    return JSONResponse(job_facts(job), 202, {"Location": f"/v1/jobs/{job.id}"})


def file_of(item: Kept, name: str) -> FileResponse:
    """One of the files of an item."""
    path = path_of(item, name)
    return FileResponse(path, media_type=media(path), filename=name)


def path_of(item: Kept, name: str) -> Path:
    """A file of an item, by its name in the list of them; Unknown for any other name."""
    if name not in item.files or not item.files[name].exists():
        raise Unknown(f"file {name[:60]!r} is none of {', '.join(item.files)}")
    return item.files[name]


def sound(job: Job) -> FileResponse:
    """The sound of a track that is done, and how it is found again."""
    name = f"track.{job.request['format']}"
    answer = file_of(job, name)
    answer.headers.update({"song-id": job.id, "seed": str(job.facts["seed"]), "Location": f"/v1/jobs/{job.id}"})
    return answer


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request; Refused for anything else."""
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Refused("body: is not JSON") from None
    if not isinstance(found, dict):
        raise Refused("body: holds no JSON object")
    return found


def owner_of(request: Request) -> str:
    """Whose a request is, as the guard has found."""
    return request.state.owner


def queue_of(request: Request) -> Jobs:
    """The queue that an application is made over."""
    return request.app.state.jobs


async def submitted(request: Request, kind: str, fields: Mapping[str, Any]) -> Job:
    """A new job of the request's owner; see `Jobs.submit`."""
    jobs = queue_of(request)
    with jobs.place():  # before anything else is done for it
        return await run_in_threadpool(jobs.enqueue, kind, fields, owner_of(request))


async def finished(request: Request, job: Job) -> Job:
    """A job that is done, waited for; Failed or Cancelled. A client that goes away cancels it."""
    jobs = queue_of(request)

    async def wait() -> None:
        async for _ in jobs.watch(job):
            pass

    waiting = asyncio.ensure_future(wait())
    try:
        while not (await asyncio.wait({waiting}, timeout=10 * POLLED))[0]:
            if await request.is_disconnected():
                break
    finally:
        if not job.event.is_final:
            jobs.cancel(job)
            await waiting
    outcome(job)
    return job


async def streamed(jobs: Jobs, job: Job, kind: str = "mp3", cancels: bool = True) -> StreamingResponse:
    """The sound of a live track while it is rendered; Failed where there is none.

    cancels: whether nobody wants the track any more when this client stops listening.
    """
    if not job.request.get("live"):
        raise Unknown(f"job {job.id} is not live: a track is with live true")
    pieces = _growing(jobs, job, job.live(kind), cancels)
    first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    headers = {"song-id": job.id, "seed": str(job.request["seed"])}
    return StreamingResponse(all_pieces(), 200, headers, MEDIA[f".{kind}"])


async def _growing(jobs: Jobs, job: Job, path: Path, cancels: bool) -> AsyncIterator[bytes]:
    """The bytes of a file that grows, to the end of its job; Failed or Cancelled where that is not a good one."""
    sent = 0
    try:
        while True:
            is_over = job.event.is_final
            data = await run_in_threadpool(_from, path, sent)
            sent += len(data)
            if data:
                yield data
            elif is_over:
                outcome(job)
                return
            else:
                await asyncio.sleep(POLLED)
    finally:
        if cancels and not job.event.is_final:
            jobs.cancel(job)


def _from(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(1 << 16)
    except FileNotFoundError:
        return b""


# ---- refusals


def said(status: int, why: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """An error."""
    return Response(error_body(why, **more), status, headers, "application/json")


def refused(_: Request, error: Exception) -> Response:
    """The answer to what `Jobs` raises."""
    match error:
        case Refused():
            return said(422, str(error), field=error.field, suggestion=error.suggestion)
        case Full():
            return said(429, str(error), {"Retry-After": str(error.retry_after)})
        case Unknown():
            return said(404, str(error))
        case Failed():
            return said(503 if error.is_ours else 422, str(error), {"Retry-After": "1"} if error.is_ours else None)
        case Cancelled():
            return said(409, str(error))
        case OSError():
            return said(503, error.strerror or "the disk cannot be used", {"Retry-After": "60"})
        case _:
            raise error


REFUSALS = (Refused, Full, Unknown, Failed, Cancelled, OSError)
