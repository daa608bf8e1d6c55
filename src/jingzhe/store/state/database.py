"""Connections and transactions: the same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from jingzhe.core.errors import BusyError, StateError
from jingzhe.store.state.tables import UtcDateTime

CONNECT_SECONDS = 4
LOCK_SECONDS = 30

_FORMS = "Use sqlite:////folder/state.db or postgresql://user:password@host/database."
_ADDRESS = "Check the URL, that the server runs, and that this account may create tables there."
# SQLSTATE of PostgreSQL: a lock was not had in time; a deadlock was broken.
_LOCKED = frozenset({"55P03", "40P01"})
_OF_VALUES = (IntegrityError, DataError)
"""Failures of what was to be written, not of the store: to wait until the store is well again would not help."""


@dataclass(frozen=True)
class Database:
    """One database and the two ways of using it.

    Args:
        engine: the pool of connections.
        label: the URL without its password, for messages.
    """

    engine: Engine
    label: str

    @property
    def is_postgres(self) -> bool:
        """Tells whether this is PostgreSQL (else SQLite)."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a transaction in which every statement sees the same moment."""
        # SQLite reads one snapshot per transaction by itself; PostgreSQL does from REPEATABLE READ on.
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if self.is_postgres else {}
        with self._explained(), self.engine.execution_options(**options).begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Opens a transaction that is committed at the end, or undone by an exception.

        Raises:
            BusyError: another transaction held what this one needs for longer than ``LOCK_SECONDS``.
            StateError: the database cannot be reached.
        """
        with self._explained(), self.engine.execution_options(jingzhe_writes=True).begin() as connection:
            if self.is_postgres:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield connection

    def moment(self, *, in_seconds: float = 0.0) -> sa.ColumnElement[datetime]:
        """Returns now, or a moment from now, as an expression by the clock that all processes share.

        Processes on several machines can share a PostgreSQL server, and their clocks differ: only the
        server's is common to all. A SQLite file in WAL mode is shared within one machine only (it needs
        common memory), so the machine's clock is common; SQLite's own ``CURRENT_TIMESTAMP`` is the same
        clock in whole seconds. The injected clock is not used: a lease guards real processes in real time.

        Args:
            in_seconds: how far ahead.
        """
        if self.is_postgres:
            # Not now(): that is when the transaction began, which may be long ago.
            ahead = sa.func.make_interval(0, 0, 0, 0, 0, 0, in_seconds)
            return sa.type_coerce(sa.func.clock_timestamp() + ahead, UtcDateTime())
        return sa.literal(datetime.fromtimestamp(time.time() + in_seconds, UTC), UtcDateTime())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _OF_VALUES:
            raise
        except (DBAPIError, PoolTimeoutError) as error:
            if _is_locked(error):
                raise BusyError(
                    f"Another transaction held the state store for more than {LOCK_SECONDS} s",
                    hint="Nothing was changed; try again when the other work has finished.",
                    database=self.label,
                ) from error
            raise StateError(
                f"The state store cannot be used: {_first_line(error)}",
                hint=_ADDRESS if self.is_postgres else "Check the free space and the rights on its folder.",
                database=self.label,
            ) from error


def connect(url: str) -> Database:
    """Makes ready the database at ``url``; the folder of a SQLite file is created.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``.

    Raises:
        StateError: the URL is of neither form, or the folder cannot be created.
    """
    parsed = _parse(url)
    label = parsed.render_as_string(hide_password=True)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    engine = _sqlite(parsed, label) if is_sqlite else _postgres(parsed)
    return Database(engine, label)


def explain_opening(error: Exception, label: str) -> StateError:
    """Returns what to tell people about a store that could not be opened."""
    return StateError(
        f"The state store cannot be opened: {_first_line(error)}",
        hint=_ADDRESS,
        database=label,
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: it may hold a password, and cannot be taken apart to hide it.
        raise StateError("The URL of the state store cannot be read", hint=_FORMS) from error
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        return parsed
    raise StateError(f"The state store cannot be kept in {parsed.drivername!r}", hint=_FORMS)


def _sqlite(url: URL, label: str) -> Engine:
    path = url.database or ""
    if path in {"", ":memory:"} or path.startswith("file:"):
        raise StateError("The state store needs a file: several processes use it together", hint=_FORMS, database=label)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"The folder of the state store cannot be created: {error.strerror}", folder=Path(path).parent
        ) from error
    engine = sa.create_engine(
        url,
        # None: the driver begins no transactions of its own, the listener below does (also for DDL).
        connect_args={"isolation_level": None, "timeout": LOCK_SECONDS},
        json_serializer=_json,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres(url: URL) -> Engine:
    # Without these a connection into the void hangs for minutes; what the URL says itself goes first.
    limits = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": LOCK_SECONDS * 1000}
    engine = sa.create_engine(
        url,
        connect_args={name: value for name, value in limits.items() if name not in url.query},
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        json_serializer=_json,
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", _forget_values)
    return engine


def _forget_values(context: ExceptionContext) -> None:
    """Leaves of an error its first line only: in the others PostgreSQL repeats the key, or the row."""
    if isinstance(context.sqlalchemy_exception, _OF_VALUES):
        for error in (context.original_exception, context.sqlalchemy_exception):
            error.args = (str(error.args[0]).split("\n", 1)[0],)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Sets what SQLite forgets between connections."""
    try:
        connection.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}").close()
        connection.execute("PRAGMA foreign_keys = ON").close()
        connection.execute("PRAGMA synchronous = FULL").close()
        _set_wal(connection)
    except BaseException:
        # The pool does not know this connection yet and would leave it open.
        connection.close()
        raise


def _set_wal(connection: sqlite3.Connection) -> None:
    # The change to WAL does not wait for other connections as statements do, so two processes that open a new
    # file at once would meet "database is locked"; the mode is kept in the file: later there is no change.
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise StateError(
                f"SQLite keeps to the journal mode {mode!r} in this folder, WAL is needed",
                hint="Use a folder on a local disk, or PostgreSQL.",
            )
        return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes fails at once when another has written meanwhile,
    # without waiting; so writers say at the beginning that they will write, and wait their turn.
    writes = connection.get_execution_options().get("jingzhe_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# NaN and infinity are no JSON: PostgreSQL refuses them, SQLite would keep them and other readers stumble.
_json = partial(json.dumps, ensure_ascii=False, allow_nan=False)


def _is_locked(error: DBAPIError | PoolTimeoutError) -> bool:
    orig = getattr(error, "orig", None)
    return getattr(orig, "sqlstate", None) in _LOCKED or "database is locked" in str(orig)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
