"""Files written anew beside the writers: read at a pinned publication, put in place of the old ones in a short turn.

Reading and writing takes minutes in a large lake, and nobody waits for it. Only :meth:`Rewriting.publish` takes the
writers' lease, looks whether the files that it replaces are still live, and names the new ones (docs/adr/0012).

Whoever writes files that no version names yet has to be told apart from a writer that died: vacuum would take the
files for litter. Writers are, because vacuum lists what is there while it holds their lease. Rewriting does not hold
that one for long, so it holds a lease of its own, and vacuum takes that one first.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from jingzhe.core.errors import BusyError, EngineError, JingzheError, LakeError
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import Session, WrittenFile
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.query import Query, one
from jingzhe.store.state import Lease, Publication
from jingzhe.store.warehouse import Warehouse, Writing

TURN = "lake files"
"""The lease of whoever replaces files by others with the same rows, or removes files."""
WANTED = "lake files wanted"
"""Held by whoever cannot wait until a rewriting ends: files with a person who was erased must go."""
_LOOK_SECONDS = 1.0
_TRIES = 60
"""How often the writers' lease is waited for, ``wait_seconds`` each time: an import may hold it for long."""
_NICE = 10


@dataclass(frozen=True)
class Swap:
    """Files that are to take the place of others.

    Args:
        table: whose.
        files: the new ones, in no version yet. Of a layered table they are the base.
        gone: those that they replace. Of a layered table base and overlay; an overlay that has changed meanwhile stays.
    """

    table: Table
    files: tuple[WrittenFile, ...]
    gone: tuple[LiveFile, ...]


