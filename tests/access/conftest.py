"""A store with accounts, on SQLite and on PostgreSQL, and a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.access.sessions import Sessions
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NOON = datetime(2026, 3, 5, 12, 0, 0, 123456, tzinfo=UTC)
EMAIL = "li.lei@example.com"
PASSWORD = "plum rain over nine bridges"  # noqa: S105 - of nobody


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def state(state_url: str, clock: FixedClock) -> Iterator[State]:
    with State.open(state_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def accounts(state: State, clock: FixedClock) -> Accounts:
    return Accounts(state, clock)


@pytest.fixture
def sessions(state: State, clock: FixedClock) -> Sessions:
    return Sessions(state, clock)


@pytest.fixture
def keys(state: State, clock: FixedClock) -> Keys:
    return Keys(state, clock)


@pytest.fixture
def owner(accounts: Accounts) -> str:
    """An owner with a password; returns the account's id."""
    made, link = accounts.invite(MACHINE, EMAIL, name="Li Lei", role="owner")
    accounts.set_password(link.token, PASSWORD)
    return made.account_id
