"""Quarantined events: to look at, to correct, to replay or to drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.collect.calls import Refused
from jingzhe.collect.received import HISTORICAL, WHOLE, Received, packed
from jingzhe.collect.refusals import EVENT_REASONS
from jingzhe.core.clock import Clock
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import quarantined_event as table
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.store.state.notices import note

KEPT_DAYS = 90
"""How long a quarantined event is kept."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 5000
_DETAIL_LENGTH = 300
Also = Callable[[Connection, int], object]
"""Writes something else in the same transaction; is given how many events it is about."""


@dataclass(frozen=True)
class Quarantined:
    """One event that was refused.

    Args:
        quarantine_id: its number.
        source_id: whose it is.
        protocol: segment or sensors.
        received_at: when it was acknowledged.
        reason: stable code, one of :data:`jingzhe.collect.refusals.EVENT_REASONS`.
        field: which field was wrong.
        detail: what was wrong with it.
        body: the event as the client wrote it; bytes that are no text are replaced.
    """

    quarantine_id: int
    source_id: int
    protocol: str
    received_at: datetime
    reason: str
    field: str
    detail: str
    body: str


def quarantine(connection: Connection, refused: Sequence[Refused], now: datetime) -> None:
    """Adds events within a transaction that writes; one that stands there already is passed over."""
    if not refused:
        return
    rows = {one.number: _row(one) for one in refused}
    numbers, reasons = list(rows), Counter[str]()
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        standing = sa.select(table.c.quarantine_id).where(table.c.quarantine_id.in_(some))
        known = set(connection.scalars(standing.with_for_update()))
        new = [rows[number] for number in some if number not in known]
        if new:
            connection.execute(sa.insert(table), new)
            reasons.update(row["reason"] for row in new)
    if reasons:
        note(connection, "quarantine.added", {"reasons": dict(reasons)}, now)


def forget_old(connection: Connection, now: datetime) -> int:
    """Deletes what has stood in quarantine for :data:`KEPT_DAYS`; returns how many events.

    Args:
        connection: within a transaction that writes.
        now: the moment, by a clock that can be trusted: what is deleted is gone.
    """
    oldest = int((now - timedelta(days=KEPT_DAYS) - _EPOCH).total_seconds() * 1e6)
    return int(connection.execute(sa.delete(table).where(table.c.received_us < oldest)).rowcount)


def _row(refused: Refused) -> dict[str, Any]:
    request = refused.request
    return {
        "quarantine_id": refused.number, "source_id": request.source_id, "protocol": request.protocol,
        "call": request.call, "received_us": request.received_us, "sent_at": request.sent_at,
        "user_agent": request.user_agent, "client": request.client, "reason": refused.reason,
        "field": refused.field[:_DETAIL_LENGTH], "detail": _clean(refused.detail[:_DETAIL_LENGTH]),
        "body": refused.body,
    }  # fmt: skip


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def list_quarantined(
    state: State, *, reason: str = "", source_id: int | None = None, after: int = 0, limit: int = 100
) -> list[Quarantined]:
    """Returns refused events in order of their numbers.

    Args:
        state: where they are.
        reason: of one reason only.
        source_id: of one source only.
        after: only numbers above this one, to go on where a page ended.
        limit: at most this many.

    Raises:
        SettingError: there is no such reason.
    """
    wanted = sa.select(table).where(table.c.quarantine_id > after).order_by(table.c.quarantine_id).limit(limit)
    wanted = _narrowed(wanted, reason, source_id)
    with state.reading() as connection:
        return [_quarantined(row) for row in connection.execute(wanted)]


def get_quarantined(state: State, quarantine_id: int) -> Quarantined:
    """Returns one refused event.

    Raises:
        NoDataError: there is no such event.
    """
    with state.reading() as connection:
        row = connection.execute(sa.select(table).where(table.c.quarantine_id == quarantine_id)).first()
    if row is None:
        raise _missing(quarantine_id)
    return _quarantined(row)


def count_by_source(connection: Connection) -> Mapping[tuple[int, str], int]:
    """Returns how many events are in quarantine, by source and reason."""
    wanted = sa.select(table.c.source_id, table.c.reason, sa.func.count()).group_by(table.c.source_id, table.c.reason)
    return {(int(number), str(reason)): int(count) for number, reason, count in connection.execute(wanted)}


def count_quarantined(state: State) -> Mapping[str, int]:
    """Returns how many events are in quarantine, by reason."""
    wanted = sa.select(table.c.reason, sa.func.count()).group_by(table.c.reason).order_by(sa.func.count().desc())
    with state.reading() as connection:
        return {reason: int(count) for reason, count in connection.execute(wanted)}


def _narrowed(wanted: Any, reason: str, source_id: int | None) -> Any:
    if reason and reason not in EVENT_REASONS:
        raise SettingError(f"There is no reason {reason!r}", hint=f"One of: {', '.join(EVENT_REASONS)}.")
    if reason:
        wanted = wanted.where(table.c.reason == reason)
    return wanted if source_id is None else wanted.where(table.c.source_id == source_id)


def _quarantined(row: sa.Row[Any]) -> Quarantined:
    received = _EPOCH + timedelta(microseconds=row.received_us)
    body = bytes(row.body).decode("utf-8", "replace")
    return Quarantined(
        row.quarantine_id, row.source_id, row.protocol, received, row.reason, row.field, row.detail, body
    )


