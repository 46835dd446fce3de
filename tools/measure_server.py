"""Does a server keep what it promises: python tools/measure_server.py --model tiny --workers 2

Starts `hybridgen serve` on loopback and asks too much of it, one promise after the other:

  burst    200 requests at once: every output is what it is when it is made alone, the excess is refused, how soon?
  cancels  100 jobs cancelled at random moments: how long until the worker does something else, beside a solver step
  abuse    200 requests that are wrong or hostile: each gets 4xx, nothing is kept of them
  soak     1,000 requests: how the memory of the server and of its workers grows
  kills    10 workers killed in the middle: their jobs say so, all others go on
  fuzz     schemathesis, where it is on the PATH, asks whatever the OpenAPI document allows, and what it forbids: no
           5xx, no hang, nothing answered that the document does not say; tracks are of 2 s at most
  memory   what each process has for itself, and what it shares

Prints a line a promise and exits with 1 where one is not kept.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

LONG = {"prompt": "endless drone", "seconds": 600, "num_steps": 1000}
REFUSED_WITHIN = 0.2  # seconds
SLOPE = 1.0  # MB per 1,000 requests
TRIVIAL = {"prompt": "a", "seconds": 0.5, "num_steps": 1}
UNSAID = "positive_data_acceptance"  # which words are a form, or notes of a bar, no schema says
SHORT, FEW = ("--max-seconds", "2", "--max-steps", "8"), 4  # so that what is asked for at random is soon made
KEY = "Authorization: Bearer measured-by-tool\r\n"


@dataclass
class Answer:
    """What a server has answered, and after how many seconds its status was there."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Report:
    """Lines about promises, and which are not kept."""

    broken: list[str] = field(default_factory=list)

    def say(self, name: str, is_kept: bool, text: str) -> None:
        """One line."""
        print(f"{'ok  ' if is_kept else 'FAIL'} {name:8s} {text}", flush=True)
        if not is_kept:
            self.broken.append(name)


def main() -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"of {' '.join(MEASURES)} (default: all)")
    parser.add_argument("--model", default="tiny", help="(default tiny)")
    parser.add_argument("--workers", type=int, default=2, help="(default 2)")
    parser.add_argument("--queue", type=int, default=32, help="(default 32)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers above, for a quick look (default 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of music in a burst (default 4)")
    args = parser.parse_args()
    report = Report()
    with serving(args.model, args.workers, args.queue) as server:
        for name in args.what or MEASURES:
            asyncio.run(MEASURES[name](server, args, report))
    return int(bool(report.broken))


# ---- the server


@dataclass
class Server:
    """A server that runs."""

    port: int
    process: psutil.Process

    async def ask(self, method: str, path: str, body: Any = None, headers: str = "") -> Answer:
        """One request on a connection of its own; `body` is bytes, or JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n{headers or KEY}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        first, rest = "", b""
        with contextlib.suppress(ConnectionResetError):  # of the rest of a body that is not wanted
            first = (await reader.readline()).decode()
            rest = await reader.read()
        seconds = time.perf_counter() - began
        writer.close()
        names, _, content = rest.partition(b"\r\n\r\n")
        pairs = (line.partition(": ")[::2] for line in names.decode("latin-1").split("\r\n"))
        found = {name.lower(): value for name, value in pairs}
        if found.get("transfer-encoding") == "chunked":
            content = b"".join(re.split(rb"(?:^|\r\n)[0-9a-f]+\r\n", content)[1:])
        return Answer(int(first.split()[1]) if first else 0, found, content, seconds)

    async def end_of(self, job: str, poll: float = 0.05) -> dict[str, Any]:
        """A job when it has ended."""
        while True:
            facts = (await self.ask("GET", f"/v1/jobs/{job}")).json
            if facts["state"] in ("done", "failed", "cancelled"):
                return facts
            await asyncio.sleep(poll)

    async def runs(self, job: str) -> dict[str, Any]:
        """A job when its worker has begun to report."""
        while not (facts := (await self.ask("GET", f"/v1/jobs/{job}")).json)["stage"]:
            await asyncio.sleep(0.05)
        return facts

    async def sha256(self, facts: dict[str, Any]) -> str:
        """Of the track of a job that is done."""
        sound = await self.ask("GET", facts["result"]["files"]["track.flac"])
        return hashlib.sha256(sound.body).hexdigest()

    def workers(self) -> list[psutil.Process]:
        """The processes that compute: what the nursery has started."""
        return [one for nursery in self.nurseries() for one in nursery.children() if one.status() != "zombie"]

    def nurseries(self) -> list[psutil.Process]:
        """The process that starts them."""
        return [one for one in self.process.children() if "spawn_main" in " ".join(one.cmdline())]


@contextlib.contextmanager
def serving(model: str, workers: int, queue: int, *more: str) -> Iterator[Server]:
    """A server of its own, ended at the end."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "hybridgen", "serve", "--model", model, "--workers", str(workers)]
    with subprocess.Popen(
        [*command, "--port", str(port), "--queue", str(queue), *more], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        server = Server(port, psutil.Process(process.pid))
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)):
                    break
            except ConnectionRefusedError:
                time.sleep(0.1)
        try:
            yield server
        finally:
            process.terminate()


