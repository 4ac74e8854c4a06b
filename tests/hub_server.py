"""A stand-in for the Hugging Face Hub on the loopback address: the requests by which huggingface_hub pushes and loads.

Repositories, their commits and large files are in memory. `fail` names a kind of request that is refused.
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
from urllib.parse import unquote, urlparse

TOKEN = "hf_stand_in"


@dataclass
class Repository:
    private: bool
    commits: list[tuple[str, dict[str, bytes]]]  # oldest first: hash, and files by name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)


@dataclass
class Hub:
    """What the stand-in holds, and what it was asked."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    asked: list[tuple[str, str]] = field(default_factory=list)  # method and path
    fail: str = ""
    refused: str = ""  # what the check of a model card says

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """Commit `files` and return the hash."""
        own = self.repositories.setdefault(name, Repository(private, [("0" * 40, {})]))
        made = {**own.commits[-1][1], **files}
        number = hashlib.sha1(repr((len(own.commits), sorted(made.items()))).encode()).hexdigest()
        own.commits.append((number, made))
        return number


def oid_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request; `hub` is the server's."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None: ...

    def answer(self, status: int, content: Any = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def do(self) -> None:
        path = unquote(urlparse(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        self.hub.asked.append((self.command, path))
        if self.hub.fail and re.search(self.hub.fail, path):
            self.answer(418, {"error": "out of order"})
        elif self.command in ("POST", "PUT"):
            self.write(path, body)
        else:
            self.read(path)

    do_GET = do_HEAD = do_POST = do_PUT = do

    def chunk(self) -> bytes:
        content = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return content

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def write(self, path: str, body: bytes) -> None:
        if path.startswith("/large/"):
            self.hub.large[path.split("/")[-1]] = body
            self.answer(200)
        elif not self.known:
            self.refuse(401, "Unauthorized")
        elif path == "/api/validate-yaml":
            errors = [{"message": self.hub.refused}] if self.hub.refused else []
            self.answer(400 if errors else 200, {"errors": errors, "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            files = json.loads(body)["files"]
            modes = [(one["path"], "lfs" if one["path"].endswith(".safetensors") else "regular") for one in files]
            self.answer(200, {"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            links = [{**one, "actions": {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}} for one in wanted]
            self.answer(200, {"transfer": "basic", "objects": links})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self.commit(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self.refuse(404, "EntryNotFound")

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        private = asked.get("private") or asked.get("visibility") == "private"
        there = name in self.hub.repositories
        if not there:
            self.hub.repositories[name] = Repository(bool(private), [("0" * 40, {})])
        self.answer(409 if there else 200, {"url": f"{self.hub.url}/{name}", "error": "You already created this model"})

    def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        made = self.hub.add(name, files)
        url = f"{self.hub.url}/{name}/commit/{made}"
        self.answer(200, {"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})

    def read(self, path: str) -> None:
        forms = (
            r"/api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<revision>.+))?",
            r"/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)",
            r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)",
        )
        found = next((m for form in forms if (m := re.fullmatch(form, path))), None)
        if found is None:
            return self.refuse(404, "EntryNotFound")
        own = self.hub.repositories.get(found["name"])
        if own is None or (own.private and not self.known):
            return self.refuse(404 if own is None and self.known else 401, "RepoNotFound")
        at = own.at(found["revision"] or "main")
        if at is None:
            return self.refuse(404, "RevisionNotFound")
        number, files = at
        if "/tree/" in path:
            listed = [dict(type="file", path=p, size=len(c), oid=oid_of(c)) for p, c in files.items()]
            return self.answer(200, listed)
        if found.re.pattern == forms[0]:
            names = [{"rfilename": name} for name in files]
            about = {"id": found["name"], "sha": number, "private": own.private, "siblings": names}
            return self.answer(200, {**about, "tags": [], "downloads": 0, "likes": 0})
        if (content := files.get(found["file"])) is None:
            return self.refuse(404, "EntryNotFound")
        facts = {"ETag": f'"{oid_of(content)}"', "X_Repo_Commit": number, "Content_Length": str(len(content))}
        return self.answer(200, content, **facts)


@contextmanager
def serve() -> Iterator[Hub]:
    """A stand-in that listens on a free port of the loopback address until the block ends."""
    hub = Hub()
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
