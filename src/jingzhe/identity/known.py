"""What the store knows of a batch's keys, as arrays by code: read in one set query for each sort of row."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.evidence import seen_before
from jingzhe.identity.keyring import keys_at, keys_of_people
from jingzhe.identity.observations import Coded
from jingzhe.identity.rules import Rules
from jingzhe.store.state import bulk, packed, words
from jingzhe.store.state.ordering import among, distinct, first_places, numbered_places, order_of

FRESH = -1
PROBES = 64
"""How far behind its own number a key may stand that met another key there."""

_NEARLY_ALL = 3
"""Of so many people one is asked for: then all of them are read through more quickly than these are looked up."""

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
        beside: pairs of codes that were seen beside a stronger key, and not by themselves, sorted.
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
    beside: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    blocked: set[int] = field(default_factory=set)
    never: dict[int, set[int]] = field(default_factory=dict)


def pair_of(a: Numbers, b: Numbers) -> Numbers:
    """Returns one number for each pair of codes, whichever comes first."""
    pairs: Numbers = (np.minimum(a, b) << 32) | np.maximum(a, b)
    return pairs


def first_shown(a: Numbers, b: Numbers) -> Numbers:
    """Returns the first place of each distinct pair of codes, whichever comes first; in the order of the pairs."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    # No more bits than the codes need, so that a pair and its place fit into one number.
    return first_places((low << int(high.max(initial=0)).bit_length()) | high)


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


def _read_keys(connection: Connection, coded: Coded, known: Known) -> None:
    odd = set(np.flatnonzero(coded.ids != coded.natural).tolist())
    rows = keys_at(connection, coded.ids, texts=1)
    if len(rows.records):
        code = np.searchsorted(coded.ids, rows.records["key"])
        same = rows.records["kind"] == _kind_numbers(connection, coded)[coded.kinds[code]]
        stored = coded.values.take(pa.array(code)).cast(pa.large_string())
        same &= pc.equal(stored, rows.texts[0]).to_numpy(zero_copy_only=False)
        odd |= set(code[~same].tolist())
        _note(connection, known, code[same], rows.records[same])
    _probe(connection, coded, known, sorted(odd))


def _kind_numbers(connection: Connection, coded: Coded) -> Numbers:
    """Returns the number under which each of a batch's kinds is stored; 0 where none is."""
    number = {word: number for number, word in words.all_words(connection).items()}
    return np.array([number.get(name, 0) for name in coded.names], np.int64)


def _note(connection: Connection, known: Known, code: Numbers, records: packed.Records) -> None:
    """Takes over what stands in keys' rows, and who their people are now."""
    known.person[code], known.joined[code] = records["person"], records["joined"]
    known.partners[code], known.shared_us[code] = records["partners"], records["shared"]
    known.shared[code] = records["shared"] > 0
    known.root[code] = now_of(connection, known.person[code])


def now_of(connection: Connection, people: Numbers) -> Numbers:
    """Returns who people are now; numbers that are nobody's stay."""
    once, _, places = numbered_places(people)
    newest = bulk.select(connection, queries.NEWEST_MOVED)[0][0] or 0
    asked = once[: np.searchsorted(once, newest, "right")]
    if not len(asked):
        return people
    old, new = _moved(connection, asked, newest)
    met = among(asked, old)
    now = once.copy()
    now[: len(asked)][met] = new[np.searchsorted(old, asked[met])]
    found: Numbers = now[places]
    return found


def _moved(connection: Connection, asked: Numbers, newest: int) -> tuple[Numbers, Numbers]:
    """Returns the people for whom others stand, in order, and who does; of those asked for, or of some more.

    Args:
        connection: a transaction.
        asked: people, in order.
        newest: the highest number of anybody for whom another stands.
    """
    lowest = int(asked[0])
    columns = ("o.old_person", "o.new_person")
    if newest - lowest < _NEARLY_ALL * len(asked):
        old, new = bulk.columns(connection, columns, queries.MOVED_BETWEEN, low=lowest, high=newest)
    else:
        old, new = bulk.columns(connection, columns, queries.MOVED, asked.tolist())
    order = order_of(old)
    return old[order], new[order]


def _probe(connection: Connection, coded: Coded, known: Known, odd: list[int]) -> None:
    """Finds keys that met another one at their number, or the numbers they are to have.

    A key stands at the first number from its own on that no other has. So those that the store has are found before
    the new ones are placed: one placed behind a number that is left again would not be found there later.
    """
    if not odd:
        return
    taken_by = {code: _find(connection, coded, known, code) for code in odd}
    new = [code for code, taken in taken_by.items() if taken is not None]
    settled = set(np.delete(coded.ids, new).tolist())
    for code in new:
        first = int(coded.natural[code])
        taken = settled.union(taken_by[code] or ())
        coded.ids[code] = next(number for number in range(first, first + PROBES) if number not in taken)
        settled.add(int(coded.ids[code]))
        known.person[code] = known.root[code] = FRESH


