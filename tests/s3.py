"""A throw-away object store that speaks S3, for tests: the server of the package moto, in a process of its own.

Tests take the fixture ``bucket`` (an empty bucket of their own).
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY, SECRET = "AKIATESTSONLY0000000", "a secret that no message may tell"


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str
    process: subprocess.Popen[str]

    @property
    def options(self) -> dict[str, str]:
        return {
            "aws_endpoint_url": self.address,
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
            "aws_allow_http": "true",
        }

    def ask(self, path: str, method: str = "PUT", body: str = "") -> None:
        kind = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.address}/{path}", body.encode(), kind, method=method)  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == 200

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Has the server look at keys, of which it knows none."""
        self.ask("moto-api/reset-auth", "POST", "0")
        try:
            yield
        finally:
            self.ask("moto-api/reset-auth", "POST", "inf")


@dataclass(frozen=True)
class Place:
    """An empty bucket."""

    server: Server
    url: str

    @property
    def options(self) -> dict[str, str]:
        return self.server.options


@contextmanager
def serving(*how: str) -> Iterator[Server]:
    """Runs a server; a ``careless`` one writes whatever the condition."""
    with subprocess.Popen([sys.executable, __file__, *how], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """One server for all tests of this process."""
    with serving() as server:
        yield server


_numbers = count(1)


@pytest.fixture
def bucket(s3_server: Server) -> Place:
    """An empty bucket."""
    name = f"test-{next(_numbers)}"
    s3_server.ask(name)
    return Place(s3_server, f"s3://{name}/deep/lake")


def _serve() -> None:
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - the tests import this module for the fixtures
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    class Quiet(MotoRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
            pass

    inner: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    turns = threading.Lock()

    careless = "careless" in sys.argv

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if careless:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if "HTTP_IF_NONE_MATCH" not in environ:
            return inner(environ, start)
        # moto looks and then writes, in two steps; in a store that keeps its promise nothing comes between them.
        with turns:
            return inner(environ, start)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
