"""An engine that asks DuckDB and Spark at once, goes on with DuckDB's answer, and notes where the two differ."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import parse_one

from jingzhe.store import query as queries
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import Batchwise, LocalSession, Source, WrittenFile
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.engine.spark import SparkEngine, SparkSession
from jingzhe.store.query import Query, Step, one
from tests.engines.comparing import differences

CHOSEN_FREELY = frozenset({"event_id", "content", "event_id_1"})
"""Columns made by a hash function, which is another one on each engine; they mean nothing but themselves."""


@dataclass
class Noted:
    """What happened on both engines.

    Args:
        ran: SQL of every step that ran on both.
        names: of the queries that ran on both.
        makers: file and name of the functions that made a step, by its SQL.
        apart: where the engines differed.
    """

    ran: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    makers: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    apart: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notes which function makes each step while it lasts."""
        plain = Step.__post_init__

        def made(step: Step) -> None:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_code.co_filename in {queries.__file__, "<string>"}:
                frame = frame.f_back
            makers = self.makers.setdefault(step.sql, set())
            for _ in range(3):
                makers.add((frame.f_code.co_filename, frame.f_code.co_name))
                if frame.f_back is None:
                    break
                frame = frame.f_back
            plain(step)

        Step.__post_init__ = made  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Step.__post_init__ = plain  # type: ignore[method-assign]


class TwinSession:
    """Two sessions that do everything together; a :class:`jingzhe.store.engine.Session`."""

    def __init__(self, duck: DuckSession, spark: SparkSession, noted: Noted) -> None:
        self._duck, self._spark, self._noted = duck, spark, noted
        self._free: set[str] = set()

    @property
    def folder(self) -> Path:
        return self._duck.folder

    @property
    def local(self) -> LocalSession:
        return self._duck

    def take(self, *names: str) -> None:
        for name in names:
            self._spark.offer(name, self._duck.run(one(name, f"SELECT * FROM {name}")))

    def interrupt(self) -> None:
        self._duck.interrupt()
        self._spark.interrupt()

    def seal(self) -> None:
        self._duck.seal()
        self._spark.seal()

    def attach(self, source: Source) -> None:
        self._duck.attach(source)
        self._spark.attach(source)

    def attach_stored(self, name: str, table: Table, paths: Sequence[str]) -> None:
        self._duck.attach_stored(name, table, paths)
        self._spark.attach_stored(name, table, paths)

    def show(self, step: Step) -> None:
        self._note(Query(step.name, (step,)))
        self._duck.show(step)
        self._spark.show(step)

    def offer(self, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
        table = data if isinstance(data, pa.Table) else data.read_all()
        self._duck.offer(name, table)
        self._spark.offer(name, table)

    def drop(self, *names: str) -> None:
        self._duck.drop(*names)
        self._spark.drop(*names)

    def keep(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        self._note(Query(step.name, (step,)))
        rows = self._duck.keep(step, values)
        other = self._spark.keep(step, values)
        if rows != other:
            self._noted.apart.append(f"{step.name}: {rows} rows and {other}")
        if self._is_free(step.sql):
            self._free.add(step.name)
        return rows

    def run(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.Table:
        self._note(query)
        found = self._duck.run(query, values)
        self._compare(query, found, self._spark.run(query, values))
        return found

    def batches(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        return self.run(query, values).to_reader()

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
        self._note(query)
        rows = self._duck.mapped(name, query, function, schema, values, told=told)
        self._spark.mapped(name, query, function, schema, values)
        everything = one(name, f"SELECT * FROM {name}")
        self._compare(query, self._duck.run(everything), self._spark.run(everything), ordered=False)
        return rows

    def write(
        self,
        query: Query,
        table: Table,
        folder: str,
        values: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
    ) -> list[WrittenFile]:
        self._note(query)
        files = self._duck.write(query, table, folder, values, ordered=ordered)
        scratch = self._spark.folder / "twin"
        others = self._spark.write(query, table, str(scratch), values, ordered=ordered)
        empty = pa.schema([(column.name, pa.null()) for column in table.stored_columns]).empty_table()
        read = [
            pa.concat_tables([pq.ParquetFile(file.path).read() for file in written]) if written else empty
            for written in (files, others)
        ]
        self._compare(query, *read, ordered=ordered and len(others) == 1)
        for name in ("rows",):
            totals = [sum(getattr(file, name) for file in written) for written in (files, others)]
            if totals[0] != totals[1]:
                self._noted.apart.append(f"{query.name}: {totals[0]} {name} and {totals[1]}")
        shutil.rmtree(scratch, ignore_errors=True)
        return files

    def export(self, query: Query, path: str, file_format: str, values: Mapping[str, Any] | None = None) -> int:
        self._note(query)
        rows = self._duck.export(query, path, file_format, values)
        other = Path(f"{path}.spark")
        if self._spark.export(query, str(other), file_format, values) != rows:
            self._noted.apart.append(f"{query.name}: not {rows} rows")
        if sorted(other.read_text("utf-8").splitlines()) != sorted(Path(path).read_text("utf-8").splitlines()):
            self._noted.apart.append(f"{query.name}: the files differ")
        other.unlink()
        return rows

    def _note(self, query: Query) -> None:
        self._noted.names.add(query.name)
        self._noted.ran.update(step.sql for step in query.steps)

    def _is_free(self, sql: str) -> bool:
        return "hash(" in sql or any(re.search(rf"\b{name}\b", sql) for name in self._free)

    def _compare(self, query: Query, found: pa.Table, other: pa.Table, *, ordered: bool | None = None) -> None:
        if any("approx_quantile(" in step.sql for step in query.steps):
            return  # approximate on both, each in its own way; where a table is cut into files changes no row
        free = any(self._is_free(step.sql) for step in query.steps)
        if ordered is None:
            ordered = bool(parse_one(query.steps[-1].sql, read="duckdb").args.get("order"))
        apart = differences(found, other, ordered=ordered and not free, without=CHOSEN_FREELY if free else ())
        self._noted.apart += [f"{query.name}: {difference}" for difference in apart]


@dataclass(frozen=True)
class TwinEngine:
    """Opens twin sessions.

    Args:
        duck: one engine.
        spark: the other.
        noted: where what happens is noted.
    """

    duck: DuckEngine
    spark: SparkEngine
    noted: Noted

    @property
    def work_folder(self) -> Path:
        return self.duck.work_folder

    @contextmanager
    def session(self) -> Iterator[TwinSession]:
        with self.duck.session() as duck, self.spark.session() as spark:
            yield TwinSession(duck, spark, self.noted)

    def close(self) -> None:
        self.spark.close()
