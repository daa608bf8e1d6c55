"""Writes what is left of a person whose keys do not all hang together any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.evidence import refile
from jingzhe.identity.keyring import ChangedKeys, KeyRow, change_keys
from jingzhe.identity.people import Member
from jingzhe.identity.rules import Rules
from jingzhe.identity.splitting import Part
from jingzhe.identity.writing import Change, move_people, touch
from jingzhe.store.state import bulk, counting
from jingzhe.store.state import identity_tables as tables
from jingzhe.store.state.graph_notes import folded_before


def blocked_of(connection: Connection, found: Member) -> set[frozenset[int]]:
    """Returns the pairs of a person's keys that may not join."""
    rows = bulk.select(connection, queries.BLOCKED, list(found.keys))
    return {frozenset(row) for row in rows if row[1] in found.keys}


def folded_of(connection: Connection, found: Member, parts: list[Part]) -> tuple[int, ...]:
    """Returns the people who go, but whose facts compaction has filed under the one who stays."""
    before = folded_before(connection)
    if before is None:
        return ()
    going = sorted(person for part in parts if found.person_id not in part.people for person in part.people)
    moved = bulk.select(connection, queries.OVERRIDES_OF, going)
    micros = round(before.timestamp() * 1e6)
    return tuple(old for old, _, moved_us in moved if moved_us < micros)


def write_parts(
    connection: Connection, found: Member, parts: list[Part], rules: Rules, change: Change,
    *, through: Mapping[int, int] | None = None,
) -> list[int]:  # fmt: skip
    """Gives every part its person; returns them.

    Args:
        connection: a transaction that writes, and has its turn.
        found: the person.
        parts: what hangs together.
        rules: of the project.
        change: the change.
        through: keys through which some came to their person, by number, where that is another one than before.
    """
    instead = through or {}
    people = []
    moved: list[tuple[int, int]] = []
    rehomed: list[tuple[KeyRow, KeyRow]] = []
    for part in parts:
        if part.people:
            person = min(part.people)
        else:
            person = counting.last(connection, counting.PEOPLE) + 1
            counting.raise_to(connection, counting.PEOPLE, person)
        people.append(person)
        moved += [(other, person) for other in sorted(part.people - {person})]
        rehomed += [pair for number in part.keys if (pair := _rehomed(found.keys[number], part, person, instead))]
    if rehomed:
        _rehome(connection, rehomed)
    everybody = sorted({*found.people, *people})
    delete_rows(connection, tables.identity_override.c.old_person, found.people)
    delete_rows(connection, tables.identity_anonymous.c.person_id, found.people)
    for person, part in zip(people, parts, strict=True):
        if not any(rules.kind(found.keys[number].kind).merges for number in part.keys):
            bulk.insert(connection, tables.identity_anonymous, ("person_id",), [(person,)])
    move_people(connection, np.array(moved, np.int64).reshape(-1, 2), change)
    touch(connection, change, np.array(everybody, np.int64))
    return people


def _rehomed(key: KeyRow, part: Part, person: int, instead: Mapping[int, int]) -> tuple[KeyRow, KeyRow] | None:
    """Returns a key as it was and as it is in its part, None where it stays as it is."""
    home = key.person_id if key.person_id in part.people else person
    through = instead.get(key.key_id, key.joined_to)
    joined = through if through in part.keys else None
    now = key._replace(person_id=home, joined_to=joined)
    return None if now == key else (key, now)


def _rehome(connection: Connection, rehomed: list[tuple[KeyRow, KeyRow]]) -> None:
    rows = [
        (now.key_id, now.person_id, now.joined_to or 0, now.partners, now.shared_us or 0) for _, now in rehomed
    ]  # fmt: skip
    change_keys(connection, ChangedKeys(*np.array(rows, np.int64).T))
    refile(connection, {(old.person_id, old.key_id): now.person_id for old, now in rehomed})


def delete_rows(connection: Connection, column: sa.Column[Any], numbers: Iterable[int]) -> None:
    """Deletes the rows in whose ``column`` one of some numbers stands."""
    listed = sorted(numbers)
    for start in range(0, len(listed), 500):
        connection.execute(sa.delete(column.table).where(column.in_(listed[start : start + 500])))
