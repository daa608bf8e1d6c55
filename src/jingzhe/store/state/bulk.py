"""Many rows at once: what a set query needs to be told, and rows that are written by the hundred thousand.

SQLAlchemy's own way costs several microseconds a row in Python; these go to the driver: ``executemany`` of prepared
statements on SQLite, ``COPY`` on PostgreSQL. Names of tables and columns come from the declarations only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]


def insert(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Adds rows to ``table``.

    Args:
        connection: a transaction that writes.
        table: where to.
        columns: names of the columns that each row has, in its order; all of the table that may not be null.
        rows: what to add; values as the driver takes them (moments as numbers, no types of SQLAlchemy).
    """
    names = ", ".join(table.c[name].name for name in columns)
    _fill(connection, table.name, names, len(columns), rows)


def offer(connection: Connection, name: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Makes rows of whole numbers readable as the table ``name`` within this connection, in place of earlier ones.

    Args:
        connection: a transaction that writes.
        name: what statements call it.
        columns: names of the columns; all are 64-bit numbers.
        rows: what it holds.
    """
    declared = ", ".join(f"{column} BIGINT" for column in columns)
    ending = " ON COMMIT DROP" if _is_postgres(connection) else ""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({declared}){ending}")
    _fill(connection, name, ", ".join(columns), len(columns), rows)


def select(connection: Connection, sql: str, numbers: Sequence[int] = ()) -> list[Row]:
    """Returns the rows of a statement as the driver gives them.

    Args:
        connection: a transaction.
        sql: a SELECT; ``{numbers}`` in it stands for a SELECT of the column ``n`` with the given numbers. They travel
            as one value, which is much quicker than a temporary table.
        numbers: 64-bit numbers.
    """
    with _executed(connection, sql, numbers) as cursor:
        return list(cursor.fetchall())


def select_flat(connection: Connection, sql: str, numbers: Sequence[int] = (), **bound: int) -> list[Any]:
    """Returns the values of a statement's rows, those of one row after those of the other.

    A hundred thousand rows kept as tuples are walked through by Python's collector again and again; values are not.

    Args:
        connection: a transaction.
        sql: a SELECT; ``{numbers}`` as in :func:`select`, ``{name}`` stands for a bound number.
        numbers: 64-bit numbers.
        bound: 64-bit numbers by name.
    """
    with _executed(connection, sql, numbers, bound) as cursor:
        return list(chain.from_iterable(cursor))


def columns(
    connection: Connection, names: Sequence[str], rest: str, numbers: Sequence[int] = (), **bound: int
) -> tuple[NDArray[np.int64], ...]:
    """Returns columns of whole numbers, in no order; the database puts each together, so that no row is an object.

    Args:
        connection: a transaction.
        names: of the columns; none of them null.
        rest: the statement from FROM on; ``{numbers}`` and ``{name}`` as in :func:`select_flat`.
        numbers: 64-bit numbers.
        bound: 64-bit numbers by name.
    """
    joined = "string_agg(CAST({} AS text), ',')" if _is_postgres(connection) else "group_concat({})"
    row = select_flat(connection, f"SELECT {', '.join(map(joined.format, names))} {rest}", numbers, **bound)
    return tuple(np.fromstring(text or "", np.int64, sep=",") for text in row)


def execute(connection: Connection, sql: str, numbers: Sequence[int] = (), **bound: int) -> None:
    """Executes a statement that writes; for the arguments see :func:`select_flat`."""
    with _executed(connection, sql, numbers, bound):
        return


@contextmanager
def _executed(
    connection: Connection, sql: str, numbers: Sequence[int], bound: dict[str, int] | None = None
) -> Iterator[Any]:
    values: dict[str, Any] = dict(bound or {})
    is_postgres = _is_postgres(connection)
    for name in values:
        sql = sql.replace(f"{{{name}}}", f"%({name})s" if is_postgres else f":{name}")
    if "{numbers}" in sql and is_postgres:
        sql = sql.replace("{numbers}", "SELECT unnest(CAST(%(numbers)s AS bigint[])) AS n")
        values["numbers"] = list(numbers)
    elif "{numbers}" in sql:
        sql = sql.replace("{numbers}", "SELECT value AS n FROM json_each(:numbers)")
        values["numbers"] = msgspec.json.encode(list(numbers), enc_hook=int).decode()
    cursor = connection.connection.cursor()
    try:
        with _as_the_toolkit_does(connection, sql):
            cursor.execute(sql, values)
        yield cursor
    finally:
        cursor.close()


@contextmanager
def _as_the_toolkit_does(connection: Connection, sql: str) -> Iterator[None]:
    """Raises the driver's errors as SQLAlchemy would, without values: whoever opened the transaction explains those."""
    driver: Any = connection.dialect.dbapi
    try:
        yield
    except driver.Error as error:
        raise DBAPIError.instance(
            sql, None, error, driver.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def _fill(connection: Connection, table: str, names: str, width: int, rows: Iterable[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    if _is_postgres(connection):
        sql = f"COPY {table} ({names}) FROM STDIN"
        with _as_the_toolkit_does(connection, sql), driver.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
        return
    sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * width)})"
    cursor = driver.cursor()
    try:
        with _as_the_toolkit_does(connection, sql):
            cursor.executemany(sql, rows)
    finally:
        cursor.close()


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
