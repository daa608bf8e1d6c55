"""The merges that hold, each with its explanation, and undoing one of them.

A merge is called by the number of the person who was taken over: as long as it holds, nobody else has that number, and
once it is undone it is that person's own again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError, NoDataError
from jingzhe.identity import queries
from jingzhe.identity.deciding import Also, By, Decision
from jingzhe.identity.evidence import EVIDENCE, Edge, as_edges
from jingzhe.identity.keyring import KeyRow
from jingzhe.identity.merges import Undone, undo_within
from jingzhe.identity.parting import blocked_of
from jingzhe.identity.people import Join, Member, current, joins_of, keys_numbered, member, moment
from jingzhe.identity.resolving import take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State, bulk, packed
from jingzhe.store.state import identity_tables as tables

_JOINS = ("merged", "claimed")
_LOOKED_AT = 5_000
"""So many merges are looked through for one page; whoever asks for rare ones goes on from where the page ended."""
_AT_ONCE = 500
_DECISIONS = 10_000


@dataclass(frozen=True)
class Shown:
    """A key as it may be shown.

    Args:
        number: by which it is named in decisions.
        kind: of the key.
        value: as it is stored: of personal kinds a keyed hash.
        hashed: whether it is one.
    """

    number: int
    kind: str
    value: str
    hashed: bool


@dataclass(frozen=True)
class Merge:
    """One person became part of another.

    Args:
        merge_id: number of the person who was taken over.
        person_id: who stands for both now.
        moved_at: since when; later where whoever took them over was taken over too.
        keys: the two keys that met; none where that evidence is gone (erased, or undone while other evidence holds).
        outcome: merged, or claimed where an anonymous person's history came to somebody; empty as above.
        rule: what let them join.
        event: id of the event, or file and line.
        seen_at: when it happened; None as above.
    """

    merge_id: int
    person_id: int
    moved_at: datetime
    keys: tuple[Shown, ...] = ()
    outcome: str = ""
    rule: str = ""
    event: str = ""
    seen_at: datetime | None = None


@dataclass(frozen=True)
class Explained:
    """A merge and all that speaks for it.

    Args:
        merge: the merge.
        theirs: keys of the person who was taken over, and of whom they had taken over themselves.
        others: the other keys of the person who stands for both.
        between: every pair of keys that connects the two, the oldest first.
        decision: who decided, where it was done by hand.
    """

    merge: Merge
    theirs: tuple[Shown, ...]
    others: tuple[Shown, ...]
    between: tuple[Join, ...]
    decision: Decision | None = None


@dataclass(frozen=True)
class Wanted:
    """Which merges are meant.

    Args:
        person: of this person only, whoever stands for them now.
        since: not older than this.
        until: older than this.
        rule: that came about by this rule only, such as ``by hand``.
        kind: that came about by a key of this kind only.
    """

    person: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    rule: str = ""
    kind: str = ""

    def fits(self, merge: Merge) -> bool:
        """Tells whether what is not asked of the database fits."""
        kinds = {key.kind for key in merge.keys} | {key.kind.partition("/")[0] for key in merge.keys}
        return (not self.rule or merge.rule == self.rule) and (not self.kind or self.kind in kinds)


Place = tuple[int, int]
"""Where a page ended: when the last merge happened, UTC microseconds, and its number."""


def list_merges(
    state: State, wanted: Wanted | None = None, *, after: Place | None = None, limit: int = 50
) -> tuple[list[Merge], Place | None]:
    """Returns the merges that hold, the latest first.

    Args:
        state: the state store.
        wanted: which; None for all.
        after: where the page before ended.
        limit: at most this many.

    Returns:
        the merges, fewer than ``limit`` where few fit, and where to go on; None at the end.
    """
    chosen, rules = wanted or Wanted(), load_rules(state)
    found: list[Merge] = []
    with state.reading() as connection:
        for looked_at in range(0, _LOOKED_AT, _AT_ONCE):
            count = _AT_ONCE if chosen.rule or chosen.kind else limit + 1
            rows = _moved(connection, chosen, after, count)
            for row, merge in zip(rows, _merges(connection, rules, rows), strict=True):
                if len(found) == limit:
                    return found, after
                after = row[2], row[0]
                if chosen.fits(merge):
                    found.append(merge)
            if len(rows) < count:
                return found, None
            if looked_at + _AT_ONCE >= _LOOKED_AT:
                break
    return found, after


def get_merge(state: State, merge_id: int) -> Explained:
    """Returns a merge with everything that speaks for it.

    Raises:
        NoDataError: no merge of this number holds.
    """
    rules = load_rules(state)
    with state.reading() as connection:
        row = _row(connection, merge_id)
        (merge,) = _merges(connection, rules, [row])
        found = member(connection, merge_id)
        side = _side(found, merge_id, blocked_of(connection, found))
        joins = joins_of(connection, found)
        decision = _decided(connection, merge_id)
    theirs = [key for key in found.keys.values() if key.person_id in side]
    others = [key for key in found.keys.values() if key.person_id not in side]
    across = {frozenset((a.key_id, b.key_id)) for a, b in _between(found, side, merge_id)}
    between = tuple(join for join in joins if frozenset(join.numbers) in across)
    by_hand = merge.rule in {"by hand", "accepted match"}
    return Explained(merge, _shown(theirs, rules), _shown(others, rules), between, decision if by_hand else None)


def undo_merge(
    state: State, merge_id: int, by: By, *, clock: Clock, everything: bool = False, also: Also | None = None
) -> Undone:
    """Takes a merge back.

    Args:
        state: the state store.
        merge_id: number of the person who was taken over.
        by: who decides, and why.
        clock: when.
        everything: True to take back every pair of keys that connects the two; else the one by which they became one,
            which is refused where others hold them together as well.
        also: writes in the same transaction.

    Raises:
        NoDataError: no merge of this number holds.
        IdentityError: other evidence holds them together as well, or there is none that could be undone.
    """
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        row = _row(connection, merge_id)
        found = member(connection, merge_id)
        if everything:
            rows = _between(found, _side(found, merge_id, blocked_of(connection, found)), merge_id)
        else:
            rows = _met(connection, found, _evidence(connection, [row]).get(merge_id))
        if not rows:
            raise IdentityError(
                "The evidence of this merge is gone, or undone already",
                hint="Other evidence may hold the two together: undo with everything.",
                merge=merge_id,
            )
        decision = Decision(0, clock.now(), by.who, "undo", by.why, {})
        return undo_within(connection, rules, found, rows, decision=decision, also=also)


def _met(connection: Connection, found: Member, edge: Edge | None) -> list[tuple[KeyRow, KeyRow]]:
    """Returns the two keys by which somebody was taken over."""
    if edge is None or edge.a not in found.keys:
        return []
    other = {key.key_id: key for key in keys_numbered(connection, [edge.b])}.get(edge.b)
    return [] if other is None else [(found.keys[edge.a], other)]


def _moved(connection: Connection, wanted: Wanted, after: Place | None, limit: int) -> list[tuple[int, int, int]]:
    """Returns who was taken over, who stands for them and since when, the latest first."""
    table = tables.identity_override.c
    asked = sa.select(table.old_person, table.new_person, table.moved_us)
    if wanted.person is not None:
        now = current(connection, wanted.person)
        asked = asked.where(table.new_person == now)
    if wanted.since is not None:
        asked = asked.where(table.moved_us >= _micros(wanted.since))
    if wanted.until is not None:
        asked = asked.where(table.moved_us < _micros(wanted.until))
    if after is not None:
        asked = asked.where(sa.tuple_(table.moved_us, table.old_person) < sa.tuple_(*after))
    rows = connection.execute(asked.order_by(table.moved_us.desc(), table.old_person.desc()).limit(limit))
    return [(int(old), int(new), int(moved)) for old, new, moved in rows]


def _row(connection: Connection, merge_id: int) -> tuple[int, int, int]:
    table = tables.identity_override.c
    asked = sa.select(table.old_person, table.new_person, table.moved_us).where(table.old_person == merge_id)
    found = connection.execute(asked).first()
    if found is None:
        raise NoDataError("No merge of this number holds", hint="It may have been undone. List them: identity merges")
    return int(found[0]), int(found[1]), int(found[2])


def _merges(connection: Connection, rules: Rules, rows: Sequence[tuple[int, int, int]]) -> list[Merge]:
    """Returns merges with the evidence by which they came about."""
    evidence = _evidence(connection, rows)
    wanted = {number for edge in evidence.values() for number in (edge.a, edge.b)}
    keys = {key.key_id: key for key in keys_numbered(connection, wanted)}
    listed = []
    for old, new, moved_us in rows:
        edge = evidence.get(old)
        if edge is None or edge.a not in keys or edge.b not in keys:
            listed.append(Merge(old, new, moment(moved_us)))
            continue
        two = _shown((keys[edge.a], keys[edge.b]), rules)
        listed.append(Merge(old, new, moment(moved_us), two, edge.outcome, edge.rule, edge.event, moment(edge.seen_us)))
    return listed


def _evidence(connection: Connection, rows: Sequence[tuple[int, int, int]]) -> dict[int, Edge]:
    """Returns the pair by which each of some people was taken over, by their number."""
    lost, now = {old for old, _, _ in rows}, sorted({new for _, new, _ in rows})
    members = [person for person, _ in bulk.select(connection, queries.MEMBERS, now)]
    found = packed.read(connection, EVIDENCE, np.array(sorted({*now, *members}), np.int64))
    about = np.flatnonzero(np.isin(found.records["lost"], np.array(sorted(lost), np.int64)))
    edges = [edge for edge in as_edges(connection, found.take(about)) if edge.outcome in _JOINS]
    pairs = bulk.select(connection, queries.BLOCKED, sorted({edge.a for edge in edges}))
    blocked = {frozenset(pair) for pair in pairs}
    # The latest counts: after an undo they may have become one anew.
    return {edge.lost: edge for edge in edges if edge.lost and frozenset((edge.a, edge.b)) not in blocked}


def _side(found: Member, merge_id: int, blocked: Iterable[frozenset[int]]) -> set[int]:
    """Returns a person who was taken over, with everybody whom they had taken over themselves."""
    undone = set(blocked)
    taken: dict[int, list[int]] = {}
    for edge in found.edges:
        if edge.outcome in _JOINS and edge.kept and edge.lost and frozenset((edge.a, edge.b)) not in undone:
            taken.setdefault(edge.kept, []).append(edge.lost)
    side, waiting = set[int](), [merge_id]
    while waiting:
        person = waiting.pop()
        if person not in side and (person == merge_id or person != found.person_id):
            side.add(person)
            waiting += taken.get(person, [])
    return side


def _between(found: Member, side: set[int], merge_id: int) -> list[tuple[KeyRow, KeyRow]]:
    """Returns the pairs of keys that connect some of a person's people with the others."""
    pairs: dict[frozenset[int], tuple[KeyRow, KeyRow]] = {}
    for a, b, lost in _pairs(found):
        one, other = found.keys.get(a), found.keys.get(b)
        if one is None or other is None:
            continue
        across = (one.person_id in side) != (other.person_id in side)
        claimed = lost in side and one.person_id not in side
        if across or claimed or lost == merge_id:
            pairs[frozenset((a, b))] = one, other
    return list(pairs.values())


def _pairs(found: Member) -> Iterator[tuple[int, int, int]]:
    for key in found.keys.values():
        if key.joined_to:
            yield key.joined_to, key.key_id, 0
    for edge in found.edges:
        if edge.outcome in {"same", *_JOINS}:
            yield edge.a, edge.b, edge.lost or 0


def _decided(connection: Connection, merge_id: int) -> Decision | None:
    """Returns the latest decision that made somebody part of another."""
    table = tables.identity_decision
    merges = sa.select(table).where(table.c.action == "merge").order_by(table.c.change.desc()).limit(_DECISIONS)
    for row in connection.execute(merges):
        if row.details.get("lost") == merge_id:
            return Decision(row.change, row.decided_at, row.who, row.action, row.why, dict(row.details))
    return None


def shown(key: KeyRow, rules: Rules) -> Shown:
    """Returns a key as it may be shown."""
    return Shown(key.key_id, key.kind, key.value, rules.kind(key.kind).personal)


def _shown(keys: Iterable[KeyRow], rules: Rules) -> tuple[Shown, ...]:
    return tuple(shown(key, rules) for key in keys)


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1e6)
