"""Many rows at once: what a set query needs to be told, and rows that are written by the hundred thousand.

SQLAlchemy's own way costs several microseconds a row in Python; these go to the driver: ``executemany`` of prepared
statements on SQLite, ``COPY`` on PostgreSQL. Names of tables and columns come from the declarations only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

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
    values: dict[str, Any] = {}
    if "{numbers}" in sql and _is_postgres(connection):
        sql = sql.replace("{numbers}", "SELECT unnest(CAST(%(numbers)s AS bigint[])) AS n")
        values = {"numbers": list(numbers)}
    elif "{numbers}" in sql:
        sql = sql.replace("{numbers}", "SELECT value AS n FROM json_each(:numbers)")
        values = {"numbers": f"[{','.join(map(str, numbers))}]"}
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
        return list(cursor.fetchall())
    finally:
        cursor.close()


def _fill(connection: Connection, table: str, names: str, width: int, rows: Iterable[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    if _is_postgres(connection):
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    places = ", ".join("?" * width)
    cursor = driver.cursor()
    try:
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)
    finally:
        cursor.close()


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
