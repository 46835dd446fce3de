"""Tracks on several processes or machines, behind one address: python demos/ray_serve.py --replicas 2

Each replica loads the model and makes one track at a time; Ray Serve starts them where there is room in its cluster
(https://docs.ray.io), spreads the requests, and starts a replica again that dies. Needs `hybridgen[ray]`.
A request has the fields of `POST /v1/tracks` (docs/serve.md) and is answered with the file:

    curl -f http://127.0.0.1:8000/ -d '{"prompt": "deep house, 122 BPM", "seconds": 30, "seed": 7}' -o house.flac

The same request with the same seed gives the same bytes, whichever replica makes it. For one machine `hybridgen serve`
is the better choice: its workers share the weights in memory, and it has a queue, owners and limits on uploads.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hybridgen.pipeline import Pipeline
from hybridgen.serve import requests
from hybridgen.serve.limits import Limits
from hybridgen.serve.refusals import Refused
from hybridgen.serve.work import Task, perform

MAX_BODY = 1 << 20  # bytes of a request
WAITING = 8  # requests that wait for a replica; further ones are refused with 503


class Nobody:
    """The other end of a task whose progress is not listened to."""

    def send(self, message: Any) -> None:
        """Says nothing to anyone."""

    def receive(self, seconds: float | None = None) -> None:
        """Nothing is ever said."""


class Tracks:
    """One replica: a model, and the tracks that it makes, one after the other."""

    def __init__(self, model: str, threads: int):
        torch.set_num_threads(threads)
        self.pipe, self.limits = Pipeline.from_pretrained(model).load(), Limits()

    async def __call__(self, request: Request) -> Response:
        """The file of a track, or in one line why there is none."""
        body = await request.body()
        try:
            if len(body) > MAX_BODY:
                raise Refused(f"{len(body)} bytes are over the limit of {MAX_BODY}")
            checked = requests.check("track", json.loads(body), self.limits)
            name, content = await asyncio.to_thread(self.make, checked)
        except ValueError as error:  # no JSON, or refused
            return JSONResponse({"error": {"message": str(error)}}, 422)
        return Response(content, headers={"Content-Disposition": f"attachment; filename={name}"})

    def make(self, checked: dict[str, Any]) -> tuple[str, bytes]:
        """The name and the bytes of the file that a checked request asks for."""
        with tempfile.TemporaryDirectory() as folder:
            task = Task(self.pipe, Nobody(), "one", "track", Path(folder), checked, self.limits.seconds)
            name = perform(task).files[0]
            return name, (Path(folder) / name).read_bytes()


def start(model: str, replicas: int, threads: int, port: int) -> None:
    """Starts the replicas here, or in the cluster that `ray start` made, and answers on a port of this machine."""
    ray.init(include_dashboard=False, ignore_reinit_error=True)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    options = {"num_cpus": threads}
    deployment = serve.deployment(
        Tracks, num_replicas=replicas, max_ongoing_requests=1, max_queued_requests=WAITING, ray_actor_options=options
    )
    serve.run(deployment.bind(model, threads), name="hybridgen")


def main() -> None:
    """Starts, and stays until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny", metavar="tiny|FOLDER|HUB_ID", help="what every replica loads")
    parser.add_argument("--replicas", type=int, default=2, metavar="N", help="tracks at once (default 2)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the processor, each (default 1)")
    parser.add_argument("--port", type=int, default=8000, metavar="P", help="(default 8000)")
    args = parser.parse_args()
    start(args.model, args.replicas, args.threads, args.port)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        serve.shutdown()


if __name__ == "__main__":
    main()