# ---- the promises


async def burst(server: Server, args: argparse.Namespace, report: Report) -> None:
    """Many requests at once, then each that was accepted alone."""
    n = round(200 * args.scale)
    bodies = [{"prompt": "deep house, 122 BPM", "seconds": args.seconds, "seed": i} for i in range(n)]
    answers = await asyncio.gather(*(server.ask("POST", "/v1/tracks", body) for body in bodies))
    counts = Counter(answer.status for answer in answers)
    late = [answer.seconds for answer in answers if answer.status == 429]
    taken = [i for i, answer in enumerate(answers) if answer.status == 202]
    ended = [await server.end_of(answers[i].json["id"]) for i in taken]
    together = [await server.sha256(facts) if facts["state"] == "done" else facts["state"] for facts in ended]
    alone = []
    for i in taken:
        facts = await server.end_of((await server.ask("POST", "/v1/tracks", bodies[i])).json["id"])
        alone.append(await server.sha256(facts))
    same = sum(one == other for one, other in zip(together, alone, strict=True))
    is_same = same == len(taken) and len(set(alone)) == len(alone)
    report.say("burst", is_same, f"{same} of {len(taken)} outputs as alone")
    has_times = all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status == 429)
    is_soon = max(late, default=0) <= REFUSED_WITHIN
    text = f"{dict(counts)}; refused in {_ms(np.median(late or [0]))} (median), {_ms(max(late, default=0))} at most"
    report.say("burst", set(counts) <= {202, 429} and has_times and is_soon, text)


async def cancels(server: Server, args: argparse.Namespace, report: Report) -> None:
    """Jobs cancelled at random moments."""
    rng, took, states, steps = random.Random(0), [], Counter(), []
    for _ in range(round(100 * args.scale)):
        job = (await server.ask("POST", "/v1/tracks", LONG)).json["id"]
        began = await server.runs(job)
        await asyncio.sleep(rng.uniform(0, 1))
        now = (await server.ask("GET", f"/v1/jobs/{job}")).json
        if now["stage"] == began["stage"] and now["done"] > began["done"] and now["seconds_left"]:
            steps.append(now["seconds_left"] / max(1, now["total"] - now["done"]))
        asked = time.perf_counter()
        await server.ask("DELETE", f"/v1/jobs/{job}")
        states[(await server.end_of(job, 0.005))["state"]] += 1
        took.append(time.perf_counter() - asked)
    step = max(steps, default=0.0)
    text = f"{dict(states)}; ended after {_ms(np.median(took))} (median), {_ms(max(took))} at most; "
    report.say("cancels", set(states) == {"cancelled"}, f"{text}a step takes up to {_ms(step)}")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


async def abuse(server: Server, args: argparse.Namespace, report: Report) -> None:
    """Requests that are wrong or hostile."""
    kept, memory = await _metric(server, "hybridgen_kept"), server.process.memory_info().rss
    rng = random.Random(0)
    wrong = [_wrong(rng) for _ in range(round(200 * args.scale))]
    answers = [await server.ask(method, path, body, headers) for method, path, body, headers in wrong]
    counts = Counter(answer.status for answer in answers)
    is_kept = await _metric(server, "hybridgen_kept") == kept
    grown = (server.process.memory_info().rss - memory) / 1e6
    text = f"{dict(counts)}; {'nothing' if is_kept else 'something'} is kept; the server grew by {grown:.1f} MB"
    report.say("abuse", all(400 <= status < 500 for status in counts) and is_kept, text)


