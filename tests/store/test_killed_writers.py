"""Writers, and who compacts beside them, killed at random moments; tests/faults does the same for longer."""

from __future__ import annotations

from pathlib import Path

from tests.postgres import postgres_server, postgres_url
from tests.store.killing import kill_rewriters, kill_writers
from tests.store.small import url_in

__all__ = ["postgres_server", "postgres_url"]


def test_on_sqlite(tmp_path: Path) -> None:
    kill_writers(tmp_path, url_in(tmp_path), times=10, seed=1)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_writers(tmp_path, postgres_url, times=4, seed=2)


def test_rewriters_on_sqlite(tmp_path: Path) -> None:
    kill_rewriters(tmp_path, url_in(tmp_path), times=8, seed=3)


def test_two_rewriters_at_once_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_rewriters(tmp_path, postgres_url, times=4, seed=4, at_once=2)
