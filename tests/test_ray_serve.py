"""demos/ray_serve.py: two replicas give what one process gives, byte for byte; what cannot be done is said."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import httpx
import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 600.0  # seconds, until the replicas answer


@pytest.fixture
def address(note_model: Path, tmp_path: Path) -> Iterator[str]:
    """Where two replicas answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "demos/ray_serve.py", "--model", str(note_model), "--port", str(port), "--replicas", "2")
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    }
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as place:  # short: it holds sockets
        environment |= {"RAY_TMPDIR": place, "RAY_USAGE_STATS_ENABLED": "0"}
        environment |= {f"RAY_SERVE_PROXY_{name}_CHECK_TIMEOUT_S": str(LIMIT) for name in ("READY", "HEALTH")}
        log = (tmp_path / "log.txt").open("w")
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}/"
            until = time.monotonic() + LIMIT
            while True:
                assert process.poll() is None and time.monotonic() < until, (tmp_path / "log.txt").read_text()[-3000:]
                try:
                    if httpx.post(url, content=b"no JSON", timeout=30).status_code == 422:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.5)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            log.close()


def test_two_replicas_give_what_one_process_gives(address: str, note_model: Path, script: Callable[[str], ModuleType]):
    demo = script("demos/ray_serve.py")
    asked = [{"prompt": "jazz, 120 BPM", "seconds": 2, "seed": seed, "format": "wav"} for seed in (1, 2, 3, 4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: httpx.post(address, json=one, timeout=LIMIT), asked))
    solo = demo.Tracks(str(note_model), threads=1)
    for one, answer in zip(asked, answers, strict=True):
        name, content = solo.make(demo.requests.check("track", one, solo.limits))
        assert answer.status_code == 200 and name in answer.headers["content-disposition"]
        assert answer.content == content
    assert len({answer.content for answer in answers}) == 4
    refused = httpx.post(address, json={"prompt": "jazz", "tempo": 900}, timeout=30)
    assert refused.status_code == 422 and refused.json() == {"error": {"message": "tempo 900 is outside 30-300 BPM"}}
