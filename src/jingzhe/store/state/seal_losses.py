"""Takes out of a state store what was sealed with keys that are gone for good, so that it no longer stands in the way.

Rows that are nothing without their sealed column go; in others the column is emptied. Whoever calls this has given the
keys up: nobody can read those values any more.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.sealing import key_id_of
from jingzhe.store.state.sealed import SealedBytes, SealedJson, SealedText
from jingzhe.store.state.tables import metadata

_AT_ONCE = 500
_SEALED = SealedBytes | SealedText | SealedJson
_WITH_ROW = frozenset({
    "quarantined_event.body", "webhook_delivery.payload", "repeated_request.body", "erasure.work",
    "personal_key.written",
})  # fmt: skip
"""Columns with which their rows go: an erasure that was under way has to be asked for again, its tombstones stand."""
_EMPTY = ""


def drop_closed(connection: Connection, lost: frozenset[bytes]) -> dict[str, int]:
    """Removes what cannot be opened any more, within a transaction that writes.

    Args:
        connection: the transaction.
        lost: ids of the keys that are gone.

    Returns:
        how many rows went or were emptied, by table and column.
    """
    done = {}
    for table in metadata.sorted_tables:
        for column in table.c:
            if isinstance(column.type, _SEALED):
                count = _drop(connection, table, column, lost)
                if count:
                    done[f"{table.name}.{column.name}"] = count
    return done


def _drop(connection: Connection, table: sa.Table, column: sa.Column[Any], lost: frozenset[bytes]) -> int:
    keys = list(table.primary_key.columns)
    gone = _closed(connection, table, column, lost)
    for values in gone:
        which = [key == value for key, value in zip(keys, values, strict=True)]
        if f"{table.name}.{column.name}" in _WITH_ROW:
            connection.execute(sa.delete(table).where(*which))
        else:
            empty: Any = {} if isinstance(column.type, SealedJson) else _EMPTY
            connection.execute(sa.update(table).where(*which).values({column: None if column.nullable else empty}))
    return len(gone)


def _closed(
    connection: Connection, table: sa.Table, column: sa.Column[Any], lost: frozenset[bytes]
) -> list[tuple[Any, ...]]:
    """Returns the primary keys of rows that were sealed with a lost key."""
    kind: Any = column.type
    stored = sa.type_coerce(column, kind.impl_instance)
    wanted = sa.select(*table.primary_key.columns, stored).where(column.is_not(None))
    rows = connection.execute(wanted, execution_options={"yield_per": _AT_ONCE})
    return [tuple(row[:-1]) for row in rows if key_id_of(row[-1]) in lost]