def correct(state: State, quarantine_id: int, body: str, *, also: Also | None = None) -> None:
    """Puts another event in the place of a refused one; it is not tried before it is replayed.

    Args:
        state: where it is.
        quarantine_id: which one.
        body: the whole event as JSON.
        also: writes in the same transaction, given how many events are changed.

    Raises:
        NoDataError: there is no such event.
        SettingError: ``body`` is no JSON object.
    """
    _check_object(body, quarantine_id)
    with state.writing() as connection:
        _replace(connection, quarantine_id, body)
        if also is not None:
            also(connection, 1)


def amend(state: State, quarantine_id: int, patch: Mapping[str, Any], *, also: Also | None = None) -> None:
    """Corrects some fields of a refused event; all others stay as they are, whether one may see them or not.

    Args:
        state: where it is.
        quarantine_id: which one.
        patch: the fields, as a JSON merge patch (RFC 7396): what is given replaces, None removes.
        also: writes in the same transaction, given how many events are changed.

    Raises:
        NoDataError: there is no such event.
        SettingError: the event is no JSON object, so it has no fields: :func:`correct` it as a whole.
    """
    with state.writing() as connection:
        row = connection.execute(
            sa.select(table.c.body).where(table.c.quarantine_id == quarantine_id).with_for_update()
        ).first()
        if row is None:
            raise _missing(quarantine_id)
        known = _check_object(bytes(row.body).decode("utf-8", "surrogateescape"), quarantine_id)
        _replace(connection, quarantine_id, msgspec.json.encode(_merged(known, patch)).decode())
        if also is not None:
            also(connection, 1)


def _check_object(body: str, quarantine_id: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        # Not its words: they may hold values.
        raise SettingError(
            "The event is no JSON object", hint="Give it as a whole.", event=quarantine_id, field="body"
        ) from error


def _merged(known: Any, patch: Any) -> Any:
    """Applies a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    done = dict(known) if isinstance(known, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            done.pop(name, None)
        else:
            done[name] = _merged(done.get(name), value)
    return done


def _replace(connection: Connection, quarantine_id: int, body: str) -> None:
    wanted = sa.update(table).where(table.c.quarantine_id == quarantine_id)
    if not connection.execute(wanted.values(body=body.encode())).rowcount:
        raise _missing(quarantine_id)


def replay(
    state: State,
    inbox: Inbox,
    *,
    clock: Clock,
    numbers: Sequence[int] = (),
    reason: str = "",
    source_id: int | None = None,
    also: Also | None = None,
) -> int:
    """Sends quarantined events through the drain again, as if their clients had; returns how many.

    They leave the quarantine when they are in the inbox; those that are refused again come back. Should the process
    die in between, they are in both places and still become facts once.

    Args:
        state: where they are.
        inbox: where they go.
        clock: what time it is.
        numbers: these only; none for all that fit.
        reason: of one reason only.
        source_id: of one source only.
        also: writes in each transaction that takes events out of quarantine, given how many.

    Raises:
        SettingError: there is no such reason.
        StateError: the inbox cannot be written.
    """
    done = 0
    ids = _chosen(state, numbers, reason, source_id)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        with state.reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.quarantine_id.in_(some))).all()
        requests = [_request(row) for row in rows]
        written_us = int(clock.now().timestamp() * 1e6)
        # The drain may take them at once, and waits then until they have left: one that comes back would be left out
        # where it still stands, and then deleted.
        with state.writing() as connection:
            connection.execute(sa.delete(table).where(table.c.quarantine_id.in_(some)))
            if also is not None:
                also(connection, len(requests))
            inbox.append(Group(len(requests), len(requests), written_us, packed(requests)))
        done += len(requests)
    return done


def _chosen(state: State, numbers: Sequence[int], reason: str, source_id: int | None) -> list[int]:
    wanted = _narrowed(sa.select(table.c.quarantine_id), reason, source_id)
    if numbers:
        wanted = wanted.where(table.c.quarantine_id.in_(list(numbers)))
    with state.reading() as connection:
        return list(connection.scalars(wanted))


def _request(row: sa.Row[Any]) -> Received:
    call = row.call
    body = bytes(row.body)
    if row.protocol == "segment" and call in {"batch", HISTORICAL}:
        # An event of a batch says its own type; so does a batch of one.
        sent = b',"sentAt":' + msgspec.json.encode(row.sent_at) if row.sent_at else b""
        past = b',"historical":true' if call == HISTORICAL else b""
        call, body = "batch", b'{"batch":[' + body + b"]" + sent + past + b"}"
    elif call == WHOLE:
        call = "batch"
    return Received(
        row.source_id, row.protocol, call, row.received_us, row.sent_at, row.user_agent, row.client, 1, body
    )


def drop(
    state: State,
    numbers: Sequence[int] = (),
    *,
    reason: str = "",
    source_id: int | None = None,
    also: Also | None = None,
) -> int:
    """Deletes quarantined events for good; returns how many.

    Args:
        state: where they are.
        numbers: these only; none for all that fit.
        reason: of one reason only.
        source_id: of one source only.
        also: writes in each transaction that deletes, given how many events.

    Raises:
        SettingError: there is no such reason.
    """
    done = 0
    ids = _chosen(state, numbers, reason, source_id)
    for start in range(0, len(ids), _AT_ONCE):
        which = table.c.quarantine_id.in_(ids[start : start + _AT_ONCE])
        with state.writing() as connection:
            count = int(connection.execute(sa.delete(table).where(which)).rowcount)
            if also is not None:
                also(connection, count)
        done += count
    return done


def _missing(number: int) -> NoDataError:
    return NoDataError("There is no such event in quarantine", event=number)
