"""What the store knows of a batch's keys, as arrays by code: read in one set query for each sort of row."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.observations import Coded
from jingzhe.identity.rules import Rules
from jingzhe.store.state import bulk

FRESH = -1
_PROBES = 64
"""How far behind its own number a key may stand that met another key there."""

Numbers = NDArray[np.int64]


@dataclass
class Known:
    """The keys of a batch by code. A batch's work changes the arrays in place.

    Args:
        ids: numbers of the keys.
        kinds: code of each key's kind.
        strong: whether the key may join people.
        limit: how many keys of its kind one person may have; 0 for any number.
        after: how many partners make the key shared; 0 for never.
        person: whose it is (as first assigned, or as last followed); FRESH for a new key.
        root: who that person is now; FRESH for a new key.
        joined: number of the key through which it came there; 0 where it founded its person.
        partners: how many joining keys it was seen with.
        shared: whether it belongs to nobody any more.
        shared_us: since when, UTC microseconds; 0 where it does not, or only from this batch on.
        anonymous: people (roots) without a joining key.
        limits: how many keys one person may have, by code of the kind.
        counts: keys by limited kind of the people to whom some may be added.
        pairs: pairs of codes (:func:`pair_of`) that were seen before, sorted.
        blocked: pairs of codes that may not join.
        never: people who may not become one, both ways.
    """

    ids: Numbers
    kinds: Numbers
    strong: NDArray[np.bool_]
    limit: Numbers
    after: Numbers
    person: Numbers
    root: Numbers
    joined: Numbers
    partners: Numbers
    shared: NDArray[np.bool_]
    shared_us: Numbers
    anonymous: set[int] = field(default_factory=set)
    limits: dict[int, int] = field(default_factory=dict)
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    pairs: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    blocked: set[int] = field(default_factory=set)
    never: dict[int, set[int]] = field(default_factory=dict)


def pair_of(a: Numbers, b: Numbers) -> Numbers:
    """Returns one number for each pair of codes, whichever comes first."""
    pairs: Numbers = (np.minimum(a, b) << 32) | np.maximum(a, b)
    return pairs


def read_known(connection: Connection, coded: Coded, rules: Rules) -> Known:
    """Returns what is known of the keys of a batch.

    Keys whose number another key has in the store get the next free one, in ``coded`` too.
    """
    kinds = [rules.kind(name) for name in coded.names]
    limits = {code: kind.single for code, kind in enumerate(kinds) if kind.merges and kind.single}
    per_kind = np.array(
        [(kind.merges, limits.get(code, 0), kind.shared_after or 0) for code, kind in enumerate(kinds)], np.int64
    ).reshape(-1, 3)[coded.kinds]
    count = len(coded.ids)
    known = Known(
        coded.ids, coded.kinds, per_kind[:, 0].astype(bool), per_kind[:, 1], per_kind[:, 2],
        np.full(count, FRESH, np.int64), np.full(count, FRESH, np.int64), np.zeros(count, np.int64),
        np.zeros(count, np.int64), np.zeros(count, bool), np.zeros(count, np.int64), limits=limits,
    )  # fmt: skip
    _read_keys(connection, coded, known)
    if not known.strong.all():
        roots = distinct(known.root[known.root > 0]).tolist()
        known.anonymous.update(row[0] for row in bulk.select(connection, queries.ANONYMOUS, roots))
    strength = np.array([kind.strength for kind in kinds], np.int64)[coded.kinds]
    _read_pairs(connection, coded.matrix, known, strength)
    _read_refusals(connection, known)
    if any(kind.merges and kind.single for kind in rules.kinds.values()):
        _read_counts(connection, coded, known, rules)
    return known


def distinct(numbers: Numbers) -> Numbers:
    """Returns the distinct numbers in order; several times as fast as NumPy's own way, which hashes."""
    ordered = np.sort(numbers)
    kept: Numbers = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
    return kept


def _read_keys(connection: Connection, coded: Coded, known: Known) -> None:
    odd = set(np.flatnonzero(coded.ids != coded.natural).tolist())
    rows = bulk.select(connection, queries.KEYS, coded.ids.tolist())
    if rows:
        columns = list(zip(*rows, strict=True))
        code = np.searchsorted(coded.ids, np.array(columns[0], np.int64))
        names = np.array([coded.names[kind] for kind in coded.kinds[code].tolist()], object)
        same = names == np.array(columns[1], object)
        stored = coded.values.take(pa.array(code))
        same &= pc.equal(stored, pa.array(columns[2], pa.string())).to_numpy(zero_copy_only=False)
        odd |= set(code[~same].tolist())
        _note(known, code[same], columns[3:], same)
    _probe(connection, coded, known, sorted(odd))


def _note(known: Known, code: Numbers, columns: list[tuple[int | None, ...]], chosen: NDArray[np.bool_]) -> None:
    """Takes over person_id, joined_to, partners, shared_us and the person's successor of the chosen rows."""
    person, joined, partners, shared, now = (
        np.array([0 if value is None else value for value in column], np.int64)[chosen] for column in columns
    )
    known.person[code], known.joined[code], known.partners[code] = person, joined, partners
    known.shared_us[code], known.shared[code] = shared, shared > 0
    known.root[code] = np.where(now > 0, now, person)


