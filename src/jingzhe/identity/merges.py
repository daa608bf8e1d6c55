"""Decisions of people about people: undo a join, merge two by hand, keep two apart; each with who, when and why.

Undoing blocks the pair of keys that had joined, so the same evidence does not join them again; other evidence may.
Facts stay filed under the person that they came under, so those of a person who was taken over go back by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity import queries
from jingzhe.identity.deciding import Also, By, Decision, decide, decisions
from jingzhe.identity.evidence import Edge, put_edge, remove_edge
from jingzhe.identity.keyring import KeyRow
from jingzhe.identity.keys import Key
from jingzhe.identity.parting import blocked_of, delete_rows, folded_of, write_parts
from jingzhe.identity.people import Member, NobodyError, current, find_key, keys_numbered, member
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.identity.splitting import Part, parts_without
from jingzhe.identity.writing import Change, move_people, touch
from jingzhe.store.state import State, bulk
from jingzhe.store.state import identity_tables as tables

__all__ = ["By", "Decision", "Undone", "allow_again", "decisions", "keep_apart", "merge", "undo"]


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


def undo(
    state: State, pairs: Sequence[tuple[Key | int, Key | int]], by: By, *, clock: Clock, also: Also | None = None
) -> Undone:
    """Takes back that pairs of keys belong to one person.

    Args:
        state: the state store.
        pairs: keys as sources write them, or the numbers in which :func:`jingzhe.identity.people.explain` gives them.
        by: who decides, and why.
        clock: when.
        also: writes in the same transaction.

    Returns:
        the people there are now.

    Raises:
        IdentityError: the keys are not of one person, or are held together by other evidence too; nothing was changed.
    """
    rows = [(key_row(state, a), key_row(state, b)) for a, b in pairs]
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        homes = {current(connection, row.person_id) for pair in rows for row in pair}
        if len(homes) != 1:
            raise IdentityError("These keys are not of one person", people=sorted(homes))
        found = member(connection, homes.pop())
        decision = Decision(0, clock.now(), by.who, "undo", by.why, {})
        return undo_within(connection, rules, found, rows, decision=decision, also=also)


def undo_within(
    connection: Connection, rules: Rules, found: Member, rows: list[tuple[KeyRow, KeyRow]], *, decision: Decision,
    also: Also | None,
) -> Undone:  # fmt: skip
    """Does what :func:`undo` does, within a transaction that has the turn.

    Args:
        connection: the transaction.
        rules: of the project.
        found: the person whose keys they are.
        rows: the pairs.
        decision: who decides and why; its number and details are filled in.
        also: writes in the same transaction.
    """
    apart = {frozenset((a.key_id, b.key_id)) for a, b in rows}
    parts = parts_without(found, apart | blocked_of(connection, found), lambda kind: rules.kind(kind).merges)
    _check_apart(parts, rows)
    folded = folded_of(connection, found, parts)
    change = next_change(connection)
    for a, b in rows:
        block(connection, a.key_id, b.key_id)
    people = write_parts(connection, found, parts, rules, Change(change, decision.at))
    details = {"from": found.person_id, "to": people, "keys": [[[*_name(a)], [*_name(b)]] for a, b in rows]}
    if folded:
        details["folded"] = folded
    decide(connection, replace(decision, change=change, details=details), also)
    return Undone(change, tuple(people), folded)


def _check_apart(parts: list[Part], rows: list[tuple[KeyRow, KeyRow]]) -> None:
    part_of = {key: number for number, part in enumerate(parts) for key in part.keys}
    for a, b in rows:
        # A key stands with itself where an import had given its owner a second number (adopting): no key goes then.
        # A device that brought somebody's history may follow another person by now.
        together = len(parts) == 1 if a.key_id == b.key_id else part_of.get(a.key_id) == part_of.get(b.key_id)
        if together:
            raise IdentityError(
                f"{a.kind} and {b.kind} are held together by other evidence as well",
                hint="Undo all that connects the two in one call: look at the person's joins, or undo with everything.",
                keys=f"{a.kind} {a.value}, {b.kind} {b.value}",
            )


def block(connection: Connection, a: int, b: int) -> None:
    """Lets a pair of keys join nobody any more."""
    unblock(connection, a, b)
    bulk.insert(connection, tables.identity_blocked, ("a", "b"), sorted({(a, b), (b, a)}))


def unblock(connection: Connection, a: int, b: int) -> int:
    """Lets a pair of keys join again; returns how many rows said that it may not."""
    table = tables.identity_blocked
    same = ((table.c.a == a) & (table.c.b == b)) | ((table.c.a == b) & (table.c.b == a))
    return connection.execute(sa.delete(table).where(same)).rowcount


def merge(
    state: State, one: int, other: int, by: By, *, clock: Clock, rule: str = "by hand", also: Also | None = None
) -> int:
    """Makes two people one, whatever the limits say; can be undone like any join.

    Args:
        state: the state store.
        one: a person.
        other: another one.
        by: who decides, and why.
        clock: when.
        rule: what the join is called in explanations.
        also: writes in the same transaction.

    Returns:
        the person who stands for both: the older.

    Raises:
        IdentityError: they are one already, are kept apart, or one of them has no key.
    """
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        return merge_within(connection, rules, (one, other), by, at=clock.now(), rule=rule, also=also)


def merge_within(
    connection: Connection, rules: Rules, people: tuple[int, int], by: By, *, at: datetime, rule: str,
    also: Also | None = None,
) -> int:  # fmt: skip
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
    unblock(connection, a.key_id, b.key_id)
    pair = np.array([(lost.person_id, kept.person_id)], np.int64)
    move_people(connection, pair, Change(change, at))
    named = any(rules.kind(key.kind).merges for found in (kept, lost) for key in found.keys.values())
    delete_rows(
        connection, tables.identity_anonymous.c.person_id, [lost.person_id, *([kept.person_id] if named else [])]
    )
    touch(connection, Change(change, at), pair)
    details = {"kept": kept.person_id, "lost": lost.person_id, "rule": rule}
    decide(connection, Decision(change, at, by.who, "merge", by.why, details), also)
    return kept.person_id


def _strongest(found: Member, rules: Rules) -> KeyRow:
    if not found.keys:
        raise IdentityError("This person has no key to merge by", person=found.person_id)
    return max(
        found.keys.values(),
        key=lambda key: (rules.kind(key.kind).merges, rules.kind(key.kind).strength, -key.seen_us, key.key_id),
    )


def keep_apart(state: State, one: int, other: int, by: By, *, clock: Clock, also: Also | None = None) -> int:
    """Says that two people are never to become one, also through others; returns the number of the change.

    Raises:
        IdentityError: they are one person now: undo that first.
    """
    with state.writing() as connection:
        take_turn(connection)
        people = sorted(member(connection, person).person_id for person in (one, other))
        if people[0] == people[1]:
            raise IdentityError("They are one person now", hint="Undo what joined them first.", person=people[0])
        change = next_change(connection)
        if (people[0], people[1]) not in kept_apart(connection):
            row = {"person_a": people[0], "person_b": people[1]}
            connection.execute(sa.insert(tables.identity_never).values(row))
        decide(connection, Decision(change, clock.now(), by.who, "keep apart", by.why, {"people": people}), also)
    return change


def allow_again(state: State, one: int, other: int, by: By, *, clock: Clock, also: Also | None = None) -> int:
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
        decide(connection, Decision(change, clock.now(), by.who, "allow again", by.why, details), also)
    return change


def kept_apart(connection: Connection) -> set[tuple[int, int]]:
    """Returns the pairs of people who may not become one, the older first."""
    rows = bulk.select(connection, queries.NEVER)
    return {(min(row), max(row)) for row in rows}


def key_row(state: State, key: Key | int) -> KeyRow:
    """Returns a key as it is stored.

    Args:
        state: the state store.
        key: as sources write it, or its number.

    Raises:
        NobodyError: it was never seen.
    """
    if isinstance(key, Key):
        found = find_key(state, key)
    else:
        with state.reading() as connection:
            found = next(iter(keys_numbered(connection, [key])), None)
    if found is None:
        raise NobodyError(
            "This key was never seen",
            key_kind=key.kind if isinstance(key, Key) else "",
            number=key if isinstance(key, int) else 0,
        )
    return found


def _name(key: KeyRow) -> Key:
    return Key(key.kind, key.value)
