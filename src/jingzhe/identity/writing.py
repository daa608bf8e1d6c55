"""Writes what a batch changed, in bulk, within the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.evidence import NewEdges, add_edges
from jingzhe.identity.keyring import ChangedKeys, NewKeys, add_keys, change_keys
from jingzhe.identity.known import Known, Numbers
from jingzhe.identity.observations import Coded, Observations
from jingzhe.identity.working import Done
from jingzhe.store.state import bulk, counting
from jingzhe.store.state import identity_tables as tables
from jingzhe.store.state.ordering import distinct


class Batch(NamedTuple):
    """A batch: its keys in numbers, the observations they come from, and what their joins are called."""

    coded: Coded
    observations: Observations
    rule: str

    def part(self, begin: int, end: int) -> Batch:
        """Returns some of the observations."""
        seen = self.observations
        some = Observations((), seen.at_us[begin:end], seen.events[begin:end])
        return Batch(self.coded.part(begin, end), some, self.rule)


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
    events = pa.array(batch.observations.events, pa.string())
    shared_us = _shared_us(batch, known, done)
    codes, rows = done.first
    new = NewKeys(
        known.ids[codes], known.kinds[codes], batch.coded.names, batch.coded.values.take(pa.array(codes)),
        known.person[codes], known.joined[codes], known.partners[codes], shared_us[codes],
        batch.observations.at_us[rows], events.take(pa.array(rows)),
    )  # fmt: skip
    add_keys(connection, new)
    codes, _ = done.changed
    if len(codes):
        columns = (known.ids, known.person, known.joined, known.partners, shared_us)
        change_keys(connection, ChangedKeys(*(column[codes] for column in columns)))
    noted = done.edges
    edges = NewEdges(
        noted.person, noted.a, noted.b, noted.outcome, noted.kept, noted.lost,
        batch.observations.at_us[noted.number], events.take(pa.array(noted.number)),
    )  # fmt: skip
    add_edges(connection, edges, batch.rule)
    move_people(connection, done.moved, change)
    touch(connection, change, done.moved)
    if done.unnamed:
        bulk.insert(connection, tables.identity_anonymous, ("person_id",), ((person,) for person in done.unnamed))
    if done.named:
        bulk.offer(connection, "named_people", ("person_id",), ((person,) for person in done.named))
        connection.execute(sa.text(queries.NAMED))
    counting.raise_to(connection, counting.PEOPLE, done.last_person)


def _shared_us(batch: Batch, known: Known, done: Done) -> Numbers:
    """Returns since when each key belongs to nobody, 0 for those that are somebody's."""
    since = known.shared_us.copy()
    for code, row in done.crowded.items():
        since[code] = batch.observations.at_us[row]
    return since


def move_people(connection: Connection, moved: Numbers, change: Change) -> None:
    """Says that people are others from now on, with everybody they had taken over.

    Args:
        connection: a transaction that writes.
        moved: people who stood for themselves, and who stands for them now, in two columns.
        change: the change.
    """
    if not len(moved):
        return
    when = {"moved_us": round(change.at.timestamp() * 1e6)}
    pairs = zip(moved[:, 0].tolist(), moved[:, 1].tolist(), strict=True)
    bulk.offer(connection, "moved_people", ("old_person", "new_person"), pairs)
    connection.execute(sa.text(queries.MOVE_PEOPLE), when)
    connection.execute(sa.text(queries.ADD_MOVED), when)


def touch(connection: Connection, change: Change, people: Numbers) -> None:
    """Notes which people readers must look at again."""
    once = distinct(people.ravel()).tolist()
    if once:
        bulk.execute(connection, queries.TOUCH, once, change=change.number)
