"""One engine session for a whole module: to open it takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jingzhe.store.engine.duck import DuckEngine, DuckSession


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckSession]:
    """An engine session without a warehouse."""
    with DuckEngine(tmp_path_factory.mktemp("engine"), memory_limit_mb=500, threads=1).session() as opened:
        yield opened
