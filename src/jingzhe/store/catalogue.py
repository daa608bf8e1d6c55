"""Declarations of the lake's tables: every column has one place where its name, type and meaning stand.

A part declares the columns it owns; :mod:`jingzhe.app` puts the tables together into one catalogue. Names that
reach SQL as identifiers come from here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa

SqlType = Literal["BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMPTZ"]

ARROW: Mapping[SqlType, pa.DataType] = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def identifier(name: str) -> str:
    """Returns ``name`` if it may stand in SQL unquoted, else raises ValueError."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no identifier of the catalogue")
    return name


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        name: lower case, unique in its table; carries its unit where it has one (``recency_days``).
        type: type in the engine's dialect.
        doc: what it means, with its unit.
    """

    name: str
    type: SqlType
    doc: str

    def __post_init__(self) -> None:
        identifier(self.name)


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Args:
        name: lower case, unique.
        columns: the columns in the order in which they are stored.
        key: columns that identify a row.
        sort_by: order of the rows after compaction.
        layered: True where a small overlay replaces rows of a large base, by key, until it is folded in; such a
            table has a ``gone`` column that marks keys that no longer exist.
        derived: True where it can be computed again from other tables; such a table is compressed for speed.
        doc: what one row is.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort_by: tuple[str, ...] = ()
    layered: bool = False
    derived: bool = False
    doc: str = ""

    def __post_init__(self) -> None:
        identifier(self.name)
        names = self.column_names
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name} declares a column twice")
        missing = {*self.key, *self.sort_by} - set(names)
        if missing:
            raise ValueError(f"table {self.name} has no column {sorted(missing)}")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Returns the names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """Returns the columns in the files, the marker of a layered table included."""
        gone = Column("gone", "BOOLEAN", "true: the key no longer exists")
        return (*self.columns, gone) if self.layered else self.columns

    @property
    def arrow_schema(self) -> pa.Schema:
        """Returns the Arrow schema of :attr:`columns`."""
        return pa.schema([(column.name, ARROW[column.type]) for column in self.columns])

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name!r}")

    def with_columns(self, columns: Iterable[Column]) -> Table:
        """Returns the table with ``columns`` added behind its own."""
        return replace(self, columns=(*self.columns, *columns))


@dataclass(frozen=True)
class Catalogue:
    """All tables of a project.

    Args:
        tables: by name.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)

    @classmethod
    def of(cls, *tables: Table) -> Catalogue:
        """Returns the catalogue of ``tables``; raises ValueError where a name stands twice."""
        named = {table.name: table for table in tables}
        if len(named) != len(tables):
            raise ValueError("a table is declared twice")
        return cls(named)

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())
