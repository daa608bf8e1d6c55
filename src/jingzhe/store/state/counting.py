"""Numbers that are given out once: of people and of changes to the identity graph."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state.identity_tables import identity_number

PEOPLE = "person"
"""The counter of ``person_id``."""
CHANGES = "change"
"""The counter of changes to the identity graph."""


def last(connection: Connection, name: str) -> int:
    """Returns the number given out last, 0 where there was none."""
    found = connection.scalar(sa.select(identity_number.c.last).where(identity_number.c.name == name))
    return int(found or 0)


def raise_to(connection: Connection, name: str, number: int) -> None:
    """Says that numbers up to ``number`` are given out; a counter never goes back.

    Args:
        connection: a transaction that writes; who counts takes turns (see the callers' locks).
        name: the counter.
        number: the highest that is used.
    """
    known = connection.scalar(sa.select(identity_number.c.last).where(identity_number.c.name == name))
    if known is None:
        connection.execute(sa.insert(identity_number).values(name=name, last=number))
    elif number > known:
        connection.execute(sa.update(identity_number).where(identity_number.c.name == name).values(last=number))
