"""A collector of its own process that real SDKs talk to, and what became of their events."""

from __future__ import annotations

import fcntl
import hashlib
import http.server
import json
import multiprocessing
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from jingzhe.core.clock import SystemClock
from jingzhe.server.admission import Limits
from jingzhe.server.answers import Answer
from jingzhe.server.serving import Listen, collector, serve
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox
from tests.collect.live import Live, live
from tests.ports import free_port
from tests.server.asking import Heard

FOLDER = Path(__file__).parent
_START_SECONDS = 180
_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "E403", "E404")


def collect(folder: Path, port: int) -> None:
    """Serves the project in ``folder``."""
    clock = SystemClock()
    with (
        State.open(f"sqlite:///{folder / 'state.db'}", clock=clock) as state,
        Inbox.open(f"sqlite:///{folder / 'inbox.db'}") as inbox,
    ):
        app = collector(state, inbox, clock=clock, limits=Limits(free_bytes=0), log=Heard())
        serve(app, Listen(port=port))


@dataclass
class Collector:
    """The collector under test."""

    shop: Live
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return self.shop.write_key

    def arrived(self, user: str, count: int, *, seconds: float = 120.0) -> list[dict[str, Any]]:
        """Waits until ``count`` calls of a user or browser are in the lake; returns them in order of time."""
        give_up = time.monotonic() + seconds
        while True:
            while self.shop.drain.run().rows:
                pass
            found = self.shop.rows(
                f"SELECT call, sent_name, user_id, anonymous_id, channel, properties, library, name, activity, revenue "
                f"FROM event_details LEFT JOIN events USING (event_id) "
                f"WHERE user_id = '{user}' OR anonymous_id = '{user}' OR contains(properties, '{user}') "
                "ORDER BY event_details.ts, sent_name"
            )
            if len(found) >= count or time.monotonic() > give_up:
                return found
            time.sleep(0.1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder, port = tmp_path_factory.mktemp("collector"), free_port()
    with live(folder) as shop:
        process = multiprocessing.get_context("spawn").Process(target=collect, args=(folder, port))
        process.start()
        try:
            _await(port)
            yield Collector(shop, port)
        finally:
            process.terminate()
            process.join(120)
            assert process.exitcode == 0, "the collector did not end well"


def _await(port: int) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10):
                return
        except OSError:
            assert time.monotonic() < give_up, "the collector did not start"
            time.sleep(0.1)


@dataclass
class Busy:
    """A collector that is too busy for the first requests, and takes what comes later.

    Args:
        server: takes it.
        url: of this one.
        answers: what the first requests are answered, in turn.
        refused: bodies of the requests that were not taken.
    """

    server: Collector
    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.answers:
            self.refused.append(body)
            return self.answers.pop(0)
        taken = httpx.post(f"{self.server.url}{path}", content=body, headers=headers, timeout=60)
        return Answer(taken.status_code, [], taken.content)


@pytest.fixture
def busy(server: Collector) -> Iterator[Busy]:
    found = Busy(server)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = found.answer(self.path, dict(self.headers), body)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name.decode(), value.decode())
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{listening.server_address[1]}"
        yield found
        listening.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def packages() -> Path:
    """Folder of the SDKs from npm, as package-lock.json pins them; installed once into the user's cache."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no npm on this machine")
    lock = (FOLDER / "npm" / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jingzhe-tests"
    folder = cache / f"sdks-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes, and an installation begins by removing what another has put there.
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install(npm, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    """Installs the SDKs where they are not installed yet; skips the test where npm's registry cannot be reached."""
    if not (folder / "ready").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FOLDER / "npm" / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not answer in time")
        if done.returncode:
            said = done.stderr.strip()
            # Without a registry there is nothing to test; anything else is wrong here, as a lock that does not fit.
            assert any(code in said for code in _NO_REGISTRY), f"npm cannot install the SDKs: {said}"
            pytest.skip("no registry of npm can be reached")
        (folder / "ready").touch()


@dataclass
class Node:
    """Runs the scripts beside this file."""

    packages: Path
    server: Collector

    def run(self, script: str, user: str) -> str:
        command, environment = self._how(script, user)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, script: str, user: str) -> Iterator[list[str]]:
        """Runs a script that does not know when everything is sent; ends it, and gives what it said afterwards."""
        command, environment = self._how(script, user)
        said: list[str] = []
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                yield said
                assert process.poll() is None, "the script has ended by itself"
            finally:
                process.kill()
                said.append(process.communicate()[0].decode("utf-8", "replace"))

    def _how(self, script: str, user: str) -> tuple[list[str], dict[str, str]]:
        given = {"SDKS": f"{self.packages}/", "COLLECTOR": self.server.url, "WRITE_KEY": self.server.key, "WHO": user}
        return ["node", str(FOLDER / script)], {**os.environ, **given}


@pytest.fixture
def node(packages: Path, server: Collector) -> Node:
    return Node(packages, server)


def properties(row: dict[str, Any]) -> dict[str, Any]:
    """Returns what a call said of itself."""
    found: dict[str, Any] = json.loads(row["properties"])
    return found


def signed_up(rows: list[dict[str, Any]], user: str) -> None:
    """Makes sure that signing up, which Sensors' SDKs send as a type of its own, is an event like others."""
    (row,) = [row for row in rows if row["sent_name"] == "$SignUp"]
    assert (row["call"], row["name"], row["activity"], row["user_id"]) == ("track", "signed_up", "login", user)
