"""What the lake and the identity graph leave word of to each other.

An import numbers customers by the lake alone as long as nobody needs the graph; that it did so is written down in the
transaction that publishes it, and whoever uses the graph next takes them over. A compaction writes down which merges it
has folded into the facts, so that undoing one of them can say what it does not give back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state.documents import get
from jingzhe.store.state.identity_tables import identity_run
from jingzhe.store.state.store import State
from jingzhe.store.state.tables import publication

_UNADOPTED = ("identity", "unadopted")
_FOLDED = ("lake", "folded_people")


def has_keys(state: State) -> bool:
    """Tells whether the graph knows anybody."""
    with state.reading() as connection:
        known = sa.select(identity_run.c.run).where(identity_run.c.shelf == "key").limit(1)
        return connection.execute(known).first() is not None


def leave_unadopted(state: State, connection: Connection, batch: int) -> None:
    """Writes down that a publication brought customers whom the graph does not know.

    Args:
        state: the store.
        connection: the transaction that publishes.
        batch: number of the publication.
    """
    if _since(connection) is None:
        state.put_document(*_UNADOPTED, {"since_batch": batch}, connection=connection)


def unadopted_since(state: State) -> int | None:
    """Returns the first publication that brought customers whom the graph does not know; None where there is none."""
    with state.reading() as connection:
        return _since(connection)


def adopted(state: State, since: int, through: int) -> None:
    """Writes down that the customers of the publications from ``since`` to ``through`` are known to the graph.

    Another import may have brought more meanwhile; these stay to be adopted.
    """
    with state.writing() as connection:
        if _since(connection) == since:
            newest = _newest(connection)
            body = {"since_batch": through + 1 if newest > through else None}
            state.put_document(*_UNADOPTED, body, connection=connection)


def leave_folded(state: State, connection: Connection, moved_before: datetime) -> None:
    """Writes down that merges older than a moment are folded into the facts.

    Args:
        state: the store.
        connection: the transaction that publishes.
        moved_before: the moment.
    """
    state.put_document(*_FOLDED, {"moved_before": moved_before.isoformat()}, connection=connection)


def folded_before(connection: Connection) -> datetime | None:
    """Returns the moment up to which merges are folded into the facts; None where none are."""
    body = _body(connection, _FOLDED)
    return datetime.fromisoformat(body["moved_before"]) if body else None


def _since(connection: Connection) -> int | None:
    found = _body(connection, _UNADOPTED).get("since_batch")
    return None if found is None else int(found)


def _newest(connection: Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.max(publication.c.seq))) or 0)


def _body(connection: Connection, name: tuple[str, str]) -> Mapping[str, Any]:
    document = get(connection, *name, None)
    return document.body if document else {}