@dataclass
class Rewriting:
    """A rewriting under way; made by :func:`rewriting`.

    Args:
        warehouse: where.
        turn: the right to replace files.
        session: of the engine, in which no table is attached yet.
        versions: of the tables, in the publication that is read.
        seq: number of that publication.
        stopping: tells whether to stop.
        why: why nothing was published, after :meth:`publish`.
    """

    warehouse: Warehouse
    turn: Lease
    session: Session
    versions: Mapping[str, int]
    seq: int
    stopping: Callable[[], bool]
    quiet: ThreadPoolExecutor
    why: str = ""
    _written: list[tuple[Table, tuple[WrittenFile, ...]]] = field(default_factory=list)
    _stopped: str = ""

    def files(self, table: Table) -> tuple[LiveFile, ...]:
        """Returns the files of a table that are read."""
        version = self.versions.get(table.name)
        return () if version is None else self.warehouse.lake.files(table, version)

    def check(self) -> None:
        """Makes sure that it makes sense to go on.

        Raises:
            BusyError: somebody wants it to end, or the lease was lost.
        """
        self.turn.check()
        if self._stopped:
            raise BusyError(
                f"The files were not rewritten: {self._stopped}", hint="Nothing was changed; it can be done again."
            )

    def write(
        self, table: Table, query: Query, values: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> tuple[WrittenFile, ...]:
        """Writes a query's rows as files of ``table`` that nobody sees yet.

        Raises:
            BusyError: somebody wants it to end, or the lease was lost.
            EngineError: the query fails.
        """
        folder = self.warehouse.lake.folder(table)
        files = tuple(self.run(self.session.write, query, table, folder, values, ordered=ordered))
        self._written.append((table, files))
        return files

    def run(self, work: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """Has the engine do something that takes long: at a low priority, and so that it can be stopped.

        Raises:
            BusyError: somebody wants it to end, or the lease was lost.
            EngineError: it fails.
        """
        self.check()
        return self.quiet.submit(work, *given, **more).result()

    def publish(
        self,
        swaps: Sequence[Swap],
        purpose: str,
        *,
        verify: Callable[[Writing], str] | None = None,
        also: Callable[[Connection], object] | None = None,
    ) -> Publication | None:
        """Puts the new files in the place of the old ones, in all tables at once.

        Args:
            swaps: what is replaced by what.
            purpose: told to others.
            verify: looks, while nobody else can write, whether what was written still holds; says why not, or nothing.
            also: writes rows of the state store in the transaction that publishes.

        Returns:
            the publication; None where the tables have changed otherwise than by new rows, and :attr:`why` says how.

        Raises:
            BusyError: somebody wants it to end, the lease was lost, or others wrote for too long.
            LakeError: a table cannot be written.
        """
        with ExitStack() as held:
            writing = self._entered(held, purpose)
            self.why = next(filter(None, (self._conflict(writing, swap) for swap in swaps)), "")
            self.why = self.why or (verify(writing) if verify is not None else "")
            if self.why:
                return None
            for swap in swaps:
                writing.stage(swap.table, swap.files, removed=self._going(writing, swap))
            # From here on the write removes them where it fails, and leaves them where they may be visible.
            for table, files in self._written:
                writing.adopt(table, files)
            self._written.clear()
            # A process that was stopped for long: vacuum may have taken the files for a dead one's, and removed them.
            writing.also(self.turn.fence)
            if also is not None:
                writing.also(also)
            return writing.publish(purpose)

    def fresh(self, writing: Writing, table: Table) -> tuple[LiveFile, ...]:
        """Returns the files that others have brought since, while they cannot bring more."""
        known = {file.name for file in self.files(table)}
        return tuple(file for file in _now(writing, table) if file.name not in known)

    def _entered(self, held: ExitStack, purpose: str) -> Writing:
        for left in reversed(range(_TRIES)):
            self.check()
            try:
                return held.enter_context(self.warehouse.writing(purpose))
            except BusyError:
                if not left:
                    raise
        raise AssertionError  # the last try returns or raises

    def _conflict(self, writing: Writing, swap: Swap) -> str:
        """Says what has happened to a table since that new rows do not explain; nothing where nothing has."""
        live = {file.name for file in _now(writing, swap.table)}
        if any(file.name not in live for file in swap.gone if file.layer == "base"):
            return f"{swap.table.name} was written anew by another, or rows were deleted from it"
        before = [file.path for file in swap.gone if file.layer == "overlay"]
        now = [file.path for file in _now(writing, swap.table) if file.layer == "overlay"]
        if not before or set(before) == set(now):
            return ""
        # An overlay that grew hides what was folded in of it; one that has lost keys does not any more.
        names = (f"{swap.table.name}_overlay_before", f"{swap.table.name}_overlay_now")
        for name, paths in zip(names, (before, now), strict=True):
            writing.session.attach_stored(name, swap.table, paths)
        sql = f"SELECT count(*) AS rows FROM {names[0]} ANTI JOIN {names[1]} USING ({', '.join(swap.table.key)})"
        lost = writing.session.run(one("overlay_lost", sql))["rows"][0].as_py()
        return f"rows were taken out of the overlay of {swap.table.name}" if lost else ""

    def _going(self, writing: Writing, swap: Swap) -> tuple[LiveFile, ...]:
        live = {file.name for file in _now(writing, swap.table)}
        overlay = {file.name for file in _now(writing, swap.table) if file.layer == "overlay"}
        same = overlay == {file.name for file in swap.gone if file.layer == "overlay"}
        return tuple(file for file in swap.gone if file.name in live and (same or file.layer == "base"))

    def discard(self) -> None:
        """Removes the files that were written and not published."""
        # Why the work failed is what the caller shall hear; what cannot be removed now, vacuum removes.
        with suppress(LakeError):
            for table, files in self._written:
                self.warehouse.lake.discard(table, files)
        self._written.clear()

    def watch(self, ended: threading.Event) -> None:
        """Interrupts the engine when somebody wants the work to end; runs in a thread of its own until ``ended``."""
        while not ended.wait(_LOOK_SECONDS):
            # A state store that does not answer now is asked again; what needs it will say so.
            with suppress(JingzheError):
                self._stopped = self._stopped or self._reason()
            if self._stopped:
                # Again and again: the statement under way may have been the one before.
                self.session.interrupt()

    def _reason(self) -> str:
        if self.stopping():
            return "the process is ending"
        return "files must go at once, for somebody was erased" if self.warehouse.state.is_leased(WANTED) else ""


def _now(writing: Writing, table: Table) -> tuple[LiveFile, ...]:
    return writing.warehouse.lake.files(table, writing.before[table.name])


@contextmanager
def rewriting(
    warehouse: Warehouse,
    purpose: str,
    *,
    wait_seconds: float | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Iterator[Rewriting]:
    """Begins to write files anew, beside the writers.

    Args:
        warehouse: the stores.
        purpose: told to others who wait.
        wait_seconds: how long to wait for another one; None: as long as the warehouse waits for a writer.
        stopping: tells whether to stop; asked about once a second.

    Raises:
        BusyError: another process is rewriting and did not finish in time, or the work was stopped.
    """
    wait = warehouse.wait_seconds if wait_seconds is None else wait_seconds
    with ExitStack() as held:
        turn = held.enter_context(warehouse.state.lease(TURN, wait_seconds=wait, purpose=purpose))
        latest = warehouse.state.latest()
        versions, seq = (latest.tables, latest.seq) if latest else ({}, 0)
        quiet = held.enter_context(ThreadPoolExecutor(1, "rewriting", initializer=_lower_priority))
        # The engine's own threads are begun here, and so have the low priority too.
        session = quiet.submit(held.enter_context, warehouse.engine.session()).result()
        work = Rewriting(warehouse, turn, session, versions, seq, stopping or (lambda: False), quiet)
        held.callback(work.discard)
        ended = threading.Event()
        watcher = threading.Thread(target=work.watch, args=(ended,), name="rewriting watched", daemon=True)
        watcher.start()
        held.callback(watcher.join)
        held.callback(ended.set)
        try:
            yield work
        except EngineError:
            work.check()  # whatever statement was interrupted, that is no failure of it
            raise


@contextmanager
def alone(warehouse: Warehouse, purpose: str, *, urgent: bool = False) -> Iterator[Lease]:
    """Makes sure that nobody writes files anew.

    Args:
        warehouse: the stores.
        purpose: told to others who wait.
        urgent: True to have whoever does so stop, which they do within seconds; False to wait until they are done.

    Raises:
        BusyError: another process is rewriting and did not finish in time.
    """
    with ExitStack() as held:
        for name in (WANTED, TURN) if urgent else (TURN,):
            turn = held.enter_context(warehouse.state.lease(name, wait_seconds=warehouse.wait_seconds, purpose=purpose))
        yield turn


def _lower_priority() -> None:
    """Lets others go first: on Linux a thread has a priority of its own, which those that it begins inherit."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.nice(0) + _NICE))
