"""The page as a Space of the Hub, and beside it Gradio's API and MCP tools over the same queue.

    python demos/app.py                    http://127.0.0.1:7860, for this machine alone
    python demos/app.py --host 0.0.0.0     for everybody, as in a Space: each browser sees its own

    from gradio_client import Client
    facts, path = Client("http://127.0.0.1:7860").predict("deep house", {"seconds": 30, "seed": 7}, api_name="/track")

MCP clients find the same three tools (plan, track, edit) at http://127.0.0.1:7860/gradio_api/mcp/.

One process and one queue: what these make is in the library of whoever asks, and all limits hold. `hybridgen demo` is
the same page without Gradio.
"""

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio asks for it while it is imported

import gradio

from hybridgen.progress import Cancelled
from hybridgen.serve.app import create_app
from hybridgen.serve.items import Failed, Job
from hybridgen.serve.jobs import Full, Jobs
from hybridgen.serve.limits import Limits
from hybridgen.serve.nursery import Model
from hybridgen.serve.owners import LOCAL_NAMES, Owners, is_loopback
from hybridgen.serve.refusals import Refused
from hybridgen.serve.store import Unknown


class Beside:
    """ASGI middleware: Gradio's own paths go to Gradio, all others to the page and /v1."""

    GRADIO = ("/gradio_api", "/config")  # what its clients ask for

    def __init__(self, app: ASGIApp, page: ASGIApp) -> None:
        self._gradio, self._page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_gradio = scope["type"] == "lifespan" or scope["path"].startswith(self.GRADIO)
        await (self._gradio if is_gradio else self._page)(scope, receive, send)


class Tools:
    """What Gradio's clients and MCP may call: jobs of the queue, waited for."""

    def __init__(self, jobs: Jobs, owners: Owners) -> None:
        self._jobs, self._owners = jobs, owners

    def plan(self, prompt: str, controls: dict, request: gradio.Request) -> list[dict]:
        """Plans for a sentence, as JSON that can be edited: sections, chords, roles, notes.

        Args:
            prompt: what the music should be, in words
            controls: what is fixed, such as {"seconds": 30, "tempo": 96, "key": "A minor", "n": 2, "seed": 7}
        """
        job = self._done("plans", {**controls, "prompt": prompt}, request)
        return [json.loads(path.read_text(encoding="utf-8")) for path in job.files.values()]

    def track(self, prompt: str, controls: dict, request: gradio.Request) -> tuple[dict, gradio.FileData]:
        """A track from a sentence, or of a plan (an empty sentence, and the plan among the controls).

        Args:
            prompt: what the music should be, in words
            controls: what is fixed, such as {"seconds": 30, "tempo": 96, "seed": 7}, or {"plan": {...}}
        """
        words = {"prompt": prompt} if prompt else {}
        return self._track(self._done("track", {**controls, **words}, request))

    def edit(self, track: str, change: str, fields: dict, request: gradio.Request) -> tuple[dict, gradio.FileData]:
        """Another track out of a track: repaint, extend, loop, vary, cover, layer or style.

        Args:
            track: the id of the track
            change: which change
            fields: of the change, such as {"bars": [3, 4], "chords": ["Am", "F"]} for repaint, {"bars": 8} for extend
        """
        return self._track(self._done(change, {**fields, "track": track}, request))

    def _done(self, kind: str, fields: Mapping[str, Any], request: gradio.Request) -> Job:
        """A job of whoever asks, once it is done; gradio.Error, in one line, where it cannot be."""
        try:
            job = self._jobs.submit(kind, fields, self._owners.of(request.headers))
            self._jobs.result(job)
        except (Refused, Unknown, Full, Failed, Cancelled) as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return job

    def _track(self, job: Job) -> tuple[dict, gradio.FileData]:
        assert job.source is not None  # of these kinds it has one
        facts = {"id": job.id, **job.facts, "where": f"/v1/jobs/{job.id}/files/{job.source.name}"}
        return facts, gradio.FileData(path=str(job.source), orig_name=job.source.name)


def build(jobs: Jobs, owners: Owners, names: tuple[str, ...] | None) -> gradio.Server:
    """The server that has both; `launch` starts it."""
    server = gradio.Server(title="hybridgen", docs_url=None, redoc_url=None, openapi_url=None)
    server.add_middleware(Beside, page=create_app(jobs, owners, names))
    tools = Tools(jobs, owners)
    for tool in (tools.plan, tools.track, tools.edit):
        server.api(tool, name=tool.__name__, concurrency_limit=8)
    return server


def main() -> None:
    """The Space, until a signal ends it."""
    parser = argparse.ArgumentParser(description="The page, REST, Gradio's API and MCP in one process.")
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")  # a Space sets it
    parser.add_argument("--host", default=host, help="(default 127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="(default 7860)")
    parser.add_argument("--model", help="(default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=120.0, help="of music, at most (default 120)")
    args = parser.parse_args()
    is_local = is_loopback(args.host)
    owners = Owners(are_one=is_local, framed_by=() if is_local else ("https://huggingface.co",))
    with Jobs(Model(args.model), limits=Limits(seconds=args.seconds, queue=16, disk_gb=2.0)) as jobs:
        build(jobs, owners, LOCAL_NAMES if is_local else None).launch(
            server_name=args.host,
            server_port=args.port,
            mcp_server=True,
            run_history=False,
            share=False,
            ssr_mode=False,
            quiet=True,
            allowed_paths=[str(jobs.store.root)],
        )


if __name__ == "__main__":
    main()
