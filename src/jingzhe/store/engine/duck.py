"""DuckDB behind the seam: in process, larger than memory, only what its wheel bundles."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import Table, identifier
from jingzhe.store.engine import SORTED, Batchwise, Source, WrittenFile
from jingzhe.store.engine.desk import Desk
from jingzhe.store.engine.failing import explained
from jingzhe.store.engine.raw import REJECTIONS_SQL, RawFile, Rejection, scan_sql
from jingzhe.store.engine.spill import spill_folder
from jingzhe.store.engine.sql import final_sql, literal, stored_select, stored_sql, table_sql, text_list, with_steps
from jingzhe.store.near import Direct, Near, Reach
from jingzhe.store.query import Query, Step, bound

_FAST = "COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 5000"
"""For tables that are rewritten often: the same size as with larger dictionaries, a fifth less time."""
_LASTING = "COMPRESSION zstd, COMPRESSION_LEVEL 1"
"""For facts: on events and items a fifth faster than zstd's usual level, and no larger."""
_GROUP_VALUES = 2**18
_GROUP_MOST_ROWS, _GROUP_STEP = 16_384, 2048
"""Sorted files have row groups of about so many values, so that one person's rows are read for a seventh of what it
costs in the usual groups (store/lake/points.py)."""
_FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


_WORD = re.compile(r"\w+")
_ANY_TABLE = frozenset({"query", "query_table", "information_schema", "show", "pg_catalog"})
"""Words of SQL that may read a table without naming it, as may every word that begins with ``duckdb_``."""


