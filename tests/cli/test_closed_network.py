"""It runs where there is no network at all: not even a loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAN_UNSHARE = (
    shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0
)


@pytest.mark.skipif(not CAN_UNSHARE, reason="this user may not make a network namespace")
def test_the_demo_runs_without_any_network(tmp_path: Path) -> None:
    command = ["unshare", "-n", sys.executable, "-c", "from jingzhe.cli.main import run; run()", "demo"]
    done = subprocess.run(
        [*command, "--simulated", "300", "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
