"""The server: jobs over worker processes that may die, REST over jobs, and files of strangers."""

import asyncio
import errno
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
import soundfile

from hybridgen import manifest
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.progress import Cancelled
from hybridgen.serve import jobs as jobs_module
from hybridgen.serve import openapi, store
from hybridgen.serve.items import Failed, Job
from hybridgen.serve.jobs import Full, Jobs
from hybridgen.serve.kinds import CHANGES, KINDS
from hybridgen.serve.limits import Limits
from hybridgen.serve.refusals import Refused
from hybridgen.serve.requests import check
from hybridgen.serve.store import Kept, Store, Unknown

LONG = {"prompt": "endless drone", "seconds": 600, "num_steps": 1000}  # hours of work
SHORT = {"prompt": "deep house, 120 BPM, 4/4", "seconds": 4, "seed": 3}
ANNA, BOB = {"Authorization": "Bearer anna-anna"}, {"Authorization": "Bearer bob-bob-bob"}


@pytest.fixture
def anna(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, headers=ANNA, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def track(jobs: Jobs) -> Job:
    """A track of nobody in particular, and its result."""
    job = jobs.submit("track", SHORT, "me")
    jobs.result(job, 120)
    return job


def done(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """What a job has become."""
    assert answer.status_code == 202, answer.text
    with client.stream("GET", f"{answer.headers['Location']}/events") as lines:
        data = [line.removeprefix("data: ") for line in lines.iter_lines() if line.startswith("data: ")]
    return json.loads(data[-1])


def until_it_runs(jobs: Jobs, job: Job) -> None:
    for event in jobs.events(job):
        if event.stage:
            return


# ---- the queue


def test_a_job_makes_what_the_pipeline_makes(jobs: Jobs, note_model: Path, track: Job):
    result = jobs.result(track)
    expected = Pipeline.from_pretrained(note_model).generate(SHORT["prompt"], seconds=4, seed=3)
    samples, rate = soundfile.read(result.files["track.flac"], dtype="float32", always_2d=True)
    assert rate == 44_100 and np.array_equal(samples.T, expected.samples)
    assert Plan.from_json(result.files["plan.json"].read_text()) == expected.plan
    assert manifest.verify(result.files["track.flac"]) == []
    assert (result.facts["seed"], result.facts["seconds"], result.facts["tempo"]) == (3, 4.0, 120.0)


def test_events_lead_to_the_end_and_the_last_is_never_missed(jobs: Jobs):
    job = jobs.submit("track", SHORT, "me")
    events = list(jobs.events(job))
    states = list(dict.fromkeys(event.state for event in events))
    assert states in (["queued", "running", "done"], ["running", "done"])
    assert {"planning", "rendering"} <= {event.stage for event in events}
    assert all(event.done <= event.total for event in events)
    assert list(jobs.events(job)) == [events[-1]]  # whoever comes late is told how it ended


def test_what_runs_stops_when_it_is_cancelled_and_leaves_nothing(jobs: Jobs):
    job = jobs.submit("track", LONG, "me")
    until_it_runs(jobs, job)
    worker = job.worker
    jobs.cancel(job)
    with pytest.raises(Cancelled):
        jobs.result(job, 30)
    assert not job.folder.exists()
    assert worker is not None and worker.is_open  # it was told, not killed


def test_what_waits_is_cancelled_at_once_and_a_full_queue_says_when_to_come_again(jobs: Jobs):
    running = [jobs.submit("track", LONG, "me") for _ in range(2)]
    for job in running:
        until_it_runs(jobs, job)
    waiting = [jobs.submit("track", LONG, "me") for _ in range(3)]
    assert [job.event.ahead for job in waiting] == [0, 1, 2]
    with pytest.raises(Full) as full:
        jobs.submit("track", SHORT, "me")
    assert 1 <= full.value.retry_after <= 600
    jobs.cancel(waiting[0])
    assert waiting[0].event.state == "cancelled" and [job.event.ahead for job in waiting[1:]] == [0, 1]
    for job in (*running, *waiting):
        jobs.remove(job)
    assert [list(jobs.events(job))[-1].state for job in (*running, *waiting)] == ["cancelled"] * 5


def test_a_worker_that_is_killed_is_started_again_and_its_job_says_so(jobs: Jobs):
    job, other = jobs.submit("track", LONG, "me"), jobs.submit("track", LONG, "me")
    until_it_runs(jobs, job)
    until_it_runs(jobs, other)
    before = jobs.restarts
    assert job.worker is not None
    os.kill(job.worker.pid, signal.SIGKILL)
    with pytest.raises(Failed, match="has ended and is started again") as failed:
        jobs.result(job, 30)
    assert failed.value.is_ours and other.event.state == "running"
    assert jobs.result(jobs.submit("track", SHORT, "me"), 60).facts["seed"] == 3
    assert jobs.restarts == before + 1
    jobs.cancel(other)


def test_a_worker_that_hangs_is_killed_when_its_job_must_end(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs_module, "GRACE", 0.2)
    job = jobs.submit("track", LONG, "me")
    until_it_runs(jobs, job)
    assert job.worker is not None
    os.kill(job.worker.pid, signal.SIGSTOP)
    jobs.cancel(job)
    with pytest.raises(Cancelled):
        jobs.result(job, 30)
    assert jobs.result(jobs.submit("track", SHORT, "me"), 60).facts["seed"] == 3


def test_a_job_ends_that_takes_too_long(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "limits", replace(jobs.limits, job_seconds=0.5))
    with pytest.raises(Failed, match=r"more than the 0\.5 s that a job may take"):
        jobs.result(jobs.submit("track", LONG, "me"), 60)


def test_a_loop_that_is_too_long_here_is_not_rendered(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "limits", replace(jobs.limits, seconds=2.0))
    job = jobs.submit("loop", {"prompt": "deep house, 120 BPM, 4/4", "bars": 4}, "me")
    assert "rendering" not in {event.stage for event in jobs.events(job)}
    with pytest.raises(Failed, match="the track of 8 s is over the limit of 2 s here"):
        jobs.result(job, 60)
    job = jobs.submit("loop", {"prompt": "deep house, 120 BPM, 4/4", "bars": 1, "seed": 3}, "me")
    assert jobs.result(job, 60).facts["seconds"] == 2


def test_a_nursery_that_is_killed_is_started_again(jobs: Jobs):
    process = jobs._nursery._process
    assert process is not None and process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    job = jobs.submit("track", LONG, "me")
    until_it_runs(jobs, job)  # workers live on
    assert job.worker is not None
    os.kill(job.worker.pid, signal.SIGKILL)
    with pytest.raises(Failed):
        jobs.result(job, 30)
    jobs_of_both = [jobs.submit("track", SHORT, "me") for _ in range(2)]
    assert [jobs.result(one, 120).facts["seed"] for one in jobs_of_both] == [3, 3]


def test_events_of_many_listeners_need_no_thread_each(jobs: Jobs):
    job = jobs.submit("track", SHORT, "me")
    before = threading.active_count()

    async def all_of_them() -> list[str]:
        async def last() -> str:
            states = [event.state async for event in jobs.watch(job)]
            assert threading.active_count() <= before + 1
            return states[-1]

        return await asyncio.gather(*(last() for _ in range(100)))

    assert asyncio.run(all_of_them()) == ["done"] * 100
    assert job.listeners == []


def test_a_model_that_is_none_is_one_line(tmp_path: Path):
    with pytest.raises(ValueError, match=r"^[^\n]*nowhere[^\n]*$"):
        Jobs(jobs_module.Model(str(tmp_path / "nowhere"))).start()


def test_sources_are_those_of_their_owner_that_are_done(jobs: Jobs, track: Job):
    with pytest.raises(Unknown, match="not here, or not yours"):
        jobs.submit("vary", {"track": track.id}, "somebody else")
    with pytest.raises(Unknown):
        jobs.submit("vary", {"track": "/etc/passwd"}, "me")
    running = jobs.submit("track", LONG, "me")
    with pytest.raises(Refused, match=r"is (queued|running), not done"):
        jobs.submit("vary", {"track": running.id}, "me")
    jobs.cancel(running)
    plans = jobs.submit("plans", {"prompt": "jazz", "seconds": 2, "n": 2}, "me")
    assert list(jobs.result(plans, 60).files) == ["plan-1.json", "plan-2.json"]
    with pytest.raises(Refused, match="holds none of"):
        jobs.submit("vary", {"track": plans.id}, "me")


def test_what_is_kept_is_bounded_and_the_oldest_gives_way():
    store = Store(max_bytes=1000, max_kept=3)
    items = []
    for size in (400, 300, 10, 10, 500):
        name, folder = store.place()
        (folder / "x").write_bytes(b" " * size)
        items.append(Kept(name, "me", folder))
        store.add(items[-1])
        store.settle(items[-1])
    assert [item.folder.exists() for item in items] == [False, False, True, True, True]
    assert (store.n_kept, store.n_bytes) == (3, 520)
    with pytest.raises(Unknown):
        store.find(items[0].id, "me", Kept)
    store.close()
    assert not items[-1].folder.exists()


def test_files_go_while_the_queue_works_on_and_before_a_job_is_said_to_have_ended(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    going, may_go, seen = threading.Event(), threading.Event(), list[str]()

    def slow(folder: Path) -> None:
        going.set()
        assert may_go.wait(30)
        seen.append(job.event.state)
        store.discard(folder)

    running = [jobs.submit("track", LONG, "me") for _ in range(2)]
    for one in running:
        until_it_runs(jobs, one)
    job = jobs.submit("track", LONG, "me")
    with monkeypatch.context() as patched:
        patched.setattr(jobs_module, "discard", slow)
        ending = threading.Thread(target=jobs.cancel, args=(job,))
        ending.start()
        assert going.wait(30)
        other = jobs.submit("track", LONG, "me")  # takes the lock
        assert jobs.n_waiting == 1 and job.event.state == "queued" and ending.is_alive()
        may_go.set()
        ending.join(30)
    assert seen == ["queued"] and job.event.state == "cancelled" and not job.folder.exists()
    for one in (*running, other):
        jobs.cancel(one)
    assert [list(jobs.events(one))[-1].state for one in (*running, other)] == ["cancelled"] * 3


def test_what_is_removed_is_not_found_before_its_first_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = Store(max_bytes=1000, max_kept=1, root=tmp_path)
    items, found = list[Kept](), list[bool]()
    rmtree = shutil.rmtree

    def looking(folder: Path, **options: Any) -> None:
        found.append(any(item.folder.exists() or item.id in kept._kept for item in items[:-1]))
        rmtree(folder, **options)

    monkeypatch.setattr(store.shutil, "rmtree", looking)
    for _ in range(2):
        name, folder = kept.place()
        (folder / "x").write_bytes(b" ")
        items.append(Kept(name, "me", folder))
        kept.add(items[-1])
        kept.settle(items[-1])  # the second makes the first give way
    assert found == [False] and kept.find(items[1].id, "me", Kept) is items[1]
    (tmp_path / f"{items[0].id}.going").mkdir()  # as a server that was killed has left it
    (tmp_path / f"{items[0].id}.going" / store.RECORD).write_text("{}")
    assert [name for name, _, _ in kept.records()] == [items[1].id]
    assert [one.name for one in tmp_path.iterdir()] == [items[1].id]


def test_a_result_that_cannot_be_kept_has_failed_and_the_queue_goes_on(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    def full(self: Store, item: Kept) -> None:
        if item.folder.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Store, "save", full)
        job = jobs.submit("plans", {"prompt": "jazz", "seconds": 2}, "me")
        with pytest.raises(Failed, match="its result cannot be kept: No space left on device"):
            jobs.result(job, 60)
    assert not job.folder.exists()
    assert jobs.result(jobs.submit("plans", {"prompt": "jazz", "seconds": 2}, "me"), 60).files


def test_a_source_that_has_just_been_removed_is_not_there(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    job = jobs.submit("track", {**SHORT, "seconds": 1}, "me")
    jobs.result(job, 120)
    find, before = jobs._source, len(list(jobs.store.root.iterdir()))

    def removed_meanwhile(field: str, name: str, owner: str) -> Path:
        source = find(field, name, owner)
        jobs.remove(job)
        return source

    monkeypatch.setattr(jobs, "_source", removed_meanwhile)
    with pytest.raises(Unknown, match="not here any more"):
        jobs.submit("vary", {"track": job.id}, "me")
    assert len(list(jobs.store.root.iterdir())) == before - 1  # neither it nor a part of the job that was refused


# ---- REST


def test_a_track_over_http(anna: httpx.Client):
    answer = anna.post("/v1/tracks", json={"prompt": "waltz for piano", "bars": 2, "bpm": 200, "stems": True})
    assert answer.status_code == 202 and answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    job = done(anna, answer)
    assert job["state"] == "done" and job["seed"] == answer.json()["seed"] == job["result"]["seed"]
    assert job["result"]["tempo"] == 200 and job["result"]["bars"] == 2
    files = job["result"]["files"]
    sound = anna.get(files["track.flac"])
    assert sound.headers["content-type"] == "audio/flac" and sound.content[:4] == b"fLaC"
    assert len(files) > 2 and all(anna.get(url).status_code == 200 for url in files.values())
    again = anna.post("/v1/tracks", json={"plan": anna.get(files["plan.json"]).json(), "seed": job["seed"]})
    samples = [soundfile.read(io.BytesIO(one))[0] for one in (sound.content, anna.get(files["track.flac"]).content)]
    assert done(anna, again)["result"]["seed"] == job["seed"] and np.array_equal(*samples)
    assert anna.get(f"/v1/jobs/{job['id']}").json() == job
    assert anna.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert anna.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_the_sections_of_a_plan_in_another_order_over_http(anna: httpx.Client, made: dict[str, Any]):
    plan = anna.get(made["result"]["files"]["plan.json"]).json()
    label = plan["sections"][0]["label"]
    job = done(anna, anna.post("/v1/plans", json={"plan": plan, "order": f"{label} {label}"}))
    assert job["kind"] == "arrange" and job["result"]["plans"][0]["bars"] == 2 * len(plan["sections"][0]["chords"])


CHANGED = {
    "repaint": {"bars": [1, 1], "chords": ["Am"]},
    "extend": {"bars": 1},
    "loop": {"bars": 1},
    "vary": {},
    "cover": {"prompt": "string quartet"},
    "layer": {},
    "style": {"strength": 0.5},
    "stems": {},
}


@pytest.fixture(scope="module")
def made(server: str) -> dict[str, Any]:
    """A track of anna's, over HTTP."""
    with httpx.Client(base_url=server, headers=ANNA, timeout=120) as client:
        return done(client, client.post("/v1/tracks", json=SHORT))


@pytest.mark.parametrize("change", CHANGED)
def test_every_change_over_http(anna: httpx.Client, made: dict[str, Any], change: str):
    fields = CHANGED[change]
    if change == "layer":
        plan = anna.get(made["result"]["files"]["plan.json"]).json()
        playing = {role for section in plan["sections"] for role in section["roles"]}
        fields = {"role": next(role for role in ("lead", "pad", "winds", "guitar") if role not in playing)}
    if change == "style":
        fields = {**fields, "reference": made["id"]}
    job = done(anna, anna.post("/v1/edits", json={"change": change, "track": made["id"], **fields}))
    assert job["state"] == "done", job
    assert job["result"]["seed"] == 3 and isinstance(job["result"]["render_seed"], int)
    assert job["result"]["files"]
    assert set(CHANGED) == {*CHANGES, "stems"}


def test_a_repaint_without_bars_renders_the_whole_track_anew_or_its_ending(anna: httpx.Client, made: dict[str, Any]):
    faster = done(anna, anna.post("/v1/edits", json={"change": "repaint", "track": made["id"], "tempo": 240}))
    assert faster["result"]["tempo"] == 240 and faster["result"]["seconds"] < made["result"]["seconds"]
    faded = done(anna, anna.post("/v1/edits", json={"change": "repaint", "track": made["id"], "ending": "fade 1"}))
    assert faded["state"] == "done", faded
    assert faded["result"]["tempo"] == 120
    nothing = done(anna, anna.post("/v1/edits", json={"change": "repaint", "track": made["id"]}))
    assert nothing["state"] == "failed" and "nothing is to change" in nothing["error"]["message"]


@pytest.mark.parametrize(("kind", "ending"), [("zip", "zip"), ("mid", "mid"), ("jams", "jams"), ("txt", "txt")])
def test_a_track_is_taken_along(anna: httpx.Client, made: dict[str, Any], kind: str, ending: str):
    labels = {"labels": "chords"} if kind == "txt" else {}
    job = done(anna, anna.post("/v1/exports", json={"track": made["id"], "format": kind, **labels}))
    (name, url), *others = job["result"]["files"].items()
    assert name.startswith("Deep-House_120bpm") and name.endswith(ending) and not others
    assert len(anna.get(url).content) > 40


def test_a_track_is_heard_while_it_is_rendered(anna: httpx.Client):
    answer = anna.post("/v1/tracks", json={**SHORT, "seconds": 9, "live": True})
    with anna.stream("GET", f"{answer.headers['Location']}/live.mp3") as heard:
        assert heard.headers["content-type"] == "audio/mpeg"
        data = b"".join(heard.iter_bytes())
    sound, rate = soundfile.read(io.BytesIO(data))
    assert abs(len(sound) / rate - 9) < 0.2
    assert anna.get(f"/v1/jobs/{answer.json()['id']}").json()["heard"] == pytest.approx(9, abs=0.1)
    silent = anna.post("/v1/tracks", json=SHORT)
    assert anna.get(f"{silent.headers['Location']}/live.mp3").status_code == 404


def test_nobody_else_sees_a_job(server: str, made: dict[str, Any]):
    for headers in (BOB, {}, {"Cookie": "hybridgen_owner=" + "x" * 32}):
        with httpx.Client(base_url=server, headers=headers) as other:
            where = f"/v1/jobs/{made['id']}"
            paths = [where, f"{where}/events", f"{where}/files/track.flac", f"{where}/live.mp3"]
            missing = [other.get(path) for path in paths] + [other.delete(where)]
            missing.append(other.post("/v1/edits", json={"change": "vary", "track": made["id"]}))
            assert [answer.status_code for answer in missing] == [404] * 6
            assert {answer.json()["error"]["message"].replace(made["id"], "ID") for answer in missing[:1]} == {
                "job 'ID' is not here, or not yours"
            }


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/tracks", b"", 422, "body: is not JSON"),
        ("/v1/tracks", b"[" * 100_000, 422, "body: is not JSON"),
        ("/v1/tracks", b"[1]", 422, "body: holds no JSON object"),
        ("/v1/tracks", b'{"prompt": "\\ud800"}', 422, "surrogates"),
        ("/v1/tracks", b'{"prompt": "x", "seconds": NaN}', 422, "seconds nan"),
        ("/v1/tracks", b'{"prompt": "x", "seconds": 1e999}', 422, "seconds inf"),
        ("/v1/tracks", b'{"prompt": "x", "seed": 1' + b"0" * 4000 + b"}", 422, "seed"),
        ("/v1/tracks", b'{"prompt": "x", "bars": 1e400}', 422, "bars"),
        ("/v1/edits", b'{"change": "undo"}', 422, "change 'undo' is none of"),
        ("/v1/edits", b'{"change": "vary", "track": "../../etc/passwd"}', 404, "not here"),
        ("/v1/plans", b'{"prompt": "x", "n": 1000000000}', 422, "n 1000000000 is outside 1-64"),
        ("/v1/uploads", b"file", 422, "file: is missing"),
    ],
)
def test_bad_bodies_are_one_line(anna: httpx.Client, path: str, body: bytes, status: int, message: str):
    answer = anna.post(path, content=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    ["/v1/nothing", "/v1/jobs", "/docs", "/v1/jobs/a/", "/v1/jobs/..%2f..", "/v1/jobs/a/files/..%2f..%2fetc%2fpasswd"],
)
def test_what_is_not_there_says_so_in_the_same_way(anna: httpx.Client, path: str):
    answer = anna.get(path)
    assert answer.status_code in (404, 405) and answer.json()["error"]["message"]


def test_a_client_gets_429_with_a_time_while_the_queue_is_full(jobs: Jobs, anna: httpx.Client):
    answers = [anna.post("/v1/tracks", json=LONG) for _ in range(6)]
    assert [answer.status_code for answer in answers].count(429) >= 1
    late = answers[-1]
    assert late.status_code == 429 and int(late.headers["Retry-After"]) >= 1
    for answer in answers:
        if answer.status_code == 202:
            assert anna.delete(answer.headers["Location"]).status_code == 204
    assert jobs.refused >= 1


def test_the_server_says_how_it_is(anna: httpx.Client, note_model: Path, made: dict[str, Any]):
    assert anna.get("/health").json() == {
        "status": "ok",
        "model": note_model.name,
        "version": "0.1.0",
        "workers": 2,
    }
    assert anna.get("/health", headers={"Host": "evil.example"}).status_code == 403
    numbers = anna.get("/metrics").text
    assert 'hybridgen_jobs_total{kind="track",state="done"}' in numbers
    assert "hybridgen_workers 2.0" in numbers
    understood = anna.get("/v1/understand", params={"prompt": "slow waltz in D minor, no vocals, zzyzx"}).json()
    assert "D minor, 3/4" in understood["summary"] and understood["unread"] == ["zzyzx"]
    assert anna.get("/v1/understand").status_code == 422


def test_the_document_names_every_field_and_its_examples_are_accepted(anna: httpx.Client):
    document = anna.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for kind, model in KINDS.items():
        assert set(model.model_fields) <= set(schemas[model.__name__]["properties"])
        example = {name: value for name, value in openapi.EXAMPLES[kind].items() if name != "change"}
        if kind not in ("arrange", "notes"):
            assert check(kind, example, Limits())
    tempo = schemas["TrackRequest"]["properties"]["tempo"]
    assert (tempo["minimum"], tempo["maximum"]) == (30, 300) and "quarter notes a minute" in tempo["description"]
    references = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {one.partition('"')[0] for one in references} <= schemas.keys()
    assert document["paths"]["/v1/edits"]["post"]["responses"]["429"]


def test_answers_are_as_the_document_says(anna: httpx.Client, made: dict[str, Any]):
    document = anna.get("/openapi.json").json()

    def check_answer(answer: httpx.Response, path: str, method: str = "get") -> None:
        said = document["paths"][path][method]["responses"][str(answer.status_code)]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in said["content"] or "*/*" in said["content"], (path, kind)
        if kind in said["content"] and kind == "application/json":
            schema = {**said["content"][kind]["schema"], "components": document["components"]}
            jsonschema.validate(answer.json(), schema)

    job, files = f"/v1/jobs/{made['id']}", "/v1/jobs/{job}/files/{name}"
    check_answer(anna.get(job), "/v1/jobs/{job}")
    check_answer(anna.get(f"{job}/files/plan.json"), files)
    check_answer(anna.get(f"{job}/files/track.flac"), files)
    check_answer(anna.get(f"{job}/files/other.flac"), files)
    check_answer(anna.get("/v1/library"), "/v1/library")
    check_answer(anna.get(f"/v1/library/{made['id']}"), "/v1/library/{item}")
    check_answer(anna.get(f"/v1/library/{made['id']}/views/plan.json"), "/v1/library/{item}/views/{name}")
    check_answer(anna.get("/v1/understand", params={"prompt": "waltz, zzyzx"}), "/v1/understand")
    check_answer(sent(anna, "x.wav", wave(0.5)), "/v1/uploads", "post")
    check_answer(sent(anna, "x.wav", b""), "/v1/uploads", "post")
    check_answer(anna.post("/v1/uploads", data={"a": 1, "b": 2}, files={"c": b"d"}), "/v1/uploads", "post")
    check_answer(anna.post("/v1/tracks", json=SHORT), "/v1/tracks", "post")
    check_answer(anna.post("/v1/tracks", json={}), "/v1/tracks", "post")
    check_answer(anna.get("/metrics"), "/metrics")
    links = [
        (answer["links"], route)
        for methods in document["paths"].values()
        for route in methods.values()
        for answer in route["responses"].values()
        if "links" in answer
    ]
    known = {route["operationId"] for methods in document["paths"].values() for route in methods.values()}
    assert links and all(link["operationId"] in known for some, _ in links for link in some.values())
    assert len(known) == sum(len(methods) for methods in document["paths"].values())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/tracks", "POST"),
        ("POST", "/v1/jobs/a", "DELETE, GET"),
        ("OPTIONS", "/v1/library/a", "GET, PATCH"),
        ("POST", "/main.js", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_has_not_is_answered_with_those_that_it_has(
    anna: httpx.Client, method: str, path: str, allowed: str
):
    answer = anna.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed) and answer.json()["error"]["message"]


# ---- files of strangers


def sent(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return client.post("/v1/uploads", files={"file": (name, data)})


def wave(seconds: float, rate: int = 44_100) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (round(seconds * rate), 2))
    soundfile.write(file, noise, rate, format="WAV")
    return file.getvalue()


def test_a_track_that_is_sent_back_has_its_plan_and_can_be_changed(anna: httpx.Client, track: Job):
    data = track.files["track.flac"].read_bytes()
    answer = sent(anna, "../../anything.at.all", data)
    upload = answer.json()
    assert answer.status_code == 201 and upload["what"] == "track" and upload["prompt"] == SHORT["prompt"]
    assert anna.get(upload["files"]["plan.json"]).json() == json.loads(track.files["plan.json"].read_text())
    job = done(anna, anna.post("/v1/edits", json={"change": "repaint", "track": upload["id"], "bars": [2, 2]}))
    before = soundfile.read(track.files["track.flac"])[0]
    after = soundfile.read(io.BytesIO(anna.get(job["result"]["files"]["track.flac"]).content))[0]
    assert np.array_equal(before[:40_000], after[:40_000]) and not np.array_equal(before, after)
    assert anna.get(f"/v1/uploads/{upload['id']}").json() == upload
    assert anna.delete(f"/v1/uploads/{upload['id']}").status_code == 204
    assert anna.get(f"/v1/uploads/{upload['id']}").status_code == 404


def test_a_recording_and_a_score_are_sources_too(jobs: Jobs, anna: httpx.Client, track: Job):
    recording = sent(anna, "mine.wav", wave(4)).json()
    assert recording["what"] == "recording" and recording["seconds"] == 4
    told = {"tempo": 120, "downbeat": 0, "bars": [1, 1]}
    job = done(anna, anna.post("/v1/edits", json={"change": "repaint", "track": recording["id"], **told}))
    notes = job["result"]["notes"]
    assert notes[0].startswith("the track: was not made by hybridgen")  # where it is here is nobody's business
    score = sent(anna, "song.txt", b"| Am | F | C | G |").json()
    assert score["what"] == "score" and score["bars"] == 4
    plan = anna.get(score["files"]["plan.json"]).json()
    assert plan["sections"][0]["chords"] == ["Am", "F", "C", "G"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("junk.wav", b"\0" * 1000, "not audio"),
        ("empty", b"", "not audio"),
        ("evil.mid", b"MThd" + b"\xff" * 100, "MIDI"),
        ("deep.json", b"[" * 100_000, "not JSON"),
        ("bomb.musicxml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "musicxml"),
        ("huge.wav", wave(0.1)[:40] + b"\xff" * 4 + wave(0.1)[44:], None),  # its header lies about its length
    ],
)
def test_hostile_files_are_refused_in_one_line_or_read_for_what_they_are(
    anna: httpx.Client, name: str, data: bytes, message: str | None
):
    answer = sent(anna, name, data)
    assert answer.status_code == (201 if message is None else 422), answer.text
    if message is not None:
        said = answer.json()["error"]["message"]
        assert said.startswith("file: ") and message.lower() in said.lower() and tempfile.gettempdir() not in said


def test_a_small_file_that_unpacks_to_hours_is_refused(anna: httpx.Client):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC") as silence:
        for _ in range(15):
            silence.write(np.zeros(8000 * 60))
    assert len(file.getvalue()) < 200_000
    answer = sent(anna, "silence.flac", file.getvalue())
    assert answer.status_code == 422 and "longer than the limit of 600 s" in answer.json()["error"]["message"]


def test_a_file_of_a_page_is_bounded_too(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "limits", replace(jobs.limits, upload_mb=0.01))
    with pytest.raises(Refused, match=r"over the limit of 0\.01 MB"):
        jobs.upload("a.wav", io.BytesIO(wave(0.2)), "me")


def test_a_reader_that_dies_is_a_refusal(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    hatch = jobs._nursery.hatch

    def killed(role: str = "serve") -> Any:
        reader = hatch(role)
        os.kill(reader.pid, signal.SIGKILL)
        return reader

    monkeypatch.setattr(jobs._nursery, "hatch", killed)
    with pytest.raises(Refused, match="the process that read it has ended"):
        jobs.upload("a.wav", io.BytesIO(wave(0.2)), "me")


# ---- the command


def test_the_command_serves_until_it_is_told_to_stop_and_leaves_nothing(note_model: Path, tmp_path: Path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "hybridgen", "serve", "--model", str(note_model), "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout is not None and server.stderr is not None
        assert f"http://127.0.0.1:{port}/v1 serves {note_model.name}" in server.stdout.readline()
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        for _ in range(200):
            try:
                assert client.get("/health").json()["status"] == "ok"
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        assert client.post("/v1/tracks", json=LONG).status_code == 202
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert server.stderr.read() == ""
    assert list(tmp_path.glob("hybridgen-serve-*")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "needs --password or --tokens"),
        (["--host", "0.0.0.0", "--password", "short"], "at least 8"),
        (["--workers", "0"], "workers 0 is outside 1-64"),
        (["--max-steps", "2000"], "limit steps 2000 is outside 1-1000"),
        (["--port", "70000"], "--port 70000 is outside"),
        (["--tokens", "nowhere.txt"], "nowhere.txt: No such file"),
    ],
)
def test_a_server_that_may_not_be_is_one_line(options: list[str], message: str, capsys: pytest.CaptureFixture):
    assert main(["serve", *options]) == 2
    assert message in capsys.readouterr().err


# ---- the documentation

PAGE = (Path(__file__).parents[1] / "docs/serve.md").read_text(encoding="utf-8")
CURLS = [line for block in PAGE.split("```sh\n")[1:] for line in block.split("```")[0].splitlines() if "curl" in line]


def test_every_request_of_the_documentation_works(server: str, tmp_path: Path):
    with httpx.Client(base_url=server, timeout=120) as nobody:  # curl sends no key
        job = done(nobody, nobody.post("/v1/tracks", json={**SHORT, "seconds": 9}))["id"]
        for line in CURLS:
            variables = {"HERE": f"{server}/v1", "JOB": job, "PATH": os.environ["PATH"]}
            ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=variables, capture_output=True, text=True)
            assert ran.returncode == 0, (line, ran.stderr)
            if ran.stdout.startswith('{"id"') and '"events"' in ran.stdout:
                with nobody.stream("GET", json.loads(ran.stdout)["events"]) as lines:
                    assert "event: done" in list(lines.iter_lines()), line
    assert {"house.flac", "plan.json", "techno.wav", "techno.mp3"} <= {path.name for path in tmp_path.iterdir()}


def test_the_servers_own_process_holds_no_model():
    code = "import sys, hybridgen.serve.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
