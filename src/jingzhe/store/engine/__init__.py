"""The engine seam: what a query engine must be able to do. DuckDB and Spark stand behind it.

An engine has no data of its own. It is given the live files of the tables, runs named steps over them, and
writes results as Parquet files into a table's folder; the lake commits them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from jingzhe.store.catalogue import Table
from jingzhe.store.query import Query, Step

if TYPE_CHECKING:
    from jingzhe.store.engine.raw import RawFile, Rejection

Batchwise = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Work on some rows at a time, the same whatever rows stand together; it can be sent to other machines (pickled)."""

SORTED = "sorted-"
"""How the names of files begin whose rows stand in their table's order."""


@dataclass(frozen=True)
class Source:
    """The live files of one table at one version.

    Args:
        table: its declaration.
        base: paths of its files; of a layered table those of the base.
        overlay: paths of the overlay's files.
        without: name of the table of retractions to leave out, or None.
        current: name of the table of overrides, to show the people who stand for those under whom rows are filed;
            None to show rows as they are filed.
        standing: name of the table of overrides, to leave out the rows of people whom others stand for; None to
            leave out none.
    """

    table: Table
    base: tuple[str, ...] = ()
    overlay: tuple[str, ...] = ()
    without: str | None = None
    current: str | None = None
    standing: str | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """Returns the names of the other tables that are read with it."""
        return tuple(name for name in (self.without, self.current, self.standing) if name)


@dataclass(frozen=True)
class WrittenFile:
    """One Parquet file that an engine wrote and nobody has committed yet.

    Args:
        path: where it stands.
        rows: how many rows it has.
        size_bytes: its size.
        statistics: per column ``(min, max, null_count)`` as text, where known.
    """

    path: str
    rows: int
    size_bytes: int
    statistics: Mapping[str, tuple[str | None, str | None, int]] = field(default_factory=dict)


class Session(Protocol):
    """One unit of work: tables pinned at their versions, temporary results until it is closed."""

    @property
    def folder(self) -> Path:
        """Returns a folder in which the session may put files; it is removed with the session."""
        ...

    @property
    def local(self) -> LocalSession:
        """Returns the session that reads files of this machine; the same one where the engine runs here."""
        ...

    def take(self, *names: str) -> None:
        """Makes relations that :attr:`local` keeps readable here, in place of what stood under their names."""
        ...

    def interrupt(self) -> None:
        """Makes the statement under way fail, where the engine can; may be called from another thread."""
        ...

    def seal(self) -> None:
        """Shuts the engine in, for SQL that somebody else wrote: it reads the attached tables and nothing else."""
        ...

    def attach(self, source: Source) -> None:
        """Makes a table readable under its name, in place of what stood under it."""
        ...

    def attach_stored(self, name: str, table: Table, paths: Sequence[str]) -> None:
        """Makes files of a table readable under ``name`` as they are stored.

        Nothing is left out: neither retracted rows, nor replaced ones, nor markers. ``stored_in`` is the path.
        """
        ...

    def keep(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        """Computes a step once, as a temporary table; returns its number of rows."""
        ...

    def show(self, step: Step) -> None:
        """Makes a SELECT without values readable under the step's name, in place of what stood there."""
        ...

    def offer(self, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
        """Makes Arrow data readable under ``name``: a table any number of times, a stream of batches once."""
        ...

    def drop(self, *names: str) -> None:
        """Forgets kept or offered results, to give their memory back."""
        ...

    def run(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Returns the rows of a query's last step."""
        ...

    def batches(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """Returns the rows of a query's last step bit by bit."""
        ...

    def write(
        self,
        query: Query,
        table: Table,
        folder: str,
        values: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
    ) -> list[WrittenFile]:
        """Writes the rows of a query's last step as Parquet files of ``table`` into ``folder``.

        Args:
            query: its last step has the table's stored columns, by name, in any order.
            table: the declaration.
            folder: where the files go.
            values: bound by name.
            ordered: True to sort by the table's ``sort_by``.
        """
        ...

    def mapped(
        self,
        name: str,
        query: Query,
        function: Batchwise,
        schema: pa.Schema,
        values: Mapping[str, Any] | None = None,
        *,
        told: Callable[[int], object] | None = None,
    ) -> int:
        """Applies a function to the rows of a query, where they are, and keeps the result under ``name``.

        Args:
            name: of the result; an older one of that name is replaced.
            query: gives the rows.
            function: from a batch of them to a batch of ``schema``.
            schema: of the result.
            values: bound by name.
            told: is told now and then how many rows are done, by engines that know it.

        Returns:
            the number of rows of the result.
        """
        ...

    def export(self, query: Query, path: str, file_format: str, values: Mapping[str, Any] | None = None) -> int:
        """Writes the rows of a query's last step into one file (csv, json, parquet); returns their number."""
        ...


class LocalSession(Session, Protocol):
    """A session that also reads files of this machine, row by row and in order."""

    def scan(self, name: str, file: RawFile) -> dict[str, str]:
        """Makes somebody's file readable under ``name``; returns the types of ``c0``, ``c1`` and so on."""
        ...

    def rejections(self) -> list[Rejection]:
        """Returns the lines that the last scan could not read as rows, and forgets them."""
        ...

    def keep(self, step: Step, values: Mapping[str, Any] | None = None, *, ordered: bool = False) -> int:
        """Computes a step once; ``ordered`` keeps the order of the rows, so that ``rowid`` counts them from 0."""
        ...

    def extend(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        """Adds the rows of a step, in order, behind those kept under its name; returns how many."""
        ...

    def percent_done(self) -> float:
        """Returns how far the statement under way is, 0 to 100, negative where unknown; for other threads."""
        ...


class Engine(Protocol):
    """Something that runs queries."""

    @property
    def work_folder(self) -> Path:
        """Returns a folder of this machine for what is needed for a while."""
        ...

    def session(self) -> AbstractContextManager[Session]:
        """Opens a unit of work."""
        ...

    def close(self) -> None:
        """Gives back what the engine holds; it may be used again."""
        ...
