"""demos/app.py: the page, REST, Gradio's API and MCP tools over one queue, as a Space of the Hub runs them."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def address(note_model: Path) -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "demos/app.py", "--port", str(port), "--model", str(note_model), "--seconds", "20"]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}) as server:
        where = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            try:
                if httpx.get(f"{where}/gradio_api/mcp/schema").status_code == 200:
                    break
            except httpx.ConnectError:
                assert server.poll() is None
            time.sleep(0.1)
        yield where
        server.terminate()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def test_the_page_and_rest_are_at_the_root_and_runs_are_not_kept_by_the_browser(address: str):
    assert "hybridgen" in httpx.get(address).text
    assert httpx.get(f"{address}/v1/options").json()["limits"]["seconds"] == 20
    assert httpx.get(f"{address}/gradio_api/runs").status_code == 404
    assert httpx.get(f"{address}/v1/options", headers={"Host": "evil.example"}).status_code == 403


def test_gradios_client_plans_renders_and_edits_through_the_same_queue(client: Client, address: str):
    plans = client.predict("techno", {"bars": 2, "n": 2, "seed": 3}, api_name="/plan")
    assert [plan["seed"] for plan in plans] == [3, 4]
    facts, path = client.predict("", {"plan": plans[0], "seed": 5}, api_name="/track")
    assert facts["render_seed"] == 5 and soundfile.info(path).samplerate == 44_100
    changed, _ = client.predict(facts["id"], "vary", {"amount": 0.5}, api_name="/edit")
    listed = [row["id"] for row in httpx.get(f"{address}/v1/library").json()["tracks"]]
    assert listed[:2] == [changed["id"], facts["id"]]
    assert httpx.get(address + facts["where"]).content == Path(path).read_bytes()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("x", {"tempo": 999}, "/plan"), "tempo 999 is outside 30-300 BPM"),
        (("x", {"seconds": 60}, "/track"), "seconds 60 is over the limit of 20 here"),
        (("nothing", "vary", {}, "/edit"), "is not here, or not yours"),
        (("nothing", "undo", {}, "/edit"), "kind 'undo' is none of"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(client: Client, call: tuple[Any, ...], message: str):
    with pytest.raises(AppError, match=message):
        client.predict(*call[:-1], api_name=call[-1])


def test_an_mcp_client_finds_three_tools_and_makes_a_track(address: str):
    async def call() -> tuple[set[str], str]:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            made = await session.call_tool("track", {"prompt": "waltz", "controls": {"bars": 2, "seed": 1}})
            return tools, str(made.content)

    tools, made = asyncio.run(call())
    assert tools == {"plan", "track", "edit"} and "track.flac" in made


def test_the_space_has_what_the_hub_reads():
    head = yaml.safe_load((ROOT / "demos/README.md").read_text(encoding="utf-8").split("---")[1])
    assert (head["sdk"], head["app_file"]) == ("gradio", "app.py")
    pinned = (ROOT / "requirements/dev.txt").read_text(encoding="utf-8")
    assert f"\ngradio=={head['sdk_version']} " in pinned
    assert "hybridgen[demo]" in (ROOT / "demos/requirements.txt").read_text(encoding="utf-8").split()
