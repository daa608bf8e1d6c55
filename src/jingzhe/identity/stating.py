"""What a company's own systems state of keys, which is more than that they were seen together.

``separate`` takes a key away from whoever has it, and is kept like a decision of a person; ``unite`` joins two logins.
A statement counts once, and never goes against what people decided.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity import queries
from jingzhe.identity.deciding import By, Decision, decide
from jingzhe.identity.keyring import KeyRow
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import block
from jingzhe.identity.observations import KeyColumn, Observations
from jingzhe.identity.parting import folded_of, write_parts
from jingzhe.identity.people import Member, current, key_within, member
from jingzhe.identity.resolving import next_change, resolve, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.identity.splitting import Pair, Part, parts_without
from jingzhe.identity.writing import Change
from jingzhe.store.state import State, bulk
from jingzhe.store.state import identity_tables as tables

RULE = "alias"
"""What explanations say of logins that were said to be one person's."""
_AT_ONCE = 500


def separate(state: State, keys: Sequence[Key], by: By, *, once: str, clock: Clock) -> None:
    """Takes keys away from those who have them; each is somebody else's from then on.

    Who they were of keeps the facts and all that had come through such a key. People whom nothing but the key had made
    one come apart. What a key is seen with later joins it, but for the keys that it was taken away from.

    Args:
        state: the state store.
        keys: as sources write them; those that were never seen are passed over.
        by: who states it, and why.
        once: of the statement; the same again changes nothing.
        clock: when.

    Raises:
        SettingError: there is no such kind of key.
    """
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        if _was_stated(connection, once):
            return
        for key in keys:
            row = key_within(connection, rules, key)
            if row is not None:
                _leave(connection, row, rules, by, Change(next_change(connection), clock.now()))
        noted = _noted(once, Change(next_change(connection), clock.now()))
        connection.execute(sa.insert(tables.identity_batch).values(noted))


def pass_over(state: State, once: Sequence[str], *, clock: Clock) -> None:
    """Notes statements that had nothing to separate, so that they separate nothing later either.

    Args:
        state: the state store.
        once: of each statement, as :func:`separate` takes it.
        clock: when.
    """
    batch = tables.identity_batch
    with state.writing() as connection:
        take_turn(connection)
        change = Change(next_change(connection), clock.now())
        for begin in range(0, len(once), _AT_ONCE):
            some = once[begin : begin + _AT_ONCE]
            known = set(connection.scalars(sa.select(batch.c.batch_id).where(batch.c.batch_id.in_(some))))
            new = [_noted(one, change) for one in dict.fromkeys(some) if one not in known]
            if new:
                connection.execute(sa.insert(batch), new)


@dataclass(frozen=True)
class Same:
    """Statements that two logins are one person's, in order.

    Args:
        one: of each the login of now.
        other: of each the former one.
        at_us: moments, UTC microseconds.
        events: which state it.
    """

    one: Sequence[str]
    other: Sequence[str]
    at_us: NDArray[np.int64]
    events: Sequence[str]


def unite(state: State, said: Same, *, batch_id: str, clock: Clock) -> int:
    """Joins logins that are said to be one person's, whatever the limits of kinds say; how many people were taken over.

    They are joined like keys that were seen together, with the rule ``alias``, but for those whose join somebody took
    back, or whom somebody keeps apart.

    Args:
        state: the state store.
        said: the statements.
        batch_id: of the caller; the same batch again changes nothing.
        clock: when.

    Raises:
        IdentityError: the id was used for another batch.
    """
    rules = load_rules(state)
    free = replace(rules, kinds={name: replace(kind, single=None) for name, kind in rules.kinds.items()})
    columns = (KeyColumn("login", said.one), KeyColumn("login", said.other))
    seen = Observations(columns, said.at_us, said.events)
    return resolve(state, seen, batch_id=batch_id, clock=clock, rules=free, rule=RULE).merges


def _leave(connection: Connection, row: KeyRow, rules: Rules, by: By, change: Change) -> None:
    """Takes one key away from its person."""
    found = member(connection, current(connection, row.person_id))
    named = {number for number, key in found.keys.items() if rules.kind(key.kind).merges} - {row.key_id}
    if not named:
        return
    blocked = {
        frozenset(pair) for pair in bulk.select(connection, queries.BLOCKED, list(found.keys)) if pair[1] in found.keys
    }
    parts, apart = _parts(row, found, named, blocked, rules)
    for other in apart:
        block(connection, row.key_id, other)
    folded = folded_of(connection, found, parts)
    people = write_parts(connection, found, parts, rules, change)
    details: dict[str, Any] = {"from": found.person_id, "to": people, "keys": [[row.kind, row.value]]}
    if folded:
        details["folded"] = folded
    decide(connection, Decision(change.number, change.at, by.who, "unbind", by.why, details), None)


def _parts(
    row: KeyRow, found: Member, named: set[int], blocked: set[Pair], rules: Rules
) -> tuple[list[Part], set[int]]:
    """Returns what hangs together without a key, which stands in a part of its own, and from which keys it is kept.

    The key keeps the person whom it founded, and the histories that it claimed, where nobody who is named is left with
    them.

    Args:
        row: the key.
        found: whose it was.
        named: the other keys that say who somebody is.
        blocked: pairs that do not count already.
        rules: of the project.
    """
    claims = {edge.b for edge in found.edges if edge.a == row.key_id and edge.outcome == "claimed"}
    # What had come to somebody through the key stays where it is.
    rest = {
        number: key._replace(joined_to=None) if key.joined_to == row.key_id else key
        for number, key in found.keys.items()
    }
    joins = rules.kind(row.kind).merges
    ways = ((row, named), (row._replace(person_id=0), named), (row._replace(person_id=0), named | claims))
    for own, apart in ways if joins else ((one, named | claims) for one, _ in ways):
        left = Member(found.person_id, found.people, {**rest, row.key_id: own}, found.edges)
        pairs = {frozenset((row.key_id, other)) for other in apart}
        parts = parts_without(left, pairs | blocked, lambda kind: rules.kind(kind).merges)
        mine = next(part for part in parts if row.key_id in part.keys)
        if not mine.keys & named:
            return parts, apart
    raise IdentityError("This key cannot be taken away from its person", key=f"{row.kind} {row.value}")


def _was_stated(connection: Connection, once: str) -> bool:
    batch = tables.identity_batch
    return connection.execute(sa.select(batch.c.change).where(batch.c.batch_id == once)).first() is not None


def _noted(once: str, change: Change) -> dict[str, Any]:
    return {
        "batch_id": once, "change": change.number, "resolved_at": change.at, "observations": 0, "content": "",
        "homes": zlib.compress(b""),
    }  # fmt: skip
