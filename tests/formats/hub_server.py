"""A hub on this machine, over real HTTP: repositories in memory, and faults on demand."""

import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2000  # bytes from which a file is kept by its SHA-256, as a hub keeps weights
PAGE = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"


@dataclass
class Repo:
    """files: by path. told: whether the listing names sizes and hashes. elsewhere: the hub that contents are redirected to."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=dict)
    gated: str | bool = False
    token: str | None = None
    told: bool = True
    revisions: tuple[str, ...] = ("main",)
    elsewhere: str | None = None

    @property
    def commit(self) -> str:
        state = hashlib.sha1(usedforsecurity=False)
        for name, data in sorted(self.files.items()):
            state.update(name.encode() + data)
        return state.hexdigest()


class Hub:
    """`with Hub({"org/name": Repo({...})}) as hub`: hub.url. faults: one for each coming request for a file's contents, in order.

    "cut": half of it, then nothing; "flip": one bit is wrong; "page": a web page instead, status 200; "500", "429"; "deaf": the
    whole file though a range was asked for; "longer": with something behind it; "empty". asked: every request so far.
    """

    def __init__(self, repos: dict[str, Repo]):
        self.repos, self.faults, self.api_faults = repos, deque[str](), deque[str]()
        self.asked: list[tuple[str, str, str | None]] = []
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fetched(self) -> list[str]:
        """The files whose contents were asked for."""
        return [path.split("/resolve/", 1)[1].split("/", 1)[1] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        self.hub.tokens.add(self.headers.get("Authorization"))
        if path.startswith("/api/models/"):
            self._listing(path.removeprefix("/api/models/"))
        else:
            id, _, rest = path.strip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(id, revision, name)

    def _listing(self, path: str) -> None:
        id, _, revision = path.partition("/revision/")
        if self.hub.api_faults:
            fault = self.hub.api_faults.popleft()
            if fault == "page":
                return self._send(200, PAGE, {"Content-Type": "text/html"})
            return self._send(int(fault), b"{}")
        repo = self.hub.repos.get(id)
        if repo is None or (repo.token is not None and not repo.gated and not self._allowed(repo)):
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if revision not in (*repo.revisions, repo.commit):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": name, **(_hashes(data) if repo.told else {})} for name, data in repo.files.items()]
        listing = {
            "id": id,
            "modelId": id,
            "sha": repo.commit,
            "siblings": siblings,
            "cardData": repo.card,
            "gated": repo.gated,
            "tags": [],
        }
        self._send(200, json.dumps({**listing, "private": False, "downloads": 0, "likes": 0}).encode())

    def _file(self, id: str, revision: str, name: str) -> None:
        repo = self.hub.repos.get(id)
        if repo is None or name not in repo.files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        if repo.token is not None and not self._allowed(repo):
            return self._send(403 if repo.gated else 401, b"", {"X-Error-Code": "GatedRepo" if repo.gated else "RepoNotFound"})
        if repo.elsewhere is not None:
            return self._send(302, b"", {"Location": repo.elsewhere + self.path.replace(repo.commit, "main")})
        data = repo.files[name]
        told = _hashes(data)
        about = {"X-Repo-Commit": repo.commit, "ETag": f'"{told["blobId"]}"', "Accept-Ranges": "bytes"}
        if "lfs" in told:
            about |= {"X-Linked-Etag": f'"{told["lfs"]["sha256"]}"', "X-Linked-Size": str(len(data))}
        if self.command == "HEAD":
            return self._send(200, data, about)
        self._contents(data, about, self.hub.faults.popleft() if self.hub.faults else "")

    def _contents(self, data: bytes, about: dict[str, str], fault: str) -> None:
        if fault.isdecimal():
            return self._send(int(fault), b"")
        if fault == "page":
            return self._send(200, PAGE, {"Content-Type": "text/html"})
        if fault == "empty":
            return self._send(200, b"", about)
        if fault == "longer":
            return self._send(200, data + b"more", about)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if fault == "deaf" or start == 0:
            status, body = 200, data
        elif start >= len(data):
            return self._send(416, b"")
        else:
            status, body = 206, data[start:]
            about = {**about, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if fault == "flip":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        self._send(status, body, about, cut=fault == "cut")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    def _allowed(self, repo: Repo) -> bool:
        return self.headers.get("Authorization") == f"Bearer {repo.token}"


def _hashes(data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    told: dict[str, Any] = {"size": len(data), "blobId": blob}
    if len(data) >= LARGE:
        told["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return told
