"""A clock that is set while collector and worker run; tests/faults does the same for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.worker.jumping import jump

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


def test_on_sqlite(tmp_path: Path) -> None:
    jump(tmp_path / "home", "", times=1)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    jump(tmp_path / "home", postgres_url, times=1)
