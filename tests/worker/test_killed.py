"""Collectors, workers and the whole command killed at random moments; tests/faults does the same for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.worker.killing import kill_servers
from tests.worker.killing_commands import kill_commands

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


def test_on_sqlite(tmp_path: Path) -> None:
    kill_servers(tmp_path / "home", "", times=8, seed=1)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_servers(tmp_path / "home", postgres_url, times=4, seed=2)


def test_the_command_on_sqlite(tmp_path: Path) -> None:
    kill_commands(tmp_path / "home", "", times=3, seed=3)


def test_the_command_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_commands(tmp_path / "home", postgres_url, times=2, seed=4)