def _wrong(rng: random.Random) -> tuple[str, str, Any, str]:
    """Method, path, body and headers of a request that nobody should send."""
    path = rng.choice(["/v1/tracks", "/v1/plans", "/v1/edits", "/v1/exports", "/v1/music", "/v1/audio/generate"])
    form = "Content-Type: multipart/form-data; boundary=x\r\n"
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../x.mid"\r\n\r\n%s\r\n--x--\r\n'
    return rng.choice(
        [
            ("POST", path, b"{" * rng.randrange(1, 100_000), ""),
            ("POST", path, b'{"prompt": "x", "seconds": 1e%d}' % rng.randrange(5, 5000), ""),
            ("POST", path, {"prompt": "x" * rng.randrange(10_001, 1_000_000)}, ""),
            ("POST", path, {"prompt": "x", "input": "x", "change": "vary", "track": "../" * rng.randrange(1, 9)}, ""),
            (
                "POST",
                path,
                {"prompt": "x", "num_steps": rng.choice([0, -1, 10**9, "many", None, [], {}, 1001]), "n": 0},
                "",
            ),
            ("POST", path, {"prompt": "x", rng.choice(["__class__", "path", "file", "\0", "a" * 9999]): 1}, ""),
            (
                "POST",
                path,
                {"plan": {"hybridgen_plan": 1, "sections": [{"chords": ["Z"] * 9999}]}, "change": "loop"},
                "",
            ),
            ("POST", path, {"prompt": "x", "instrumental": False, "change": "cover", "track": "0"}, ""),
            ("POST", path, b" " * 5_000_000, ""),
            ("POST", "/v1/uploads", file % rng.randbytes(rng.randrange(1, 10_000)), form),
            ("POST", "/v1/uploads", b"--x\r\n" * 1000, form),
            ("GET", "/v1/jobs/" + rng.choice(["..%2f..", "%00", "0" * 2000, "x/files/../../etc/passwd"]), None, ""),
            ("DELETE", f"/v1/jobs/{rng.getrandbits(128):x}", None, ""),
            ("GET", "/v1/understand?prompt=" + "x" * 20_000, None, ""),
            ("POST", path, {"prompt": "x"}, "Origin: http://evil.example\r\n"),
            ("TRACE", path, None, ""),
        ]
    )


