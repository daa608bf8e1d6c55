"""The pairs of keys that were seen together, as they are kept: packed, those of one person together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.store.state import packed, words
from jingzhe.store.state.ordering import among
from jingzhe.store.state.packed import Rows, Shelf

Numbers = NDArray[np.int64]

OUTCOMES = ("same", "merged", "claimed", "moved", "limit", "blocked", "never", "beside")
"""What became of a pair; see :class:`jingzhe.identity.noting.EdgeRow`. Their places stand in the rows."""

EVIDENCE = Shelf(
    "evidence",
    (
        ("a", "<i8"), ("b", "<i8"), ("kept", "<i8"), ("lost", "<i8"), ("seen", "<i8"), ("rule", "<i2"),
        ("outcome", "u1"),
    ),
    texts=1,
)  # fmt: skip
"""Rows by the person under whom they are filed; the text is the event."""

BESIDE = OUTCOMES.index("beside")

_BITS = 22


class Edge(NamedTuple):
    """A pair of keys as it is stored; see :class:`jingzhe.identity.noting.EdgeRow`."""

    person_id: int
    a: int
    b: int
    outcome: str
    rule: str
    kept: int | None
    lost: int | None
    seen_us: int
    event: str


@dataclass(frozen=True)
class NewEdges:
    """Pairs to add, in columns.

    Args:
        person: under whom each is filed.
        a: number of the key that stood first.
        b: number of the other one.
        outcome: place of its outcome in :data:`OUTCOMES`.
        kept: person who stands for both since; 0 where nobody was taken over.
        lost: person who was taken over; 0 for nobody.
        seen_us: when, UTC microseconds.
        events: which event showed it.
    """

    person: Numbers
    a: Numbers
    b: Numbers
    outcome: Numbers
    kept: Numbers
    lost: Numbers
    seen_us: Numbers
    events: pa.Array


def add_edges(connection: Connection, edges: NewEdges, rule: str) -> None:
    """Adds pairs that are new.

    Args:
        connection: a transaction that writes, and has its turn.
        edges: what to add.
        rule: what let them join.
    """
    if not len(edges.a):
        return
    columns = {
        "key": edges.person, "a": edges.a, "b": edges.b, "kept": edges.kept, "lost": edges.lost,
        "seen": edges.seen_us, "outcome": edges.outcome, "rule": words.numbers_of(connection, [rule])[rule],
    }  # fmt: skip
    packed.add(connection, EVIDENCE, EVIDENCE.rows(columns, (edges.events,)))


def seen_before(
    connection: Connection, person: Numbers, a: Numbers, b: Numbers
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tells which pairs of keys are filed under a person as evidence, and which as seen beside each other.

    Args:
        connection: a transaction.
        person: under whom each would be filed.
        a: number of the key that stands first.
        b: number of the other one.
    """
    records = packed.read(connection, EVIDENCE, person, texts=0).records
    beside = records["outcome"] == BESIDE
    if not beside.any():
        return _among_pairs(records, person, a, b), np.zeros(len(a), bool)
    return _among_pairs(records[~beside], person, a, b), _among_pairs(records[beside], person, a, b)


def _among_pairs(records: packed.Records, person: Numbers, a: Numbers, b: Numbers) -> NDArray[np.bool_]:
    if not len(records):
        return np.zeros(len(a), bool)
    stored, wanted = _mark(records["key"], records["a"], records["b"]), _mark(person, a, b)
    # Most of a person's evidence is not asked for: few bits of the marks say so, and what is left is sorted.
    asked = np.zeros(1 << _BITS, bool)
    asked[wanted & (len(asked) - 1)] = True
    near = np.flatnonzero(asked[stored & (len(asked) - 1)])
    if not len(near):
        return np.zeros(len(a), bool)
    records, stored = records.take(near), stored[near]
    order = np.argsort(stored)
    ordered = stored[order]
    place = order[np.minimum(np.searchsorted(ordered, wanted), len(order) - 1)]
    alike = stored[place] == wanted
    found: NDArray[np.bool_] = alike & (records["key"][place] == person)
    found &= (records["a"][place] == a) & (records["b"][place] == b)
    odd = np.flatnonzero(alike & ~found)
    if len(odd):
        # Another pair has the same mark, and the wanted one may stand behind it.
        pairs = set(zip(records["key"].tolist(), records["a"].tolist(), records["b"].tolist(), strict=True))
        found[odd] = [(int(person[n]), int(a[n]), int(b[n])) in pairs for n in odd.tolist()]
    return found


