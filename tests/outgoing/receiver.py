"""A third system: an HTTP server on this machine that keeps what it gets and answers as it is told."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Listens until it is left."""

    status: int = 200
    wait: threading.Event | None = None
    """Answers wait for this, where it is set."""
    got: list[Got] = field(default_factory=list)
    reply_headers: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Receiver:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                if outer.wait is not None:
                    outer.wait.wait(30)
                try:
                    self.send_response(outer.status)
                    for name, value in outer.reply_headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(b"as told")
                except OSError:
                    return  # the sender had gone: what some tests are about

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.wait is not None:
            self.wait.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?from=jingzhe"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])
