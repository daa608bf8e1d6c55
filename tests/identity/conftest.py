"""Tests that take ``state`` run on SQLite and on PostgreSQL; ``fresh`` gives many empty SQLite stores quickly."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.identity.rules import project_salt
from jingzhe.store.state import State
from tests.identity.stories import NOON
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

Fresh = Callable[[], AbstractContextManager[State]]


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def state(state_url: str, clock: FixedClock) -> Iterator[State]:
    """An open, empty store."""
    with State.open(state_url, clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Opens an empty SQLite store: a copy of one that was migrated once."""
    folder = tmp_path_factory.mktemp("states")
    clock = FixedClock(NOON)
    with State.open(f"sqlite:///{folder / 'empty.db'}", clock=clock) as empty, empty.writing() as connection:
        # Else every copy would make a salt of its own, and no two could be compared.
        project_salt(empty, connection)
    numbers = count(1)

    @contextmanager
    def opened() -> Iterator[State]:
        path = folder / f"{next(numbers)}.db"
        shutil.copy(folder / "empty.db", path)
        with State.open(f"sqlite:///{path}", clock=clock) as state:
            yield state
        for leftover in folder.glob(f"{path.name}*"):
            leftover.unlink()

    return opened