async def _metric(server: Server, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", (await server.ask("GET", "/metrics")).body.decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def soak(server: Server, args: argparse.Namespace, report: Report) -> None:
    """Many small requests, results fetched and removed; the memory after each hundred."""
    n = round(1000 * args.scale)
    memory: list[tuple[int, float, float]] = []
    for i in range(n + 1):
        if i % max(1, n // 20) == 0:
            own = server.process.memory_info().rss / 1e6
            memory.append((i, own, sum(one.memory_info().rss for one in server.workers()) / 1e6))
        job = (await server.ask("POST", "/v1/tracks", {**TRIVIAL, "seed": i})).json["id"]
        facts = await server.end_of(job, 0.01)
        await server.sha256(facts)
        await server.ask("POST", "/v1/tracks", {"tempo": i})
        await server.ask("DELETE", f"/v1/jobs/{job}")
    late = np.array(memory[len(memory) // 4 :])  # what is imported and cached at first is not growth
    slopes = [np.polyfit(late[:, 0], late[:, column], 1)[0] * 1000 for column in (1, 2)]
    text = f"server {slopes[0]:+.2f} MB per 1,000, its workers {slopes[1]:+.2f} MB"
    report.say("soak", slopes[0] < SLOPE, f"{text}; {late[-1, 1]:.0f} MB and {late[-1, 2]:.0f} MB at the end")


async def kills(server: Server, args: argparse.Namespace, report: Report) -> None:
    """Workers killed while they work, with others at work beside them."""
    said, going = Counter[str](), 0
    good = {"prompt": "deep house, 122 BPM", "seconds": args.seconds, "seed": 1}
    expected = await server.sha256(await server.end_of((await server.ask("POST", "/v1/tracks", good)).json["id"]))
    for _ in range(round(10 * args.scale)):
        busy = {one.pid: sum(one.cpu_times()[:2]) for one in server.workers()}
        job = (await server.ask("POST", "/v1/tracks", LONG)).json["id"]
        await server.runs(job)
        await asyncio.sleep(0.5)
        now = {one: sum(one.cpu_times()[:2]) - busy.get(one.pid, 0) for one in server.workers()}
        other = (await server.ask("POST", "/v1/tracks", good)).json["id"] if args.workers > 1 else None
        max(now, key=lambda one: now[one]).kill()
        facts = await server.end_of(job)
        said[f"{facts['state']}: {facts.get('error', {}).get('message')}"] += 1
        other = other or (await server.ask("POST", "/v1/tracks", good)).json["id"]
        facts = await server.end_of(other)
        going += facts["state"] == "done" and await server.sha256(facts) == expected
    restarts = await _metric(server, "hybridgen_worker_restarts_total")
    text = f"{dict(said)}; {going} others as ever; {restarts:.0f} restarts"
    report.say("kills", len(said) == 1 and "started again" in next(iter(said)) and going == said.total(), text)


async def fuzz(_: Server, args: argparse.Namespace, report: Report) -> None:
    """Schemathesis against a server whose jobs are short; its report is kept where a promise is not."""
    program = shutil.which("schemathesis")
    if program is None:
        report.say("fuzz", True, "schemathesis is not on the PATH: pipx install schemathesis")
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(args.model, args.workers, FEW, *SHORT) as server,
    ):
        options = ["--checks", "all", "--exclude-checks", UNSAID, "--continue-on-failure", "--no-color", "--seed", "1"]
        options += ["--max-examples", str(round(200 * args.scale)), "-H", KEY.strip()]
        options += ["--request-timeout", "120", "--max-response-time", "120"]
        url = f"http://127.0.0.1:{server.port}/openapi.json"
        process = await asyncio.create_subprocess_exec(
            *(program, "run", url, *options, "--report", "json", "--report-json-path", "report.json"),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        died = await _metric(server, "hybridgen_worker_restarts_total")
        page = (await server.ask("GET", "/metrics")).body.decode()
    summary = said[said.rfind("= SUMMARY =") :]
    found = re.search(r"(\d+) generated(.*)", summary)
    text = f"{found[1]} cases{found[2]}" if found else "it did not run"
    report.say(
        "fuzz", process.returncode == 0 and not died, f"{text}; jobs {_by_state(page)}; {died:.0f} workers have died"
    )
    if process.returncode:
        print(said)


def _by_state(page: str) -> dict[str, int]:
    """Jobs that have ended so, on a page of metrics."""
    found = Counter[str]()
    for state, n in re.findall(r'hybridgen_jobs_total\{.*state="(\w+)"\} (\d+)', page):
        found[state] += int(n)
    return dict(found)


async def memory(server: Server, args: argparse.Namespace, report: Report) -> None:
    """What processes have for themselves after some work."""
    for i in range(2 * args.workers):
        body = {"prompt": "deep house", "seconds": 30, "seed": i}
        await server.end_of((await server.ask("POST", "/v1/tracks", body)).json["id"])
    rows: list[tuple[str, Sequence[psutil.Process]]] = [("server", [server.process])]
    for name, processes in (*rows, ("nursery", server.nurseries()), ("worker", server.workers())):
        for one in processes:
            full = one.memory_full_info()
            text = f"{name} {one.pid}: {full.rss / 1e6:.0f} MB resident, of which {full.uss / 1e6:.0f} MB its own"
            report.say("memory", True, f"{text}, {full.pss / 1e6:.0f} MB its share")


MEASURES = {
    "burst": burst,
    "cancels": cancels,
    "abuse": abuse,
    "soak": soak,
    "kills": kills,
    "fuzz": fuzz,
    "memory": memory,
}

if __name__ == "__main__":
    sys.exit(main())
