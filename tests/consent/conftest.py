"""A state store on SQLite and on PostgreSQL, people who merge, and a shop that takes live events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.identity.keys import Key
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.resolving import resolve
from jingzhe.store.state import State
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture(params=["sqlite", "postgres"])
def state(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[State]:
    server = request.param == "postgres"
    url = str(request.getfixturevalue("postgres_url")) if server else f"sqlite:///{tmp_path / 'state.db'}"
    with State.open(url, clock=clock) as opened:
        yield opened


def met(state: State, clock: FixedClock, *together: tuple[str, str], name: str = "") -> int:
    """Has keys seen together; returns under whom the facts are filed."""
    seen = Observations.of([Observation(tuple(Key(*key) for key in together), clock.now(), "e")])
    return int(resolve(state, seen, batch_id=f"{name}{together}", clock=clock).homes[0])
