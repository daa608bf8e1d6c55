"""Small questions asked again and again about a few rows, each planned once.

For a few rows the plan costs more than the answer: the profile of one person is 40 ms of planning and 10 of computing.
DuckDB keeps the plan of a prepared statement, and makes it anew all the same where

- a name was registered or a table made since: rows are exchanged inside relations that stay registered;
- filters are pushed down, for a plan with a value in a scan serves that value only: the optimizer is off, which tiny
  inputs do not need;
- a value is named twice in the statement: each place gets a name of its own;
- a value has another type than the place: types are written down, and a statement is kept for each set of types.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import identifier
from jingzhe.store.engine.failing import explained
from jingzhe.store.engine.sql import constant, with_steps
from jingzhe.store.query import PARAMETER, Query

_STATEMENTS_KEPT = 16
_Asked = tuple[str, tuple[str, ...]]
"""SQL and the types of its values."""


class Rows(Protocol):
    """Rows that can be handed over as Arrow any number of times, such as a table."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Returns the rows from the first on, as a capsule of Arrow's C stream."""


class _Slot:
    """A relation whose rows are exchanged between answers; the engine asks for them each time it reads it."""

    def __init__(self, schema: pa.Schema) -> None:
        self._nothing = schema.empty_table()
        self.rows: Rows = self._nothing

    def clear(self) -> None:
        """Forgets the rows: they are somebody's."""
        self.rows = self._nothing

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class Desk:
    """Answers the same few questions about ever other rows; used by one thread at a time.

    Args:
        connection: to an engine of its own.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA disable_optimizer")
        self._slots: dict[str, _Slot] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._statements: OrderedDict[_Asked, str] = OrderedDict()
        self._made = 0

    def rows(self, query: Query, values: Mapping[str, Any], relations: Mapping[str, Rows]) -> list[dict[str, Any]]:
        """Returns the rows of a query's last step; the first time it is planned, which takes far longer.

        Args:
            query: the question; steps that want to be kept are computed once within the answer.
            values: bound by name: booleans, whole numbers, floats, dates and texts.
            relations: what the steps read, by name; always with the same columns under the same name.

        Raises:
            EngineError: the query fails, or a relation has other columns than before.
        """
        *before, last = query.steps
        sql = with_steps(before, last.sql, kept=True)
        with explained(query.name, sql, values):
            try:
                self._exchange(query, relations)
                return self._answered(sql, values)
            finally:
                for slot in self._slots.values():
                    slot.clear()

    def _exchange(self, query: Query, relations: Mapping[str, Rows]) -> None:
        for name, rows in relations.items():
            slot = self._slots.get(name)
            if slot is None:
                slot = self._slots[name] = _Slot(rows.schema)
                self._connection.register(identifier(name), slot)
                self._forget()  # the engine would plan them anew at each answer from now on
            elif slot.rows.schema != rows.schema:
                raise EngineError(
                    f"The relation {name!r} has other columns than the first time",
                    hint="Give it another name: plans are kept for its columns.",
                    step=query.name,
                )
            slot.rows = rows

    def _answered(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        if sql not in self._places:
            self._places[sql] = tuple(PARAMETER.findall(sql))
        try:
            constants = {name: constant(values[name]) for name in set(self._places[sql])}
        except TypeError as error:
            raise EngineError(f"A value cannot be given to a desk: {error}", hint="Ask a session.") from None
        bound = [constants[name] for name in self._places[sql]]
        statement = self._statement(sql, [kind for kind, _ in bound])
        given = ", ".join(value for _, value in bound)
        cursor = self._connection.execute(f"EXECUTE {statement}({given})" if bound else f"EXECUTE {statement}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _statement(self, sql: str, types: Sequence[str]) -> str:
        asked = sql, tuple(types)
        known = self._statements.get(asked)
        if known is not None:
            self._statements.move_to_end(asked)
            return known
        self._made += 1
        name, places = f"asked_{self._made}", iter(enumerate(types, start=1))

        def place(_: re.Match[str]) -> str:
            number, kind = next(places)
            return f"CAST(${number} AS {kind})"

        self._connection.execute(f"PREPARE {name} AS {PARAMETER.sub(place, sql)}")
        self._statements[asked] = name
        while len(self._statements) > _STATEMENTS_KEPT:
            (left, _), oldest = self._statements.popitem(last=False)
            self._connection.execute(f"DEALLOCATE {oldest}")
            if not any(other == left for other, _ in self._statements):
                del self._places[left]
        return name

    def _forget(self) -> None:
        for name in self._statements.values():
            self._connection.execute(f"DEALLOCATE {name}")
        self._statements.clear()
        self._places.clear()
