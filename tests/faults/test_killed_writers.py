from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.store.killing import kill_writers
from tests.store.small import url_in

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_on_sqlite(tmp_path: Path, seed: int) -> None:
    kill_writers(tmp_path, url_in(tmp_path), times=60, seed=100 + seed)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_writers(tmp_path, postgres_url, times=60, seed=200)
