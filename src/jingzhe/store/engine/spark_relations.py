"""What a session on Spark can read, by name: views of Spark, made when they are first read, with their types."""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_NUMBERS = itertools.count()
_NAMES = {
    "bigint": "BIGINT", "int": "INTEGER", "smallint": "SMALLINT", "tinyint": "TINYINT", "double": "DOUBLE",
    "float": "REAL", "string": "VARCHAR", "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMPTZ",
    "timestamp_ntz": "TIMESTAMP", "void": "VARCHAR",
}  # fmt: skip


def duck_type(name: str) -> str:
    """Returns a type of Spark in DuckDB's words."""
    if name.startswith("array<"):
        return f"{duck_type(name[6:-1])}[]"
    return _NAMES.get(name, name.upper())


@dataclass
class Relation:
    """One thing that can be read.

    Args:
        columns: types by name, in DuckDB's words.
        make: gives its data frame, when it is first read.
        forget: removes what was written for it, when it is dropped.
    """

    columns: Mapping[str, str]
    make: Callable[[], Any]
    forget: Callable[[], object] | None = None
    frame: Any = None
    view: str = field(default_factory=lambda: f"jingzhe_{next(_NUMBERS)}")

    @classmethod
    def of(cls, frame: Any, *, columns: Mapping[str, str] | None = None, forget: Any = None) -> Relation:
        """Returns the relation of a data frame."""
        found = columns or {one.name: duck_type(one.dataType.simpleString()) for one in frame.schema.fields}
        return cls(found, lambda: frame, forget)

    @classmethod
    def later(cls, make: Callable[[], Any], columns: Mapping[str, str]) -> Relation:
        """Returns a relation that is made when it is first read, for most tables are not."""
        return cls(columns, make)

    def place(self) -> str:
        """Returns the name of its view."""
        if self.frame is None:
            self.frame = self.make()
            self.frame.createOrReplaceTempView(self.view)
        return self.view


class Relations(Mapping[str, str]):
    """Relations by name; as a mapping it gives the view of each.

    Args:
        spark: Spark's own session.
        steps: those that hide others of the same name.
    """

    def __init__(self, spark: Any, steps: Mapping[str, Relation] | None = None) -> None:
        self._spark = spark
        self._own: dict[str, Relation] = {}
        self._all: Mapping[str, Relation] = ChainMap(dict(steps or {}), self._own)
        self._seen: dict[str, Relation] = {}

    def with_steps(self, steps: Mapping[str, Relation]) -> Relations:
        """Returns a view of these relations with the steps of one query before them."""
        self._seen |= {relation.view: relation for relation in steps.values()}
        seen = Relations(self._spark)
        seen._all = ChainMap(dict(steps), self._own)
        return seen

    @property
    def columns(self) -> dict[str, Mapping[str, str]]:
        """Returns the types of the columns of every relation."""
        return {name: relation.columns for name, relation in self._all.items()}

    def __getitem__(self, name: str) -> str:
        return self._all[name].place()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def relation(self, name: str) -> Relation:
        """Returns one of them."""
        return self._all[name]

    def put(self, name: str, relation: Relation) -> None:
        """Puts a relation in place of what stood under its name."""
        self.drop(name)
        self._own[name] = self._seen[relation.view] = relation

    def drop(self, name: str) -> None:
        """Forgets a relation, whether it is there or not."""
        gone = self._own.pop(name, None)
        if gone is not None and gone.forget is not None:
            gone.forget()

    def clear(self) -> None:
        """Forgets all of them, and their views."""
        self._own.clear()
        for relation in self._seen.values():
            if relation.frame is not None:
                self._spark.catalog.dropTempView(relation.view)
        self._seen.clear()
