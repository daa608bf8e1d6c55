"""Who is held out: by a salted hash of the person, decided before anything is sent, and written down.

An assignment is a fact about the past, so it is never changed. It is filed under everybody whom the person was at that
moment. A person who is merged later keeps what was assigned first; where both had been assigned, and not the same, they
are *mixed*: somebody was both sent and held out, and whoever measures has to leave them out. An undone merge gives
everybody their own assignment back.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.identity.people import current
from jingzhe.identity.queries import MEMBERS
from jingzhe.measure import queries
from jingzhe.store.state import State, bulk
from jingzhe.store.state.measure_tables import experiment as table

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNASSIGNED = -1


@dataclass(frozen=True)
class Experiment:
    """What is to be measured.

    Args:
        name: small letters, digits, ``-`` and ``_``.
        control_share: share of the people who are held out, 0 to 1.
        salt: makes its control group another than those of other experiments.
        made_at: when.
        actor: by whom.
    """

    name: str
    control_share: float
    salt: str
    made_at: datetime
    actor: str


@dataclass(frozen=True)
class Assigned:
    """What a person was assigned in one experiment.

    Args:
        experiment: its name.
        control: True where they are held out.
        assigned_at: when it was decided first.
        mixed: True where numbers that are one person now had been assigned different things.
    """

    experiment: str
    control: bool
    assigned_at: datetime
    mixed: bool


def make(state: State, name: str, control_share: float, *, clock: Clock, actor: str) -> Experiment:
    """Makes an experiment; its share holds for good, for a share that moves makes groups that cannot be compared.

    Args:
        state: the state store.
        name: small letters, digits, ``-`` and ``_``.
        control_share: share of the people who are held out, 0 to 1.
        clock: says when.
        actor: by whom, for the record.

    Raises:
        SettingError: the name or the share cannot be one, or there is another experiment of that name.
    """
    if not _NAME.match(name):
        raise SettingError("This is no name of an experiment", hint="Small letters, digits, - and _.", field="name")
    if not 0 <= control_share <= 1:
        raise SettingError("The share is outside 0 to 1", hint="0.1 holds out one in ten.", field="control_share")
    made = Experiment(name, control_share, secrets.token_hex(16), clock.now(), actor)
    with state.writing() as connection:
        if _find(connection, name) is not None:
            raise SettingError("There is an experiment of this name", hint="Give it another name.", field="name")
        connection.execute(sa.insert(table).values(**vars(made)))
    return made


def experiment_named(state: State, name: str) -> Experiment:
    """Returns an experiment.

    Raises:
        NoDataError: there is none of that name.
    """
    with state.reading() as connection:
        found = _find(connection, name)
    if found is None:
        raise NoDataError("There is no experiment of this name", hint="Make it first.", name=name)
    return found


def _find(connection: Connection, name: str) -> Experiment | None:
    row = connection.execute(sa.select(table).where(table.c.name == name)).one_or_none()
    return None if row is None else Experiment(*row)


def assign(state: State, name: str, people: pa.Array | pa.ChunkedArray, *, clock: Clock) -> pa.Table:
    """Assigns people, those aside who are assigned already; the same people again are assigned the same.

    Args:
        state: the state store.
        name: of the experiment.
        people: ``person_id`` of each, now or before a merge.
        clock: says when.

    Returns:
        one row for each person they are now: ``person_id``, ``control`` (bool), ``assigned_us`` (UTC microseconds) and
        ``mixed`` (bool), by ``person_id``.

    Raises:
        NoDataError: there is no such experiment.
    """
    one = experiment_named(state, name)
    now_us = (clock.now() - _EPOCH) // timedelta(microseconds=1)
    with state.writing() as connection:
        known = _known(connection, name, people)
        new = np.flatnonzero(known.control == _UNASSIGNED)
        if len(new):
            control = known.held(one)[new]
            rows = zip(known.person[new].tolist(), control.tolist(), strict=True)
            bulk.offer(connection, "added_people", ("person_id", "control"), rows)
            connection.execute(sa.text(queries.ADD), {"experiment": name, "assigned_us": now_us})
            # Whoever assigned the same people at the same moment was first, or this one was: what stands there holds.
            known = _known(connection, name, people)
    return known.answer()


def assigned(state: State, name: str, people: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Returns what people were assigned, as :func:`assign`; those who were not are left out.

    Raises:
        NoDataError: there is no such experiment.
    """
    experiment_named(state, name)
    with state.reading() as connection:
        return _known(connection, name, people).answer()


