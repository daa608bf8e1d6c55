"""DuckDB behind the seam: in process, larger than memory, only what its wheel bundles."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import Source, WrittenFile
from jingzhe.store.engine.raw import REJECTIONS_SQL, RawFile, Rejection, scan_sql
from jingzhe.store.engine.sql import final_sql, literal, stored_select, table_sql, with_steps
from jingzhe.store.query import Query, Step, bound

_FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


class DuckSession:
    """One in-memory DuckDB with the tables attached as views: a :class:`jingzhe.store.engine.Session`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._kept: set[str] = set()

    def attach(self, source: Source) -> None:
        """Makes a table readable under its name."""
        name = source.table.name
        self._execute(name, f"CREATE OR REPLACE TEMP VIEW {name} AS {table_sql(source)}")

    def scan(self, name: str, file: RawFile) -> dict[str, str]:
        """Makes somebody's file readable under ``name``; returns the types of its columns ``c0``, ``c1`` …"""
        self._execute(name, f"CREATE OR REPLACE TEMP VIEW {name} AS {scan_sql(file)}")
        return {str(row[0]): str(row[1]) for row in self._execute(name, f"DESCRIBE {name}")}

    def rejections(self) -> list[Rejection]:
        """Returns the lines that the last scan could not read as rows, and forgets them."""
        known = self._execute("rejections", "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'")
        if not known[0][0]:
            return []
        rows = self._execute("rejections", REJECTIONS_SQL)
        self._execute("rejections", "DELETE FROM reject_errors")
        self._execute("rejections", "DELETE FROM reject_scans")
        return [Rejection(*row) for row in rows]

    def keep(self, step: Step, values: Mapping[str, Any] | None = None, *, ordered: bool = False) -> int:
        """Computes a step once, as a temporary table.

        Args:
            step: what to keep, under its name.
            values: bound by name.
            ordered: True to keep the order of the rows, so that ``rowid`` counts them from 0.
        """
        self._filled(step, f"CREATE OR REPLACE TEMP TABLE {step.name} AS {step.sql}", values, ordered=ordered)
        self._kept.add(step.name)
        return int(self._execute(step.name, f"SELECT count(*) FROM {step.name}")[0][0])

    def extend(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        """Adds the rows of a step, in order, behind those kept under its name; returns how many."""
        return int(self._filled(step, f"INSERT INTO {step.name} BY NAME {step.sql}", values, ordered=True)[0][0])

    def percent_done(self) -> float:
        """Returns how far the statement under way is, 0 to 100, negative where unknown; for other threads."""
        return float(self._connection.query_progress())

    def _filled(
        self, step: Step, sql: str, values: Mapping[str, Any] | None, *, ordered: bool
    ) -> list[tuple[Any, ...]]:
        if not ordered:
            return self._execute(step.name, sql, values)
        self._execute(step.name, "SET preserve_insertion_order = true")
        try:
            return self._execute(step.name, sql, values)
        finally:
            self._execute(step.name, "SET preserve_insertion_order = false")

    def offer(self, name: str, data: pa.Table) -> None:
        """Makes an Arrow table readable under ``name``."""
        self._connection.register(name, data)

    def drop(self, *names: str) -> None:
        """Forgets kept or offered results."""
        for name in names:
            if name in self._kept:
                self._execute(name, f"DROP TABLE {name}")
                self._kept.discard(name)
            else:
                self._connection.unregister(name)

    def _prepared(self, query: Query, values: Mapping[str, Any] | None) -> str:
        """Keeps the steps that want to be kept and returns the SQL of the answer."""
        for position, step in enumerate(query.steps[:-1]):
            if step.kept and step.name not in self._kept:
                before = [s for s in query.steps[:position] if s.name not in self._kept]
                self.keep(Step(step.name, with_steps(before, step.sql)), values)
        return final_sql(query, frozenset(self._kept))

    def run(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Returns the rows of a query's last step."""
        with self._relation(query, values) as relation:
            return relation.to_arrow_table()

    def batches(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """Returns the rows of a query's last step bit by bit."""
        with self._relation(query, values) as relation:
            return relation.to_arrow_reader(122_880)

    def write(
        self,
        query: Query,
        table: Table,
        folder: str,
        values: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
    ) -> list[WrittenFile]:
        """Writes the rows of a query's last step as Parquet files into ``folder``."""
        inner = stored_select(table, self._prepared(query, values))
        if ordered and table.sort_by:
            inner += " ORDER BY " + ", ".join(table.sort_by)
        codec = "snappy" if table.derived else "zstd"
        options = f"FORMAT parquet, COMPRESSION {codec}, RETURN_STATS"
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        target = path / f"part-{uuid.uuid4().hex}.parquet"
        rows = self._execute(query.name, f"COPY ({inner}) TO {literal(str(target))} ({options})", values)
        return [_written(row) for row in rows if row[1]]

    def export(self, query: Query, path: str, file_format: str, values: Mapping[str, Any] | None = None) -> int:
        """Writes the rows of a query's last step into one file."""
        sql = f"COPY ({self._prepared(query, values)}) TO {literal(path)} ({_FORMATS[file_format]})"
        return int(self._execute(query.name, sql, values)[0][0])

    @contextmanager
    def _relation(self, query: Query, values: Mapping[str, Any] | None) -> Iterator[duckdb.DuckDBPyRelation]:
        sql = self._prepared(query, values)
        with _explained(query.name, sql):
            yield self._connection.sql(sql, params=bound(sql, values or {}))

    def _execute(self, name: str, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with _explained(name, sql):
            return self._connection.execute(sql, bound(sql, values or {})).fetchall()


@contextmanager
def _explained(name: str, sql: str) -> Iterator[None]:
    """Turns what the engine says into an error that names the step and carries its SQL."""
    try:
        yield
    except KeyError as error:
        raise EngineError(f"The query {name!r} needs the value {error}", step=name) from error
    except duckdb.Error as error:
        raise EngineError(f"The query {name!r} failed: {error}", hint=f"SQL:\n{sql}", step=name) from error


def _written(row: tuple[Any, ...]) -> WrittenFile:
    statistics = {
        name.strip('"'): (values.get("min"), values.get("max"), int(values.get("null_count", 0)))
        for name, values in (row[4] or {}).items()
    }
    return WrittenFile(path=str(row[0]), rows=int(row[1]), size_bytes=int(row[2]), statistics=statistics)


@dataclass(frozen=True)
class DuckEngine:
    """Opens DuckDB sessions with limits.

    Args:
        work_folder: where results larger than memory are spilled.
        memory_limit_mb: memory of one session.
        threads: threads of one session; 0 for one per core.
    """

    work_folder: Path
    memory_limit_mb: int = 3000
    threads: int = 0

    @contextmanager
    def session(self) -> Iterator[DuckSession]:
        """Opens a unit of work; what it spilled is removed at its end."""
        self.work_folder.mkdir(parents=True, exist_ok=True)
        spill = Path(tempfile.mkdtemp(prefix="spill-", dir=self.work_folder))
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{self.memory_limit_mb}MB",
                "threads": str(self.threads or os.cpu_count() or 1),
                "temp_directory": str(spill),
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = true")  # counts for percent_done, draws nothing
            connection.execute("SET enable_progress_bar_print = false")
            yield DuckSession(connection)
        finally:
            connection.close()
            shutil.rmtree(spill, ignore_errors=True)
