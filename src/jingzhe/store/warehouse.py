"""State, lake and engine as one: consistent reads and atomic writes over several tables.

A publication (a row of the state store) names the Delta version of every table that is visible. Readers pin one
publication; a writer holds the lease, writes files, commits each table to its Delta log and makes all of it
visible by inserting the next publication. A writer that died in between leaves Delta versions that no publication
names; the next writer takes those tables back before it begins (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.store.catalogue import Catalogue, Table
from jingzhe.store.engine import WrittenFile
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.facts import EVENTS, ITEMS, RETRACTIONS
from jingzhe.store.lake.tables import Change, Lake, Layer
from jingzhe.store.query import Query
from jingzhe.store.state import Lease, Publication, State

LEASE = "lake"
_RETRACTED = (EVENTS.name, ITEMS.name)


@dataclass
class Writing:
    """A write under way: what it has staged becomes visible together, or not at all.

    Args:
        warehouse: where it writes.
        lease: the right to write.
        session: an engine session that sees the newest publication.
        batch: number that the new publication will have.
        before: versions of the tables before it.
    """

    warehouse: Warehouse
    lease: Lease
    session: DuckSession
    batch: int
    before: Mapping[str, int]
    _changes: list[Change] = field(default_factory=list)
    _also: list[Callable[[Connection], None]] = field(default_factory=list)

    def write(
        self, table: Table, query: Query, values: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> tuple[WrittenFile, ...]:
        """Writes a query's rows as files of ``table`` that nobody sees yet; see :meth:`stage`."""
        self.lease.check()
        folder = self.warehouse.lake.folder(table)
        return tuple(self.session.write(query, table, folder, values, ordered=ordered))

    def stage(
        self, table: Table, files: tuple[WrittenFile, ...], *, layer: Layer = "base", replace: bool = False
    ) -> None:
        """Says that ``files`` are to become part of ``table``."""
        if files or replace:
            self._changes.append(Change(table, files, layer, replace))

    def append(self, table: Table, query: Query, values: Mapping[str, Any] | None = None) -> int:
        """Writes and stages a query's rows behind those of ``table``; returns their number."""
        files = self.write(table, query, values)
        self.stage(table, files)
        return sum(file.rows for file in files)

    def also(self, rows: Callable[[Connection], None]) -> None:
        """Says what else is to be written to the state store in the same transaction."""
        self._also.append(rows)

    def publish(self, purpose: str) -> Publication | None:
        """Commits what was staged; returns the publication, None where there was nothing to publish."""
        if not self._changes and not self._also:
            return None
        versions = dict(self.before)
        for change in self._changes:
            self.lease.check()
            versions[change.table.name] = self.warehouse.lake.commit(change)
        warehouse = self.warehouse
        publication = Publication(self.batch, warehouse.clock.now(), purpose, versions)

        def also(connection: Connection) -> None:
            for rows in self._also:
                rows(connection)

        warehouse.state.publish(self.lease, publication, also)
        self._changes.clear()
        self._also.clear()
        return publication


@dataclass(frozen=True)
class Warehouse:
    """The three stores of one project.

    Args:
        catalogue: the tables.
        state: the state store.
        lake: the tables' files.
        engine: what asks them.
        clock: what time it is.
        wait_seconds: how long a writer waits for another one.
    """

    catalogue: Catalogue
    state: State
    lake: Lake
    engine: DuckEngine
    clock: Clock
    wait_seconds: float = 60.0

    @contextmanager
    def reading(self, publication: int | None = None) -> Iterator[DuckSession]:
        """Opens a session that sees one publication, whatever others write meanwhile.

        Args:
            publication: its number; None for the newest.
        """
        found = self.state.latest() if publication is None else self.state.publication(publication)
        with self.engine.session() as session:
            self._attach(session, found.tables if found else {})
            yield session

    @contextmanager
    def writing(self, purpose: str) -> Iterator[Writing]:
        """Opens a write; nothing is visible before :meth:`Writing.publish`.

        Args:
            purpose: what for; others who wait are told.

        Raises:
            BusyError: another process is writing and did not finish in time.
        """
        with self.state.lease(LEASE, wait_seconds=self.wait_seconds, purpose=purpose) as lease:
            latest = self.state.latest()
            published = dict(latest.tables) if latest else {}
            before = self._recover(published)
            with self.engine.session() as session:
                self._attach(session, before)
                yield Writing(self, lease, session, self.state.next_batch(), before)

    def _recover(self, published: Mapping[str, int]) -> dict[str, int]:
        """Takes back what a writer that died had committed without publishing it."""
        versions: dict[str, int] = {}
        for table in self.catalogue:
            head = self.lake.create(table)
            known = published.get(table.name)
            if known is None and head > 0:
                head = self.lake.restore(table, 0)
            elif known is not None and head != known:
                head = self.lake.restore(table, known)
            versions[table.name] = head
        return versions

    def _attach(self, session: DuckSession, versions: Mapping[str, int]) -> None:
        retracted = self.lake.rows(RETRACTIONS, versions.get(RETRACTIONS.name))[0] > 0
        tables = sorted(self.catalogue, key=lambda table: table.name in _RETRACTED)
        for table in tables:
            without = RETRACTIONS.name if retracted and table.name in _RETRACTED else None
            session.attach(self.lake.source(table, versions.get(table.name), without=without))
