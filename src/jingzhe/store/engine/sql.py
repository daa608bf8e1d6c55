"""The one door through which SQL is put together.

Identifiers come from the catalogue, values stand as literals only where the engine cannot bind them (file names).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime

from jingzhe.store.catalogue import Column, Table
from jingzhe.store.engine import Source
from jingzhe.store.query import Query, Step


def literal(value: str) -> str:
    """Returns ``value`` as a string literal."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Returns a name that comes from outside (a column of somebody's file) as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def constant(value: object) -> tuple[str, str]:
    """Returns type and SQL of a value where the engine takes no bound ones: among those of a prepared statement.

    Raises:
        TypeError: the value is of no type that is given to prepared statements.
    """
    if isinstance(value, bool):
        return "BOOLEAN", "true" if value else "false"
    if isinstance(value, int):
        return "INTEGER" if -(2**31) < value < 2**31 else "BIGINT", str(int(value))
    if isinstance(value, float):
        # With an exponent it is a DOUBLE, without one a DECIMAL; the shortest text that gives the same number.
        text = repr(float(value))
        plain = text if "e" in text else f"{text}e0"
        return "DOUBLE", plain if math.isfinite(value) else f"CAST('{text}' AS DOUBLE)"
    if isinstance(value, date) and not isinstance(value, datetime):
        return "DATE", f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "VARCHAR", literal(value)
    raise TypeError(f"{type(value).__name__} is no type of a constant")


def text_list(values: Iterable[str]) -> str:
    """Returns a list of string literals."""
    return "[" + ", ".join(literal(value) for value in values) + "]"


def select_list(columns: Iterable[Column]) -> str:
    """Returns the columns, cast to their declared types."""
    return ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in columns)


Files = Callable[[Sequence[str], Sequence[Column]], str]
"""Gives the relation, in brackets, that reads columns of Parquet files; engines differ in it."""


def read_files(paths: Sequence[str], columns: Sequence[Column]) -> str:
    """Returns the relation that reads columns of Parquet files, as DuckDB does."""
    if not paths:
        return no_rows(columns)
    names = ", ".join(column.name for column in columns)
    return f"(SELECT {names} FROM read_parquet({text_list(paths)}))"


def no_rows(columns: Sequence[Column]) -> str:
    """Returns a relation, in brackets, with columns and no rows."""
    empty = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in columns)
    return f"(SELECT {empty} WHERE false)"


def table_sql(source: Source, files: Files = read_files) -> str:
    """Returns the SELECT that reads a table as people mean it.

    That is: overlay over base, retracted rows left out, rows under the people who stand for those they are filed under.
    """
    stored = _stored_as_meant(source, files)
    if source.standing:
        return f"SELECT * FROM ({stored}) AS stored ANTI JOIN {source.standing} ON old_person = person_id"
    if not source.current:
        return stored
    now = "coalesce(new_person, person_id) AS person_id"
    listed = ", ".join(now if name == "person_id" else name for name in source.table.column_names)
    return f"SELECT {listed} FROM ({stored}) AS stored LEFT JOIN {source.current} ON old_person = person_id"


def _stored_as_meant(source: Source, files: Files) -> str:
    table = source.table
    names = ", ".join(table.column_names)
    if table.layered:
        base, overlay = (files(paths, table.stored_columns) for paths in (source.base, source.overlay))
        if not source.overlay:
            return f"SELECT {names} FROM {base}"
        key = ", ".join(table.key)
        return (
            f"SELECT {names} FROM {overlay} WHERE NOT gone UNION ALL "
            f"SELECT {names} FROM {base} ANTI JOIN {overlay} USING ({key})"
        )
    body = f"SELECT {names} FROM {files(source.base, table.columns)}"
    if source.without is None:
        return body
    return f"{body} ANTI JOIN {source.without} USING (event_id, person_id)"


def stored_sql(table: Table, paths: Sequence[str]) -> str:
    """Returns the SELECT that reads files as they are stored, and where each row stands as ``stored_in``."""
    if not paths:
        return f"SELECT *, CAST(NULL AS VARCHAR) AS stored_in FROM {no_rows(table.stored_columns)}"
    names = ", ".join(column.name for column in table.stored_columns)
    return f"SELECT {names}, stored_in FROM read_parquet({text_list(paths)}, filename = 'stored_in')"


def with_steps(steps: Sequence[Step], answer: str, *, kept: bool = False) -> str:
    """Returns ``answer`` with the steps before it as common table expressions.

    They are inlined: left to itself DuckDB stores one that is read twice, in all its columns; what is worth storing
    is marked as kept.

    Args:
        steps: in order.
        answer: the SELECT behind them.
        kept: True where steps that want to be kept are stored within the answer, for no session keeps them.
    """
    if not steps:
        return answer
    inlined = ["MATERIALIZED" if kept and step.kept else "NOT MATERIALIZED" for step in steps]
    tables = (f"{step.name} AS {how} (\n{step.sql}\n)" for step, how in zip(steps, inlined, strict=True))
    return "WITH " + ",\n".join(tables) + f"\n{answer}"


def final_sql(query: Query, kept: frozenset[str]) -> str:
    """Returns the SQL of the last step; steps already kept in the session are not repeated."""
    *before, last = query.steps
    open_steps = [step for step in before if step.name not in kept]
    return with_steps(open_steps, last.sql)


def stored_select(table: Table, inner: str) -> str:
    """Returns ``inner`` with the columns and types of ``table``, ready to be written."""
    return f"SELECT {select_list(table.stored_columns)} FROM ({inner})"
