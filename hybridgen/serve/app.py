"""The application: routes over a queue of jobs, and the page that uses them, behind a guard."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hybridgen import __version__
from hybridgen.serve import answers, chat, elevenlabs, library, metrics, openapi, plan_edits, routes, vllm_omni
from hybridgen.serve.guard import Guard
from hybridgen.serve.jobs import Jobs
from hybridgen.serve.owners import Owners
from hybridgen.serve.static import Page

ABOUT = "Instrumental music from a plan. What is asked for waits in a queue: 202 says where it is."
ROUTERS = tuple(part.routes for part in (routes, plan_edits, library, elevenlabs, vllm_omni, chat))


def create_app(jobs: Jobs, owners: Owners | None = None, names: tuple[str, ...] | None = None) -> FastAPI:
    """The application over `jobs`, which starts and closes with it unless it has been started.

    owners: who may come in. names: the hosts under which browsers may call it; None: any, for a server that needs keys.
    `request.state.owner` is whose each request is, a browser's cookie where nobody has a name. The page at "/" is a
    client like any other.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        is_ours = not jobs.is_open
        if is_ours:
            await run_in_threadpool(jobs.start)
        yield
        if is_ours:
            await run_in_threadpool(jobs.close)

    app = FastAPI(
        title="hybridgen",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    most, known = jobs.limits.upload_bytes, owners or Owners()
    app.add_middleware(Guard, known=known, names=names, upload_bytes=most, check_room=jobs.check_room)
    for kind in answers.REFUSALS:
        app.add_exception_handler(kind, answers.refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unrouted)
    app.state.jobs = jobs
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = lambda: openapi.describe(app, plan_edits.DOCUMENT["$defs"])  # type: ignore[method-assign]  # as FastAPI documents it

    @app.get("/health", responses=openapi.gives("it is ready", fails=(503,)))
    async def health() -> JSONResponse:
        """Whether jobs are taken: what a load balancer asks."""
        facts = {"model": jobs.model.title, "version": __version__, "workers": jobs.n_workers}
        status = "ok" if jobs.is_open else "starting"
        return JSONResponse({"status": status, **facts}, 200 if jobs.is_open else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=openapi.gives("numbers", media=("text/plain",)))
    async def numbers() -> Response:
        """How the server is doing, as Prometheus reads it."""
        return Response(metrics.page(jobs), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.router.default = Page(known)  # is asked for what no route is
    return app


async def _malformed(_: Request, error: Exception) -> Response:
    """The answer to a query that FastAPI has refused."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    return answers.said(422, f"{field}: {first['msg']}", field=field)


async def _unrouted(request: Request, error: Exception) -> Response:
    """The answer to a path or a method that there is not, and to a form that is none."""
    assert isinstance(error, HTTPException)
    methods = _methods(request.url.path) if error.status_code == 405 else []
    headers = {"Allow": ", ".join(methods)} if methods else error.headers
    return answers.said(error.status_code, error.detail, headers)


def _methods(path: str) -> list[str]:
    """The methods of all routes of a path."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    return sorted(method for one in found if one.path_regex.match(path) for method in one.methods or ())