def _find(connection: Connection, coded: Coded, known: Known, code: int) -> set[int] | None:
    """Takes over what the store knows of a key, wherever it stands; returns which numbers others have if it is new."""
    first = int(coded.natural[code])
    rows = keys_at(connection, np.arange(first, first + PROBES), texts=1)
    kind = _kind_numbers(connection, coded)[coded.kinds[code]]
    same = pc.equal(rows.texts[0], coded.values[code].as_py()).to_numpy(zero_copy_only=False)
    same &= rows.records["kind"] == kind
    if same.any():
        coded.ids[code] = rows.records["key"][same][0]
        _note(connection, known, np.array([code]), rows.records[same])
        return None
    return set(rows.records["key"].tolist())


def _read_pairs(connection: Connection, matrix: Numbers, known: Known, strength: Numbers) -> None:
    """Finds which pairs of known keys were seen together before."""
    found: list[Numbers] = []
    asked: list[tuple[Numbers, Numbers]] = []
    for first in range(matrix.shape[1]):
        for second in range(first + 1, matrix.shape[1]):
            a, b = matrix[:, first], matrix[:, second]
            both = (a >= 0) & (b >= 0) & (a != b)
            both[both] = (known.person[a[both]] >= 0) & (known.person[b[both]] >= 0)
            a, b = a[both], b[both]
            once = first_shown(a, b)
            a, b = a[once], b[once]
            # A join with a new joining key stands in the key's own row.
            inside = known.strong[a] & (
                (known.strong[b] & (known.joined[b] == known.ids[a])) | (known.joined[a] == known.ids[b])
            )
            found.append(pair_of(a[inside], b[inside]))
            a, b = a[~inside], b[~inside]
            # Of two equally strong keys either may have stood first, and the pair is filed under that one.
            either = ~known.strong[a] | (known.strong[b] & (strength[a] == strength[b]))
            # What is seen with a key that is nobody's is filed under the other one.
            either |= known.shared[a]
            asked += [(a, b), (b[either], a[either])]
    if not asked:
        return
    a, b = (np.concatenate(codes) for codes in zip(*asked, strict=True))
    if len(a):
        seen, beside = seen_before(connection, known.person[a], known.ids[a], known.ids[b])
        found.append(pair_of(a[seen], b[seen]))
        known.beside = distinct(pair_of(a[beside], b[beside]))
    known.pairs = distinct(np.concatenate(found))


def _read_refusals(connection: Connection, known: Known) -> None:
    """Reads what may not join: pairs of keys whose join was undone, and people kept apart by hand."""
    rows = np.array(_blocked(connection, known.ids), np.int64).reshape(-1, 2)
    if len(rows):
        order = order_of(known.ids)
        ids = known.ids[order]
        here = rows[among(rows[:, 0], ids) & among(rows[:, 1], ids)]
        codes = order[np.searchsorted(ids, here)]
        known.blocked.update(pair_of(codes[:, 0], codes[:, 1]).tolist())
    for a, b in bulk.select(connection, queries.NEVER):
        known.never.setdefault(a, set()).add(b)
        known.never.setdefault(b, set()).add(a)


def _blocked(connection: Connection, ids: Numbers) -> list[tuple[int, ...]]:
    """Returns the blocked pairs of some keys, or all that there are where these are fewer."""
    few = len(ids) // 8
    rows = bulk.select(connection, f"{queries.ALL_BLOCKED} LIMIT {few + 1}")
    return rows if len(rows) <= few else bulk.select(connection, queries.BLOCKED, ids.tolist())


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
    if not wanted:
        return
    codes = {name: code for code, name in enumerate(coded.names)}
    named = words.all_words(connection)
    for person, number, keys in _keys_by_kind(connection, np.array(wanted, np.int64)):
        name = named[number]
        kind = rules.kind(name)
        if kind.merges and kind.single:
            code = codes.setdefault(name, len(codes))
            known.limits[code] = kind.single
            known.counts.setdefault(person, {})[code] = keys


def _keys_by_kind(connection: Connection, people: Numbers) -> list[tuple[int, int, int]]:
    """Returns person, number of the kind and how many keys of it they have, with everybody they took over."""
    taken = np.array(bulk.select(connection, queries.MEMBERS, people.tolist()), np.int64).reshape(-1, 2)
    root, person = np.concatenate([people, taken[:, 1]]), np.concatenate([people, taken[:, 0]])
    order = np.argsort(person)
    records = keys_of_people(connection, person, texts=0).records
    records = records[records["shared"] == 0]
    roots = root[order][np.searchsorted(person[order], records["person"])]
    held, counts = np.unique((roots << 16) | records["kind"], return_counts=True)
    return list(zip((held >> 16).tolist(), (held & 0xFFFF).tolist(), counts.tolist(), strict=True))
