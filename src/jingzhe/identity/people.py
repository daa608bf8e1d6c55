"""One person of the identity graph: who they took over, their keys, and everything that joined or did not join."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from jingzhe.core.errors import IdentityError, NoDataError
from jingzhe.identity import queries
from jingzhe.identity.evidence import Edge, edges_of
from jingzhe.identity.keyring import KeyRow, as_rows, keys_at, keys_of_people
from jingzhe.identity.keys import Key
from jingzhe.identity.known import PROBES
from jingzhe.identity.observations import Coder
from jingzhe.identity.rules import Rules, known_salt, load_rules
from jingzhe.store.state import State, bulk


class NobodyError(NoDataError, IdentityError):
    """The identity graph knows no such person or key, or no key leads to them."""


@dataclass(frozen=True)
class Member:
    """Everything about one person.

    Args:
        person_id: who they are now.
        people: everybody whom they took over, and themselves.
        keys: their keys.
        edges: pairs that were seen under their keys.
    """

    person_id: int
    people: tuple[int, ...]
    keys: dict[int, KeyRow]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Join:
    """Why two keys are, or are not, of one person.

    Args:
        a: one key; personal values are shown as the hash that is stored.
        b: the other one.
        outcome: joined, same, merged, claimed, moved, limit, blocked, never, or beside: no evidence, a stronger key was
            there too.
        rule: what let them join.
        event: the event that showed both.
        at: when it happened.
        kept: person who stands for both since, where two became one.
        lost: person who was taken over.
        numbers: numbers of the two keys, by which the join can be undone.
    """

    a: Key
    b: Key
    outcome: str
    rule: str
    event: str
    at: datetime
    kept: int | None = None
    lost: int | None = None
    numbers: tuple[int, int] = (0, 0)


def current(connection: Connection, person: int) -> int:
    """Returns who a person is now."""
    rows = bulk.select(connection, queries.NOW, [person])
    return int(rows[0][1]) if rows else person


def member(connection: Connection, person: int) -> Member:
    """Returns everything about the person that ``person`` is now.

    Raises:
        NobodyError: nobody has that number.
    """
    now = current(connection, person)
    people = sorted({now, *(row[0] for row in bulk.select(connection, queries.MEMBERS, [now]))})
    keys = as_rows(connection, keys_of_people(connection, np.array(people, np.int64)))
    if not keys and len(people) == 1:
        raise NobodyError("Nobody has this number, or no key leads to them", person=person)
    edges = edges_of(connection, np.array(people, np.int64))
    return Member(now, tuple(people), {key.key_id: key for key in keys}, tuple(edges))


def keys_numbered(connection: Connection, numbers: Iterable[int]) -> list[KeyRow]:
    """Returns the keys of some numbers that are known, the first seen first."""
    return as_rows(connection, keys_at(connection, np.array(sorted(numbers), np.int64)))


def keys_of(state: State, person: int) -> list[KeyRow]:
    """Returns the keys of a person, the first seen first.

    Raises:
        NobodyError: nobody has that number.
    """
    with state.reading() as connection:
        return list(member(connection, person).keys.values())


def find(state: State, key: Key) -> int | None:
    """Returns the person whom a key leads to now; None where it leads to nobody.

    Raises:
        SettingError: there is no such kind of key.
    """
    row = find_key(state, key)
    if row is None or row.shared_us is not None:
        return None
    with state.reading() as connection:
        return current(connection, row.person_id)


def find_key(state: State, key: Key) -> KeyRow | None:
    """Returns a key as it is stored, None where it was never seen or stands for no value."""
    rules = load_rules(state)
    with state.reading() as connection:
        return key_within(connection, rules, key)


def key_within(connection: Connection, rules: Rules, key: Key) -> KeyRow | None:
    """Does what :func:`find_key` does, within a transaction."""
    salt = known_salt(connection)
    # Whoever stores the first key makes the salt.
    stored = Coder(rules, salt or b"").stored(key, filed=True)
    if salt is None or stored is None:
        return None
    value, number = stored
    rows = keys_numbered(connection, range(number, number + PROBES))
    return next((row for row in rows if row[1:3] == (rules.called(key.kind), value)), None)


def explain(state: State, person: int) -> list[Join]:
    """Returns why a person's keys are theirs, what merged into them, and what was refused; the oldest first.

    Raises:
        NobodyError: nobody has that number.
    """
    with state.reading() as connection:
        return joins_of(connection, member(connection, person))


def joins_of(connection: Connection, found: Member) -> list[Join]:
    """Returns what :func:`explain` does, of a person who was read."""
    outside = {edge.b for edge in found.edges} | {key.joined_to for key in found.keys.values() if key.joined_to}
    others = keys_numbered(connection, outside - set(found.keys))
    names = {key.key_id: Key(key.kind, key.value) for key in (*found.keys.values(), *others)}
    noted = {(edge.a, edge.b) for edge in found.edges}
    joins = [
        Join(
            names[key.joined_to],
            names[key.key_id],
            "joined",
            "seen together",
            key.event,
            moment(key.seen_us),
            numbers=(key.joined_to, key.key_id),
        )
        for key in found.keys.values()
        if key.joined_to in names and (key.joined_to, key.key_id) not in noted
    ]
    joins += [
        Join(names[e.a], names[e.b], e.outcome, e.rule, e.event, moment(e.seen_us), e.kept, e.lost, (e.a, e.b))
        for e in found.edges
        if e.a in names and e.b in names
    ]
    return sorted(joins, key=lambda join: (join.at, join.event, join.a, join.b))


def moment(micros: int) -> datetime:
    """Returns a moment of so many microseconds UTC."""
    return datetime.fromtimestamp(micros / 1e6, UTC)
