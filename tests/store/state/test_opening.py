from __future__ import annotations

import socket
import sqlite3
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import StateError
from jingzhe.store.state import State
from jingzhe.store.state.database import connect
from jingzhe.store.state.migrate import _config, migrate, newest
from jingzhe.store.state.tables import VERSION_TABLE, document, metadata
from jingzhe.store.state.version import NEWEST, is_current
from tests.store.state.conftest import NOON
from tests.store.state.other_process import Other


def test_an_empty_store_gets_all_tables(state: State) -> None:
    with state.reading() as connection:
        assert {*metadata.tables, VERSION_TABLE} == set(sa.inspect(connection).get_table_names())


def test_migrations_build_what_the_code_expects(state: State) -> None:
    with state.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_version_is_the_one_the_migrations_lead_to() -> None:
    assert newest() == NEWEST


def test_opening_again_changes_nothing(state_url: str, clock: FixedClock) -> None:
    with State.open(state_url, clock=clock) as first:
        first.put_document("preset", "shop", {"a": 1})
    with State.open(state_url, clock=clock) as second:
        assert [one.name for one in second.documents("preset")] == ["shop"]
    database = connect(state_url)
    migrate(database)
    assert is_current(database)
    database.engine.dispose()


def test_a_store_of_a_newer_version_is_refused(state_url: str, clock: FixedClock) -> None:
    with State.open(state_url, clock=clock) as state, state.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StateError, match="newer version") as caught:
        State.open(state_url, clock=clock)
    assert caught.value.where["revision"] == "9999"


def test_processes_that_open_an_empty_store_at_once_all_succeed(
    state_url: str, clock: FixedClock, others: tuple[Other, Other]
) -> None:
    begin = time.time() + 0.2
    for other in others:
        other.tell("open", state_url, str(begin))
    assert [other.answer() for other in others] == ["done", "done"]
    with State.open(state_url, clock=clock) as state:
        assert state.latest() is None


def test_sqlite_keeps_its_promises_on_every_connection(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path / 'deep' / 'er' / 'state.db'}")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    with database.reading() as first, database.reading() as second:
        for connection in (first, second):
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
            assert found == wanted
    database.engine.dispose()


def test_an_exception_undoes_tables_too(state: State) -> None:
    def fail() -> None:
        with state.writing() as connection:
            connection.execute(sa.text("CREATE TABLE half (a INTEGER)"))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    with state.reading() as connection:
        assert "half" not in sa.inspect(connection).get_table_names()


def test_what_a_reader_sees_stays_the_same(state: State) -> None:
    count = sa.text("SELECT count(*) FROM document")
    with state.reading() as connection:
        assert connection.scalar(count) == 0
        state.put_document("preset", "shop", {})
        assert connection.scalar(count) == 0


def test_a_server_that_refuses_is_told_at_once(clock: FixedClock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(StateError) as caught:
            State.open(f"postgresql://keeper:secret@127.0.0.1:{port}/jingzhe", clock=clock)
    assert time.monotonic() - begun < 20
    assert "refused" in str(caught.value)
    assert f"keeper:***@127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_silent_is_told_within_seconds(clock: FixedClock) -> None:
    with socket.socket() as silent:
        # Takes connections and never says a word, like a firewall's idea of a server.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://keeper@127.0.0.1:{silent.getsockname()[1]}/jingzhe?connect_timeout=2"
        begun = time.monotonic()
        with pytest.raises(StateError, match="time"):
            State.open(url, clock=clock)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://host/jingzhe", "mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "needs a file"),
        ("state.db", "cannot be read"),
    ],
)
def test_urls_that_cannot_be_used(url: str, told: str, clock: FixedClock) -> None:
    with pytest.raises(StateError, match=told) as caught:
        State.open(url, clock=clock)
    assert "postgresql://" in caught.value.hint


def test_a_file_that_is_no_database(tmp_path: Path, clock: FixedClock) -> None:
    path = tmp_path / "state.db"
    path.write_text("Dear diary, " * 100, "utf-8")
    with pytest.raises(StateError, match="not a database"):
        State.open(f"sqlite:///{path}", clock=clock)


def test_a_folder_that_cannot_be_made(tmp_path: Path, clock: FixedClock) -> None:
    (tmp_path / "taken").write_text("a file", "utf-8")
    with pytest.raises(StateError, match="folder"):
        State.open(f"sqlite:///{tmp_path / 'taken' / 'state.db'}", clock=clock)


def test_a_store_that_stays_locked_is_busy(tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.state.database.LOCK_SECONDS", 0.2)
    path = tmp_path / "state.db"
    with State.open(f"sqlite:///{path}", clock=clock) as state:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="held the state store") as caught:
            state.put_document("preset", "shop", {})
        blocker.close()
    assert getattr(caught.value, "code", "") == "busy"


def test_processes_that_migrate_an_older_store_at_once_all_succeed(
    state_url: str, clock: FixedClock, others: tuple[Other, Other]
) -> None:
    database = connect(state_url)
    with database.writing() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = {"kind": "preset", "name": "shop", "version": 1, "body": {"a": 1}, "created_at": NOON}
        connection.execute(sa.insert(document).values(row))
    assert is_current(database) is (NEWEST == "0001")
    database.engine.dispose()
    begin = time.time() + 0.2
    for other in others:
        other.tell("open", state_url, str(begin))
    assert [other.answer() for other in others] == ["done", "done"]
    with State.open(state_url, clock=clock) as state:
        kept = state.document("preset", "shop")
        assert kept is not None
        assert kept.body == {"a": 1}
        assert is_current(state._database)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("/postgres?", "/nowhere?"), "does not exist"),
        (lambda url: url.replace("postgres@", "nobody:secret@", 1), "nobody"),
        (lambda _: "postgresql://keeper:secret@store.invalid/jingzhe", "store.invalid"),
    ],
    ids=["database", "account", "host"],
)
def test_a_wrong_address_is_told_within_seconds(
    postgres_url: str, clock: FixedClock, change: Callable[[str], str], said: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(StateError, match=said) as caught:
        State.open(change(postgres_url), clock=clock)
    assert time.monotonic() - begun < 30
    assert "Check the URL" in caught.value.hint
    assert "secret" not in "".join(traceback.format_exception(caught.value))
