"""Collectors and workers killed at random moments; tests/faults does the same for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.worker.killing import kill_servers

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


def test_on_sqlite(tmp_path: Path) -> None:
    kill_servers(tmp_path / "home", "", times=15, seed=1)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_servers(tmp_path / "home", postgres_url, times=5, seed=2)
