"""The state store: what was published, who may write, and the parts' small documents."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from jingzhe.core.clock import Clock
from jingzhe.core.errors import StateError
from jingzhe.core.sealing import Sealer
from jingzhe.store.state import database as databases
from jingzhe.store.state import documents, leases, tables
from jingzhe.store.state.database import Database
from jingzhe.store.state.leases import Lease
from jingzhe.store.state.records import Document, Publication
from jingzhe.store.state.rewriting import rewrite
from jingzhe.store.state.sealed import sealer_of
from jingzhe.store.state.version import is_current


class State:
    """The transactional store of one project, opened with :meth:`open`; a context manager that closes it.

    May be used from several threads, and by several processes at once.

    Args:
        database: connections to it, migrated.
        clock: tells when a document was written.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()

    @classmethod
    def open(cls, url: str, *, clock: Clock) -> State:
        """Opens the store at ``url``, creating and migrating it where needed.

        Args:
            url: ``sqlite:////folder/state.db`` (the folder is created) or ``postgresql://…``.
            clock: tells when a document was written.

        Raises:
            StateError: it cannot be reached, or is of a newer version than this software.
        """
        database = databases.connect(url)
        try:
            if not is_current(database):
                from jingzhe.store.state.migrate import migrate  # noqa: PLC0415 - loads Alembic: slow, rarely needed

                migrate(database)
        except SQLAlchemyError as error:
            database.engine.dispose()
            raise databases.explain_opening(error, database.label) from error
        except BaseException:
            database.engine.dispose()
            raise
        return cls(database, clock)

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the leases that are still held and closes all connections."""
        for lease in list(self._leases):
            lease.release()
        self._database.engine.dispose()

    @property
    def dialect(self) -> Dialect:
        """Returns what all connections of the store share; :mod:`jingzhe.store.state.sealed` hangs its keys there."""
        return self._database.engine.dialect

    @property
    def sealer(self) -> Sealer | None:
        """Returns what seals personal data of this project; None where the store was opened without keys."""
        return sealer_of(self.dialect)

    def now(self) -> datetime:
        """Returns the moment, by the store's clock."""
        return self._clock.now()

    def reading(self) -> AbstractContextManager[Connection]:
        """Opens a transaction for reading, in which every statement sees the same moment."""
        return self._database.reading()

    def writing(self) -> AbstractContextManager[Connection]:
        """Opens a transaction for writing, committed at the end and undone by an exception."""
        return self._database.writing()

    def rewrite(self) -> bool:
        """Writes the file of the store anew, so that nothing deleted is left in it; see ``rewriting``."""
        return rewrite(self._database)

    def latest(self) -> Publication | None:
        """Returns the newest publication, None where nothing was published yet."""
        return next(iter(self.publications(limit=1)), None)

    def publication(self, seq: int) -> Publication:
        """Returns the publication with the number ``seq``.

        Raises:
            StateError: there is none.
        """
        with self.reading() as connection:
            row = connection.execute(sa.select(tables.publication).where(tables.publication.c.seq == seq)).first()
        if row is None:
            raise StateError("There is no such publication", seq=seq)
        return _publication(row)

    def publications(self, limit: int = 50) -> list[Publication]:
        """Returns up to ``limit`` publications, newest first."""
        newest = sa.select(tables.publication).order_by(tables.publication.c.seq.desc()).limit(limit)
        with self.reading() as connection:
            return [_publication(row) for row in connection.execute(newest)]

    def newest_since(self, moment: datetime) -> Publication | None:
        """Returns the oldest publication that was the newest one at some moment after ``moment``.

        None where nothing was published yet. Its cost does not depend on how many publications there are since.
        """
        later = sa.select(sa.func.min(tables.publication.c.seq)).where(tables.publication.c.published_at > moment)
        newest = sa.select(sa.func.max(tables.publication.c.seq))
        with self.reading() as connection:
            first, last = connection.scalar(later), connection.scalar(newest)
            if last is None:
                return None
            # The one before the first that is younger was the newest until then.
            oldest = int(last) if first is None else int(first) - 1
            wanted = sa.select(tables.publication).where(tables.publication.c.seq >= oldest)
            row = connection.execute(wanted.order_by(tables.publication.c.seq).limit(1)).first()
        return None if row is None else _publication(row)

    def next_batch(self) -> int:
        """Returns the number of the next publication; means something only while the lease is held."""
        with self.reading() as connection:
            return _next_seq(connection)

    def lease(self, name: str, *, wait_seconds: float, purpose: str) -> Lease:
        """Takes the lease ``name``; it is held from this call until it is released (or left as a context).

        Args:
            name: what to hold.
            wait_seconds: how long to wait for another holder; 0 tries once.
            purpose: what it is held for; told to those who wait.

        Raises:
            BusyError: it was not had in time; says who holds it, where and since when.
        """
        lease = leases.acquire(self._database, name, wait_seconds=wait_seconds, purpose=purpose)
        self._leases.add(lease)
        return lease

    def is_leased(self, name: str) -> bool:
        """Tells whether somebody holds the lease ``name`` at this moment."""
        return leases.is_held(self._database, name)

    def publish(
        self,
        lease: Lease,
        publication: Publication,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Makes a batch visible, in one transaction and only if ``lease`` is still held at its end.

        Args:
            lease: the writer's lease.
            publication: what becomes visible; its ``seq`` is what :meth:`next_batch` gave.
            also: writes rows of other parts in the same transaction; what it raises undoes everything.

        Raises:
            BusyError: the lease was lost.
            StateError: ``seq`` is not the next number, or the store cannot be reached.
        """
        with lease.publishing(), self.writing() as connection:
            lease.fence(connection)
            expected = _next_seq(connection)
            if publication.seq != expected:
                raise StateError(
                    "The publication does not follow the newest one", seq=publication.seq, expected=expected
                )
            connection.execute(
                sa.insert(tables.publication).values(
                    seq=publication.seq,
                    published_at=publication.published_at,
                    purpose=publication.purpose,
                    tables={name: int(version) for name, version in publication.tables.items()},
                )
            )
            if also is not None:
                also(connection)

    def put_document(
        self, kind: str, name: str, body: Mapping[str, Any], *, connection: Connection | None = None
    ) -> int:
        """Writes a new version of a document.

        Args:
            kind: what sort of document.
            name: which one of its kind.
            body: what it says; strings as keys, values that JSON knows.
            connection: a transaction that writes, to become part of; None: one of its own.

        Returns:
            the number of the new version, 1 for the first.

        Raises:
            StateError: ``body`` holds what JSON cannot say; names the place.
        """
        written_at = self._clock.now()
        if connection is not None:
            return documents.put(connection, kind, name, body, written_at)
        with self.writing() as own:
            return documents.put(own, kind, name, body, written_at)

    def edit_document(
        self,
        kind: str,
        name: str,
        change: Callable[[dict[str, Any]], Mapping[str, Any]],
        *,
        connection: Connection,
    ) -> None:
        """Writes what follows from a document, so that of two who edit it at once neither loses their change.

        Args:
            kind: what sort of document.
            name: which one of its kind.
            change: is given the body (empty where there is no such document) and returns the new one; what it raises
                is raised.
            connection: a transaction that writes.
        """
        documents.take_turn(connection, kind, name)
        known = documents.get(connection, kind, name, None)
        body = change(dict(known.body) if known else {})
        documents.put(connection, kind, name, body, self._clock.now())

    def document(self, kind: str, name: str, *, version: int | None = None) -> Document | None:
        """Returns a document, None where there is none.

        Args:
            kind: what sort of document.
            name: which one of its kind.
            version: which version; None: the newest.
        """
        with self.reading() as connection:
            return documents.get(connection, kind, name, version)

    def documents(self, kind: str) -> list[Document]:
        """Returns the newest version of every document of a kind, ordered by name."""
        with self.reading() as connection:
            return documents.newest(connection, kind)

    def drop_document(self, kind: str, name: str) -> None:
        """Deletes all versions of a document; does nothing where there are none."""
        with self.writing() as connection:
            documents.drop(connection, kind, name)


def _next_seq(connection: Connection) -> int:
    newest = connection.scalar(sa.select(sa.func.max(tables.publication.c.seq)))
    return int(newest or 0) + 1


def _publication(row: sa.Row[Any]) -> Publication:
    return Publication(row.seq, row.published_at, row.purpose, dict(row.tables))
