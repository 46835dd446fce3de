"""Who may come in, and whose a job is.

With tokens (`name token` a line in a file) a request must bring one, and its owner is the name. With a password a
request must bring that. A server that has neither listens on loopback alone. Where names do not say who is who, a
browser's owner is its cookie; without one it is the key that a client sends, whatever it is; clients that send nothing
share one owner: whoever sits at this machine.

A key is what stands in `Authorization: Bearer KEY`, as the password of `Authorization: Basic`, or in `xi-api-key`.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

COOKIE = "hybridgen_owner"
NOBODY = "nobody in particular"
MIN_SECRET = 8  # characters of a password or a token
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")


class Stranger(Exception):
    """A request without a key that lets it in."""


@dataclass(frozen=True)
class Owners:
    """Who may come in."""

    password: str | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)  # token -> owner
    are_one: bool = False  # all who may come in, but for the names of tokens, are one owner
    framed_by: tuple[str, ...] = ()  # sites that show the page inside theirs, as a Space of the Hub is shown

    def __post_init__(self) -> None:
        for secret in (*([] if self.password is None else [self.password]), *self.tokens):
            if len(secret) < MIN_SECRET:
                raise ValueError(f"password or token of {len(secret)} characters: at least {MIN_SECRET} are needed")

    @property
    def are_known(self) -> bool:
        """Whether a request needs a key."""
        return self.password is not None or bool(self.tokens)

    def of(self, headers: Mapping[str, str]) -> str:
        """The owner of a request; Stranger where it may not come in."""
        key = _key(headers)
        for token, name in self.tokens.items():
            if key is not None and _same(key, token):
                return f"name {name}"
        if self.are_known and (key is None or self.password is None or not _same(key, self.password)):
            raise Stranger("a key is needed: Authorization: Bearer KEY")
        if self.are_one:
            return NOBODY
        cookie = cookie_of(headers)
        if cookie is not None:
            return f"cookie {_digest(cookie)}"
        return f"key {_digest(key)}" if key is not None else NOBODY


def check_address(host: str, owners: Owners) -> None:
    """ValueError where a server without password or tokens would be reached from other machines."""
    if not owners.are_known and not is_loopback(host):
        raise ValueError(f"host {host}: other machines reach it, so it needs --password or --tokens")


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_tokens(path: Path) -> dict[str, str]:
    """Token -> owner, of a file with a name and a token a line; ValueError, naming the line, for anything else."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 2 or words[1] in found:
            raise ValueError(f"{path}: line {number} is no name and a token of its own")
        found[words[1]] = words[0]
    if not found:
        raise ValueError(f"{path}: holds no tokens")
    return found


def is_from_elsewhere(headers: Mapping[str, str], names: tuple[str, ...] | None) -> bool:
    """Whether a browser sends a request on behalf of another page, or under a name that is not this server's.

    names: hosts that are meant by this server; None: any, where a key is needed anyway.
    """
    host = headers.get("host", "")
    if names is not None and urlsplit(f"//{host}").hostname not in names:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host


def new_cookie(is_framed: bool = False) -> str:
    """The header that makes a browser an owner of its own; inside another site's page, of its own there."""
    where = "SameSite=None; Secure; Partitioned" if is_framed else "SameSite=Strict"
    return f"{COOKIE}={secrets.token_urlsafe(24)}; HttpOnly; {where}; Path=/; Max-Age=31536000"


def cookie_of(headers: Mapping[str, str]) -> str | None:
    """The value of a browser's cookie, where it is one of ours."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and re.fullmatch(r"[\w-]{32}", found.value) else None


def _key(headers: Mapping[str, str]) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return headers.get("xi-api-key") or None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
