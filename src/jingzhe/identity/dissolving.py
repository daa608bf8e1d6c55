"""Takes back what a key alone had joined, once it was seen with too many: what is left is the graph without it.

It is done at the moment at which the key passes its limit, and leaves a decision as an undo does. Keys that one event
had shown together stay together: what was only seen beside the key counts from then on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from jingzhe.identity.deciding import Also, By, Decision, decide
from jingzhe.identity.evidence import Edge, put_edge
from jingzhe.identity.keyring import ChangedKeys, KeyRow, change_keys
from jingzhe.identity.parting import blocked_of, folded_of, write_parts
from jingzhe.identity.people import Member, current, keys_numbered, member
from jingzhe.identity.rules import Rules
from jingzhe.identity.splitting import parts_without
from jingzhe.identity.writing import Change

RULES = "rules"
"""Who decides where a rule does."""
_HOLDS = ("same", "merged")


def dissolve(
    connection: Connection, rules: Rules, number: int, change: Change, *, by: By | None = None, also: Also | None = None
) -> list[int]:
    """Splits the person of a joining key that belongs to nobody any more.

    Args:
        connection: a transaction that writes, and has its turn.
        rules: of the project.
        number: of the key.
        change: the change; its number is used by nothing else.
        by: who decides, and why; None where the rules do.
        also: writes in the same transaction.

    Returns:
        the people there are now in place of the one; nobody where nothing hung on the key alone.
    """
    (key,) = keys_numbered(connection, [number])
    found = member(connection, current(connection, key.person_id))
    blocked = blocked_of(connection, found)
    beside = _count_beside(connection, found, key, blocked)
    found = replace(found, edges=(*found.edges, *beside))
    parts = parts_without(found, blocked, lambda kind: rules.kind(kind).merges)
    if len(parts) < 2:
        return []
    folded = folded_of(connection, found, parts)
    through = _through(found, key, beside)
    people = write_parts(connection, found, parts, rules, change, through=through)
    home_of = {row: person for person, part in zip(people, parts, strict=True) for row in part.keys}
    for other in found.keys.values():
        if other.joined_to == number and other.key_id in home_of and rules.kind(other.kind).merges:
            # The pair stood in the key's own row; it was counted, and is not to be counted again.
            rows = keys_numbered(connection, [other.key_id])
            put_edge(connection, _beside(rows[0], key))
    details = {"from": found.person_id, "to": people, "keys": [[key.kind, key.value]]}
    if folded:
        details["folded"] = list(folded)
    limit = rules.kind(key.kind).shared_after
    who, why = by or By(RULES, f"{key.kind} was seen with more than {limit} others")
    decide(connection, Decision(change.number, change.at, who, "split", why, details), also)
    return people


def make_nobodys(connection: Connection, key: KeyRow, at: datetime) -> None:
    """Says that a key belongs to nobody from now on."""
    row = (key.key_id, key.person_id, key.joined_to or 0, key.partners, round(at.timestamp() * 1e6))
    change_keys(connection, ChangedKeys(*np.array([row], np.int64).T))


def _count_beside(connection: Connection, found: Member, key: KeyRow, blocked: set[frozenset[int]]) -> list[Edge]:
    """Makes evidence of the pairs that were seen beside a key, which holds nothing any more; returns it."""
    number = key.key_id
    met = {other.key_id for other in found.keys.values() if other.joined_to == number} | {key.joined_to or 0}
    for edge in found.edges:
        if number in {edge.a, edge.b} and edge.outcome in _HOLDS and frozenset((edge.a, edge.b)) not in blocked:
            met |= {edge.a, edge.b}
    known = {frozenset((edge.a, edge.b)) for edge in found.edges if edge.outcome != "beside"}
    new = [
        edge._replace(outcome="same")
        for edge in found.edges
        if edge.outcome == "beside" and {edge.a, edge.b} <= met - {number}
        if frozenset((edge.a, edge.b)) not in known
    ]
    for edge in new:
        put_edge(connection, edge)
    return new


def _through(found: Member, key: KeyRow, beside: list[Edge]) -> dict[int, int]:
    """Returns through which key others are with their person, that had come there through the one that holds nothing.

    One of those that hang together founds it, so that each of the others can be undone.
    """
    came = {other.key_id for other in found.keys.values() if other.joined_to == key.key_id}
    near: dict[int, list[int]] = {}
    for edge in beside:
        near.setdefault(edge.a, []).append(edge.b)
        near.setdefault(edge.b, []).append(edge.a)
    through: dict[int, int] = {}
    met = set[int]()
    for first in sorted(came):
        waiting = [] if first in met else [first]
        met.add(first)
        while waiting:
            number = waiting.pop(0)
            for other in sorted(near.get(number, ())):
                if other in came and other not in met:
                    met.add(other)
                    through[other] = number
                    waiting.append(other)
    return through


def _beside(row: KeyRow, key: KeyRow) -> Edge:
    return Edge(row.person_id, row.key_id, key.key_id, "beside", "seen together", None, None, row.seen_us, row.event)
