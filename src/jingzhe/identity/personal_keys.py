"""What files wrote where the lake has hashes: sealed in the state store, and opened for those who may see it.

A shop that knows its customers by telephone alone has nothing else to reach them by. Where the state store was opened
without keys to seal with, nothing is kept here: then the hashes are all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state import State, bulk
from jingzhe.store.state.identity_tables import personal_key as table

_AT_ONCE = 500
_WHAT = f"{table.name}.{table.c.written.name}"


def not_kept(state: State, written: Mapping[str, str]) -> dict[str, str]:
    """Returns those of some keys that are not kept yet, none where nothing can be sealed.

    Args:
        state: the state store.
        written: what a file wrote, by the key as the lake has it.
    """
    if state.sealer is None:
        return {}
    with state.reading() as connection:
        known = _found(connection, list(written), table.c.filed)
    return {filed: text for filed, text in written.items() if filed not in known}


def sealed(state: State, written: Mapping[str, str]) -> list[bulk.Row]:
    """Returns keys as rows to :func:`keep`, sealed and in order, as a database takes them quickest.

    Args:
        state: the state store.
        written: what a file wrote, by the key as the lake has it.
    """
    sealer = state.sealer
    return [] if sealer is None else [(filed, sealer.seal_text(_WHAT, written[filed])) for filed in sorted(written)]


def keep(connection: Connection, rows: Iterable[bulk.Row]) -> None:
    """Keeps what :func:`sealed` made of keys that are :func:`not_kept`, within a transaction that writes."""
    bulk.insert(connection, table, (table.c.filed.name, table.c.written.name), rows)


def opened(state: State, filed: Iterable[str]) -> dict[str, str]:
    """Returns what files wrote, by the key as the lake has it; keys of which nothing is kept are left out.

    Args:
        state: the state store.
        filed: keys as the lake has them; others may stand between them.

    Raises:
        SealError: the store was opened without the keys that open them.
    """
    with state.reading() as connection:
        found = _found(connection, list(dict.fromkeys(filed)), table.c.written)
    return {filed: written for filed, written in found.items() if written}


def forget(connection: Connection, filed: Sequence[str]) -> int:
    """Removes what files wrote, within a transaction that writes; returns how many were kept."""
    gone = 0
    for some in _pieces(filed):
        gone += connection.execute(sa.delete(table).where(table.c.filed.in_(some))).rowcount
    return gone


def _found(connection: Connection, filed: Sequence[str], column: sa.Column[str]) -> dict[str, str]:
    """Returns a column of those of some keys that are kept, by key."""
    found: dict[str, str] = {}
    for some in _pieces(filed):
        rows = connection.execute(sa.select(table.c.filed, column).where(table.c.filed.in_(some)))
        found |= {str(row[0]): str(row[1]) for row in rows}
    return found


def _pieces(filed: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(filed), _AT_ONCE):
        yield filed[start : start + _AT_ONCE]
