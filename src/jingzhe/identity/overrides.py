"""What readers of the lake need: who stands for whom, and whom to look at again.

Facts are filed under the person whom their strongest key first led to, and are never rewritten by a merge; readers map
that person to the one who stands for them (docs/adr/0008). The lake keeps who stands for whom as a table of its own, so
that whoever reads a publication sees facts, overrides and profiles of one moment; a refresh brings it up to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.store.facts import OVERRIDES
from jingzhe.store.state import State, bulk, counting
from jingzhe.store.state.identity_tables import identity_touched

__all__ = ["OVERRIDES", "Touched", "any_touched", "forget_touched", "is_unsettled", "overrides", "touched"]


@dataclass(frozen=True)
class Touched:
    """What changed since a reader looked last.

    Args:
        overrides: who stands for whom now, as rows of :data:`OVERRIDES`, of everybody for whom that may have changed.
        people: ``person_id`` of everybody whose facts are somebody else's since, or who got some: those who were taken
            over, those who took over, those who were split off. Those among them who are in nobody's ``old_person``
            stand for themselves now.
        through: number of the last change that is in; what to ask from next time.
    """

    overrides: pa.Table
    people: pa.Table
    through: int


def overrides(state: State) -> pa.Table:
    """Returns who stands for whom, as rows of :data:`OVERRIDES`."""
    with state.reading() as connection:
        return _rows(bulk.select(connection, queries.OVERRIDES))


def touched(state: State, since: int) -> Touched:
    """Returns who must be looked at again, and what has become of them; its cost follows what changed.

    Args:
        state: the state store.
        since: number of the last change that the reader knows; 0 for none.
    """
    with state.reading() as connection:
        rows = connection.execute(sa.text(queries.TOUCHED), {"since": since}).scalars().all()
        people = pa.table({"person_id": pa.array(rows, pa.int64())})
        changed = _rows(bulk.select(connection, queries.OVERRIDES_OF, rows) if rows else [])
        return Touched(changed, people, counting.last(connection, counting.CHANGES))


def any_touched(state: State) -> bool:
    """Tells whether there is anybody whom readers have not looked at again."""
    with state.reading() as connection:
        return connection.execute(sa.select(identity_touched.c.change).limit(1)).first() is not None


def is_unsettled(state: State, people: Sequence[int], since: int) -> bool:
    """Tells whether anybody among ``people`` was touched after the change ``since``: the lake does not know it yet."""
    note = identity_touched.c
    found = sa.select(note.person_id).where(note.change > since, note.person_id.in_(people)).limit(1)
    with state.reading() as connection:
        return connection.execute(found).first() is not None


def forget_touched(connection: Connection, through: int) -> int:
    """Removes notes that every reader has taken notice of; returns their number.

    Args:
        connection: the transaction in which the reader writes down that it has.
        through: number of the last change that it knows.
    """
    return connection.execute(sa.delete(identity_touched).where(identity_touched.c.change <= through)).rowcount


def _rows(found: Sequence[tuple[int, ...]]) -> pa.Table:
    columns = [pa.array(np.ascontiguousarray(column)) for column in np.array(found, np.int64).reshape(-1, 3).T]
    columns[2] = columns[2].cast(pa.timestamp("us", tz="UTC"))
    return pa.table(columns, schema=OVERRIDES.arrow_schema)
