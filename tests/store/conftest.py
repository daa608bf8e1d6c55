from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.warehouse import Warehouse
from tests.store.small import NOON, opened


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def warehouse(tmp_path: Path, clock: FixedClock) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with opened(tmp_path, clock=clock) as found:
        yield found


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    """A session without tables."""
    with DuckEngine(tmp_path / "work", memory_limit_mb=300, threads=2).session() as found:
        yield found