def _mark(person: Numbers, a: Numbers, b: Numbers) -> Numbers:
    """Returns a number for each pair under a person, seldom the same for two."""
    mixed = [column.astype(np.uint64) for column in (person, a, b)]
    marks = (mixed[1] * np.uint64(0x9E3779B97F4A7C15)) ^ (mixed[2] * np.uint64(0xC2B2AE3D27D4EB4F))
    marks = (marks ^ (marks >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + mixed[0]
    found: Numbers = marks.view(np.int64)
    return found


def edges_of(connection: Connection, people: Numbers) -> list[Edge]:
    """Returns the pairs that are filed under some people, the oldest first."""
    return as_edges(connection, packed.read(connection, EVIDENCE, people))


def all_edges(connection: Connection) -> Rows:
    """Returns every pair, as rows of :data:`EVIDENCE` without their texts."""
    return packed.read_all(connection, EVIDENCE, texts=0)


def remove_edge(connection: Connection, person: int, a: int, b: int) -> None:
    """Takes a pair away.

    Args:
        connection: a transaction that writes, and has its turn.
        person: under whom it is filed.
        a: number of the key that stands first.
        b: of the other one.
    """
    packed.blank(connection, EVIDENCE, np.array([person]), lambda rows: (rows["a"] == a) & (rows["b"] == b))


def forget_edges(connection: Connection, ids: Numbers) -> int:
    """Removes all pairs in which some keys stand, for good; returns how many.

    Args:
        connection: a transaction that writes, and has its turn.
        ids: numbers of the keys, in order.
    """

    def theirs(records: packed.Records) -> NDArray[np.bool_]:
        return among(records["a"], ids) | among(records["b"], ids)

    records = all_edges(connection).records
    found = records[theirs(records)]
    packed.blank(connection, EVIDENCE, np.ascontiguousarray(found["key"]), theirs)
    return len(found)


def refile(connection: Connection, homes: dict[tuple[int, int], int]) -> None:
    """Files the pairs in which a key stands first under another person.

    Args:
        connection: a transaction that writes, and has its turn.
        homes: the new person by the old one and the key's number.
    """
    people = np.array(sorted({person for person, _ in homes}), np.int64)

    def moves(records: packed.Records) -> NDArray[np.bool_]:
        pairs = zip(records["key"].tolist(), records["a"].tolist(), strict=True)
        return np.array([pair in homes for pair in pairs], bool)

    rows = packed.read(connection, EVIDENCE, people)
    rows = rows.take(np.flatnonzero(moves(rows.records)))
    if not len(rows.records):
        return
    packed.blank(connection, EVIDENCE, people, moves)
    pairs = zip(rows.records["key"].tolist(), rows.records["a"].tolist(), strict=True)
    rows.records["key"] = [homes[pair] for pair in pairs]
    packed.add(connection, EVIDENCE, rows)


def put_edge(connection: Connection, edge: Edge) -> None:
    """Adds one pair."""
    one = np.array([edge[:3]], np.int64)
    add_edges(
        connection,
        NewEdges(
            one[:, 0], one[:, 1], one[:, 2], np.array([OUTCOMES.index(edge.outcome)]), np.array([edge.kept or 0]),
            np.array([edge.lost or 0]), np.array([edge.seen_us]), pa.array([edge.event], pa.string()),
        ),
        edge.rule,
    )  # fmt: skip


def as_edges(connection: Connection, rows: Rows) -> list[Edge]:
    """Returns pairs one by one, the oldest first."""
    records, (events,) = rows
    named = words.all_words(connection)
    columns = [records[name].tolist() for name in ("key", "a", "b", "outcome", "rule", "kept", "lost", "seen")]
    listed = [
        Edge(person, a, b, OUTCOMES[outcome], named[rule], kept or None, lost or None, seen, event)
        for person, a, b, outcome, rule, kept, lost, seen, event in zip(*columns, events.to_pylist(), strict=True)
    ]
    return sorted(listed, key=lambda edge: (edge.seen_us, edge.a, edge.b))
