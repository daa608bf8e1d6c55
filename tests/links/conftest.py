from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture(params=["sqlite", "postgres"])
def state(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[State]:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_url"))
    with State.open(url, clock=clock) as opened:
        yield opened
