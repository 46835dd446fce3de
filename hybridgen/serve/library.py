"""The library: tracks that somebody has made or sent; what is said of them is read from their manifests."""

import functools
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from hybridgen import manifest, pack
from hybridgen.history import Render
from hybridgen.manifest import Manifest
from hybridgen.plan.plan import Plan
from hybridgen.plan.serial import summary
from hybridgen.serve import answers, plan_edits
from hybridgen.serve.answers import body_of, owner_of, queue_of
from hybridgen.serve.items import Job, Upload
from hybridgen.serve.jobs import Jobs
from hybridgen.serve.openapi import LOCKED, MISSING, gives, takes_object
from hybridgen.serve.refusals import Refused
from hybridgen.serve.store import Kept, Unknown

MOST = 200  # tracks in one answer
MARKS = ("starred", "removed")
MARKED = {"type": "object", "properties": {name: {"type": "boolean"} for name in MARKS}, "additionalProperties": False}
routes = APIRouter(prefix="/v1")


async def own(request: Request, item: str) -> Kept:
    """The job or upload of a path, which is the client's own."""
    return queue_of(request).store.find(item, owner_of(request), Kept)


Own = Annotated[Kept, Depends(own)]
Queue = Annotated[Jobs, Depends(queue_of)]


@routes.get("/library", responses=gives("tracks of the list", "Listed", fails=(*LOCKED, 422)))
def library(
    request: Request,
    jobs: Queue,
    search: Annotated[str, Query(max_length=200, examples=["house"])] = "",
    starred: bool = False,
    removed: bool = False,
    skip: Annotated[int, Query(ge=0)] = 0,
) -> JSONResponse:
    """Tracks made or sent, newest first, those under way included; all words must be in prompt, key or form."""
    words = search.lower().split()
    mine = [item for item in jobs.store.of(owner_of(request)) if item.is_track]
    chosen = [item for item in mine if (item.removed is not None) == removed and (item.starred or not starred)]
    rows = [row for row in map(entry, chosen) if all(word in _searched(row) for word in words)]
    return JSONResponse({"tracks": rows[skip : skip + MOST], "total": len(rows)})


@routes.get("/library/{item}", responses=gives("the track", "Entry", fails=MISSING))
async def track(found: Own) -> JSONResponse:
    """One of them, with what made it: prompt, plan, seeds, steps, and the changes since."""
    return JSONResponse(await run_in_threadpool(settings, found))


@routes.patch(
    "/library/{item}",
    responses=gives("the track", "Entry", fails=(*MISSING, 413)),
    openapi_extra=takes_object(MARKED, {"starred": True}),
)
async def mark(request: Request, jobs: Queue, found: Own) -> Response:
    """Stars a track, or puts it into the bin (`removed`), from which it can be had back for a day."""
    fields = await body_of(request)
    for name, value in fields.items():
        if name not in MARKS or not isinstance(value, bool):
            raise Refused(f"{name[:60]} {str(value)[:60]}: known are starred and removed, true or false", name)
    await run_in_threadpool(jobs.mark, found, **fields)
    return JSONResponse(entry(found))


@routes.get("/library/{item}/views/{name}", responses=gives("the plan", "Viewed", fails=MISSING))
async def view(found: Own, name: str) -> JSONResponse:
    """A plan among the files of a job or an upload, and what there is to draw and play of it."""
    if not name.endswith(".json"):
        raise Unknown(f"file {name[:60]!r} is no plan: those end in .json")
    path = answers.path_of(found, name)
    return JSONResponse(await run_in_threadpool(lambda: plan_edits.seen(_plan(path))))


def entry(item: Kept) -> dict[str, Any]:
    """What the list says of a track."""
    state = item.event.to_dict() if isinstance(item, Job) else {"state": "done"}
    kind = item.kind if isinstance(item, Job) else "upload"
    facts: dict[str, Any] = {"id": item.id, "kind": kind, **state, "made": item.made, "starred": item.starred}
    facts |= {"removed": item.removed is not None, "of": item.of if isinstance(item, Job) else None}
    base = f"/v1/{'jobs' if isinstance(item, Job) else 'uploads'}/{item.id}"
    facts |= {"where": base, "files": {name: f"{base}/files/{name}" for name in item.files}}
    return facts | _facts(item)


def _searched(row: dict[str, Any]) -> str:
    return " ".join(str(row.get(name) or "") for name in ("title", "prompt", "kind", "summary", "form")).lower()


def _facts(item: Kept) -> dict[str, Any]:
    source = item.source if isinstance(item, Job | Upload) else None
    if source is not None and source.exists() and (found := _in_file(source, source.stat().st_mtime_ns)) is not None:
        return found
    if isinstance(item, Upload):
        return {"title": item.facts.get("name") or "Recording", "prompt": "", "seconds": item.facts.get("seconds")}
    request = item.request if isinstance(item, Job) else {}
    prompt = str(request.get("prompt") or request.get("plan", {}).get("prompt", ""))
    return {"title": prompt[: pack.MAX_TITLE] or "Track", "prompt": prompt}


@functools.lru_cache(4096)
def _in_file(path: Path, _changed: int) -> dict[str, Any] | None:
    """What the manifest of a track says of it; None where there is none that can be read."""
    if (record := _manifest(path)) is None:
        return None
    plan = record.plan
    form = " ".join(section.label or "?" for section in plan.sections)
    tempo = plan.tempo[0].bpm if plan.tempo else None
    facts = {"title": pack.title(plan), "prompt": plan.prompt, "summary": summary(plan), "form": form}
    return {**facts, "seconds": round(plan.seconds, 3), "bars": plan.n_bars, "tempo": tempo, "key": plan.key}


def settings(item: Kept) -> dict[str, Any]:
    """What the list says of a track, and what its manifest says made it."""
    row = entry(item)
    source = item.source if isinstance(item, Job | Upload) else None
    record = None if source is None else _manifest(source)
    if record is None:
        return row
    first = record.operations[0]
    row |= {"is_recording": record.is_recording, **plan_edits.seen(record.plan)}
    row["changes"] = len(record.operations) - 1
    if isinstance(first, Render):
        row["settings"] = {"prompt": first.plan.prompt, "plan_seed": first.plan.seed, "render_seed": first.seed}
        row["settings"] |= {name: getattr(first.sampling, name) for name in ("num_steps", "guidance_scale")}
    return row


def _manifest(path: Path) -> Manifest | None:
    try:
        return manifest.read(path) if manifest.carries(path) else None
    except (ValueError, OSError):
        return None


def _plan(path: Path) -> Plan:
    return Plan.from_json(path.read_text(encoding="utf-8"))
