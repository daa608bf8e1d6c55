"""The worker beside a server: started again where it dies, ended with the server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jingzhe.cli import worker_process
from jingzhe.cli.worker_process import PARENT, WorkerProcess
from tests.server.asking import Heard

_DIES = "import sys; sys.exit(3)"
_STAYS = "import time, signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); time.sleep(60)"


def made(code: str, heard: Heard) -> WorkerProcess:
    worker = WorkerProcess(Path("home"), heard)
    assert worker._command[1:] == ["-m", "jingzhe.cli.main", "serve", "--role", "worker", "--home", "home"]
    worker._command = [sys.executable, "-c", code]
    return worker


def test_a_worker_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_FIRST_PAUSE", 0.01)
    heard = Heard()
    worker = made(_DIES, heard)
    worker.start()
    give_up = time.monotonic() + 60
    while len(heard.lines) < 3:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    worker.end()
    told = heard.lines[:3]
    assert {event for event, _ in told} == {"the worker ended and is started again"}
    assert {values["exit_code"] for _, values in told} == {3}
    pauses = [values["pause_seconds"] for _, values in told]
    assert pauses == [0.01, 0.02, 0.04]


def test_a_worker_is_ended_once_and_not_started_again() -> None:
    heard = Heard()
    worker = made(_STAYS, heard)
    worker.start()
    worker.start()
    process = worker._process
    assert process is not None
    worker.end()
    assert process.poll() is not None
    assert heard.lines == []
    worker.start()
    assert worker._process is process


def test_a_worker_that_was_never_started_ends_at_once() -> None:
    worker = made(_STAYS, Heard())
    worker.end()
    worker.start()
    assert worker._process is None


@pytest.mark.slow
def test_a_worker_whose_server_was_killed_before_it_had_begun_ends(tmp_path: Path) -> None:
    # Whoever started it is not its parent any more when it looks for the first time.
    gone = {**os.environ, PARENT: str(os.getppid())}
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--role", "worker", "--home", str(tmp_path)]
    assert subprocess.run(command, env=gone, timeout=300, check=False).returncode == 0
