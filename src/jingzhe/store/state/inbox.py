"""The inbox: what was acknowledged and is not in the lake yet, in rows that each hold the requests of one commit.

On SQLite it is a file beside the state store, with one writer that never waits for the worker's transactions. On
PostgreSQL it is a table of the same database. Which rows are in the lake is written down in the state store, in the
transaction that publishes them; deleting them here is tidying up and may be late (docs/adr/0009).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from jingzhe.core.errors import BusyError, SealError, StateError
from jingzhe.core.sealing import MAGIC, Sealer, key_id_of
from jingzhe.store.state import bulk
from jingzhe.store.state import database as databases
from jingzhe.store.state.database import Database
from jingzhe.store.state.rewriting import rewrite

metadata = sa.MetaData()

# AUTOINCREMENT: the number of a row that was drained and deleted is never given out again.
inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("written_us", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

PAYLOAD = "inbox.payload"
_WAL_PAGES = 1_000_000
_DROPPED_AT_ONCE = 500
_CHECKPOINT_WAIT_MS = 20
_INSERT = "INSERT INTO inbox (requests, events, size_bytes, written_us, payload) VALUES "
_INSERT_SQLITE = _INSERT + "(?, ?, ?, ?, ?)"
_INSERT_POSTGRES = _INSERT + "(%s, %s, %s, %s, %s)"


@dataclass(frozen=True)
class Group:
    """Requests that are committed together.

    Args:
        requests: how many.
        events: how many events they hold.
        written_us: when, UTC microseconds.
        payload: the requests, packed.
    """

    requests: int
    events: int
    written_us: int
    payload: bytes


@dataclass(frozen=True)
class Row:
    """One row of the inbox.

    Args:
        number: grows with every row; never given out twice.
        events: how many events it holds.
        payload: the requests, packed.
    """

    number: int
    events: int
    payload: bytes


@dataclass(frozen=True)
class Depth:
    """How much waits in the inbox.

    Args:
        rows: rows.
        events: events.
        size_bytes: bytes of payload.
        oldest_us: when the oldest was written, UTC microseconds; None where nothing waits.
    """

    rows: int
    events: int
    size_bytes: int
    oldest_us: int | None


class Inbox:
    """The inbox of one project, opened with :meth:`open`; a context manager that closes it.

    May be used from several threads, and by several processes at once.

    Args:
        database: connections to it.
        sealer: seals payloads; None to keep them as they are.
    """

    def __init__(self, database: Database, sealer: Sealer | None = None) -> None:
        self._database = database
        self._sealer = sealer
        self._appending = threading.Lock()
        self._appender: PoolProxiedConnection | None = None

    @classmethod
    def open(cls, url: str, sealer: Sealer | None = None) -> Inbox:
        """Opens the inbox at ``url``; creates it where it is not there.

        Args:
            url: ``sqlite:////folder/inbox.db`` (the folder is created) or ``postgresql://…``.
            sealer: seals payloads on their way in, and opens them; None to keep them as they are.

        Raises:
            StateError: it cannot be reached.
        """
        database = databases.connect(url)
        if not database.is_postgres:
            event.listen(database.engine, "connect", _checkpoint_elsewhere)
        try:
            with database.reading() as connection:
                known = sa.inspect(connection).has_table(inbox.name)
            if not known:
                _create(database)
        except SQLAlchemyError as error:
            database.engine.dispose()
            raise databases.explain_opening(error, database.label) from error
        except BaseException:
            database.engine.dispose()
            raise
        return cls(database, sealer)

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        with self._appending:
            if self._appender is not None:
                self._appender.close()
                self._appender = None
        self._database.engine.dispose()

    @property
    def folder(self) -> Path | None:
        """Returns the folder of the file, None on a server."""
        name = self._database.engine.url.database
        return None if self._database.is_postgres or not name else Path(name).parent

    def append(self, group: Group) -> None:
        """Makes a group durable: when this returns, it survives the end of the process and of the power.

        Raises:
            BusyError: another transaction held the inbox for too long.
            SealError: it cannot be sealed; nothing was written.
            StateError: it cannot be written; nothing was.
        """
        payload = group.payload if self._sealer is None else self._sealer.seal(PAYLOAD, group.payload)
        values = (group.requests, group.events, len(payload), group.written_us, payload)
        if self._database.is_postgres:
            with self._database.writing() as connection:
                connection.exec_driver_sql(_INSERT_POSTGRES, values)
        else:
            self._append(values)

    def _append(self, values: tuple[int | bytes, ...]) -> None:
        """Inserts by the driver itself: the toolkit's own way costs as much as ten requests."""
        with self._appending:
            try:
                if self._appender is None:
                    self._appender = self._database.engine.raw_connection()
                driver: Any = self._appender.driver_connection
                driver.execute("BEGIN IMMEDIATE")
                driver.execute(_INSERT_SQLITE, values)
                driver.execute("COMMIT")
            except (sqlite3.Error, SQLAlchemyError) as error:
                if self._appender is not None:
                    # Whatever state the connection is in, it is not used again.
                    self._appender.invalidate()
                    self._appender = None
                if "locked" in str(error):
                    raise BusyError("Another transaction held the inbox for too long", hint="Try again.") from error
                raise StateError(f"The inbox cannot be written: {error}", database=self._database.label) from error

    def take(self, *, without: Sequence[int] = (), events: int, size_bytes: int | None = None) -> list[Row]:
        """Returns the oldest rows, in order, up to about a number of events; at least one row where there is any.

        Args:
            without: numbers of rows that are drained already.
            events: how many at most, the first row aside.
            size_bytes: how large their payloads are together at most, the first row aside; None for any size.
        """
        sizes = sa.select(inbox.c.number, inbox.c.events, inbox.c.size_bytes).order_by(inbox.c.number)
        gone = frozenset(without)
        chosen: list[int] = []
        total = size = 0
        with self._database.reading() as connection:
            for number, held, large in connection.execute(sizes):
                if number in gone:
                    continue
                total, size = total + held, size + large
                if chosen and (total > events or (size_bytes is not None and size > size_bytes)):
                    break
                chosen.append(number)
            return self._rows(connection, chosen)

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        """Returns rows by number, in order; those that are not there are passed over."""
        with self._database.reading() as connection:
            return self._rows(connection, sorted(numbers))

    def count(self, numbers: Sequence[int]) -> int:
        """Returns how many of these rows are there."""
        with self._database.reading() as connection:
            found = bulk.select_flat(connection, "SELECT count(*) FROM inbox WHERE number IN ({numbers})", numbers)
        return int(found[0])

    def _rows(self, connection: sa.Connection, numbers: list[int]) -> list[Row]:
        if not numbers:
            return []
        columns = sa.select(inbox.c.number, inbox.c.events, inbox.c.payload)
        wanted = columns.where(inbox.c.number.between(numbers[0], numbers[-1])).order_by(inbox.c.number)
        known = frozenset(numbers)
        found = connection.execute(wanted)
        return [
            Row(number, events, self._opened(bytes(payload))) for number, events, payload in found if number in known
        ]

    def _opened(self, payload: bytes) -> bytes:
        if self._sealer is not None:
            return self._sealer.open(PAYLOAD, payload)
        if payload.startswith(MAGIC):
            raise SealError("What waits in the inbox is sealed, and it was opened without keys", column=PAYLOAD)
        return payload

    def delete(self, numbers: Sequence[int]) -> None:
        """Deletes rows; those that are not there are passed over."""
        if not numbers:
            return
        # As one value: a server takes 65,535 at most, and a backlog of single events has more rows.
        with self._database.writing() as connection:
            bulk.execute(connection, "DELETE FROM inbox WHERE number IN ({numbers})", numbers)

    def drop_closed(self, lost: Collection[bytes]) -> int:
        """Deletes rows that were sealed with keys that are gone for good; returns how many requests they held.

        Args:
            lost: ids of the keys.
        """
        gone, requests = [], 0
        with self._database.reading() as connection:
            columns = sa.select(inbox.c.number, inbox.c.requests, sa.func.substr(inbox.c.payload, 1, 32))
            for number, held, begun in connection.execute(columns):
                if key_id_of(bytes(begun)) in lost:
                    gone.append(number)
                    requests += int(held)
        for start in range(0, len(gone), _DROPPED_AT_ONCE):
            self.delete(gone[start : start + _DROPPED_AT_ONCE])
        return requests

    def depth(self) -> Depth:
        """Returns how much waits."""
        columns = (
            sa.func.count(), sa.func.coalesce(sa.func.sum(inbox.c.events), 0),
            sa.func.coalesce(sa.func.sum(inbox.c.size_bytes), 0), sa.func.min(inbox.c.written_us),
        )  # fmt: skip
        with self._database.reading() as connection:
            rows, events, size, oldest = connection.execute(sa.select(*columns)).one()
        return Depth(int(rows), int(events), int(size), None if oldest is None else int(oldest))

    def checkpoint(self, *, restart: bool = False) -> None:
        """Writes SQLite's log into its file; does nothing on PostgreSQL.

        Args:
            restart: True to begin the log anew, for which writers wait a moment; False to disturb nobody. It is left
                for another time where somebody reads.
        """
        if self._database.is_postgres:
            return
        with self._database.engine.connect() as connection:
            raw = connection.connection.driver_connection
            if raw is None:
                raise StateError("The inbox has no connection", database=self._database.label)
            raw.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT_MS}").close()
            raw.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if restart else 'PASSIVE'})").close()
            raw.execute(f"PRAGMA busy_timeout = {databases.LOCK_SECONDS * 1000}").close()

    def rewrite(self) -> bool:
        """Writes the file anew, so that nothing deleted is left in it; appends wait meanwhile. See ``rewriting``."""
        return rewrite(self._database)

    def log_bytes(self) -> int:
        """Returns the size of SQLite's log; 0 on PostgreSQL."""
        name = self._database.engine.url.database
        if self._database.is_postgres or not name:
            return 0
        log = Path(f"{name}-wal")
        return log.stat().st_size if log.exists() else 0


def _create(database: Database) -> None:
    """Creates the table; a process that does the same at the same moment is no error."""
    try:
        with database.writing() as connection:
            metadata.create_all(connection)
    except (IntegrityError, StateError):
        with database.reading() as connection:
            if not sa.inspect(connection).has_table(inbox.name):
                raise


def _checkpoint_elsewhere(connection: Any, _record: Any) -> None:
    # A commit that also has to move the log into the file keeps its requests waiting: a thread does that.
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}").close()
