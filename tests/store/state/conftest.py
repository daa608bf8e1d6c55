"""Every test that takes ``state_url`` or ``state`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from tests.postgres import postgres_server, postgres_url
from tests.store.state.other_process import Other

__all__ = ["postgres_server", "postgres_url"]

NOON = datetime(2026, 3, 5, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'project' / 'state.db'}"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def state(state_url: str, clock: FixedClock) -> Iterator[State]:
    """An open, empty store."""
    with State.open(state_url, clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def started() -> Iterator[tuple[Other, Other]]:
    """Two more processes, kept for all tests: to start one takes longer than most tests."""
    with Other() as one, Other() as two:
        yield one, two


@pytest.fixture
def others(started: tuple[Other, Other]) -> Iterator[tuple[Other, Other]]:
    """Two more processes, with no store open yet."""
    yield started
    for one in started:
        one.leave()


@pytest.fixture
def other(others: tuple[Other, Other], state_url: str) -> Other:
    """A second process that works on the same store."""
    assert others[0].ask("open", state_url) == "done"
    return others[0]