class DuckSession:
    """One in-memory DuckDB with the tables attached as views: a :class:`jingzhe.store.engine.Session`.

    A table whose files stand in an object store is fetched when SQL first names it.

    Args:
        connection: to the engine.
        folder: where the session may put files; it is removed with the session.
        reach: where the lake's files are read and written.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, reach: Reach | None = None) -> None:
        self.folder = folder
        self._connection = connection
        self._reach = reach or Direct()
        self._waiting: dict[str, Callable[[], object]] = {}
        self._kept: dict[str, tuple[str, Mapping[str, Any]] | None] = {}
        self._attached: dict[str, tuple[str, ...]] = {}
        self._sealed = False

    @property
    def local(self) -> DuckSession:
        """Returns the session itself: the engine runs on this machine."""
        return self

    def take(self, *names: str) -> None:
        """Does nothing: what is kept here is readable here."""

    def interrupt(self) -> None:
        """Makes the statement under way fail; may be called from another thread."""
        self._connection.interrupt()

    def attach(self, source: Source) -> None:
        """Makes a table readable under its name."""
        base, overlay = (tuple(map(self._reach.local, paths)) for paths in (source.base, source.overlay))
        sql = table_sql(replace(source, base=base, overlay=overlay))
        self._view(source.table.name, sql, (*source.base, *source.overlay))

    def attach_stored(self, name: str, table: Table, paths: Sequence[str]) -> None:
        """Makes files of a table readable under ``name`` as they are stored, with ``stored_in``, their path."""
        sql = stored_sql(table, [self._reach.local(path) for path in paths])
        far = self._reach.far(paths[0]) if paths else None
        if far is not None:
            here, there = far
            sql = f"SELECT * REPLACE ({literal(there)} || stored_in[{len(here) + 1}:] AS stored_in) FROM ({sql})"
        self._view(identifier(name), sql, tuple(paths))

    def seal(self) -> None:
        """Shuts the engine in, for SQL that somebody else wrote.

        From here on it reads the attached files and no others, writes none, loads nothing, and no setting can be
        changed; statements other than SELECT are refused.
        """
        paths = sorted({self._reach.local(path) for attached in self._attached.values() for path in attached})
        for setting in (f"allowed_paths = {text_list(paths)}", "enable_external_access = false"):
            self._execute("seal", f"SET {setting}")
        self._execute("seal", "SET lock_configuration = true")
        self._sealed = True

    def _view(self, name: str, sql: str, paths: tuple[str, ...]) -> None:
        first, self._attached[name] = name not in self._attached, paths
        make = partial(self._execute, name, f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")
        self._waiting.pop(name, None)
        if self._reach.at_hand(paths):
            make()
        elif first:
            self._waiting[name] = make
        else:
            # What was made of the table before must not go on reading its older files.
            self._reach.fetch(paths)
            make()

    def _bring(self, sql: str) -> None:
        """Fetches the tables that ``sql`` names and nothing named before."""
        if not self._waiting:
            return
        words = set(_WORD.findall(sql.lower()))
        everything = any(word in _ANY_TABLE or word.startswith("duckdb_") for word in words)
        for name in [name for name in self._waiting if everything or name in words]:
            make = self._waiting.pop(name, None)
            if make is not None:
                self._reach.fetch(self._attached[name])
                make()

    def scan(self, name: str, file: RawFile) -> dict[str, str]:
        """Makes somebody's file readable under ``name``; returns the types of ``c0``, ``c1`` and so on."""
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
        self._filled(step.name, f"CREATE OR REPLACE TEMP TABLE {step.name} AS {step.sql}", values, ordered=ordered)
        self._kept[step.name] = None
        return int(self._execute(step.name, f"SELECT count(*) FROM {step.name}")[0][0])

    def extend(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        """Adds the rows of a step, in order, behind those kept under its name; returns how many."""
        return int(self._filled(step.name, f"INSERT INTO {step.name} BY NAME {step.sql}", values, ordered=True)[0][0])

    def percent_done(self) -> float:
        """Returns how far the statement under way is, 0 to 100, negative where unknown; for other threads."""
        return float(self._connection.query_progress())

    def _filled(self, name: str, sql: str, values: Mapping[str, Any] | None, *, ordered: bool) -> list[tuple[Any, ...]]:
        if not ordered:
            return self._execute(name, sql, values)
        self._execute(name, "SET preserve_insertion_order = true")
        try:
            return self._execute(name, sql, values)
        finally:
            self._execute(name, "SET preserve_insertion_order = false")

    def show(self, step: Step) -> None:
        """Makes a SELECT without values readable under the step's name, in place of what stood there."""
        self._execute(step.name, f"CREATE OR REPLACE TEMP VIEW {step.name} AS {step.sql}")

    def offer(self, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
        """Makes Arrow data readable under ``name``: a table any number of times, a stream of batches once."""
        self._connection.register(identifier(name), data)

    def drop(self, *names: str) -> None:
        """Forgets kept or offered results."""
        for name in names:
            if name in self._kept:
                self._execute(name, f"DROP TABLE {name}")
                del self._kept[name]
            else:
                self._connection.unregister(name)

    def _prepared(self, query: Query, values: Mapping[str, Any] | None) -> str:
        """Keeps the steps that want to be kept and returns the SQL of the answer."""
        for position, step in enumerate(query.steps[:-1]):
            if not step.kept:
                continue
            sql = with_steps([s for s in query.steps[:position] if s.name not in self._kept], step.sql)
            if step.name not in self._kept:
                self.keep(Step(step.name, sql), values)
                self._kept[step.name] = step.sql, bound(step.sql, values or {})
            elif self._kept[step.name] not in (None, (step.sql, bound(step.sql, values or {}))):
                raise EngineError(
                    f"The step {step.name!r} is kept already, with other SQL or other values",
                    hint="Drop it first, or give one of the two another name.",
                    step=query.name,
                )
        return final_sql(query, frozenset(self._kept))

    def run(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Returns the rows of a query's last step."""
        with self._relation(query, values) as relation:
            return relation.to_arrow_table()

    def batches(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """Returns the rows of a query's last step bit by bit."""
        with self._relation(query, values) as relation:
            reader = relation.to_arrow_reader(122_880)
        sql = final_sql(query, frozenset(self._kept))

        def read() -> Iterator[pa.RecordBatch]:
            with explained(query.name, sql, values or {}):
                yield from reader

        return pa.RecordBatchReader.from_batches(reader.schema, read())

    def write(
        self,
        query: Query,
        table: Table,
        folder: str,
        values: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
    ) -> list[WrittenFile]:
        """Writes the rows of a query's last step as one Parquet file into ``folder``; none where there are no rows."""
        inner = stored_select(table, self._prepared(query, values))
        is_sorted = ordered and bool(table.sort_by)
        if is_sorted:
            inner += " ORDER BY " + ", ".join(table.sort_by)
        name = f"{SORTED if is_sorted else 'part-'}{uuid.uuid4().hex}.parquet"
        codec = (_FAST if table.derived else _LASTING) + (_row_groups(table) if is_sorted else "")
        here = Path(self._reach.local(folder))
        sql = f"COPY ({inner}) TO {literal(f'{here}/{name}')} (FORMAT parquet, {codec}, RETURN_STATS)"
        rows: list[tuple[Any, ...]] = []
        try:
            here.mkdir(parents=True, exist_ok=True)
            rows = self._filled(query.name, sql, values, ordered=is_sorted)
        except OSError as error:
            raise EngineError(f"The folder cannot be made: {error.strerror}", folder=here) from error
        finally:
            if not any(row[1] for row in rows):
                # A query without rows leaves a file without rows, one that failed may leave half a file.
                for leftover in (name, f"tmp_{name}"):
                    (here / leftover).unlink(missing_ok=True)
        files = [replace(_written(row), path=f"{folder}/{name}") for row in rows if row[1]]
        for file in files:
            self._reach.send(file.path)
        return files

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
        """Applies a function to the rows of a query, bit by bit, and keeps the result, in memory, under ``name``."""
        batches, done = [], 0
        for batch in self.batches(query, values):
            if batch.num_rows:
                batches.append(function(batch))
                done += batch.num_rows
                if told:
                    told(done)
        result = pa.Table.from_batches(batches, schema)
        self.drop(name)
        self.offer(name, result)
        return int(result.num_rows)

    def export(self, query: Query, path: str, file_format: str, values: Mapping[str, Any] | None = None) -> int:
        """Writes the rows of a query's last step into one file (csv, json, jsonl, parquet); returns their number.

        Raises:
            EngineError: there is no such format, the query fails or the file cannot be written.
        """
        if file_format not in _FORMATS:
            raise EngineError(f"There is no file format {file_format!r}", hint=f"Use one of: {', '.join(_FORMATS)}.")
        sql = f"COPY ({self._prepared(query, values)}) TO {literal(path)} ({_FORMATS[file_format]})"
        return int(self._execute(query.name, sql, values)[0][0])

    @contextmanager
    def _relation(self, query: Query, values: Mapping[str, Any] | None) -> Iterator[duckdb.DuckDBPyRelation]:
        sql = self._prepared(query, values)
        self._bring(sql)
        with explained(query.name, sql, values or {}):
            if self._sealed and [one.type for one in duckdb.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
                raise EngineError("Only one SELECT is allowed here", hint=f"SQL:\n{sql}", step=query.name)
            yield self._connection.sql(sql, params=bound(sql, values or {}))

    def _execute(self, name: str, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self._bring(sql)
        with explained(name, sql, values or {}):
            return self._connection.execute(sql, bound(sql, values or {})).fetchall()


def _row_groups(table: Table) -> str:
    rows = min(_GROUP_MOST_ROWS, _GROUP_VALUES // len(table.stored_columns))
    return f", ROW_GROUP_SIZE {max(1, round(rows / _GROUP_STEP)) * _GROUP_STEP}"


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
        near: where sessions read and write the lake's files.
    """

    work_folder: Path
    memory_limit_mb: int = 3000
    threads: int = 0
    near: Near = field(default_factory=Direct)

    def close(self) -> None:
        """Does nothing: an engine holds nothing between its sessions."""

    @contextmanager
    def session(self) -> Iterator[DuckSession]:
        """Opens a unit of work; what it spilled is removed at its end.

        Raises:
            EngineError: the work folder cannot be used.
        """
        with self.near.session() as reach, self._connected() as (connection, folder):
            yield DuckSession(connection, folder, reach)

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """Opens a desk for small questions that are asked again and again; it reads no files.

        Raises:
            EngineError: the work folder cannot be used.
        """
        with self._connected() as (connection, _):
            yield Desk(connection)

    @contextmanager
    def _connected(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
        config = {
            "memory_limit": f"{self.memory_limit_mb}MB",
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
        if self.threads:
            config["threads"] = str(self.threads)
        with spill_folder(self.work_folder) as folder:
            connection = duckdb.connect(":memory:", config={**config, "temp_directory": str(folder)})
            try:
                # A table that is not there must not be looked for among the variables of the Python that calls.
                connection.execute("SET python_enable_replacements = false")
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute("SET enable_progress_bar = true")  # counts for percent_done, draws nothing
                connection.execute("SET enable_progress_bar_print = false")
                yield connection, folder
            finally:
                connection.close()