def _probe(connection: Connection, coded: Coded, known: Known, odd: list[int]) -> None:
    """Finds keys that met another one at their number, or the numbers they are to have.

    A key stands at the first number from its own on that no other has. So those that the store has are found before
    the new ones are placed: one placed behind a number that is left again would not be found there later.
    """
    taken_by = {code: _find(connection, coded, known, code) for code in odd}
    new = [code for code, taken in taken_by.items() if taken is not None]
    settled = set(np.delete(coded.ids, new).tolist())
    for code in new:
        first = int(coded.natural[code])
        taken = settled.union(taken_by[code] or ())
        coded.ids[code] = next(number for number in range(first, first + _PROBES) if number not in taken)
        settled.add(int(coded.ids[code]))
        known.person[code] = known.root[code] = FRESH


def _find(connection: Connection, coded: Coded, known: Known, code: int) -> set[int] | None:
    """Takes over what the store knows of a key, wherever it stands; returns which numbers others have if it is new."""
    first = int(coded.natural[code])
    rows = bulk.select(connection, queries.KEYS, list(range(first, first + _PROBES)))
    name, value = coded.names[coded.kinds[code]], coded.values[code].as_py()
    for row in rows:
        if (row[1], row[2]) == (name, value):
            coded.ids[code] = row[0]
            _note(known, np.array([code]), [(cell,) for cell in row[3:]], np.array([True]))
            return None
    return {row[0] for row in rows}


def _read_pairs(connection: Connection, matrix: Numbers, known: Known, strength: Numbers) -> None:
    """Finds which pairs of known keys were seen together before."""
    found = []
    asked: set[tuple[int, int, int]] = set()
    for first in range(matrix.shape[1]):
        for second in range(first + 1, matrix.shape[1]):
            a, b = matrix[:, first], matrix[:, second]
            both = (a >= 0) & (b >= 0) & (a != b)
            both[both] = (known.person[a[both]] >= 0) & (known.person[b[both]] >= 0)
            _, once = np.unique(pair_of(a[both], b[both]), return_index=True)
            a, b = a[both][once], b[both][once]
            # A join with a new joining key stands in the key's own row.
            inside = known.strong[a] & (
                (known.strong[b] & (known.joined[b] == known.ids[a])) | (known.joined[a] == known.ids[b])
            )
            found.append(pair_of(a[inside], b[inside]))
            a, b = a[~inside], b[~inside]
            asked.update(zip(known.person[a].tolist(), known.ids[a].tolist(), known.ids[b].tolist(), strict=True))
            # Of two equally strong keys either may have stood first, and the pair is filed under that one.
            either = ~known.strong[a] | (known.strong[b] & (strength[a] == strength[b]))
            a, b = b[either], a[either]
            asked.update(zip(known.person[a].tolist(), known.ids[a].tolist(), known.ids[b].tolist(), strict=True))
    if asked:
        bulk.offer(connection, "asked_pairs", ("person_id", "a", "b"), sorted(asked))
        seen = np.array(bulk.select(connection, queries.EDGES), np.int64).reshape(-1, 2)
        order = np.argsort(known.ids)
        codes = order[np.searchsorted(known.ids, seen, sorter=order)]
        found.append(pair_of(codes[:, 0], codes[:, 1]))
    if found:
        known.pairs = distinct(np.concatenate(found))


def _read_refusals(connection: Connection, known: Known) -> None:
    """Reads what may not join: pairs of keys whose join was undone, and people kept apart by hand."""
    rows = bulk.select(connection, queries.BLOCKED, known.ids.tolist())
    code_of = {number: code for code, number in enumerate(known.ids.tolist())} if rows else {}
    for a, b in rows:
        if b in code_of:
            low, high = sorted((code_of[a], code_of[b]))
            known.blocked.add((low << 32) | high)
    for a, b in bulk.select(connection, queries.NEVER):
        known.never.setdefault(a, set()).add(b)
        known.never.setdefault(b, set()).add(a)


def _read_counts(connection: Connection, coded: Coded, known: Known, rules: Rules) -> None:
    """Counts the limited keys of the people to whom keys may be added in this batch."""
    filled = coded.matrix >= 0
    root = np.where(filled, known.root[coded.matrix], 0) if coded.matrix.size else coded.matrix
    new = filled & (root == FRESH)
    new[new] = known.strong[coded.matrix[new]]
    highest = root.max(axis=1, initial=0)
    lowest = np.where(root > 0, root, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    growing = (highest > 0) & (new.any(axis=1) | (lowest < highest))
    people = distinct(root[growing].ravel())
    wanted = [person for person in people[people > 0].tolist() if person not in known.anonymous]
    codes = {name: code for code, name in enumerate(coded.names)}
    for person, name, keys in bulk.select(connection, queries.COUNTS, wanted) if wanted else ():
        kind = rules.kind(name)
        if kind.merges and kind.single:
            code = codes.setdefault(name, len(codes))
            known.limits[code] = kind.single
            known.counts.setdefault(person, {})[code] = keys
