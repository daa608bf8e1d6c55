"""Files between this process and Spark's executors: what they wrote, and a folder that both can read."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from jingzhe.core.errors import EngineError
from jingzhe.store.engine import WrittenFile
from jingzhe.store.engine.spill import spill_folder
from jingzhe.store.places import Folder, Place

SHARED = "_sessions"
"""Folder in the lake's root for what this process and the executors hand to one another; it goes with the session."""

_PLAIN = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.large_string(): pa.string()}
_SPARK_TYPES = {
    pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INT", pa.int64(): "BIGINT", pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE", pa.string(): "STRING", pa.bool_(): "BOOLEAN", pa.date32(): "DATE",
}  # fmt: skip


def spark_type(kind: pa.DataType) -> str:
    """Returns the name of an Arrow type in Spark's SQL.

    Raises:
        EngineError: Spark has no such type.
    """
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_list(kind):
        return f"ARRAY<{spark_type(kind.value_type)}>"
    if kind not in _SPARK_TYPES:
        raise EngineError(f"Spark has no type like Arrow's {kind}", hint="Cast the column.")
    return _SPARK_TYPES[kind]


def spark_schema(schema: pa.Schema) -> str:
    """Returns an Arrow schema as Spark declares it."""
    return ", ".join(f"`{field.name}` {spark_type(field.type)}" for field in schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Returns the schema in types that Spark has too."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_null(kind):
        return pa.string()
    return _PLAIN.get(kind, kind)


class Shared:
    """A folder of one session that this process and the executors can read.

    Args:
        place: where the lake stands.
        folder: the session's folder in it.
        local: a folder of this machine, for copies; the same one where the lake is local.
    """

    def __init__(self, place: Place, folder: str, local: Path) -> None:
        self.folder, self.local = folder, local
        self._place = place

    def put(self, batches: pa.Table | pa.RecordBatchReader) -> tuple[str, pa.Schema]:
        """Writes Arrow data as one Parquet file; returns its path and its schema."""
        schema = plain_schema(batches.schema)
        name = f"{uuid.uuid4().hex}.parquet"
        file = self.local / name
        reader = batches.to_reader() if isinstance(batches, pa.Table) else batches
        with pq.ParquetWriter(file, schema, compression="snappy") as writer:
            for batch in reader:
                writer.write_batch(batch.cast(schema))
        path = f"{self.folder}/{name}"
        if path != str(file):
            self._bucket.put(file, path)
            file.unlink()
        return path, schema

    def take(self, paths: list[str]) -> Iterator[pa.RecordBatch]:
        """Yields the rows of Parquet files, bit by bit."""
        for path in paths:
            file = Path(path)
            if isinstance(self._place, Folder):
                yield from _read(file)
                continue
            copy = self.local / f"{uuid.uuid4().hex}.parquet"
            self._bucket.get({path: copy})
            yield from _read(copy)
            copy.unlink()

    @property
    def _bucket(self) -> Any:
        """The lake's bucket, which copies files from and to this machine."""
        return self._place


def _read(file: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as opened:
        yield from opened.iter_batches(65_536)


@contextmanager
def shared_folder(place: Place, work_folder: Path) -> Iterator[Shared]:
    """Makes the folder of a session; removes it at the end, and those that killed processes left on this machine."""
    if isinstance(place, Folder):
        with spill_folder(Path(place.root) / SHARED) as folder:
            yield Shared(place, str(folder), folder)
        return
    with spill_folder(work_folder) as local:
        folder_there = f"{place.root}/{SHARED}/{uuid.uuid4().hex}"
        try:
            yield Shared(place, folder_there, local)
        finally:
            place.remove([f"{folder_there}/{name}" for name in place.listed(folder_there)])


def written_files(place: Place, folder: str) -> list[WrittenFile]:
    """Returns what the executors wrote into a folder, from the footers alone; files without rows are removed.

    So are checksums and marks of success, which a Spark that others started may write beside them.
    """
    found: list[WrittenFile] = []
    needless: list[str] = []
    files = _filesystem(place, folder)
    for name in place.listed(folder):
        path = f"{folder}/{name}"
        if name.rpartition("/")[2].startswith((".", "_")):
            needless.append(path)
            continue
        with files.open_input_file(path if isinstance(place, Folder) else name) as opened:
            metadata = pq.read_metadata(opened)
            if metadata.num_rows:
                found.append(WrittenFile(path, metadata.num_rows, opened.size(), _statistics(metadata)))
            else:
                needless.append(path)
    place.remove(needless)
    if not found and isinstance(place, Folder):
        shutil.rmtree(folder, ignore_errors=True)
    return found


def remove_folder(place: Place, folder: str) -> None:
    """Removes what a failed write left; what cannot be removed is left to the next vacuum."""
    if isinstance(place, Folder):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        place.remove([f"{folder}/{name}" for name in place.listed(folder)])


def _filesystem(place: Place, folder: str) -> fs.FileSystem:
    if isinstance(place, Folder):
        return fs.LocalFileSystem()
    from deltalake.fs import DeltaStorageHandler  # noqa: PLC0415 - a folder does not need it

    return fs.PyFileSystem(DeltaStorageHandler(folder, dict(place.options)))


def _statistics(metadata: Any) -> dict[str, tuple[str | None, str | None, int]]:
    """Returns least and greatest value and number of nulls of every column, as text."""
    found: dict[str, tuple[str | None, str | None, int]] = {}
    for position in range(metadata.num_columns):
        parts = [metadata.row_group(group).column(position) for group in range(metadata.num_row_groups)]
        told = [part.statistics for part in parts]
        nulls = sum(one.null_count for one in told if one is not None)
        bounds = [(one.min, one.max) for one in told if one is not None and one.has_min_max]
        # A row group of nulls alone has no bounds; one without statistics could have any.
        whole = all(one is not None and (one.has_min_max or one.num_values == 0) for one in told)
        low = min(bound[0] for bound in bounds) if bounds and whole else None
        high = max(bound[1] for bound in bounds) if bounds and whole else None
        found[parts[0].path_in_schema] = (_text(low), _text(high), nulls)
    return found


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
