"""The keys as they are kept: packed by number, and beside them whose they are by person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.identity.evidence import forget_edges
from jingzhe.store.state import bulk, packed, words
from jingzhe.store.state.ordering import among, distinct, order_of
from jingzhe.store.state.packed import Rows, Shelf

Numbers = NDArray[np.int64]

KEYS = Shelf(
    "key",
    (
        ("person", "<i8"), ("joined", "<i8"), ("shared", "<i8"), ("seen", "<i8"), ("partners", "<i4"), ("kind", "<i2"),
    ),
    texts=2,
    unique=True,
)  # fmt: skip
"""Rows of keys by number; the texts are the value and the event that showed it first."""

OWNED = Shelf("owned", (("number", "<i8"),))
"""Numbers of keys by the person whose they are, or were once: whoever reads them compares."""

_held = sa.Table(
    "held_keys",
    sa.MetaData(),
    sa.Column("key_id", sa.BigInteger),
    sa.Column("kind", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("person_id", sa.BigInteger),
    sa.Column("shared_us", sa.BigInteger),
)


class KeyRow(NamedTuple):
    """A key as it is stored.

    ``person_id`` is whose it is (as first assigned, or as last followed), ``joined_to`` the key through which it came
    there, ``partners`` with how many joining keys it was seen, ``shared_us`` since when it belongs to nobody.
    """

    key_id: int
    kind: str
    value: str
    person_id: int
    joined_to: int | None
    partners: int
    shared_us: int | None
    seen_us: int
    event: str


@dataclass(frozen=True)
class NewKeys:
    """Keys to add, in columns.

    Args:
        ids: their numbers.
        kinds: code of each key's kind in ``names``.
        names: names of the kinds.
        values: as they are stored.
        person: whose they are.
        joined: number of the key through which each came there; 0 where it founded its person.
        partners: with how many joining keys each was seen.
        shared_us: since when each belongs to nobody, UTC microseconds; 0 where it is somebody's.
        seen_us: when each was seen first.
        events: which event showed it.
    """

    ids: Numbers
    kinds: Numbers
    names: list[str]
    values: pa.Array
    person: Numbers
    joined: Numbers
    partners: Numbers
    shared_us: Numbers
    seen_us: Numbers
    events: pa.Array


def add_keys(connection: Connection, keys: NewKeys) -> None:
    """Adds keys that are new.

    Args:
        connection: a transaction that writes, and has its turn.
        keys: what to add; no number is known.
    """
    if not len(keys.ids):
        return
    numbered = words.numbers_of(connection, keys.names)
    kind = np.array([numbered[name] for name in keys.names], np.int64)[keys.kinds]
    columns = {
        "key": keys.ids, "person": keys.person, "joined": keys.joined, "shared": keys.shared_us, "seen": keys.seen_us,
        "partners": keys.partners, "kind": kind,
    }  # fmt: skip
    packed.add(connection, KEYS, KEYS.rows(columns, (keys.values, keys.events)))
    packed.add(connection, OWNED, OWNED.rows({"key": keys.person, "number": keys.ids}))


class ChangedKeys(NamedTuple):
    """What is new of known keys, in columns; see :class:`NewKeys`."""

    ids: Numbers
    person: Numbers
    joined: Numbers
    partners: Numbers
    shared_us: Numbers


def change_keys(connection: Connection, keys: ChangedKeys) -> None:
    """Says anew whose known keys are, through which key, with how many partners, and since when nobody's.

    Args:
        connection: a transaction that writes, and has its turn.
        keys: what is new of them; each stands once.
    """
    rows = packed.read(connection, KEYS, keys.ids)
    records = rows.records
    order = order_of(keys.ids)
    place = order[np.searchsorted(keys.ids[order], records["key"])]
    moved = records["person"] != keys.person[place]
    records["person"], records["joined"] = keys.person[place], keys.joined[place]
    records["partners"], records["shared"] = keys.partners[place], keys.shared_us[place]
    packed.add(connection, KEYS, rows)
    owned = {"key": records["person"][moved], "number": records["key"][moved]}
    packed.add(connection, OWNED, OWNED.rows(owned))


def keys_at(connection: Connection, ids: Numbers, *, texts: int = 2) -> Rows:
    """Returns the keys of some numbers, as rows of :data:`KEYS` with so many of their texts."""
    return packed.read(connection, KEYS, ids, texts=texts)


def all_keys(connection: Connection, *, texts: int = 0) -> Rows:
    """Returns every key, by number."""
    return packed.read_all(connection, KEYS, texts=texts)


def keys_of_people(connection: Connection, people: Numbers, *, texts: int = 2) -> Rows:
    """Returns the keys that are filed under some people."""
    owned = packed.read(connection, OWNED, people)
    rows = packed.read(connection, KEYS, np.ascontiguousarray(owned.records["number"]), texts=texts)
    return rows.take(np.flatnonzero(among(rows.records["person"], distinct(people))))


def has_keys_of(connection: Connection, people: Iterable[int]) -> bool:
    """Tells whether any key is filed under some people."""
    return len(keys_of_people(connection, np.array(list(people), np.int64), texts=0).records) > 0


def show_keys(connection: Connection, people: Iterable[int]) -> None:
    """Makes the keys of some people readable as the table ``held_keys`` within this connection.

    Its columns are ``key_id, kind, value, person_id`` and ``shared_us``, null where a key is somebody's.

    Args:
        connection: a transaction.
        people: under whom the keys are filed.
    """
    # Read first: SQLite drops no table while a statement is being read.
    wanted = np.array(sorted(set(people)), np.int64)
    rows = as_rows(connection, keys_of_people(connection, wanted)) if len(wanted) else []
    names = tuple(column.name for column in _held.columns)
    declared = ", ".join(f"{name} {'TEXT' if name in {'kind', 'value'} else 'BIGINT'}" for name in names)
    ending = " ON COMMIT DROP" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_held.name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_held.name} ({declared}){ending}")
    shown = [(row.key_id, row.kind, row.value, row.person_id, row.shared_us) for row in rows]
    bulk.insert(connection, _held, names, shown)


def forget_keys(connection: Connection, people: Iterable[int], ids: Iterable[int]) -> tuple[int, int]:
    """Removes keys for good, and the evidence in which they stand.

    Args:
        connection: a transaction that writes, and has its turn.
        people: whose they are, or were.
        ids: numbers of the keys.

    Returns:
        how many keys and how many pairs went.
    """
    numbers = np.array(sorted(set(ids)), np.int64)
    pairs = forget_edges(connection, numbers)
    everything = all_keys(connection).records
    led = everything[among(everything["joined"], numbers) & ~among(everything["key"], numbers)]
    columns = (led[name].astype(np.int64) for name in ("key", "person", "partners", "shared"))
    key, person, partners, shared = columns
    change_keys(connection, ChangedKeys(key, person, np.zeros(len(key), np.int64), partners, shared))
    gone = len(packed.read(connection, KEYS, numbers, texts=0).records)
    packed.blank(connection, KEYS, numbers)
    owners = np.array(sorted(set(people)), np.int64)
    packed.blank(connection, OWNED, owners, lambda rows: among(rows["number"], numbers))
    return gone, pairs


def as_rows(connection: Connection, rows: Rows) -> list[KeyRow]:
    """Returns keys one by one, the first seen first."""
    records, (values, events) = rows
    named = words.all_words(connection)
    listed = [
        KeyRow(key, named[kind], value, person, joined or None, partners, shared or None, seen, event)
        for key, kind, value, person, joined, partners, shared, seen, event in zip(
            records["key"].tolist(), records["kind"].tolist(), values.to_pylist(), records["person"].tolist(),
            records["joined"].tolist(), records["partners"].tolist(), records["shared"].tolist(),
            records["seen"].tolist(), events.to_pylist(), strict=True,
        )
    ]  # fmt: skip
    return sorted(listed, key=lambda row: (row.seen_us, row.key_id))
