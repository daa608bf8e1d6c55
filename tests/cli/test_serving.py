"""``jingzhe serve`` as people start it: one command, two processes, ended by a signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.cli.main import app
from tests.ports import free_port

pytestmark = pytest.mark.slow
_SECONDS = 300


def test_from_a_source_to_a_profile(tmp_path: Path) -> None:
    home, port, run = str(tmp_path / "home"), free_port(), CliRunner()
    key = run.invoke(app, ["source", "add", "shop", "--home", home, "--kind", "till"]).stdout.strip()
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", home, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            _post(port, key, _SECONDS)
            with open_workspace(home) as workspace:
                _await_profile(workspace)
                rows = workspace.sql("SELECT channel, source FROM event_details").to_pylist()
            assert rows == [{"channel": "till", "source": "shop"}]
        finally:
            server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=_SECONDS)[1].decode()
    assert server.returncode == 0, said
    assert "collector stopped" in said
    assert "somebody-17" not in said
    assert key not in said
    assert _workers_of(server.pid) == []
    listed = run.invoke(app, ["source", "list", "--home", home]).stdout
    assert "shop" in listed
    assert key[:4] in listed
    assert key not in listed
    assert "0 events drained" in run.invoke(app, ["drain", "--home", home]).stdout
    assert "1 keys revoked" in run.invoke(app, ["source", "revoke", "shop", "--home", home]).stdout


def _post(port: int, key: str, seconds: float) -> None:
    body = json.dumps({"event": "Order Completed", "userId": "somebody-17", "properties": {"revenue": 5}}).encode()
    head = {"authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
    give_up = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/track", body, head)) as got:
                assert got.status == 200
                return
        except OSError:
            assert time.monotonic() < give_up, "the collector did not start"
            time.sleep(0.2)


def _await_profile(workspace: Workspace) -> None:
    give_up = time.monotonic() + _SECONDS
    while time.monotonic() < give_up:
        found = workspace.sql("SELECT purchases, spend FROM profiles").to_pylist()
        if found:
            assert found == [{"purchases": 1, "spend": 5.0}]
            return
        time.sleep(0.2)
    pytest.fail("the event did not reach the profile")


def _workers_of(parent: int) -> list[str]:
    mark = f"JINGZHE_WORKER_OF={parent}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--role", "collect", "--home", str(tmp_path),
                   "--port", str(taken.getsockname()[1])]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
