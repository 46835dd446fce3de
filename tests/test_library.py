"""What a page needs of the server: edits of a plan, how it looks, what there is to choose, and a library that stays."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from hybridgen.cli import main
from hybridgen.plan.plan import Plan
from hybridgen.serve import plan_edits, store
from hybridgen.serve.app import create_app
from hybridgen.serve.items import Job, Upload
from hybridgen.serve.jobs import Jobs
from hybridgen.serve.kinds import KINDS, ranges
from hybridgen.serve.library import entry
from hybridgen.serve.limits import Limits
from hybridgen.serve.nursery import Model
from hybridgen.serve.owners import COOKIE, NOBODY, Owners
from hybridgen.serve.refusals import Refused
from hybridgen.serve.store import Kept, Store

SHORT = {"prompt": "deep house, 120 BPM in F minor, 4/4", "seconds": 4, "seed": 3}
PLAN = {
    "hybridgen_plan": 1,
    "meter": "4/4",
    "tempo": 120,
    "key": "A minor",
    "instruments": {"bass": 33, "keys": 4},
    "sections": [
        {"label": "verse", "energy": 3, "roles": ["bass"], "chords": ["Am", "F"]},
        {"label": "chorus", "energy": 6, "roles": ["bass", "keys"], "chords": ["C", "G"]},
    ],
    "notes": {"bass": {"1": "A1 0 480 v80", "2": "as 1"}},
}


@pytest.fixture
def carol(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, headers={"Authorization": "Bearer carol-carol"}, timeout=120) as client:
        yield client


def done(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    with client.stream("GET", f"{answer.headers['Location']}/events") as lines:
        data = [line.removeprefix("data: ") for line in lines.iter_lines() if line.startswith("data: ")]
    return json.loads(data[-1])


# ---- plans


def test_edits_are_those_of_python_one_after_the_other(carol: httpx.Client):
    edits = [
        {"edit": "edit", "bars": [3, 4], "chords": ["Dm", "E7"], "energy": 7},
        {"edit": "edit", "bars": [1, 1], "notes": {"bass": "40 0 240 v90"}},
        {"edit": "move_border", "bar": 3, "to": 2},
        {"edit": "transpose", "semitones": 12, "roles": ["bass"]},
        {"edit": "arrange", "order": [2, 1]},
        {"edit": "split", "bar": 2},
        {"edit": "merge", "bar": 2},
        {"edit": "copy", "bars": [4, 4], "to": 1, "roles": ["bass"]},
    ]
    answer = carol.post("/v1/plans/edits", json={"plan": PLAN, "edits": edits})
    assert answer.status_code == 200, answer.text
    plan = Plan.from_dict(PLAN).edit((3, 4), chords=["Dm", "E7"], energy=7)
    plan = plan.edit((1, 1), notes={"bass": "40 0 240 v90"}).move_border(3, 2).transpose(None, 12, ["bass"])
    plan = plan.arrange([2, 1]).split(2).merge(2).copy((4, 4), 1, ["bass"])
    assert Plan.from_dict(answer.json()["plan"]) == plan and answer.json()["view"] == json.loads(
        json.dumps(plan.view())
    )
    assert carol.post("/v1/plans/edits", json={"plan": PLAN}).json()["view"]["bars"] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert carol.post("/v1/plans/edits", json=plan_edits.EXAMPLE).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "plan: expected dict"),
        ({"plan": PLAN, "edits": 3}, "edits: should be a list"),
        ({"plan": PLAN, "edits": [{"edit": "split", "bar": 2}] * 65}, "up to 64"),
        ({"plan": PLAN, "edits": [{"edit": "undo"}]}, "edits: number 1"),
        ({"plan": PLAN, "edits": [{"edit": "split", "bar": True}]}, "edits: number 1: true should be a number"),
        (
            {"plan": PLAN, "edits": [{"edit": "split", "bar": 2}, {"edit": "merge", "bar": 4}]},
            "number 2: bar 4 begins no",
        ),
        ({"plan": PLAN, "edits": [{"edit": "edit", "bars": [1, 9], "energy": 3}]}, "bars 1-9 are not inside"),
        ({"plan": PLAN, "edits": [{"edit": "edit", "energy": 9}]}, "energy 9 is outside 0-7"),
        ({"plan": PLAN, "edits": [{"edit": "edit", "seconds": 9}]}, "seconds"),
        ({"plan": PLAN, "edits": [{"edit": "transpose", "semitones": 99}]}, "semitones"),
        ({"plan": PLAN, "edits": [{"edit": "arrange", "order": [1] * 700}]}, "to 600 s"),
        ({"plan": PLAN, "other": 1}, "other is no field"),
    ],
)
def test_an_edit_that_cannot_be_is_one_line_that_says_which(carol: httpx.Client, body: Any, message: str):
    answer = carol.post("/v1/plans/edits", json=body)
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["error"]["message"] and "\n" not in answer.json()["error"]["message"]


def test_notes_that_a_plan_lacks_are_written_and_what_is_known_stays(carol: httpx.Client):
    job = done(carol, carol.post("/v1/plans", json={"plan": PLAN, "seed": 5}))
    assert (job["kind"], job["state"]) == ("notes", "done"), job
    seen = carol.get(f"/v1/library/{job['id']}/views/plan.json").json()
    plan = Plan.from_dict(seen["plan"])
    assert plan.part("bass").bars[:2] == Plan.from_dict(PLAN).part("bass").bars[:2]
    playing = [(role, i) for s, i in zip([0, 0, 1, 1], range(4), strict=True) for role in PLAN["sections"][s]["roles"]]
    assert all(plan.part(role).bars[i] is not None for role, i in playing) and plan.seed == 5
    assert seen["view"] == json.loads(json.dumps(plan.view()))
    assert carol.get(f"/v1/library/{job['id']}/views/kept.json").status_code == 404
    assert carol.get(f"/v1/library/{job['id']}/views/track.flac").status_code == 404


def test_what_there_is_to_choose_is_what_requests_take(carol: httpx.Client):
    found = carol.get("/v1/options").json()
    assert found["fields"].keys() == KINDS.keys()
    for kind, model in KINDS.items():
        assert found["fields"][kind].keys() == model.model_fields.keys()
        for name, one in model.model_fields.items():
            shown, limits = found["fields"][kind][name], ranges(kind)[name]
            assert shown["default"] == (None if one.is_required() else one.default)
            assert (shown.get("minimum"), shown.get("maximum")) == (limits.low, limits.high)
    assert found["limits"] == {"seconds": 600, "num_steps": 1000, "upload_mb": 128}
    assert {one["program"] for one in found["instruments"]["keys"]} >= {0, 4}


def test_what_words_fix_can_be_sent_back_as_a_request(carol: httpx.Client):
    words = "7/8 prog rock in E minor, 140 bpm, 16 bars, rhodes, no drums, bass enters at bar 5, fades out, swing"
    words += ", intro verse chorus, getting faster"
    found = carol.get("/v1/understand", params={"prompt": words}).json()["controls"]
    assert {"tempo", "key", "meter", "instruments", "ending", "cues"} <= found.keys()
    assert found["tempo"] == {"text": "140 BPM", "value": 140.0} and found["key"]["value"] == "E minor"
    assert all(one["text"] for one in found.values())
    fields = {name: one["value"] for name, one in found.items()}
    answer = carol.post("/v1/plans", json={"prompt": "prog rock", **fields})
    assert answer.status_code == 202, answer.text
    carol.delete(answer.headers["Location"])


def test_a_render_is_heard_in_samples_and_who_stops_listening_still_gets_it(carol: httpx.Client):
    answer = carol.post("/v1/tracks", json={**SHORT, "live": True})
    with carol.stream("GET", f"{answer.headers['Location']}/live.wav") as heard:
        assert heard.headers["content-type"] == "audio/wav"
        next(heard.iter_bytes(44))
    job = carol.get(answer.headers["Location"]).json()
    assert job["state"] != "cancelled"
    with carol.stream("GET", f"{answer.headers['Location']}/live.wav") as heard:
        data = b"".join(heard.iter_bytes())
    job = carol.get(answer.headers["Location"]).json()
    track = soundfile.read(io.BytesIO(carol.get(job["result"]["files"]["track.flac"]).content), dtype="int16")[0]
    live = np.frombuffer(data[44:], "<i2").reshape(-1, 2)
    assert data[:4] == b"RIFF" and live.shape == track.shape
    assert np.corrcoef(live[:, 0], track[:, 0])[0, 1] > 0.9  # the gain of the first window, and no limiter


# ---- the library


def test_the_library_lists_searches_stars_and_has_a_bin(carol: httpx.Client, server: str):
    made = [done(carol, carol.post("/v1/tracks", json={**SHORT, "prompt": p})) for p in ("slow waltz", "fast techno")]
    one, two = (job["id"] for job in made)

    def listed(**query: Any) -> list[str]:
        return [row["id"] for row in carol.get("/v1/library", params=query).json()["tracks"]]

    assert listed()[:2] == [two, one]
    row = carol.get("/v1/library").json()["tracks"][0]
    assert (row["title"], row["kind"], row["state"], row["starred"]) == ("fast techno", "track", "done", False)
    assert row["seconds"] == 4 and carol.get(row["files"]["track.flac"]).status_code == 200
    assert listed(search="WALTZ slow") == [one] and listed(search="waltz techno") == []
    assert carol.patch(f"/v1/library/{one}", json={"starred": True}).json()["starred"]
    assert listed(starred=True) == [one]
    assert carol.patch(f"/v1/library/{two}", json={"removed": True}).json()["removed"]
    assert two not in listed() and listed(removed=True) == [two]
    carol.patch(f"/v1/library/{two}", json={"removed": False})
    assert listed()[0] == two
    for body in ({"starred": 1}, {"title": "x"}, [1]):
        assert carol.patch(f"/v1/library/{two}", json=body).status_code == 422
    with httpx.Client(base_url=server) as other:
        assert one not in [row["id"] for row in other.get("/v1/library").json()["tracks"]]
        assert other.patch(f"/v1/library/{one}", json={"removed": True}).status_code == 404
        assert other.get(f"/v1/library/{one}").status_code == 404


def test_what_made_a_track_is_read_from_its_manifest(carol: httpx.Client):
    job = done(carol, carol.post("/v1/tracks", json={**SHORT, "render_seed": 9, "num_steps": 3}))
    found = carol.get(f"/v1/library/{job['id']}").json()
    told = found["settings"]
    assert (told["prompt"], told["plan_seed"], told["render_seed"], told["num_steps"]) == (SHORT["prompt"], 3, 9, 3)
    assert found["changes"] == 0 and not found["is_recording"]
    assert Plan.from_dict(found["plan"]).key == "F minor"
    varied = done(carol, carol.post("/v1/edits", json={"change": "vary", "track": job["id"]}))
    of = carol.get(f"/v1/library/{varied['id']}").json()
    assert (of["of"], of["changes"], of["settings"]) == (job["id"], 1, told)
    data = carol.get(found["files"]["track.flac"]).content
    sent = carol.post("/v1/uploads", files={"file": ("my <song>.flac", data)}).json()
    again = carol.get(f"/v1/library/{sent['id']}").json()
    assert (again["settings"], again["plan"], again["kind"]) == (told, found["plan"], "upload")
    assert sent["name"] == "my <song>.flac" and carol.get(again["files"]["track.wav"]).status_code == 200


def test_a_library_is_there_again_after_the_server(note_model: Path, tmp_path: Path):
    with Jobs(Model(str(note_model)), library=tmp_path / "mine") as jobs:
        track = jobs.submit("track", {**SHORT, "live": True}, NOBODY)
        jobs.result(track, 120)
        plans = jobs.submit("plans", {"prompt": "jazz", "seconds": 2}, NOBODY)
        jobs.result(plans, 60)
        sent = jobs.upload("a.flac", io.BytesIO(track.files["track.flac"].read_bytes()), NOBODY)
        failed = jobs.submit("repaint", {"track": track.id}, NOBODY)
        assert list(jobs.events(failed))[-1].state == "failed"
        jobs.mark(track, starred=True)
        data = track.files["track.flac"].read_bytes()
    for folder in ("0" * 32, "not-ours", "f" * 32):
        (tmp_path / "mine" / folder).mkdir()
    (tmp_path / "mine" / ("0" * 32) / "kept.json").write_text('{"made": 1}')
    (tmp_path / "mine" / ("f" * 32) / "kept.json").write_text("[" * 100_000)
    (tmp_path / "mine" / ("f" * 32) / "track.flac").write_bytes(data)  # its record is lost, and it is not
    with Jobs(Model(str(note_model)), library=tmp_path / "mine") as jobs:
        again = jobs.find(track.id, NOBODY)
        assert again.starred and again.event.state == "done" and again.request["seed"] == 3
        assert again.files["track.flac"].read_bytes() == data and not again.live("wav").exists()
        assert jobs.store.find(sent.id, NOBODY, Upload).facts["what"] == "track"
        assert jobs.store.n_kept == 4 and entry(jobs.find("f" * 32, NOBODY))["prompt"] == SHORT["prompt"]
        assert jobs.result(jobs.submit("vary", {"track": track.id}, NOBODY), 120).facts["seed"] == 3
    assert (tmp_path / "mine" / "not-ours").exists()  # what is not ours is left alone
    assert not (tmp_path / "mine" / ("0" * 32)).exists()


def test_no_track_of_a_library_gives_way_and_a_full_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def items(root: Path | None) -> tuple[Store, list[Kept]]:
        kept = Store(max_bytes=1000, max_kept=3, root=root)
        made: list[Kept] = []
        for kind in ("plans", "track", "plans", "vary", "plans"):
            name, folder = kept.place()
            (folder / "x").write_bytes(b" " * 10)
            made.append(Job(name, "me", folder, kind=kind))
            kept.add(made[-1])
            kept.settle(made[-1])
        return kept, made

    kept, made = items(tmp_path / "stays")
    assert [item.folder.exists() for item in made] == [False, True, False, True, True]
    assert not kept.is_full
    made[1].removed = 1.0  # long ago
    kept.settle(made[4])
    assert not made[1].folder.exists() and made[3].folder.exists()
    kept, made = items(None)
    assert [item.folder.exists() for item in made] == [False, False, True, True, True] and not kept.is_full
    jobs = Jobs(limits=Limits(kept=1), library=tmp_path / "full")
    name, folder = jobs.store.place()
    one = Job(name, "me", folder, kind="track", n_bytes=1)
    jobs.store.add(one)
    with pytest.raises(Refused, match="no room left"):
        jobs.enqueue("track", SHORT, "me")
    assert store.BIN_SECONDS >= 3600


def test_a_track_that_was_damaged_is_listed_all_the_same(tmp_path: Path):
    path = tmp_path / "track.flac"
    path.write_bytes(b'fLaC{"sha256":"not a manifest')
    row = entry(Job("0" * 32, "me", tmp_path, {"track.flac": path}, kind="track", source=path))
    assert (row["title"], row["prompt"]) == ("Track", "") and row["files"]


def test_a_library_that_is_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mine").write_text("")
    assert main(["demo", "--no-browser", "--library", str(tmp_path / "mine")]) == 2
    assert "mine is a file, not a folder" in capsys.readouterr().err
    assert main(["demo", "--no-browser", "--host", "0.0.0.0", "--library", str(tmp_path / "new")]) == 2
    assert "needs --password or --tokens" in capsys.readouterr().err and not (tmp_path / "new").exists()


# ---- the page's own files


@pytest.mark.parametrize("path", ["/", "/main.js", "/style.css", "/icon.svg"])
def test_the_page_is_held_to_its_own_files(server: str, path: str):
    answer = httpx.get(f"{server}{path}")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert httpx.get(f"{server}{path}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_nothing_beside_the_page_is_served(server: str):
    for path in ("/../serve/app.py", "/%2e%2e/serve/app.py", "/nothing.js", "/style.css/x"):
        answer = httpx.get(f"{server}{path}")
        assert answer.status_code == 404 and answer.json()["error"]["message"]
    assert httpx.post(f"{server}/main.js").status_code == 405


def test_who_sits_at_one_machine_is_one_owner_and_a_framed_page_has_a_cookie_of_its_own():
    assert Owners(are_one=True).of({"cookie": f"{COOKIE}={'x' * 32}"}) == NOBODY == Owners(are_one=True).of({})
    html = {"Accept": "text/html"}
    app = create_app(Jobs(), Owners(are_one=True))
    assert "set-cookie" not in TestClient(app).get("/", headers=html).headers
    framed = TestClient(create_app(Jobs(), Owners(framed_by=("https://huggingface.co",)))).get("/", headers=html)
    assert "SameSite=None; Secure; Partitioned" in framed.headers["set-cookie"]
    assert framed.headers["content-security-policy"].endswith("frame-ancestors https://huggingface.co")
