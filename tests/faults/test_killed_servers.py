from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.worker.killing import kill_servers

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_on_sqlite(tmp_path: Path, seed: int) -> None:
    kill_servers(tmp_path / "home", "", times=60, seed=300 + seed)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_servers(tmp_path / "home", postgres_url, times=40, seed=400)
