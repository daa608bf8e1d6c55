"""What is kept apart: people by hand, pairs of keys by hand or since a join was undone; and lifting that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError, NoDataError
from jingzhe.identity.deciding import Also, By, Decision, decide
from jingzhe.identity.keyring import KeyRow
from jingzhe.identity.keys import Key
from jingzhe.identity.listing import Shown, shown
from jingzhe.identity.merges import block, key_row, unblock
from jingzhe.identity.people import current, keys_numbered
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State
from jingzhe.store.state import identity_tables as tables

Sort = Literal["people", "keys"]
Place = tuple[str, int, int]
"""Where a page ended: what sort, and the two numbers."""


@dataclass(frozen=True)
class Apart:
    """Two people, or two keys, that are not to become one.

    Args:
        sort: ``people`` or ``keys``.
        numbers: of the two, as they are stored.
        people: who the two are now; of keys, to whom they lead.
        keys: the two keys; none for people, and where one of them was erased.
    """

    sort: Sort
    numbers: tuple[int, int]
    people: tuple[int, int]
    keys: tuple[Shown, ...] = ()


def list_apart(
    state: State, *, sort: Sort | None = None, after: Place | None = None, limit: int = 50
) -> tuple[list[Apart], Place | None]:
    """Returns what is kept apart, people first, and where to go on; None at the end.

    Args:
        state: the state store.
        sort: only this sort.
        after: where the page before ended.
        limit: at most this many.
    """
    found: list[Apart] = []
    rules = load_rules(state)
    with state.reading() as connection:
        if sort != "keys" and (after is None or after[0] == "people"):
            found += _people(connection, after[1:] if after else None, limit + 1)
        if sort != "people" and len(found) <= limit:
            behind = after[1:] if after and after[0] == "keys" else None
            found += _keys(connection, rules, behind, limit + 1 - len(found))
    shown_now = found[:limit]
    last = shown_now[-1] if len(found) > limit else None
    return shown_now, None if last is None else (last.sort, *last.numbers)


def _people(connection: Connection, after: tuple[int, int] | None, limit: int) -> list[Apart]:
    table = tables.identity_never.c
    asked = sa.select(table.person_a, table.person_b).order_by(table.person_a, table.person_b).limit(limit)
    if after is not None:
        asked = asked.where(sa.tuple_(table.person_a, table.person_b) > sa.tuple_(*after))
    return [
        Apart("people", (int(a), int(b)), (current(connection, a), current(connection, b)))
        for a, b in connection.execute(asked).all()
    ]


def _keys(connection: Connection, rules: Rules, after: tuple[int, int] | None, limit: int) -> list[Apart]:
    table = tables.identity_blocked.c
    # Each pair stands there both ways.
    asked = sa.select(table.a, table.b).where(table.a <= table.b).order_by(table.a, table.b).limit(limit)
    if after is not None:
        asked = asked.where(sa.tuple_(table.a, table.b) > sa.tuple_(*after))
    rows = [(int(a), int(b)) for a, b in connection.execute(asked)]
    keys = {key.key_id: key for key in keys_numbered(connection, {number for row in rows for number in row})}
    listed = []
    for a, b in rows:
        people = tuple(current(connection, keys[number].person_id) if number in keys else 0 for number in (a, b))
        two = tuple(shown(keys[number], rules) for number in (a, b)) if a in keys and b in keys else ()
        listed.append(Apart("keys", (a, b), (people[0], people[1]), two))
    return listed


def keep_keys_apart(
    state: State, one: Key | int, other: Key | int, by: By, *, clock: Clock, also: Also | None = None
) -> int:
    """Says that two keys which were seen together do not make people one; other evidence may.

    Args:
        state: the state store.
        one: a key as sources write it, or its number.
        other: another one.
        by: who decides, and why.
        clock: when.
        also: writes in the same transaction.

    Returns:
        the number of the change.

    Raises:
        NoDataError: a key was never seen.
        IdentityError: they are of one person now: undo that first; or they are one key.
    """
    a, b = key_row(state, one), key_row(state, other)
    if a.key_id == b.key_id:
        raise IdentityError("These are one key", hint="Name two.")
    with state.writing() as connection:
        take_turn(connection)
        if current(connection, a.person_id) == current(connection, b.person_id):
            raise IdentityError(
                "These keys are of one person now", hint="Undo what joined them: that keeps them apart."
            )
        change = next_change(connection)
        block(connection, a.key_id, b.key_id)
        decide(connection, Decision(change, clock.now(), by.who, "keep keys apart", by.why, _details(a, b)), also)
    return change


def allow_keys_again(
    state: State, one: Key | int, other: Key | int, by: By, *, clock: Clock, also: Also | None = None
) -> int:
    """Lets two keys join again when they are seen together the next time; returns the number of the change.

    Raises:
        NoDataError: a key was never seen, or they are not kept apart.
    """
    a, b = key_row(state, one), key_row(state, other)
    with state.writing() as connection:
        take_turn(connection)
        if not unblock(connection, a.key_id, b.key_id):
            raise NoDataError("These two keys are not kept apart", hint="List what is: identity apart")
        change = next_change(connection)
        decide(connection, Decision(change, clock.now(), by.who, "allow keys again", by.why, _details(a, b)), also)
    return change


def _details(a: KeyRow, b: KeyRow) -> dict[str, list[list[str]]]:
    return {"keys": [[a.kind, a.value], [b.kind, b.value]]}
