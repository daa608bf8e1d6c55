"""A query on a SQL database as a source of rows, read bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from jingzhe.core.errors import ImportRefusedError
from jingzhe.core.progress import Progress

CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class SqlSource:
    """A query on a database.

    Args:
        url: SQLAlchemy URL; ``postgresql://…`` uses psycopg 3, ``sqlite:///file`` needs nothing.
        query: a SELECT.
        name: what the import calls it; without a password.
    """

    url: str
    query: str
    name: str = "query"


def fetch(source: SqlSource, path: Path, progress: Progress) -> tuple[str, ...]:
    """Writes the rows of a query as Parquet, every column text.

    Args:
        source: the query.
        path: the file to write.
        progress: is told how many rows have come.

    Returns:
        the names of the columns.

    Raises:
        ImportRefusedError: the database cannot be reached, or the query fails; says why.
    """
    try:
        engine = sa.create_engine(_url(source.url))
    except (SQLAlchemyError, ImportError) as error:
        raise ImportRefusedError(f"The database's URL cannot be used: {error}", source=source.name) from error
    try:
        with engine.connect().execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS) as connection:
            result = connection.execute(sa.text(_escaped(source.query)))
            if not result.returns_rows:
                raise ImportRefusedError("The query returns no rows: it is no SELECT", source=source.name)
            columns = _distinct(result.keys())
            _write(result.partitions(CHUNK_ROWS), columns, path, progress)
            return columns
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ImportRefusedError(f"The query failed: {reason}", source=source.name) from error
    finally:
        engine.dispose()


def _url(url: str) -> sa.URL:
    parsed = sa.make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in {"postgresql", "postgres"} else parsed


def _escaped(query: str) -> str:
    """Returns the query with its colons taken as they stand: it binds no values."""
    return query.replace(":", "\\:")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    seen: list[str] = []
    for name in names:
        seen.append(name if name not in seen else f"{name} ({seen.count(name) + 1})")
    return tuple(seen)


def _write(chunks: Iterable[Sequence[sa.Row[Any]]], columns: tuple[str, ...], path: Path, progress: Progress) -> None:
    schema = pa.schema([(column, pa.string()) for column in columns])
    done = 0
    with pq.ParquetWriter(path, schema) as writer:
        for chunk in chunks:
            writer.write_table(
                pa.Table.from_arrays([_text(values) for values in zip(*chunk, strict=True)], schema=schema)
            )
            done += len(chunk)
            progress.advance(done)


def _text(values: Sequence[Any]) -> pa.Array:
    """Returns one column of a chunk as text; times and numbers as ISO 8601 and SQL write them."""
    try:
        return pa.array(values).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # SQLite keeps several types in one column, PostgreSQL has types of its own.
        return pa.array([None if value is None else str(value) for value in values], pa.string())
