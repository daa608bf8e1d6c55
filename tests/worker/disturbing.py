"""``jingzhe serve`` under load, while what it stands on is taken away for a moment and given back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.store.state import State
from tests.ports import free_port
from tests.postgres import lasting_server
from tests.worker import sdks
from tests.worker.books import SHOP, arrived, balance, opened
from tests.worker.sending import Clients

_PATIENCE_SECONDS = 300


def until(true: Callable[[], bool], what: str) -> None:
    """Waits until something is so."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < give_up, f"not within {_PATIENCE_SECONDS} s: {what}"
        time.sleep(0.05)


@dataclass
class Served:
    """A project that is served, and who sends to it.

    Args:
        home: its folder.
        url: of its state store; empty for SQLite.
        clients: who send.
        process: of the server.
    """

    home: Path
    url: str
    clients: Clients
    process: subprocess.Popen[bytes]

    def refused(self, count: int, what: str) -> None:
        """Waits until so many more requests were sent away."""
        goal = self.clients.answers[503] + count
        until(lambda: self.clients.answers[503] >= goal, what)

    def caught_up(self) -> None:
        """Waits until the worker, by itself, has brought everything acknowledged into the lake."""
        goal = set(self.clients.acknowledged)
        with opened(self.home, self.url) as workspace:
            until(lambda: goal <= arrived(workspace), "everything acknowledged is in the lake or in quarantine")
        assert self.process.poll() is None, "the server has ended"


@contextmanager
def served(home: Path, url: str = "", **settings: str) -> Iterator[Served]:
    """Serves a new project by the real command, with clients and an unmodified SDK sending; balances the books.

    Args:
        home: folder of the project.
        url: of the state store; empty for SQLite.
        settings: others, by name.
    """
    chosen = {"JINGZHE_MEMORY_LIMIT_MB": "300", "JINGZHE_THREADS": "1", "JINGZHE_STATE_URL": url}
    chosen |= {f"JINGZHE_{name.upper()}": value for name, value in settings.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in chosen.items():
            patch.setenv(name, value)
        with State.open(url or f"sqlite:///{home / 'state.db'}", clock=SystemClock()) as state:
            key, sdk_key = (add_source(state, name, clock=SystemClock()) for name in (SHOP, "segment"))
        clients = Clients(free_port(), key)
        command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", str(home), "--port", str(clients.port)]
        with (
            tempfile.TemporaryFile() as out,
            subprocess.Popen(command, stdout=out, stderr=out, env=_environment()) as process,
        ):
            try:
                until(lambda: _answers(clients.port), "the server answers")
                with clients.sending(), sdks.segment(clients, sdk_key):
                    project = Served(home, url, clients, process)
                    project.clients.more(20, "the first events are acknowledged")
                    yield project
                project.caught_up()
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(_PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                out.seek(0)
                said = out.read()[-3000:].decode("utf-8", "replace")
                print(said)  # noqa: T201 - shown with a failure
        assert process.returncode == 0, said
        assert set(clients.answers) <= {200, 503}, clients.answers
        assert clients.unpaced == 0, "a client was sent away without being told for how long"
        balance(home, url, clients, last=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30):
            return True
    except OSError:
        return False


def fill_inbox_disk(disk: Path, elsewhere: Path, *, free_mb: int, times: int) -> None:
    """Fills the disk on which inbox and state stand, and gives the space back; the lake stands elsewhere.

    Args:
        disk: a small disk.
        elsewhere: a folder on another.
        free_mb: how much the collector keeps free; 0: until the disk is full.
        times: how often.
    """
    home = disk / "home"
    with served(home, lake_url=str(elsewhere / "lake"), collect_free_mb=str(free_mb)) as project:
        for _ in range(times):
            with filled(disk, leave_bytes=free_mb * 10**6 * 9 // 10):
                project.refused(10, "the collector says 503")
            project.clients.more(50, "events are taken again when there is room")


def fill_lake_disk(disk: Path, elsewhere: Path, *, times: int) -> None:
    """Fills the disk of the lake while the inbox has room: events are taken, and drained when there is room again."""
    with served(elsewhere / "home", lake_url=str(disk / "lake")) as project:
        for _ in range(times):
            refused = project.clients.answers[503]
            with filled(disk, leave_bytes=0):
                project.clients.more(200, "events are taken while the lake is full")
                time.sleep(2)
            assert project.clients.answers[503] == refused
            project.caught_up()


@contextmanager
def filled(disk: Path, *, leave_bytes: int) -> Iterator[None]:
    """Fills a disk, again and again where something is freed, and frees it at the end."""
    filler, stop = disk / "filler", threading.Event()

    def fill() -> None:
        with filler.open("ab", buffering=0) as out:
            while not stop.wait(0.02):
                free = os.statvfs(disk)
                size = free.f_bavail * free.f_frsize - leave_bytes
                if size > 0:
                    try:
                        out.write(b"\0" * size)
                    except OSError as error:
                        # Somebody else was quicker with the last page.
                        assert error.errno == 28, error  # noqa: PT017 - in a thread of its own

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        filler.unlink()


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """Mounts a small disk; skips the test where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def stop_postgres(home: Path, *, times: int, sudden: bool) -> None:
    """Stops the PostgreSQL server that holds state and inbox, again and again, and starts it again.

    Args:
        home: folder of the project.
        times: how often.
        sudden: True to kill it, False to have it end at once by itself.
    """
    with lasting_server() as server, served(home, server.url) as project:
        for _ in range(times):
            server.stop(sudden=sudden)
            time.sleep(0.7)
            server.start()
            project.clients.more(50, "events are taken again when the server is back")
            project.caught_up()
