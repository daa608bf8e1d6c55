"""Whatever fails in the store is told as its failure, and no error repeats what was to be written."""

from __future__ import annotations

import sqlite3
import traceback
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import StateError
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.store.state.tables import document
from tests.store.state.conftest import NOON

SECRET = "somebody@example.cn"  # noqa: S105 - stands for what is personal


def test_a_pool_that_is_used_up_is_a_store_that_cannot_be_used(state: State) -> None:
    state._database.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    with ExitStack() as held:
        for _ in range(15):
            held.enter_context(state.reading())
        with pytest.raises(StateError, match="cannot be used"):
            state.latest()
    assert state.latest() is None


def test_a_server_that_takes_no_writes_after_a_failover(postgres_url: str, clock: FixedClock) -> None:
    with State.open(postgres_url, clock=clock):
        pass
    assert "&options=" in postgres_url
    read_only = f"{postgres_url}%20-cdefault_transaction_read_only%3Don"
    with State.open(read_only, clock=clock) as state:
        assert state.latest() is None
        with pytest.raises(StateError, match="read-only"):
            state.put_document("preset", "shop", {})


def test_a_file_that_is_damaged(tmp_path: Path, clock: FixedClock) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    with State.open(url, clock=clock) as state:
        state.put_document("preset", "shop", {})
    with sqlite3.connect(tmp_path / "state.db") as raw:
        (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'document'").fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    raw.close()
    with (tmp_path / "state.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with State.open(url, clock=clock) as state, pytest.raises(StateError, match="malformed"):
        state.document("preset", "shop")


def test_a_table_that_is_not_there(state: State) -> None:
    with state.writing() as connection:
        connection.execute(sa.text("DROP TABLE document"))
    with pytest.raises(StateError, match="document"):
        state.document("preset", "shop")


def test_an_inbox_that_two_create_at_once_is_there(postgres_url: str) -> None:
    with Inbox.open(postgres_url) as one, Inbox.open(postgres_url) as other:
        one.append(Group(1, 1, 0, b"x"))
        assert other.depth().rows == 1


def test_no_error_repeats_what_was_to_be_written(state: State) -> None:
    row = {"kind": SECRET, "name": SECRET, "version": 1, "body": {"email": SECRET}, "created_at": NOON}

    def insert(**values: object) -> None:
        with state.writing() as connection:
            connection.execute(sa.insert(document).values({**row, **values}))

    insert()
    with pytest.raises(IntegrityError) as twice:
        insert()
    with pytest.raises(IntegrityError) as missing:
        insert(name="other", created_at=None)
    told = [*traceback.format_exception(twice.value), *traceback.format_exception(missing.value)]
    with pytest.raises(StateError) as wrong, state.writing() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:value)"), {"value": SECRET})
    told += traceback.format_exception(wrong.value)
    assert "IntegrityError" in "".join(told)
    assert SECRET not in "".join(told)


def test_a_value_that_cannot_be_kept_is_no_failure_of_the_store(postgres_url: str, clock: FixedClock) -> None:
    # Else a worker would wait for the store to come back, for ever.
    with State.open(postgres_url, clock=clock) as state:
        with pytest.raises(DataError) as caught:
            state.put_document("preset", f"{SECRET}\x00", {})
        assert SECRET not in "".join(traceback.format_exception(caught.value))
