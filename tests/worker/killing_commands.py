"""Kills ``jingzhe serve``, the command as people start it, under load from a generator and from unmodified SDKs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.store.state import State
from tests.ports import free_port
from tests.worker import sdks
from tests.worker.books import SHOP, balance
from tests.worker.sending import Clients

_PATIENCE_SECONDS = 300
_STARTING_SECONDS = 2.5


def until(true: Callable[[], bool], what: str, *, seconds: float = _PATIENCE_SECONDS) -> None:
    """Waits until something is so."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


@dataclass
class Command:
    """A server as a process, with its worker, in a group of their own.

    Args:
        process: of the server.
        port: at which it listens.
    """

    process: subprocess.Popen[bytes]
    port: int

    @property
    def answers(self) -> bool:
        """Tells whether it takes events."""
        assert self.process.poll() is None, "the server has ended by itself"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=30):
                return True
        except OSError:
            return False

    def workers(self) -> set[int]:
        """Returns the processes that the server has started and that live."""
        found = set[int]()
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(FileNotFoundError):
                found.update(map(int, (task / "children").read_text().split()))
        return found

    def lives(self) -> bool:
        """Tells whether any process of the group lives."""
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z":
                    return True
        return False

    def kill(self, *, worker_too: bool) -> None:
        """Kills all of it at once, or the server alone, whose worker then ends by itself."""
        if worker_too:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        until(lambda: not self.lives(), "a worker whose server was killed ends")

    def end(self) -> int:
        """Has it end well; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE_SECONDS)


@dataclass
class Killed:
    """A project whose server is killed again and again.

    Args:
        home: its folder.
        url: of its state store; empty for SQLite.
        clients: who send.
        draw: says when.
        log: where the servers tell what they do.
        kills: how many there were.
    """

    home: Path
    url: str
    clients: Clients
    draw: random.Random
    log: Path
    kills: int = 0

    @contextmanager
    def running(self) -> Iterator[Command]:
        """Starts the server; kills what is left of it at the end."""
        own = {**os.environ, "JINGZHE_STATE_URL": self.url, "PYTHONPATH": os.pathsep.join(sys.path)}
        own |= {"JINGZHE_MEMORY_LIMIT_MB": "300", "JINGZHE_THREADS": "1"}
        port = self.clients.port
        command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", str(self.home), "--port", str(port)]
        with (
            self.log.open("ab") as out,
            subprocess.Popen(command, stdout=out, stderr=out, env=own, start_new_session=True) as process,
        ):
            started = Command(process, port)
            try:
                yield started
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def once(self) -> None:
        """Starts the server and kills it at some moment of its life; sometimes its worker first."""
        moment = self.draw.choice(["starting", "serving", "serving", "draining", "draining", "draining"])
        with self.running() as server:
            if moment == "starting":
                time.sleep(self.draw.uniform(0, _STARTING_SECONDS))
            else:
                until(lambda: server.answers, "the server answers")
                self.clients.more(20, "something is acknowledged")
                if moment == "draining":
                    self._drained()
                    if self.draw.random() < 0.35:
                        self._kill_worker(server)
                time.sleep(self.draw.uniform(0, 0.6))
            server.kill(worker_too=self.draw.random() < 0.7)
            self.kills += 1
        balance(self.home, self.url, self.clients)

    def _drained(self) -> None:
        """Waits until the worker has published what was acknowledged up to now, or something later."""
        with State.open(self.url or f"sqlite:///{self.home / 'state.db'}", clock=SystemClock()) as state:

            def newest() -> int:
                latest = state.latest()
                return latest.seq if latest else 0

            before = newest()
            until(lambda: newest() > before, "the worker drains")

    def _kill_worker(self, server: Command) -> None:
        """Kills the worker alone; the server goes on, and starts another, which goes on where that one was."""
        before = server.workers()
        assert before, "there is no worker"
        for number in before:
            os.kill(number, signal.SIGKILL)
        self.kills += 1
        until(lambda: bool(server.workers() - before), "the server starts another worker")
        self._drained()
        until(lambda: server.answers, "the server goes on to answer")


def kill_commands(home: Path, url: str, *, times: int, seed: int) -> None:
    """Kills ``jingzhe serve`` or its worker ``times`` times; after each the books balance.

    Args:
        home: folder of the project.
        url: of its state store; empty for SQLite.
        times: how many kills.
        seed: of the moments.
    """
    home.mkdir()
    with State.open(url or f"sqlite:///{home / 'state.db'}", clock=SystemClock()) as state:
        key, segment_key, sensors_key = (
            add_source(state, name, clock=SystemClock()) for name in (SHOP, "segment", "sensors")
        )
    clients = Clients(free_port(), key)
    killed = Killed(home, url, clients, random.Random(seed), home.parent / "log")  # noqa: S311 - no secret
    try:
        _kill(killed, segment_key, sensors_key, times)
    finally:
        print(killed.log.read_text("utf-8", "replace")[-5000:])  # noqa: T201 - shown with a failure
    balance(home, url, clients, last=True)
    assert set(clients.answers) <= {200, 503}, clients.answers
    assert clients.mended, "nothing was mended and replayed"
    assert clients.repeated & clients.acknowledged, "nothing was sent again"


def _kill(killed: Killed, segment_key: str, sensors_key: str, times: int) -> None:
    clients = killed.clients
    with clients.sending(), ExitStack() as sending:
        sending.enter_context(sdks.segment(clients, segment_key, gzip=True))
        sending.enter_context(sdks.sensors(clients, sensors_key))
        while killed.kills < times:
            killed.once()
        with killed.running() as server:
            until(lambda: server.answers, "the server answers")
            sending.close()
            assert server.end() == 0
