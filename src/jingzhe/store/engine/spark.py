"""Apache Spark behind the seam: a local one, a standalone cluster, or Spark Connect (docs/adr/0006).

A step becomes a temporary view of Spark, so that Spark itself says which types its columns have; the translation of the
next step needs them. Nothing that grows with the number of people comes to this process: executors write the files of
tables, and of these only the footers are read here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import ARROW, Column, Table, identifier
from jingzhe.store.engine import SORTED, Batchwise, LocalSession, Source, WrittenFile
from jingzhe.store.engine.dialect import Known, translated
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.engine.spark_failing import explained
from jingzhe.store.engine.spark_files import (
    Shared,
    remove_folder,
    shared_folder,
    spark_schema,
    written_files,
)
from jingzhe.store.engine.spark_relations import Relation, Relations
from jingzhe.store.engine.spark_start import Running, acquire, quiet, release
from jingzhe.store.engine.sql import stored_select, table_sql
from jingzhe.store.places import Folder, Place
from jingzhe.store.query import Query, Step, bound, one

_FAST = {"compression": "snappy"}
_LASTING = {"compression": "zstd", "parquet.compression.codec.zstd.level": "1"}


class SparkSession:
    """Tables and temporary results as views of one Spark: a :class:`jingzhe.store.engine.Session`.

    Args:
        spark: Spark's own session.
        shared: a folder that this process and the executors can read.
        place: where the lake stands.
        local: opens the session that reads files of this machine.
    """

    def __init__(self, spark: Any, shared: Shared, place: Place, local: Callable[[], LocalSession]) -> None:
        self._spark = spark
        self._shared = shared
        self._place = place
        self._open_local = local
        self._local: LocalSession | None = None
        self._relations = Relations(spark)
        self._kept: dict[str, tuple[str, Mapping[str, Any]] | None] = {}
        self._sealed = False

    @property
    def folder(self) -> Path:
        """Returns a folder that the executors can read too, where the lake is one; it is removed with the session."""
        return self._shared.local

    @property
    def local(self) -> LocalSession:
        """Returns the session that reads files of this machine: a DuckDB of its own, opened when it is first needed."""
        if self._local is None:
            self._local = self._open_local()
        return self._local

    def take(self, *names: str) -> None:
        """Hands relations of the local session over to the executors, as Parquet."""
        for name in names:
            self.offer(name, self.local.batches(one(name, f"SELECT * FROM {identifier(name)}")))
            self.local.drop(name)

    def interrupt(self) -> None:
        """Does nothing: Spark is shared with others, and its statements are short beside what is asked of it."""

    def seal(self) -> None:
        """Shuts the engine in: SQL reads the attached tables, by functions that both engines have, and nothing else."""
        self._sealed = True

    # ---- relations

    def attach(self, source: Source) -> None:
        """Makes a table readable under its name."""

        def read() -> Any:
            given = {name: self._relations.relation(name) for name in source.beside}

            def files(paths: Sequence[str], columns: Sequence[Column]) -> str:
                name = f"files_{len(given)}"
                types = {column.name: str(column.type) for column in columns}
                given[name] = Relation.of(self._files(paths, columns), columns=types)
                return f"(SELECT {', '.join(types)} FROM {name})"

            return self._frame(table_sql(source, files), {}, given)

        columns = {column.name: column.type for column in source.table.columns}
        self._relations.put(source.table.name, Relation.later(read, columns))

    def attach_stored(self, name: str, table: Table, paths: Sequence[str]) -> None:
        """Makes files of a table readable under ``name`` as they are stored, with ``stored_in``, their path."""
        columns = {column.name: str(column.type) for column in table.stored_columns} | {"stored_in": "VARCHAR"}

        def read() -> Any:
            return self._files(paths, table.stored_columns, stored_in=True)

        self._relations.put(identifier(name), Relation.later(read, columns))

    def _files(self, paths: Sequence[str], columns: Sequence[Column], *, stored_in: bool = False) -> Any:
        """Returns a data frame of Parquet files; names of files are unique, whatever folder they are in."""
        schema = spark_schema(pa.schema([(column.name, ARROW[column.type]) for column in columns]))
        if not paths:
            schema += ", stored_in STRING" if stored_in else ""
            return self._spark.createDataFrame([], schema)
        frame = self._spark.read.schema(schema).parquet(*(_url(path) for path in paths))
        if not stored_in:
            return frame
        names = [(path.rpartition("/")[2], path) for path in paths]
        known = self._spark.createDataFrame(names, "file_name STRING, stored_in STRING")
        named = frame.select("*", "_metadata.file_name")
        return named.join(known.hint("broadcast"), "file_name").drop("file_name")

    def keep(self, step: Step, values: Mapping[str, Any] | None = None) -> int:
        """Computes a step once; it stands as Parquet in the session's folder until it is dropped."""
        with explained(step.name, step.sql, values or {}):
            rows = self._keep(step.name, self._frame(step.sql, values or {}, {}))
        self._kept[step.name] = None
        return rows

    def _keep(self, name: str, frame: Any) -> int:
        """Writes a result and reads it from there: one that was merely cached would carry the plans of all before it.

        What stands in files also outlives a worker that is lost.
        """
        folder = f"{self._shared.folder}/{uuid.uuid4().hex}"
        void = [field.name for field in frame.schema.fields if field.dataType.typeName() == "void"]
        for column in void:
            frame = frame.withColumn(column, frame[column].cast("string"))
        files = self._written(frame, folder, _FAST)
        kept = self._spark.createDataFrame([], frame.schema)
        if files:
            kept = self._spark.read.schema(frame.schema).parquet(*(_url(file.path) for file in files))
        self._relations.put(name, Relation.of(kept, forget=lambda: remove_folder(self._place, folder)))
        return sum(file.rows for file in files)

    def show(self, step: Step) -> None:
        """Makes a SELECT without values readable under the step's name, in place of what stood there."""
        with explained(step.name, step.sql, {}):
            self._relations.put(step.name, Relation.of(self._frame(step.sql, {}, {})))

    def offer(self, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
        """Makes Arrow data readable under ``name``, any number of times, by way of a Parquet file."""
        path, schema = self._shared.put(data)
        frame = self._spark.read.schema(spark_schema(schema)).parquet(_url(path))
        self._relations.put(identifier(name), Relation.of(frame, forget=lambda: self._place.remove([path])))

    def drop(self, *names: str) -> None:
        """Forgets kept or offered results."""
        for name in names:
            self._kept.pop(name, None)
            self._relations.drop(name)

    def close(self) -> None:
        """Forgets everything."""
        self._relations.clear()

    # ---- queries

    def _frame(self, sql: str, values: Mapping[str, Any], steps: Mapping[str, Relation]) -> Any:
        """Returns the data frame of one SELECT, over the session's relations and the steps before it."""
        given = bound(sql, values)
        known = self._relations.with_steps(steps)
        text = translated(sql, Known(known.columns, known), given, sealed=self._sealed)
        return self._spark.sql(text, {key: _literal(value) for key, value in given.items()})

    def _prepared(self, query: Query, values: Mapping[str, Any] | None) -> Any:
        """Keeps the steps that want to be kept and returns the data frame of the answer."""
        steps: dict[str, Relation] = {}
        given = values or {}
        for step in query.steps[:-1]:
            with explained(step.name, step.sql, given):
                if step.name in self._kept:
                    if step.kept and self._kept[step.name] not in (None, (step.sql, bound(step.sql, given))):
                        raise EngineError(
                            f"The step {step.name!r} is kept already, with other SQL or other values",
                            hint="Drop it first, or give one of the two another name.",
                            step=query.name,
                        )
                    continue
                frame = self._frame(step.sql, given, steps)
                if step.kept:
                    self._keep(step.name, frame)
                    self._kept[step.name] = step.sql, bound(step.sql, given)
                else:
                    steps[step.name] = Relation.of(frame)
        return self._frame(query.steps[-1].sql, given, steps)

    def run(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Returns the rows of a query's last step."""
        with explained(query.name, query.steps[-1].sql, values or {}):
            return self._prepared(query, values).toArrow()

    def batches(self, query: Query, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """Returns the rows of a query's last step bit by bit, by way of files of the shared folder."""
        with explained(query.name, query.steps[-1].sql, values or {}):
            frame = self._prepared(query, values)
            schema = frame.limit(0).toArrow().schema
            files = self._written(frame, f"{self._shared.folder}/{uuid.uuid4().hex}", _FAST)

        def read() -> Iterator[pa.RecordBatch]:
            for batch in self._shared.take([file.path for file in files]):
                yield batch.cast(schema)

        return pa.RecordBatchReader.from_batches(schema, read())

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
        """Applies a function to the rows of a query on the executors; the result is kept as any other."""
        self.drop(name)
        with explained(query.name, query.steps[-1].sql, values or {}), quiet():
            frame = self._prepared(query, values).mapInArrow(_Mapped(function), spark_schema(schema))
            rows = self._keep(identifier(name), frame)
        self._kept[name] = None
        if told:
            told(rows)
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
        """Has the executors write the rows of a query's last step as Parquet files below ``folder``."""
        if self._sealed:
            raise EngineError("Only one SELECT is allowed here", step=query.name)
        with explained(query.name, query.steps[-1].sql, values or {}):
            rows = Relation.of(self._prepared(query, values))
            frame = self._frame(stored_select(table, "SELECT * FROM answer"), {}, {"answer": rows})
            is_sorted = ordered and bool(table.sort_by)
            if is_sorted:
                # All rows of a person into one file: files that overlap would have to be sorted again.
                frame = frame.repartitionByRange(table.sort_by[0]).sortWithinPartitions(*table.sort_by)
            into = f"{folder}/{SORTED if is_sorted else 'part-'}{uuid.uuid4().hex}"
            return self._written(frame, into, _FAST if table.derived else _LASTING)

    def _written(self, frame: Any, folder: str, options: Mapping[str, str]) -> list[WrittenFile]:
        try:
            frame.write.options(**options).parquet(_url(folder))
            return written_files(self._place, folder)
        except BaseException:
            remove_folder(self._place, folder)
            raise

    def export(self, query: Query, path: str, file_format: str, values: Mapping[str, Any] | None = None) -> int:
        """Writes the rows of a query's last step into one file of this machine (csv, json, parquet)."""
        if self._sealed:
            raise EngineError("Only one SELECT is allowed here", step=query.name)
        self.local.offer("exported", self.batches(query, values))
        return self.local.export(one(query.name, "SELECT * FROM exported"), path, file_format)


@dataclass(frozen=True)
class _Mapped:
    """What an executor does with the batches of its part."""

    function: Batchwise

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield self.function(batch)


def _url(path: str) -> str:
    """Returns a path as Spark opens it; what would be a pattern stands for itself."""
    if "://" in path:
        return "s3a" + path.removeprefix("s3") if path.startswith("s3://") else path
    return "".join(f"\\{mark}" if mark in "{}[]*?\\" else mark for mark in path)


def _literal(value: Any) -> Any:
    from pyspark.sql import functions  # noqa: PLC0415 - a part of the extra "spark"

    return functions.array(*(functions.lit(item) for item in value)) if isinstance(value, list | tuple) else value


@dataclass
class SparkEngine:
    """Opens sessions on one Spark, which is started with the first and given back by :meth:`close`.

    Args:
        address: ``local[2]``, ``spark://host:7077`` or ``sc://host:15002``.
        place: where the lake stands; the executors must be able to read and write there.
        work_folder: of this machine, for what is needed for a while.
        options: Spark's own settings, such as ``spark.executor.memory``.
        memory_limit_mb: memory of the driver, and of the DuckDB that reads files of this machine.
    """

    address: str
    place: Place
    work_folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    memory_limit_mb: int = 3000
    _running: Running | None = field(default=None, init=False, repr=False)

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """Opens a unit of work; its temporary results go with it.

        Raises:
            EngineError: Spark cannot be reached or started, or the shared folder cannot be used.
        """
        with ExitStack() as stack:
            running = self._acquired()
            shared = stack.enter_context(shared_folder(self.place, self.work_folder))
            machine = DuckEngine(self.work_folder, self.memory_limit_mb)
            session = SparkSession(running.spark, shared, self.place, lambda: stack.enter_context(machine.session()))
            stack.callback(session.close)
            yield session

    def _acquired(self) -> Running:
        if self._running is None:
            # Over Spark Connect the driver is the server's, and has its memory already.
            own = {} if self.address.startswith("sc://") else {"spark.driver.memory": f"{self.memory_limit_mb}m"}
            settings = {**own, **_reaching(self.place), **self.options}
            self._running = acquire(self.address, settings, self.work_folder)
        return self._running

    def close(self) -> None:
        """Gives Spark back; nothing happens where it was never started."""
        if self._running is not None:
            running, self._running = self._running, None
            release(running)


def _reaching(place: Place) -> dict[str, str]:
    """Returns what Spark must be told to reach an object store; the cluster brings the library (hadoop-aws)."""
    if isinstance(place, Folder):
        return {}
    given = {
        "fs.s3a.endpoint": place.options.get("aws_endpoint_url"),
        "fs.s3a.endpoint.region": place.options.get("aws_region"),
        "fs.s3a.access.key": place.options.get("aws_access_key_id"),
        "fs.s3a.secret.key": place.options.get("aws_secret_access_key"),
        "fs.s3a.session.token": place.options.get("aws_session_token"),
        "fs.s3a.path.style.access": "true" if place.options.get("aws_endpoint_url") else None,
    }
    return {f"spark.hadoop.{name}": value for name, value in given.items() if value}
