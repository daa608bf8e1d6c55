"""Writes what a batch changed, in bulk, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.known import Known, Numbers
from jingzhe.identity.observations import Coded, Observations
from jingzhe.identity.working import Done
from jingzhe.store.state import bulk, counting
from jingzhe.store.state import identity_tables as tables

KEY_COLUMNS = (
    "key_id", "kind", "value", "person_id", "joined_to", "partners", "shared_us", "seen_us", "event",
)  # fmt: skip
_EDGE_COLUMNS = ("person_id", "a", "b", "outcome", "rule", "kept", "lost", "seen_us", "event")
_CHANGED_COLUMNS = ("key_id", "person_id", "joined_to", "partners", "shared_us")


class Batch(NamedTuple):
    """A batch: its keys in numbers, and the observations they come from."""

    coded: Coded
    observations: Observations


class Change(NamedTuple):
    """A change to the graph: its number, and when it was made."""

    number: int
    at: datetime


def write(connection: Connection, batch: Batch, known: Known, done: Done, change: Change) -> None:
    """Writes keys, edges, overrides and what readers must look at again.

    Args:
        connection: a transaction that writes, in whose turn the batch was read.
        batch: the observations and their keys.
        known: the keys after the batch's work.
        done: what the work did.
        change: the change.
    """
    if len(done.first[0]):
        bulk.insert(connection, tables.identity_key, KEY_COLUMNS, _new_keys(batch, known, done))
    if len(done.changed[0]):
        bulk.offer(connection, "changed_keys", _CHANGED_COLUMNS, _changed_keys(batch, known, done))
        connection.execute(sa.text(queries.UPDATE_KEYS))
    if done.edges:
        bulk.insert(connection, tables.identity_edge, _EDGE_COLUMNS, _edges(batch, done))
    move_people(connection, done.moved, change)
    touch(connection, change, (person for pair in done.moved for person in pair))
    if done.unnamed:
        bulk.insert(connection, tables.identity_anonymous, ("person_id",), ((person,) for person in done.unnamed))
    if done.named:
        bulk.offer(connection, "named_people", ("person_id",), ((person,) for person in done.named))
        connection.execute(sa.text(queries.NAMED))
    counting.raise_to(connection, counting.PEOPLE, done.last_person)


def _new_keys(batch: Batch, known: Known, done: Done) -> Iterable[tuple[Any, ...]]:
    coded, observations = batch
    # In the order of the table's index: each of its pages is written once.
    codes, rows = done.first
    order = np.argsort(known.ids[codes])
    codes, rows = codes[order], rows[order]
    at = observations.at_us[rows]
    shared = _shared_us(batch, known, done)[codes]
    return zip(
        known.ids[codes].tolist(),
        [coded.names[kind] for kind in known.kinds[codes].tolist()],
        coded.values.take(pa.array(codes)).to_pylist(),
        known.person[codes].tolist(),
        _or_none(known.joined[codes]),
        known.partners[codes].tolist(),
        _or_none(shared),
        at.tolist(),
        [observations.events[row] for row in rows.tolist()],
        strict=True,
    )


def _shared_us(batch: Batch, known: Known, done: Done) -> Numbers:
    """Returns since when each key belongs to nobody, 0 for those that are somebody's."""
    since = known.shared_us.copy()
    for code, row in done.crowded.items():
        since[code] = batch.observations.at_us[row]
    return since


def _or_none(numbers: Any) -> list[int | None]:
    return [number or None for number in numbers.tolist()]


def _changed_keys(batch: Batch, known: Known, done: Done) -> Iterable[tuple[int, ...]]:
    codes, _ = done.changed
    shared = _shared_us(batch, known, done)[codes]
    columns = (known.ids[codes], known.person[codes], known.joined[codes], known.partners[codes], shared)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _edges(batch: Batch, done: Done) -> list[tuple[Any, ...]]:
    observations = batch.observations
    events = observations.events
    at = observations.at_us[np.array([row.number for row in done.edges], np.int64)].tolist()
    rows = [(*row[:7], moment, events[row[7]]) for row, moment in zip(done.edges, at, strict=True)]
    rows.sort(key=lambda row: row[:3])
    return rows


def move_people(connection: Connection, moved: Sequence[tuple[int, int]], change: Change) -> None:
    """Says that people are others from now on, with everybody they had taken over.

    Args:
        connection: a transaction that writes.
        moved: people who stood for themselves, and who stands for them now.
        change: the change.
    """
    if not moved:
        return
    when = {"moved_us": round(change.at.timestamp() * 1e6)}
    bulk.offer(connection, "moved_people", ("old_person", "new_person"), moved)
    connection.execute(sa.text(queries.MOVE_PEOPLE), when)
    connection.execute(sa.text(queries.ADD_MOVED), when)


def touch(connection: Connection, change: Change, people: Iterable[int]) -> None:
    """Notes which people readers must look at again."""
    rows = [(change.number, person) for person in sorted(set(people))]
    if rows:
        bulk.insert(connection, tables.identity_touched, ("change", "person_id"), rows)
