"""A server of a folder's files on the loopback address that gives parts of them, as storages do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


@dataclass
class Server:
    """What is served, and what was asked."""

    folder: Path
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, and `Range`
    busy: int = 0  # so many requests are answered by 503 first
    broken: int = 0  # so many answers end before they are whole
    whole: bool = False  # ranges are not understood


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args: Any) -> None:
        self.own = server
        super().__init__(*args)

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        name, part = unquote(self.path).lstrip("/"), self.headers.get("Range", "")
        self.own.asked.append((name, part))
        path, status = self.own.folder / name, 200
        if self.own.busy:
            self.own.busy -= 1
            return self.send_error(503)
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        if part and not self.own.whole:
            first, last = map(int, part.removeprefix("bytes=").split("-"))
            if first >= len(content):
                return self.send_error(416)
            content, status = content[first : last + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = bool(self.own.broken)
        self.own.broken -= cut
        self.wfile.write(content[:-1] if cut else content)


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """A server that listens on a free port until the block ends."""
    own = Server(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, own))  # type: ignore[arg-type]
    own.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
