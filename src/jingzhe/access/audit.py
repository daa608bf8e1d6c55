"""The audit trail: who did what, when, each row hashed over the one before it.

A row's hash covers its predecessor's hash and the canonical JSON of its own columns, so that a row that is changed,
removed or put in between breaks the chain from there on. Whoever can write to the store can also forge a whole new
chain; against that, note the end of the chain (number and hash) somewhere else from time to time and give it to
:func:`verify`. Details hold ids and numbers, never a customer's personal data and never a secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access.actor import Actor
from jingzhe.core.text import Text
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import audit, audit_end

BEGINNING = "0" * 64
_END = "audit"
_ROWS = 2_000


@dataclass(frozen=True)
class Row:
    """One entry of the trail.

    Args:
        number: 1 and up, without gaps.
        at: when, UTC.
        actor: who: ``account:…``, ``key:…``, ``machine:cli`` or ``nobody:-``.
        action: what: ``account.invited``, ``key.revoked`` …
        subject: to whom or what; empty where there is nothing to name.
        details: canonical JSON of what else there is to know.
        previous: hash of the row before.
        hash: of this row.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: str
    previous: str
    hash: str


@dataclass(frozen=True)
class Verdict:
    """Whether the trail is whole.

    Args:
        whole: True where every row follows from the one before, and the last one is the end that is on record.
        rows: how many rows were good, counted from the first.
        end: hash of the last good row.
        broken_at: number of the first row that does not follow; None where the trail is whole.
        why: what is wrong with it.
    """

    whole: bool
    rows: int
    end: str
    broken_at: int | None = None
    why: Text | None = None


def record(
    connection: Connection,
    at: datetime,
    actor: Actor,
    action: str,
    subject: str = "",
    *,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Adds a row within a transaction that writes, so that it stands or falls with what it tells.

    Args:
        connection: a transaction that writes.
        at: when.
        actor: who.
        action: what.
        subject: to whom or what.
        details: what else; JSON, no personal data of customers, no secrets.

    Returns:
        the row's number.
    """
    # The lock on this one row is what makes writers take turns on PostgreSQL; on SQLite a writer is alone anyway.
    locked = sa.select(audit_end).where(audit_end.c.name == _END).with_for_update()
    end = connection.execute(locked).one()
    number = int(end.number) + 1
    written = json.dumps(
        dict(details or {}), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    found = _hash(end.hash, number, at, actor.label, action, subject, written)
    connection.execute(
        sa.insert(audit).values(
            number=number, at=at, actor=actor.label, action=action, subject=subject, details=written,
            previous=end.hash, hash=found,
        )
    )  # fmt: skip
    connection.execute(sa.update(audit_end).where(audit_end.c.name == _END).values(number=number, hash=found))
    return number


def rows(
    state: State, *, before: int | None = None, limit: int = 100, actor: str | None = None, action: str | None = None
) -> list[Row]:
    """Returns entries, newest first.

    Args:
        state: the store.
        before: only those with a lower number.
        limit: at most this many.
        actor: only what this actor did.
        action: only this action.
    """
    wanted = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
    for column, value in ((audit.c.actor, actor), (audit.c.action, action)):
        wanted = wanted if value is None else wanted.where(column == value)
    if before is not None:
        wanted = wanted.where(audit.c.number < before)
    with state.reading() as connection:
        return [Row(*row) for row in connection.execute(wanted)]


def verify(state: State, *, noted: tuple[int, str] | None = None) -> Verdict:
    """Follows the whole chain; names the first row that is not as it was written.

    Args:
        state: the store.
        noted: number and hash of a row, written down elsewhere, that must still be in the chain.
    """
    good, last = 0, BEGINNING
    with state.reading() as connection:
        for row in _all(connection):
            why = _fault(row, good + 1, last)
            if why is None and noted is not None and row.number == noted[0] and row.hash != noted[1]:
                why = Text("it is not the row that was noted", "与此前记录的不一致")
            if why is not None:
                return Verdict(False, good, last, good + 1, why)
            good, last = row.number, row.hash
        end = connection.execute(sa.select(audit_end).where(audit_end.c.name == _END)).first()
    missing = noted is not None and noted[0] > good
    if end is None or missing or (end.number, end.hash) != (good, last):
        return Verdict(False, good, last, good + 1, Text("rows are missing at the end", "末尾记录缺失"))
    return Verdict(True, good, last)


def _all(connection: Connection) -> Iterator[Row]:
    last = -(2**63)
    while True:
        piece = sa.select(audit).where(audit.c.number > last).order_by(audit.c.number).limit(_ROWS)
        found = [Row(*row) for row in connection.execute(piece)]
        if not found:
            return
        yield from found
        last = found[-1].number


def _fault(row: Row, expected: int, previous: str) -> Text | None:
    if row.number != expected:
        return Text(f"row {expected} is missing", f"第 {expected} 条缺失")
    if row.previous != previous:
        return Text("it does not follow the row before it", "与前一条不衔接")
    if row.hash != _hash(previous, row.number, row.at, row.actor, row.action, row.subject, row.details):
        return Text("it was changed after it was written", "写入后被改动")
    return None


def _hash(previous: str, number: int, at: datetime, *texts: str) -> str:
    # A list, not an object: nothing depends on the names of columns.
    content = json.dumps([number, at.isoformat(timespec="microseconds"), *texts], ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{content}".encode()).hexdigest()
