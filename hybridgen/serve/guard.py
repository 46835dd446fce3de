"""What every request passes before anything else: whose it is, from where it comes, how large its body may be."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hybridgen.serve import owners
from hybridgen.serve.jobs import Full
from hybridgen.serve.limits import MAX_BODY
from hybridgen.serve.owners import Owners, Stranger

OPEN = ("/health",)  # what a load balancer asks without a key
UPLOADS = "/v1/uploads"
AT_ONCE = (UPLOADS, "/v1/plans/edits")  # what is posted there waits in no queue
SLACK = 1 << 16  # bytes of a form beside its file


class TooLarge(Exception):
    """A body is over its limit."""


class Guard:
    """ASGI middleware.

    names: the hosts under which the server may be called, see `owners.is_from_elsewhere`. check_room: raises Full where
    no job may be asked for: a busy server has no time to read what it cannot do.
    """

    def __init__(
        self,
        app: ASGIApp,
        known: Owners,
        names: tuple[str, ...] | None,
        upload_bytes: int,
        check_room: Callable[[], None],
    ) -> None:
        self._app, self._known, self._names, self._check_room = app, known, names, check_room
        self._limits = {UPLOADS: upload_bytes + SLACK}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if owners.is_from_elsewhere(headers, self._names):
            what = "host or origin: this server is not meant by it, so another page cannot use it"
            await _refuse(scope, send, 403, what)
            return
        try:
            owner = "" if scope["path"] in OPEN else self._known.of(headers)
        except Stranger as stranger:
            extra = {"WWW-Authenticate": 'Basic realm="hybridgen", charset="UTF-8"'}
            await _refuse(scope, send, 401, str(stranger), extra)
            return
        scope.setdefault("state", {})["owner"] = owner
        if scope.get("method") == "POST" and scope["path"].startswith("/v1/") and scope["path"] not in AT_ONCE:
            try:
                self._check_room()
            except Full as full:
                await _refuse(scope, send, 429, str(full), {"Retry-After": str(full.retry_after)})
                return
        most = self._limits.get(scope["path"], MAX_BODY)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            await _refuse(scope, send, 413, f"body of {length[:20]} bytes is over the limit of {most}")
            return
        is_browser = "text/html" in headers.get("accept", "") and not self._known.are_one
        wants_cookie = is_browser and owners.cookie_of(headers) is None
        cookie = owners.new_cookie(bool(self._known.framed_by)) if wants_cookie else None
        try:
            await self._app(scope, _bounded(receive, most), send if cookie is None else _with_cookie(send, cookie))
        except TooLarge:
            await _refuse(scope, send, 413, f"body is over the limit of {most} bytes")


def _bounded(receive: Receive, most: int) -> Receive:
    """What is received, up to so many bytes; TooLarge where a body without a length goes on."""
    count = 0

    async def bounded() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > most:
            raise TooLarge
        return message

    return bounded


def _with_cookie(send: Send, cookie: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int, why: str, extra: Mapping[str, str] | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = error_body(why)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(extra or {})}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def error_body(why: str, field: str | None = None, suggestion: Mapping[str, Any] | None = None) -> bytes:
    """What every answer that is an error says, as ASCII JSON: half characters survive in it."""
    error: dict[str, Any] = {"message": why}
    error |= {} if field is None else {"field": field}
    error |= {} if suggestion is None else {"suggestion": suggestion}
    return json.dumps({"error": error}).encode()