def assignments_of(state: State, person_id: int) -> list[Assigned]:
    """Returns what a person was assigned in all experiments, by name, everybody whom they took over included."""
    with state.reading() as connection:
        now = current(connection, person_id)
        everybody = [now, *(int(row[0]) for row in bulk.select(connection, MEMBERS, [now]))]
        rows = bulk.select(connection, queries.OF_PEOPLE, everybody)
    found: dict[str, Assigned] = {}
    for experiment, control, assigned_us in rows:
        first = found.get(experiment)
        if first is None:
            at = _EPOCH + timedelta(microseconds=int(assigned_us))
            found[experiment] = Assigned(experiment, bool(control), at, mixed=False)
        elif first.control != bool(control):
            found[experiment] = Assigned(experiment, first.control, first.assigned_at, mixed=True)
    return list(found.values())


@dataclass(frozen=True)
class _Known:
    """Everybody in question, by who they are now; of one person, what holds comes first.

    Args:
        root: who they are now.
        person: one of the numbers of that person.
        control: 1 where that number is held out, 0 where not, -1 where nothing is assigned.
        assigned_us: when; 0 where nothing is assigned.
    """

    root: NDArray[np.int64]
    person: NDArray[np.int64]
    control: NDArray[np.int64]
    assigned_us: NDArray[np.int64]

    @property
    def first(self) -> NDArray[np.int64]:
        """Returns the place of the first row of each person."""
        return np.flatnonzero(np.diff(self.root, prepend=self.root[:1] - 1)) if len(self.root) else self.root

    @property
    def _members(self) -> NDArray[np.int64]:
        """Returns how many rows each person has."""
        return np.diff(np.append(self.first, len(self.root)))

    def held(self, experiment: Experiment) -> NDArray[np.int64]:
        """Returns 1 for each row whose person is to be held out: as assigned already, else by the hash."""
        decided = self.control[self.first]
        fresh = np.flatnonzero(decided == _UNASSIGNED)
        decided[fresh] = draw(experiment.salt, self.root[self.first][fresh]) < experiment.control_share
        return np.repeat(decided, self._members)

    def answer(self) -> pa.Table:
        """Returns one row for each person who is assigned."""
        first = self.first
        done = self.control[first] != _UNASSIGNED
        some = np.where(self.control == _UNASSIGNED, np.repeat(self.control[first], self._members), self.control)
        differs = some != np.repeat(some[first], self._members)
        return pa.table({
            "person_id": self.root[first][done],
            "control": self.control[first][done] == 1,
            "assigned_us": self.assigned_us[first][done],
            "mixed": np.isin(first, np.repeat(first, self._members)[differs])[done],
        })  # fmt: skip


def _known(connection: Connection, name: str, people: pa.Array | pa.ChunkedArray) -> _Known:
    bulk.offer(connection, "asked_people", ("person_id",), ((number,) for number in people.to_pylist()))
    rows = connection.execute(sa.text(queries.KNOWN), {"experiment": name}).all()
    columns = np.array(
        [(root, person, _UNASSIGNED if control is None else control, at or 0) for root, person, control, at in rows],
        np.int64,
    ).reshape(len(rows), 4)
    return _Known(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])


def draw(salt: str, people: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns a number of [0, 1) for each person: BLAKE2b of the person's number, keyed by the salt, to 53 bits.

    Args:
        salt: of the experiment.
        people: ``person_id``, shape (n,).
    """
    keyed = hashlib.blake2b(key=salt.encode(), digest_size=8)
    digests = bytearray()
    for number in people.tolist():
        one = keyed.copy()
        one.update(number.to_bytes(8, "little", signed=True))
        digests += one.digest()
    return np.ldexp((np.frombuffer(bytes(digests), np.uint64) >> np.uint64(11)).astype(np.float64), -53)
