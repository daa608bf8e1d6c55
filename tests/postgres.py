"""A throw-away PostgreSQL server for tests, from the binaries that the machine has.

Tests take the fixture ``postgres_url`` (an empty schema of their own). Without binaries they are skipped
with the reason; where the environment variable ``CI`` is set, that is a failure: both databases are promised.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_START_SECONDS = 120
_INSTALL = "install the PostgreSQL server (Debian: apt-get install postgresql)"
# Safe only because nothing here outlives the tests.
_FAST = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=16MB",
    "max_connections=80",
)

# The machine stays up, only the server dies: what it has handed to the system is not lost.
_LASTING = ("fsync=off", "shared_buffers=16MB", "max_connections=80")


@dataclass
class Server:
    """A running server, reached through a socket in its own folder (so no port can be taken already)."""

    folder: Path
    process: subprocess.Popen[bytes]
    again: Callable[[], subprocess.Popen[bytes]]

    def stop(self, *, sudden: bool = False) -> None:
        """Ends the server in the middle of whatever it does.

        Args:
            sudden: True to kill it, so that it cannot even tell its clients.
        """
        self.process.send_signal(signal.SIGKILL if sudden else signal.SIGQUIT)
        self.process.wait(timeout=_START_SECONDS)

    def start(self) -> None:
        """Starts it again over what it had written."""
        self.process = self.again()
        _await(self, self.folder / "log")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def create(self, schema: str) -> str:
        """Makes an empty schema (far quicker than a database) and returns the URL that leads there."""
        self._run(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        return f"{self.url}&options=-csearch_path%3D{schema}"

    def drop(self, schema: str) -> None:
        self._run(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))

    def _run(self, statement: sql.Composed) -> None:
        # A connection that a test has left in a transaction would block the drop: an error to be seen.
        with psycopg.connect(self.url, autocommit=True, options="-clock_timeout=30s") as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of this process."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail(f"No PostgreSQL server on this machine: {_INSTALL}", pytrace=False)
        pytest.skip(f"no PostgreSQL server on this machine: {_INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="jz-pg-"))
    try:
        server = _start(binaries, folder)
        try:
            yield server
        finally:
            # Ends it without tidying up what is thrown away next.
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait(timeout=_START_SECONDS)
    finally:
        shutil.rmtree(folder)


@contextmanager
def lasting_server() -> Iterator[Server]:
    """A server of one test's own that keeps its promises: what it has committed survives its being killed."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail(f"No PostgreSQL server on this machine: {_INSTALL}", pytrace=False)
        pytest.skip(f"no PostgreSQL server on this machine: {_INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="jz-pg-"))
    try:
        server = _start(binaries, folder, _LASTING)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


_numbers = count(1)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """URL of an empty place in a database, dropped afterwards."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


def _binaries() -> Path | None:
    """Returns the folder with initdb and postgres, the newest where there are several."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parts[-3]),
        reverse=True,
    )
    found = shutil.which("postgres")
    candidates = [*debian, *([Path(found)] if found else [])]
    return next((path.resolve().parent for path in candidates if (path.parent / "initdb").exists()), None)


def _unprivileged() -> str | None:
    """Returns the account to run the server as; None: the present one. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in accounts)


def _start(binaries: Path, folder: Path, kept: Sequence[str] = _FAST) -> Server:
    user = _unprivileged()
    if user is not None:
        shutil.chown(folder, user)
    # Only these: what the tests' own environment says of PostgreSQL (PGDATA, PGHOST …) is meant for others.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    groups: list[str] | None = None if user is None else []
    data = folder / "data"
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    made = subprocess.run(
        initdb, user=user, extra_groups=groups, env=environment, cwd=folder, capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.fail(f"initdb failed: {made.stderr.decode()}", pytrace=False)
    # A zone that is not UTC, so that a moment read without care is seen to be wrong.
    settings = [*kept, "listen_addresses=", f"unix_socket_directories={folder}", "timezone=Asia/Shanghai"]
    options = [part for setting in settings for part in ("-c", setting)]
    log = folder / "log"

    def run() -> subprocess.Popen[bytes]:
        # What a server that was killed has left behind would keep the next one from starting.
        (data / "postmaster.pid").unlink(missing_ok=True)
        with log.open("ab") as out:
            return subprocess.Popen(
                [binaries / "postgres", "-D", data, *options],
                user=user,
                extra_groups=groups,
                env=environment,
                cwd=folder,
                stdout=out,
                stderr=out,
            )

    server = Server(folder, run(), run)
    _await(server, log)
    return server


def _await(server: Server, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(server.url).close()
        except psycopg.OperationalError:
            if server.process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
                continue
            server.process.kill()
            server.process.wait()
            pytest.fail(f"PostgreSQL did not start:\n{log.read_text('utf-8', 'replace')}", pytrace=False)
        return
