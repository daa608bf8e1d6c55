"""Decisions of people about people: undo a join, merge two by hand, keep two apart; each with who, when and why.

Undoing blocks the pair of keys that had joined, so the same evidence does not join them again; other evidence may.
Facts stay filed under the person that they came under, so those of a person who was taken over go back by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity import queries
from jingzhe.identity.evidence import Edge, put_edge, refile, remove_edge
from jingzhe.identity.keyring import ChangedKeys, KeyRow, change_keys
from jingzhe.identity.keys import Key
from jingzhe.identity.people import Member, current, find_key, keys_numbered, member
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.identity.splitting import Part, parts_without
from jingzhe.identity.writing import Change, move_people, touch
from jingzhe.store.state import State, bulk, counting
from jingzhe.store.state import identity_tables as tables
from jingzhe.store.state.graph_notes import folded_before


class By(NamedTuple):
    """Who decides, and why; both are kept."""

    who: str
    why: str


@dataclass(frozen=True)
class Decision:
    """One decision, for the audit.

    Args:
        change: number of the change to the graph.
        at: when.
        who: who decided.
        action: undo, merge, keep apart, allow again, unbind.
        why: the reason given.
        details: people and keys.
    """

    change: int
    at: datetime
    who: str
    action: str
    why: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Undone:
    """What undoing did.

    Args:
        change: number of the change.
        people: the people there are now in place of the one, the oldest first.
        folded: those among the people who go whose earlier facts stay with the one who had taken them over, because
            compaction has folded the merge into the facts; only later facts go to them.
    """

    change: int
    people: tuple[int, ...]
    folded: tuple[int, ...] = ()


def undo(state: State, pairs: Sequence[tuple[Key | int, Key | int]], by: By, *, clock: Clock) -> Undone:
    """Takes back that pairs of keys belong to one person.

    Args:
        state: the state store.
        pairs: keys as sources write them, or the numbers in which :func:`jingzhe.identity.people.explain` gives them.
        by: who decides, and why.
        clock: when.

    Returns:
        the people there are now.

    Raises:
        IdentityError: the keys are not of one person, or are held together by other evidence too; nothing was changed.
    """
    rows = [(_key(state, a), _key(state, b)) for a, b in pairs]
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        homes = {current(connection, row.person_id) for pair in rows for row in pair}
        if len(homes) != 1:
            raise IdentityError("These keys are not of one person", people=sorted(homes))
        found = member(connection, homes.pop())
        apart = {frozenset((a.key_id, b.key_id)) for a, b in rows}
        blocked = {
            frozenset(row) for row in bulk.select(connection, queries.BLOCKED, list(found.keys)) if row[1] in found.keys
        }
        parts = parts_without(found, apart | blocked, lambda kind: rules.kind(kind).merges)
        _check_apart(parts, rows)
        folded = folded_people(connection, found, parts)
        change = next_change(connection)
        for a, b in rows:
            block(connection, a.key_id, b.key_id)
        people = write_parts(connection, found, parts, rules, Change(change, clock.now()))
        details = {"from": found.person_id, "to": people, "keys": [[[*_name(a)], [*_name(b)]] for a, b in rows]}
        if folded:
            details["folded"] = folded
        decide(connection, Decision(change, clock.now(), by.who, "undo", by.why, details))
    return Undone(change, tuple(people), folded)


def folded_people(connection: Connection, found: Member, parts: list[Part]) -> tuple[int, ...]:
    """Returns the people who go, but whose facts compaction has filed under the one who stays."""
    before = folded_before(connection)
    if before is None:
        return ()
    going = sorted(person for part in parts if found.person_id not in part.people for person in part.people)
    moved = bulk.select(connection, queries.OVERRIDES_OF, going)
    micros = round(before.timestamp() * 1e6)
    return tuple(old for old, _, moved_us in moved if moved_us < micros)


def _check_apart(parts: list[Part], rows: list[tuple[KeyRow, KeyRow]]) -> None:
    part_of = {key: number for number, part in enumerate(parts) for key in part.keys}
    for a, b in rows:
        if part_of[a.key_id] == part_of[b.key_id]:
            raise IdentityError(
                f"{a.kind} and {b.kind} are held together by other evidence as well",
                hint="Look at the person's joins and undo all that connect the two in one call.",
                keys=f"{a.kind} {a.value}, {b.kind} {b.value}",
            )


def write_parts(connection: Connection, found: Member, parts: list[Part], rules: Rules, change: Change) -> list[int]:
    """Gives every part its person; returns them."""
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
        rehomed += [pair for number in part.keys if (pair := _rehomed(found.keys[number], part, person))]
    if rehomed:
        _rehome(connection, rehomed)
    everybody = sorted({*found.people, *people})
    _delete(connection, tables.identity_override.c.old_person, found.people)
    _delete(connection, tables.identity_anonymous.c.person_id, found.people)
    for person, part in zip(people, parts, strict=True):
        if not any(rules.kind(found.keys[number].kind).merges for number in part.keys):
            bulk.insert(connection, tables.identity_anonymous, ("person_id",), [(person,)])
    move_people(connection, np.array(moved, np.int64).reshape(-1, 2), change)
    touch(connection, change, np.array(everybody, np.int64))
    return people


def _rehomed(key: KeyRow, part: Part, person: int) -> tuple[KeyRow, KeyRow] | None:
    """Returns a key as it was and as it is in its part, None where it stays as it is."""
    home = key.person_id if key.person_id in part.people else person
    joined = key.joined_to if key.joined_to in part.keys else None
    now = key._replace(person_id=home, joined_to=joined)
    return None if now == key else (key, now)


def _rehome(connection: Connection, rehomed: list[tuple[KeyRow, KeyRow]]) -> None:
    rows = [
        (now.key_id, now.person_id, now.joined_to or 0, now.partners, now.shared_us or 0) for _, now in rehomed
    ]  # fmt: skip
    change_keys(connection, ChangedKeys(*np.array(rows, np.int64).T))
    refile(connection, {(old.person_id, old.key_id): now.person_id for old, now in rehomed})


def _delete(connection: Connection, column: sa.Column[Any], numbers: Iterable[int]) -> None:
    listed = sorted(numbers)
    for start in range(0, len(listed), 500):
        connection.execute(sa.delete(column.table).where(column.in_(listed[start : start + 500])))


def block(connection: Connection, a: int, b: int) -> None:
    """Lets two keys not join any more, whatever is seen of them."""
    _unblock(connection, a, b)
    bulk.insert(connection, tables.identity_blocked, ("a", "b"), [(a, b), (b, a)])


def _unblock(connection: Connection, a: int, b: int) -> None:
    table = tables.identity_blocked
    same = ((table.c.a == a) & (table.c.b == b)) | ((table.c.a == b) & (table.c.b == a))
    connection.execute(sa.delete(table).where(same))


def merge(state: State, one: int, other: int, by: By, *, clock: Clock, rule: str = "by hand") -> int:
    """Makes two people one, whatever the limits say; can be undone like any join.

    Args:
        state: the state store.
        one: a person.
        other: another one.
        by: who decides, and why.
        clock: when.
        rule: what the join is called in explanations.

    Returns:
        the person who stands for both: the older.

    Raises:
        IdentityError: they are one already, are kept apart, or one of them has no key.
    """
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        return merge_within(connection, rules, (one, other), by, at=clock.now(), rule=rule)


def merge_within(
    connection: Connection, rules: Rules, people: tuple[int, int], by: By, *, at: datetime, rule: str
) -> int:
    """Does what :func:`merge` does, within a transaction that has the turn."""
    first, second = (member(connection, person) for person in people)
    if first.person_id == second.person_id:
        raise IdentityError("They are one person already", people=people)
    kept, lost = sorted((first, second), key=lambda found: found.person_id)
    if (kept.person_id, lost.person_id) in kept_apart(connection):
        raise IdentityError("These two are kept apart by hand", hint="Allow them first.", people=people)
    # The joining, strongest key of each: what the merge hangs on in explanations.
    a, b = (_strongest(found, rules) for found in (kept, lost))
    if not rules.kind(a.kind).merges:
        a, b = b, a
    claimed = not rules.kind(b.kind).merges
    change = next_change(connection)
    remove_edge(connection, a.person_id, a.key_id, b.key_id)
    gone = current(connection, b.person_id) if claimed else lost.person_id
    stays = kept.person_id if gone == lost.person_id else lost.person_id
    outcome = "claimed" if claimed else "merged"
    put_edge(
        connection,
        Edge(a.person_id, a.key_id, b.key_id, outcome, rule, stays, gone, round(at.timestamp() * 1e6), ""),
    )  # fmt: skip
    _unblock(connection, a.key_id, b.key_id)
    pair = np.array([(lost.person_id, kept.person_id)], np.int64)
    move_people(connection, pair, Change(change, at))
    named = any(rules.kind(key.kind).merges for found in (kept, lost) for key in found.keys.values())
    _delete(connection, tables.identity_anonymous.c.person_id, [lost.person_id, *([kept.person_id] if named else [])])
    touch(connection, Change(change, at), pair)
    details = {"kept": kept.person_id, "lost": lost.person_id, "rule": rule}
    decide(connection, Decision(change, at, by.who, "merge", by.why, details))
    return kept.person_id


def _strongest(found: Member, rules: Rules) -> KeyRow:
    if not found.keys:
        raise IdentityError("This person has no key to merge by", person=found.person_id)
    return max(
        found.keys.values(),
        key=lambda key: (rules.kind(key.kind).merges, rules.kind(key.kind).strength, -key.seen_us, key.key_id),
    )


def keep_apart(state: State, one: int, other: int, by: By, *, clock: Clock) -> int:
    """Says that two people are never to become one, also through others; returns the number of the change.

    Raises:
        IdentityError: they are one person now: undo that first.
    """
    with state.writing() as connection:
        take_turn(connection)
        people = sorted((current(connection, one), current(connection, other)))
        if people[0] == people[1]:
            raise IdentityError("They are one person now", hint="Undo what joined them first.", person=people[0])
        change = next_change(connection)
        if (people[0], people[1]) not in kept_apart(connection):
            row = {"person_a": people[0], "person_b": people[1]}
            connection.execute(sa.insert(tables.identity_never).values(row))
        decide(connection, Decision(change, clock.now(), by.who, "keep apart", by.why, {"people": people}))
    return change


def allow_again(state: State, one: int, other: int, by: By, *, clock: Clock) -> int:
    """Takes back :func:`keep_apart`; returns the number of the change.

    Raises:
        IdentityError: they are not kept apart.
    """
    table = tables.identity_never
    with state.writing() as connection:
        take_turn(connection)
        people = {current(connection, one), current(connection, other)}
        gone = 0
        for row in connection.execute(sa.select(table)).all():
            if {current(connection, row.person_a), current(connection, row.person_b)} == people:
                same = (table.c.person_a == row.person_a) & (table.c.person_b == row.person_b)
                gone += connection.execute(sa.delete(table).where(same)).rowcount
        if not gone:
            raise IdentityError("These two are not kept apart", people=(one, other))
        change = next_change(connection)
        details = {"people": sorted(people)}
        decide(connection, Decision(change, clock.now(), by.who, "allow again", by.why, details))
    return change


def decisions(state: State, *, limit: int = 100) -> list[Decision]:
    """Returns what people decided about people, the newest first."""
    newest = sa.select(tables.identity_decision).order_by(tables.identity_decision.c.change.desc()).limit(limit)
    with state.reading() as connection:
        return [
            Decision(row.change, row.decided_at, row.who, row.action, row.why, dict(row.details))
            for row in connection.execute(newest)
        ]


def kept_apart(connection: Connection) -> set[tuple[int, int]]:
    """Returns the pairs of people who may not become one, the older first."""
    rows = bulk.select(connection, queries.NEVER)
    return {(min(row), max(row)) for row in rows}


def decide(connection: Connection, decision: Decision) -> None:
    """Keeps a decision.

    Raises:
        IdentityError: it does not say who decides, or why.
    """
    if not decision.who.strip() or not decision.why.strip():
        raise IdentityError("A decision needs who decides and why", action=decision.action)
    connection.execute(
        sa.insert(tables.identity_decision).values(
            change=decision.change, decided_at=decision.at, who=decision.who, action=decision.action,
            why=decision.why, details=decision.details,
        )
    )  # fmt: skip


def _key(state: State, key: Key | int) -> KeyRow:
    if isinstance(key, Key):
        found = find_key(state, key)
    else:
        with state.reading() as connection:
            found = next(iter(keys_numbered(connection, [key])), None)
    if found is None:
        raise IdentityError("This key was never seen", key=f"{key.kind} {key.value}" if isinstance(key, Key) else key)
    return found


def _name(key: KeyRow) -> Key:
    return Key(key.kind, key.value)
