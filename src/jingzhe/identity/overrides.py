"""What readers of the lake need: who stands for whom, and whom to look at again.

Facts are filed under the person whom their strongest key first led to, and are never rewritten by a merge; readers map
that person to the one who stands for them (docs/adr/0008). Both answers are small tables for the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.store.catalogue import Column, Table
from jingzhe.store.query import Step
from jingzhe.store.state import State, bulk, counting
from jingzhe.store.state.identity_tables import identity_touched

OVERRIDES = Table(
    "person_overrides",
    (
        Column("old_person", "BIGINT", "person under whom facts are filed"),
        Column("new_person", "BIGINT", "person who stands for them"),
        Column("moved_at", "TIMESTAMPTZ", "when that last changed"),
    ),
    key=("old_person",),
    derived=True,
    doc="a person whom another one took over; flat: the new person is nobody's old one",
)


@dataclass(frozen=True)
class Touched:
    """What changed since a reader looked last.

    Args:
        overrides: the whole table :data:`OVERRIDES`, of the same moment.
        people: ``person_id`` of everybody whose facts are somebody else's since, or who got some: those who were taken
            over, those who took over, those who were split off.
        through: number of the last change that is in; what to ask from next time.
    """

    overrides: pa.Table
    people: pa.Table
    through: int


def overrides(state: State, *, moved_before: datetime | None = None) -> pa.Table:
    """Returns who stands for whom, as rows of :data:`OVERRIDES`.

    Args:
        state: the state store.
        moved_before: leave younger ones out: what compaction may fold in, so that younger merges can be undone with
            all their facts; None for all.
    """
    with state.reading() as connection:
        return _overrides(connection, moved_before)


def touched(state: State, since: int) -> Touched:
    """Returns who must be looked at again, with the overrides of the same moment.

    Args:
        state: the state store.
        since: number of the last change that the reader knows; 0 for none.
    """
    with state.reading() as connection:
        rows = connection.execute(sa.text(queries.TOUCHED), {"since": since}).scalars().all()
        people = pa.table({"person_id": pa.array(rows, pa.int64())})
        return Touched(_overrides(connection, None), people, counting.last(connection, counting.CHANGES))


def forget_touched(state: State, through: int) -> int:
    """Removes notes that every reader has taken notice of; returns their number."""
    with state.writing() as connection:
        return connection.execute(sa.delete(identity_touched).where(identity_touched.c.change <= through)).rowcount


def as_current(table: str, columns: tuple[str, ...], source: str) -> Step:
    """Returns the step that shows a relation with the people who stand for those in it.

    Args:
        table: what the step is called.
        columns: columns of the relation, ``person_id`` among them.
        source: the relation, as it is stored; ``person_overrides`` stands beside it.
    """
    now = "coalesce(person_overrides.new_person, stored.person_id) AS person_id"
    listed = ", ".join(now if name == "person_id" else f"stored.{name}" for name in columns)
    return Step(
        table,
        f"SELECT {listed} FROM {source} AS stored "
        f"LEFT JOIN {OVERRIDES.name} ON person_overrides.old_person = stored.person_id",
    )


def _overrides(connection: Connection, moved_before: datetime | None) -> pa.Table:
    rows = np.array(bulk.select(connection, queries.OVERRIDES), np.int64).reshape(-1, 3)
    if moved_before is not None:
        rows = rows[rows[:, 2] < round(moved_before.timestamp() * 1e6)]
    columns = [pa.array(np.ascontiguousarray(column)) for column in rows.T]
    columns[2] = columns[2].cast(pa.timestamp("us", tz="UTC"))
    return pa.table(columns, schema=OVERRIDES.arrow_schema)
