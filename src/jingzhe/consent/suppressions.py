"""Suppression: addresses and people to whom nothing goes, whatever they consented to, until it is lifted or over.

An address is kept as its hash, so that the list survives the erasure of whoever had it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.consent import queries
from jingzhe.consent.addresses import ANY, checked_name
from jingzhe.consent.words import everybody_of, micros, moment, new_number
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.identity.keyring import show_keys
from jingzhe.store.state import State, bulk
from jingzhe.store.state.consent_tables import suppression as table

Reason = Literal["complaint", "hard_bounce", "soft_bounce", "unsubscribed", "erased", "by_hand"]
Covers = Literal["all", "marketing"]
COVERS: Mapping[str, Covers] = {
    "complaint": "all", "hard_bounce": "all", "soft_bounce": "all", "erased": "all", "by_hand": "all",
    "unsubscribed": "marketing",
}  # fmt: skip
"""What is stopped for each reason: everything, or all but transactional messages."""
_COLUMNS = tuple(column.name for column in table.columns)
_AT_ONCE = 500


@dataclass(frozen=True)
class Suppression:
    """One stop.

    Args:
        reason: why.
        begun_at: from when on.
        address: hash of the address; None where it stops a person.
        person_id: the person; None where it stops an address.
        channel: ``*`` for every channel.
        topic: purpose that is stopped; ``*`` for every purpose.
        covers: everything, or all but transactional messages.
        source: where it comes from.
        actor: who recorded it.
        expires_at: until when; None for good.
        event_id: the event that it was heard in.
        suppression_id: its number; None for a new one.
        recorded_at: when it became known here.
        lifted_at: when somebody took it back.
        lifted_by: who did.
        lifted_why: the reason given.
    """

    reason: Reason
    begun_at: datetime
    address: str | None = None
    person_id: int | None = None
    channel: str = ANY
    topic: str = ANY
    covers: Covers = "all"
    source: str = ""
    actor: str = ""
    expires_at: datetime | None = None
    event_id: int | None = None
    suppression_id: int | None = None
    recorded_at: datetime | None = None
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lifted_why: str | None = None

    def holds(self, at: datetime) -> bool:
        """Tells whether it stops anything at a moment."""
        over = self.expires_at is not None and self.expires_at <= at
        lifted = self.lifted_at is not None and self.lifted_at <= at
        return self.begun_at <= at and not over and not lifted


def checked(one: Suppression) -> Suppression:
    """Returns a suppression that somebody gave by hand, if it can stand.

    Raises:
        SettingError: it stops nobody, or both an address and a person, or names what cannot be.
    """
    if (one.address is None) == (one.person_id is None):
        raise SettingError("A suppression stops an address or a person, one of them", field="address")
    checked_name(one.channel, "channel", any_allowed=True)
    checked_name(one.topic, "topic", any_allowed=True)
    if one.expires_at is not None and one.expires_at <= one.begun_at:
        raise SettingError("A suppression cannot end before it begins", field="expires_at")
    if not one.source.strip():
        raise SettingError("A suppression needs its source", field="source")
    return one


def write(connection: Connection, many: Iterable[Suppression], now: datetime) -> int:
    """Adds suppressions within a transaction that writes; numbers that are there already are passed over."""
    rows = {row["suppression_id"]: row for row in (_row(one, now) for one in many)}
    numbers, added = list(rows), 0
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        known = set(connection.scalars(sa.select(table.c.suppression_id).where(table.c.suppression_id.in_(some))))
        new = [rows[number] for number in some if number not in known]
        if new:
            connection.execute(sa.insert(table), new)
        added += len(new)
    return added


def add(connection: Connection, one: Suppression, now: datetime) -> Suppression:
    """Adds one suppression within a transaction that writes; returns it with its number."""
    made = replace(one, suppression_id=new_number(), recorded_at=now)
    write(connection, [made], now)
    return made


def _row(one: Suppression, now: datetime) -> dict[str, Any]:
    return {
        "suppression_id": one.suppression_id or new_number(), "address": one.address, "person_id": one.person_id,
        "channel": one.channel, "topic": one.topic, "covers": one.covers, "reason": one.reason, "source": one.source,
        "begun_us": micros(one.begun_at), "expires_us": None if one.expires_at is None else micros(one.expires_at),
        "recorded_us": micros(now), "actor": one.actor, "event_id": one.event_id, "lifted_us": None,
        "lifted_by": None, "lifted_why": None,
    }  # fmt: skip


def lift(connection: Connection, suppression_id: int, *, by: str, why: str, now: datetime) -> Suppression:
    """Takes a suppression back, within a transaction that writes; it stays in the list with who did it and why.

    Raises:
        NoDataError: there is none, or it was lifted before.
        SettingError: no reason is given, or its person was erased.
    """
    if not why.strip():
        raise SettingError("Lifting a suppression needs a reason", field="why")
    row = connection.execute(sa.select(table).where(table.c.suppression_id == suppression_id)).first()
    if row is None or row.lifted_us is not None:
        raise NoDataError("There is no such suppression, or it was lifted before")
    found = _suppression(dict(zip(_COLUMNS, row, strict=True)))
    if found.reason == "erased":
        raise SettingError(
            "What an erasure left is lifted by readmitting the person", hint="jingzhe person readmit", field="why"
        )
    values = {"lifted_us": micros(now), "lifted_by": by, "lifted_why": why}
    connection.execute(sa.update(table).where(table.c.suppression_id == suppression_id).values(values))
    return replace(found, lifted_at=now, lifted_by=by, lifted_why=why)


def listed(
    state: State, *, reason: str | None = None, address: str | None = None, after: int = 0, limit: int = 100
) -> list[Suppression]:
    """Returns suppressions in order of their numbers, lifted ones too.

    Args:
        state: the state store.
        reason: of one reason only.
        address: of one address only, its hash.
        after: only numbers above this one.
        limit: at most this many.
    """
    wanted = sa.select(table).where(table.c.suppression_id > after).order_by(table.c.suppression_id).limit(limit)
    for column, value in ((table.c.reason, reason), (table.c.address, address)):
        wanted = wanted if value is None else wanted.where(column == value)
    with state.reading() as connection:
        return [_suppression(dict(row._mapping)) for row in connection.execute(wanted)]  # noqa: SLF001 - its public name


def suppressions_of(state: State, person: int) -> list[Suppression]:
    """Returns what stops a person or an address that the identity graph knows of them, the oldest first."""
    with state.reading() as connection:
        people = everybody_of(connection, person)
        show_keys(connection, people)
        rows = [
            *bulk.select(connection, queries.SUPPRESSED_PEOPLE, people),
            *bulk.select(connection, queries.SUPPRESSED_ADDRESSES, people),
        ]
    found = {row[0]: _suppression(dict(zip(_COLUMNS, row, strict=True))) for row in rows}
    return sorted(found.values(), key=lambda one: (one.begun_at, one.suppression_id or 0))


def _suppression(row: dict[str, Any]) -> Suppression:
    def at(name: str) -> datetime | None:
        return None if row[name] is None else moment(row[name])

    return Suppression(
        row["reason"], moment(row["begun_us"]), row["address"], row["person_id"], row["channel"], row["topic"],
        row["covers"], row["source"], row["actor"], at("expires_us"), row["event_id"], row["suppression_id"],
        at("recorded_us"), at("lifted_us"), row["lifted_by"], row["lifted_why"],
    )  # fmt: skip
