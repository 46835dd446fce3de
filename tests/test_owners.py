"""Who may come in, whose a request is, and what the guard turns away before anything else is done."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hybridgen.serve.guard import SLACK, Guard
from hybridgen.serve.jobs import Full
from hybridgen.serve.limits import MAX_BODY
from hybridgen.serve.owners import LOCAL_NAMES, Owners, Stranger, check_address, read_tokens

WORD = "correct horse"


async def whose(request: Request) -> JSONResponse:
    return JSONResponse({"owner": request.state.owner, "size": len(await request.body())})


def client(known: Owners, names: tuple[str, ...] | None = None) -> TestClient:
    routes = [Route("/", whose, methods=["GET", "POST"]), Route("/v1/uploads", whose, methods=["POST"])]
    app = Starlette(routes=[*routes, Route("/health", whose)])
    app.add_middleware(Guard, known=known, names=names, upload_bytes=5_000_000, check_room=lambda: None)
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.1"])
def test_this_machine_alone_needs_no_key(host: str):
    check_address(host, Owners())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "music.example", ""])
def test_another_address_needs_a_password_or_tokens(host: str):
    with pytest.raises(ValueError, match=r"needs --password or --tokens"):
        check_address(host, Owners())
    check_address(host, Owners(WORD))
    check_address(host, Owners(tokens={"a" * 8: "anna"}))


def test_without_keys_a_key_makes_an_owner_and_a_browser_is_one():
    owners = Owners()
    nobody, one, other = (owners.of(h) for h in ({}, {"authorization": "Bearer a"}, {"xi-api-key": "b"}))
    assert len({nobody, one, other}) == 3
    assert owners.of({"authorization": "bearer a"}) == one == owners.of({"xi-api-key": "a"})
    browser = client(owners)
    first = browser.get("/", headers={"Accept": "text/html"})
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    mine = browser.get("/", headers={"Accept": "text/html"})
    assert mine.json()["owner"].startswith("cookie ") and "set-cookie" not in mine.headers
    assert client(owners).get("/").headers.get("set-cookie") is None
    assert owners.of({"cookie": "hybridgen_owner=short"}) == nobody


def test_a_password_lets_in_and_nothing_else_does():
    owners = Owners(WORD)
    basic = base64.b64encode(f"anna:{WORD}".encode()).decode()
    for headers in ({"authorization": f"Bearer {WORD}"}, {"authorization": f"Basic {basic}"}, {"xi-api-key": WORD}):
        assert owners.of(headers)
    wrong = ({}, {"authorization": "Bearer no"}, {"authorization": "Basic ???"}, {"authorization": f"Digest {WORD}"})
    for headers in (*wrong, {"authorization": "Bearer "}, {"xi-api-key": WORD + "\u00e9"}, {"cookie": WORD}):
        with pytest.raises(Stranger):
            owners.of(headers)
    answer = client(owners).get("/")
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
    assert client(owners).get("/health").status_code == 200
    with pytest.raises(ValueError, match="5 characters: at least 8"):
        Owners("short")


def test_tokens_say_who_is_who(tmp_path: Path):
    file = tmp_path / "people.txt"
    file.write_text("# people\nanna 0123456789ab\n\nbob ab0123456789\n")
    owners = Owners(tokens=read_tokens(file))
    assert owners.of({"authorization": "Bearer 0123456789ab"}) == "name anna"
    assert owners.of({"xi-api-key": "ab0123456789"}) == "name bob"
    with pytest.raises(Stranger):
        owners.of({"authorization": "Bearer anna"})
    for text in ("anna\n", "anna a b\n", "anna same-token\nbob same-token\n", "\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"people\.txt"):
            read_tokens(file)


def test_another_page_of_the_browser_cannot_use_the_server():
    local = client(Owners(), LOCAL_NAMES)
    assert local.get("/").status_code == 200
    assert local.post("/", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": ""}):
        answer = local.post("/", headers=headers)
        assert answer.status_code == 403 and "error" in answer.json()
    open_ = client(Owners(WORD))
    key = {"Authorization": f"Bearer {WORD}"}
    assert open_.get("/", headers={"Host": "music.example", **key}).status_code == 200
    assert open_.get("/", headers={"Origin": "http://evil.example", **key}).status_code == 403


def test_a_body_is_bounded_by_what_it_says_and_by_what_it_is():
    local = client(Owners())
    assert local.post("/", content=b" " * MAX_BODY).json()["size"] == MAX_BODY
    assert local.post("/", content=b" " * (MAX_BODY + 1)).status_code == 413
    assert local.post("/", content=iter([b" " * 1_000_000] * 5)).status_code == 413  # without a length
    assert local.post("/v1/uploads", content=b" " * (MAX_BODY + 1)).status_code == 200
    assert local.post("/v1/uploads", content=b" " * (5_000_001 + SLACK)).status_code == 413


def test_a_body_that_is_too_large_is_not_received():
    received = 0

    async def receive() -> dict:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b" " * 100_000, "more_body": True}

    answers: list[dict] = []

    async def send(message: dict) -> None:
        answers.append(message)

    scope = {"type": "http", "path": "/", "headers": [(b"host", b"x"), (b"content-length", b"99999999999")]}
    asyncio.run(Guard(client(Owners()).app, Owners(), None, 1, lambda: None)(scope, receive, send))
    assert answers[0]["status"] == 413 and received == 0
    assert "over the limit" in json.loads(answers[1]["body"])["error"]["message"]


def test_a_full_server_does_not_read_what_it_cannot_do():
    def full() -> None:
        raise Full(32, 7)

    app = Starlette(routes=[Route("/v1/tracks", whose, methods=["GET", "POST"])])
    app.add_middleware(Guard, known=Owners(), names=None, upload_bytes=1, check_room=full)
    answer = TestClient(app).post("/v1/tracks", content=b"{")
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "7"
    assert "32 jobs wait" in answer.json()["error"]["message"]
    assert TestClient(app).get("/v1/tracks").status_code == 200
