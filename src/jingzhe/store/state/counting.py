"""Numbers that are given out once: of people, of changes to the identity graph and of its packed runs; and counts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state.identity_tables import identity_number

PEOPLE = "person"
"""The counter of ``person_id``."""
CHANGES = "change"
"""The counter of changes to the identity graph."""
TURN = "SELECT pg_advisory_xact_lock(hashtextextended('jingzhe identity', 0))"
"""PostgreSQL: who counts takes turns; on SQLite a transaction that writes is alone anyway."""
RUNS = "run"
"""The counter of packed runs, the newer the higher."""
SPANS = "span"
"""The counter of the spans of their keys."""
WORDS = "word"
"""The counter of words that packed rows name by number."""


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


def reserve(connection: Connection, name: str, count: int, *, above: int = 0) -> int:
    """Takes numbers that nobody else gets; those that are not used are not given out again.

    Args:
        connection: a transaction that writes.
        name: the counter.
        count: how many.
        above: a number that is known to be in use.

    Returns:
        the number below the first that was taken.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(TURN))
    begin = max(last(connection, name), above)
    raise_to(connection, name, begin + count)
    return begin


def add(connection: Connection, name: str, count: int) -> None:
    """Adds to a counter of which nobody takes numbers: how often something happened.

    Args:
        connection: a transaction that writes.
        name: the counter.
        count: how many more.
    """
    which = identity_number.c.name == name
    if not connection.execute(
        sa.update(identity_number).where(which).values(last=identity_number.c.last + count)
    ).rowcount:
        connection.execute(sa.insert(identity_number).values(name=name, last=count))


def starting_with(connection: Connection, start: str) -> dict[str, int]:
    """Returns the counters whose names start so."""
    columns = sa.select(identity_number.c.name, identity_number.c.last)
    found = connection.execute(columns.where(identity_number.c.name.startswith(start, autoescape=True)))
    return {str(name): int(last_) for name, last_ in found}
