"""A Hub on this machine: repositories in memory, over the part of the Hub's HTTP interface that its client uses here.

Creating a repository, the mode of each file, git-LFS batches and uploads, commits, trees, revisions, and files by HEAD
and GET with entity tags, commits, redirects and ranges. Writing needs the token `WRITER`.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
REPO = r"(?:(?P<spaces>spaces/))?(?P<repo>[\w.-]+/[\w.-]+)"
API_REPO = r"/api/(?P<kind>model|space)s/(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """Commits, oldest first: commit -> path -> content."""

    kind: str
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, changes: dict[str, bytes]) -> str:
        """A new commit with these files changed."""
        tree = {**(next(reversed(self.commits.values())) if self.commits else {}), **changes}
        listing = [(path, hashlib.sha1(content).hexdigest()) for path, content in sorted(tree.items())]
        name = hashlib.sha1(f"{len(self.commits)} {listing}".encode()).hexdigest()
        self.commits[name] = tree
        return name

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch, a tag or a commit."""
        if revision == "main":
            return next(reversed(self.commits), None)
        return self.tags.get(revision, revision if revision in self.commits else None)


class Hub:
    """The repositories, and what is to go wrong."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.uploads: dict[str, bytes] = {}  # SHA-256 -> content
        self.requests: list[str] = []  # "GET /path", oldest first
        self.cuts: dict[str, int] = {}  # path of a file -> how many more of its downloads break off half-way
        self.url = self.cdn = ""  # files outside of git come from another host

    def files(self, repo: str, kind: str = "model") -> dict[str, bytes]:
        """The files on the main branch."""
        return next(reversed(self.repositories[kind, repo].commits.values()))

    def downloads(self) -> list[str]:
        """The paths of which content was asked for."""
        return [line.split()[1] for line in self.requests if line.startswith(("GET /cdn/", "GET /plain/"))]


def is_lfs(path: str, content: bytes | int) -> bool:
    """Whether a file is kept outside of git."""
    size = content if isinstance(content, int) else len(content)
    return path.endswith((".safetensors", ".mp3")) or size > 1 << 20


def git_oid(content: bytes) -> str:
    """The name of a blob in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def _route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{method} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        for (own, pattern), answer in ROUTES.items():
            if own == method and (match := re.fullmatch(pattern, path)):
                answer(self, **{name: value for name, value in match.groupdict().items() if value is not None})
                return
        self._error(404, "EntryNotFound")

    # ---- answers

    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json")

    def _error(self, status: int, code: str = "", message: str = "") -> None:
        body = json.dumps({"error": message or code}).encode()
        self._send(status, body, X_Error_Code=code, X_Error_Message=message or code, Content_Type="application/json")

    def _may_write(self) -> bool:
        if self.token == WRITER:
            return True
        self._error(
            403 if self.token else 401, message="Invalid username or password." if not self.token else "Forbidden"
        )
        return False

    def _commit_of(self, kind: str, repo: str, revision: str) -> tuple[Repository, str] | None:
        found = self.hub.repositories.get((kind, repo))
        if found is None or (found.private and not self.token):
            self._error(404 if self.token else 401, "RepoNotFound")
            return None
        if (commit := found.resolve(revision)) is None:
            self._error(404, "RevisionNotFound")
            return None
        return found, commit

    # ---- writing

    def create(self) -> None:
        asked = json.loads(self.body)
        key = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
        if not self._may_write():
            return
        if key in self.hub.repositories:
            self._json({"error": "You already created this repo", "url": f"{self.hub.url}/{key[1]}"}, 409)
            return
        self.hub.repositories[key] = Repository(
            key[0], asked.get("visibility") == "private" or asked.get("private", False)
        )
        self.hub.repositories[key].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        prefix = "spaces/" if key[0] == "space" else ""
        self._json({"url": f"{self.hub.url}/{prefix}{key[1]}", "name": key[1], "id": key[1]})

    def preupload(self, kind: str, repo: str, revision: str) -> None:
        if self._may_write():
            asked = json.loads(self.body)["files"]
            modes = [(one["path"], "lfs" if is_lfs(one["path"], one["size"]) else "regular") for one in asked]
            self._json({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]})

    def batch(self, repo: str, spaces: str = "") -> None:
        if self._may_write():
            objects = json.loads(self.body)["objects"]
            for one in objects:
                if one["oid"] not in self.hub.uploads:
                    one["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
            self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.uploads[oid] = self.body
        self._send(200)

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def commit(self, kind: str, repo: str, revision: str) -> None:
        if not self._may_write():
            return
        changes = {}
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                changes[value["path"]] = self.hub.uploads[value["oid"]]
        name = self.hub.repositories[kind, repo].commit(changes)
        url = f"{self.hub.url}/{'spaces/' if kind == 'space' else ''}{repo}/commit/{name}"
        self._json({"success": True, "commitOid": name, "commitUrl": url, "hookOutput": ""})

    # ---- reading

    def info(self, kind: str, repo: str, revision: str = "main") -> None:
        if found := self._commit_of(kind, repo, revision):
            siblings = [{"rfilename": path} for path in found[0].commits[found[1]]]
            self._json(
                {"id": repo, "modelId": repo, "sha": found[1], "private": found[0].private, "siblings": siblings}
            )

    def tree(self, kind: str, repo: str, revision: str) -> None:
        if found := self._commit_of(kind, repo, revision):
            entries = []
            for path, content in found[0].commits[found[1]].items():
                entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
                if is_lfs(path, content):
                    sha256 = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
                entries.append(entry)
            self._json(entries)

    def file(self, repo: str, revision: str, path: str, spaces: str = "") -> None:
        kind = "space" if spaces else "model"
        if (found := self._commit_of(kind, repo, revision)) is None:
            return
        content = found[0].commits[found[1]].get(path)
        if content is None:
            self._error(404, "EntryNotFound")
            return
        about = {"X_Repo_Commit": found[1], "Accept_Ranges": "bytes"}
        if is_lfs(path, content):
            about |= {"X_Linked_Etag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Linked_Size": str(len(content))}
            self._send(302, **about, Location=f"{self.hub.cdn}/{kind}/{repo}/{found[1]}/{path}")
        elif self.command == "HEAD":
            self._send(200, content, **about, ETag=f'"{git_oid(content)}"')
        else:
            self.hub.requests[-1] = f"GET /plain/{path}"
            self._send(200, content, **about, ETag=f'"{git_oid(content)}"')

    def content(self, kind: str, repo: str, revision: str, path: str) -> None:
        content = self.hub.repositories[kind, repo].commits[revision][path]
        self.hub.requests[-1] = f"{self.command} /cdn/{path}"
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        part = content[start:]
        if self.command == "GET" and self.hub.cuts.get(path, 0) > 0:
            self.hub.cuts[path] -= 1
            self._send(206 if start else 200, b"", **{**headers, "Content_Length": str(len(part))})
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        self._send(206 if start else 200, part, **headers)


ROUTES = {
    ("POST", "/api/repos/create"): Handler.create,
    ("POST", "/api/validate-yaml"): Handler.validate,
    ("POST", f"{API_REPO}/preupload/(?P<revision>[^/]+)"): Handler.preupload,
    ("POST", f"{API_REPO}/commit/(?P<revision>[^/]+)"): Handler.commit,
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch"): Handler.batch,
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})"): Handler.upload,
    ("GET", API_REPO): Handler.info,
    ("GET", f"{API_REPO}/revision/(?P<revision>[^/]+)"): Handler.info,
    ("GET", f"{API_REPO}/tree/(?P<revision>[^/]+)"): Handler.tree,
    ("HEAD", f"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): Handler.file,
    ("GET", f"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): Handler.file,
    ("HEAD", r"/cdn/(?P<kind>\w+)/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)"): Handler.content,
    ("GET", r"/cdn/(?P<kind>\w+)/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)"): Handler.content,
}


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub on a free port of this machine; it answers until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    hub.cdn = f"http://localhost:{server.server_address[1]}/cdn"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
