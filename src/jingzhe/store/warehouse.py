"""State, lake and engine as one: consistent reads and atomic writes over several tables.

A publication (a row of the state store) names the Delta version of every table that is visible. Readers pin one
publication; a writer holds the lease, writes files, commits each table to its Delta log and makes all of it
visible by inserting the next publication. A writer that died in between leaves Delta versions that no publication
names; the next writer takes those tables back before it begins (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import Catalogue, Table
from jingzhe.store.engine import Engine, Session, WrittenFile
from jingzhe.store.facts import EVENTS, FILED, ITEMS, OVERRIDES, RETRACTIONS, filed
from jingzhe.store.lake.files import Layer, LiveFile
from jingzhe.store.lake.tables import Change, Lake
from jingzhe.store.query import Query
from jingzhe.store.state import Lease, Publication, State

LEASE = "lake"
RETRACTED = (EVENTS.name, ITEMS.name)
"""Tables from which readers leave out what a correction replaced."""
_FILED = frozenset(table.name for table in FILED)
_FIRST = (RETRACTIONS.name, OVERRIDES.name)
"""Tables that others are read with."""
HORIZON = ("lake", "vacuum")
"""The document that says which is the oldest publication that can be read."""


class _TakenBackError(Exception):
    """Ends a transaction of which nothing is to stay."""


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
    session: Session
    batch: int
    before: Mapping[str, int]
    _changes: list[Change] = field(default_factory=list)
    _also: list[Callable[[Connection], object]] = field(default_factory=list)
    _written: list[tuple[Table, tuple[WrittenFile, ...]]] = field(default_factory=list)
    _over: bool = False

    def write(
        self, table: Table, query: Query, values: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> tuple[WrittenFile, ...]:
        """Writes a query's rows as files of ``table`` that nobody sees yet; see :meth:`stage`."""
        self.lease.check()
        folder = self.warehouse.lake.folder(table)
        files = tuple(self.session.write(query, table, folder, values, ordered=ordered))
        self._written.append((table, files))
        return files

    def stage(
        self,
        table: Table,
        files: tuple[WrittenFile, ...],
        *,
        layer: Layer = "base",
        replace: bool = False,
        removed: tuple[LiveFile, ...] = (),
    ) -> None:
        """Says that ``files`` are to become part of ``table``.

        Args:
            table: the table.
            files: what :meth:`write` gave.
            layer: of a layered table, where they belong.
            replace: True to take them in place of what stands there; see :class:`Change`.
            removed: single files that they replace.
        """
        if files or replace or removed:
            self._changes.append(Change(table, files, layer, replace, removed))

    def adopt(self, table: Table, files: tuple[WrittenFile, ...]) -> None:
        """Answers for files that were written before this write began: they go where it fails, as its own do."""
        self._written.append((table, files))

    def append(self, table: Table, query: Query, values: Mapping[str, Any] | None = None) -> int:
        """Writes and stages a query's rows behind those of ``table``; returns their number."""
        files = self.write(table, query, values)
        self.stage(table, files)
        return sum(file.rows for file in files)

    def attach(self, *tables: Table) -> None:
        """Makes tables readable anew: those of facts under the people of the overrides that the session reads now."""
        for table in tables:
            self.warehouse.attach(self.session, table, self.before, joined=True)

    @property
    def has_changes(self) -> bool:
        """Tells whether anything is staged."""
        return bool(self._changes)

    def also(self, rows: Callable[[Connection], object]) -> None:
        """Says what else is to be written to the state store in the same transaction."""
        self._also.append(rows)

    def publish(self, purpose: str) -> Publication | None:
        """Commits what was staged; returns the publication, None where there was nothing to publish.

        A write is published once. One that failed stays invisible and cannot be tried again: begin another.

        Raises:
            BusyError: the lease was lost.
            LakeError: a table cannot be written, or the write was published or has failed before.
            StateError: the state store cannot be reached.
        """
        if self._over:
            raise LakeError("This write has been published, or has failed, before", hint="Begin another one.")
        if not self._changes and not self._also:
            return None
        versions = dict(self.before)
        try:
            for change in self._changes:
                self.lease.check()
                versions[change.table.name] = self.warehouse.lake.commit(change, versions[change.table.name])
        except BaseException:
            self.discard()
            raise
        # From here on the files stay: the publication may have become visible even if no answer comes back.
        self._over = True
        publication = Publication(self.batch, self.warehouse.clock.now(), purpose, versions)
        self.warehouse.state.publish(self.lease, publication, self._write_rows)
        return publication

    def rehearse(self) -> None:
        """Writes the rows that would go with the publication and takes them back; fails as :meth:`publish` would."""
        self.lease.check()
        with suppress(_TakenBackError), self.warehouse.state.writing() as connection:
            self._write_rows(connection)
            raise _TakenBackError

    def _write_rows(self, connection: Connection) -> None:
        for rows in self._also:
            rows(connection)

    def discard(self) -> None:
        """Removes the files that were written, unless they were published, so that a failure leaves no litter."""
        if self._over:
            return
        self._over = True
        # Why the work failed is what the caller shall hear; what cannot be removed now, vacuum removes.
        with suppress(LakeError):
            for table, files in self._written:
                self.warehouse.lake.discard(table, files)


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
    engine: Engine
    clock: Clock
    wait_seconds: float = 60.0

    @contextmanager
    def reading(self, publication: int | None = None, *, sealed: bool = False) -> Iterator[Session]:
        """Opens a session that sees one publication, whatever others write meanwhile.

        Args:
            publication: its number; None for the newest.
            sealed: True for SQL that somebody else wrote: the engine reads the tables and nothing else.

        Raises:
            LakeError: the publication was vacuumed.
            StateError: there is no such publication.
        """
        with self.engine.session() as session:
            versions = self._versions(publication)
            if publication is None:
                self._settle(versions)
            self._attach(session, versions)
            if sealed:
                session.seal()
            yield session

    def _versions(self, publication: int | None) -> Mapping[str, int]:
        if publication is None:
            latest = self.state.latest()
            return latest.tables if latest else {}
        found = self.state.publication(publication)
        oldest = oldest_readable(self.state)
        if publication < oldest:
            raise LakeError(
                f"The publication {publication} was vacuumed", hint=f"The oldest that can be read is {oldest}."
            )
        return found.tables

    @contextmanager
    def writing(self, purpose: str) -> Iterator[Writing]:
        """Opens a write; nothing is visible before :meth:`Writing.publish`.

        Args:
            purpose: what for; others who wait are told.

        Raises:
            BusyError: another process is writing and did not finish in time.
            LakeError: a table cannot be read or created.
        """
        with self.state.lease(LEASE, wait_seconds=self.wait_seconds, purpose=purpose) as lease:
            latest = self.state.latest()
            before = self._recover(latest.tables if latest else {})
            with self.engine.session() as session:
                self._settle(before)
                self._attach(session, before)
                writing = Writing(self, lease, session, self.state.next_batch(), before)
                try:
                    yield writing
                finally:
                    writing.discard()

    def _recover(self, published: Mapping[str, int]) -> dict[str, int]:
        """Takes back what a writer that died had committed without publishing it; returns the versions to build on.

        A table that was taken back, but not published since, is left as it is: else each write that publishes
        nothing would add a version to its log.
        """
        versions: dict[str, int] = {}
        asked = {table.name: published[table.name] for table in self.catalogue if table.name in published}
        ended = self.lake.ended(asked)
        for table in self.catalogue:
            known = published.get(table.name, 0)
            if table.name in ended:
                versions[table.name] = known
                continue
            head = self.lake.create(table)
            if head < known:
                raise LakeError(
                    f"The table {table.name} ends before the version that was published",
                    hint="Lake and state are not of the same moment; restore both from the same backup.",
                    table=table.name,
                    version=head,
                    published=known,
                )
            if head > known and not self.lake.equal(table, head, known):
                head = self.lake.restore(table, known)
            versions[table.name] = head
        return versions

    def _settle(self, versions: Mapping[str, int]) -> None:
        """Reads the logs of the newest publication, and has copies of older files dropped."""
        tables = {table: versions[table.name] for table in self.catalogue if table.name in versions}
        self.lake.load(tables)
        live = [file.path for table, version in tables.items() for file in self.lake.files(table, version)]
        self.lake.near.settle(live)

    def _attach(self, session: Session, versions: Mapping[str, int]) -> None:
        joined = sum(self.lake.rows(OVERRIDES, versions.get(OVERRIDES.name))) > 0
        for table in sorted(self.catalogue, key=lambda table: table.name not in _FIRST):
            self.attach(session, table, versions, joined=joined)

    def attach(self, session: Session, table: Table, versions: Mapping[str, int], *, joined: bool) -> None:
        """Makes a table readable in a session as of some versions.

        Events and items are also readable as they are filed, whoever stands for whom: ``events_filed``.

        Args:
            session: where.
            table: which.
            versions: of the tables.
            joined: True where somebody stands for others: facts are shown under those who stand for them, and of
                other tables the rows of people who do not stand for themselves are left out.
        """
        version = versions.get(table.name)
        retracted = self.lake.rows(RETRACTIONS, versions.get(RETRACTIONS.name))[0] > 0
        without = RETRACTIONS.name if retracted and table.name in RETRACTED else None
        source = self.lake.source(table, version, without=without)
        if table.name in RETRACTED:
            session.attach(replace(source, table=filed(table)))
        if joined and table.name in _FILED:
            source = replace(source, current=OVERRIDES.name)
        elif joined and table.derived and not table.layered and "person_id" in table.column_names:
            source = replace(source, standing=OVERRIDES.name)
        session.attach(source)


def oldest_readable(state: State) -> int:
    """Returns the number of the oldest publication whose files have not been vacuumed."""
    document = state.document(*HORIZON)
    return int(document.body["oldest"]) if document else 0
