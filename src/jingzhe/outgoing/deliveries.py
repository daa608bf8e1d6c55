"""The outbox: messages that wait, how often each was tried, and what the receiver said last.

A message is claimed before it is sent and marked afterwards. A process that dies in between has perhaps sent it; when
the claim has run out it is sent again under the same id, and the receiver can tell: at least once, never not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import NotThereError
from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError
from jingzhe.outgoing.kinds import Message
from jingzhe.outgoing.sending import Reply
from jingzhe.outgoing.webhooks import stop
from jingzhe.store.state import State
from jingzhe.store.state.outgoing_tables import notice, webhook
from jingzhe.store.state.outgoing_tables import webhook_delivery as table

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
STATUSES = (WAITING, DELIVERED, FAILED)
PAUSES_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Pauses before the second and every later try (Standard Webhooks, "Deliverability"): ten tries in three days."""
JITTER = 0.1
"""A pause is longer by up to this share, so that what failed together is not tried again together."""
CLAIM = timedelta(seconds=60)
KEPT = timedelta(days=14)
"""How long a message that is done with can be looked at and replayed."""
_AT_ONCE = 500


@dataclass(frozen=True)
class Delivery:
    """One message to one receiver.

    Args:
        delivery_id: the header ``webhook-id``, the same at every try.
        webhook_id: to whom.
        kind: what it tells.
        status: one of :data:`STATUSES`.
        created_at: when it was put into the outbox.
        tries: how often it was tried.
        next_at: when it is tried next; None: not any more.
        tried_at: when it was tried last.
        answer_status: of HTTP, at the last try; None where there was no answer.
        answer: the beginning of the last answer, or why there was none.
        payload: the body.
    """

    delivery_id: str
    webhook_id: str
    kind: str
    status: str
    created_at: datetime
    tries: int
    next_at: datetime | None
    tried_at: datetime | None
    answer_status: int | None
    answer: str
    payload: bytes


def put(connection: Connection, webhook_id: str, messages: Iterable[Message], now: datetime) -> int:
    """Puts messages into the outbox, within the transaction that says so; those that are there already stay.

    Returns:
        how many are new.
    """
    rows = {one.delivery_id(webhook_id): one for one in messages}
    names, new = list(rows), 0
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        known = set(connection.scalars(sa.select(table.c.delivery_id).where(table.c.delivery_id.in_(some))))
        fresh = [_row(name, webhook_id, rows[name], now) for name in some if name not in known]
        if fresh:
            connection.execute(sa.insert(table), fresh)
        new += len(fresh)
    return new


def _row(name: str, webhook_id: str, message: Message, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": name, "webhook_id": webhook_id, "kind": message.kind, "payload": message.payload(),
        "status": WAITING, "created_at": now, "tries": 0, "next_at": now, "answer": "",
    }  # fmt: skip


class Deliveries:
    """The outbox of a project.

    Args:
        state: where it is kept.
        clock: what time it is.
        jitter: gives a number between 0 and 1.
    """

    def __init__(self, state: State, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._state = state
        self._clock = clock
        self._jitter = jitter

    def waiting(self, webhook_id: str) -> int:
        """Returns how many messages wait for a webhook, those between two tries included."""
        some = sa.select(sa.func.count()).where(table.c.webhook_id == webhook_id, table.c.status == WAITING)
        with self._state.reading() as connection:
            return int(connection.scalar(some) or 0)

    def claim(self, webhook_id: str, most: int) -> list[Delivery]:
        """Takes messages that are due, so that no other process sends them meanwhile.

        Args:
            webhook_id: whose.
            most: at most this many, the longest due first.
        """
        now = self._clock.now()
        free = sa.or_(table.c.claimed_until.is_(None), table.c.claimed_until <= now)
        due = (
            sa.select(table)
            .where(table.c.webhook_id == webhook_id, table.c.next_at <= now, free)
            .order_by(table.c.next_at, table.c.created_at)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        if not self._any_due(webhook_id, now):
            return []
        with self._state.writing() as connection:
            found = [_delivery(row) for row in connection.execute(due)]
            ids = [one.delivery_id for one in found]
            claimed = sa.update(table).where(table.c.delivery_id.in_(ids))
            connection.execute(claimed.values(claimed_until=now + CLAIM))
        return found

    def _any_due(self, webhook_id: str, now: datetime) -> bool:
        """Looks without a lock: most of the time there is nothing."""
        due = sa.select(table.c.delivery_id).where(table.c.webhook_id == webhook_id, table.c.next_at <= now).limit(1)
        with self._state.reading() as connection:
            return connection.execute(due).first() is not None

    def mark(self, sent: Delivery, reply: Reply) -> str:
        """Writes down what came of a try; returns the status.

        A receiver that answers 410 is disabled. So is one that let a message run out of tries and has taken nothing
        since that message was made.
        """
        now, tries = self._clock.now(), sent.tries + 1
        values: dict[str, Any] = {
            "tries": tries, "tried_at": now, "claimed_until": None, "answer_status": reply.status, "answer": reply.text,
        }  # fmt: skip
        if reply.took_it:
            values |= {"status": DELIVERED, "next_at": None}
        elif reply.gone or tries > len(PAUSES_SECONDS):
            values |= {"status": FAILED, "next_at": None}
        else:
            pause = PAUSES_SECONDS[tries - 1] * (1.0 + JITTER * self._jitter())
            values |= {"status": WAITING, "next_at": now + timedelta(seconds=pause)}
        with self._state.writing() as connection:
            connection.execute(sa.update(table).where(table.c.delivery_id == sent.delivery_id).values(values))
            self._judge(connection, sent, reply, str(values.get("status")), now)
        return str(values["status"])

    @staticmethod
    def _judge(connection: Connection, sent: Delivery, reply: Reply, status: str, now: datetime) -> None:
        if reply.took_it:
            mine = webhook.c.webhook_id == sent.webhook_id
            connection.execute(sa.update(webhook).where(mine).values(delivered_at=now))
        elif reply.gone:
            stop(connection, sent.webhook_id, now, "the receiver answered 410: it wants nothing more")
        elif status == FAILED:
            last = connection.scalar(sa.select(webhook.c.delivered_at).where(webhook.c.webhook_id == sent.webhook_id))
            if last is None or last < sent.created_at:
                why = f"a message ran out of {len(PAUSES_SECONDS) + 1} tries, and nothing was taken since it was made"
                stop(connection, sent.webhook_id, now, why)

    def all(
        self, webhook_id: str, *, status: str = "", before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Returns messages to a webhook, the latest first.

        Args:
            webhook_id: to whom.
            status: one of :data:`STATUSES`; empty for all.
            before: moment and id of the message behind which to go on.
            limit: at most this many.
        """
        if status and status not in STATUSES:
            raise SettingError(f"There is no status {status!r}", hint=f"One of: {', '.join(STATUSES)}.")
        wanted = sa.select(table).where(table.c.webhook_id == webhook_id)
        wanted = wanted.order_by(table.c.created_at.desc(), table.c.delivery_id.desc()).limit(limit)
        if status:
            wanted = wanted.where(table.c.status == status)
        if before is not None:
            at, name = before
            same = sa.and_(table.c.created_at == at, table.c.delivery_id < name)
            wanted = wanted.where(sa.or_(table.c.created_at < at, same))
        with self._state.reading() as connection:
            return [_delivery(row) for row in connection.execute(wanted)]

    def replay(
        self,
        by: Actor,
        webhook_id: str,
        *,
        delivery_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Has messages sent again under their own ids, from the first try on; returns how many.

        Args:
            by: who asks.
            webhook_id: to whom they went.
            delivery_id: one message; empty: those of the time range.
            since: made at or after this moment.
            until: made before this moment.

        Raises:
            NotThereError: there is no such message.
            SettingError: neither a message nor a beginning was given.
        """
        if not delivery_id and since is None:
            raise SettingError("Say which message, or from when on", field="since")
        chosen = table.c.webhook_id == webhook_id
        if delivery_id:
            chosen &= table.c.delivery_id == delivery_id
        if since is not None:
            chosen &= table.c.created_at >= since
        if until is not None:
            chosen &= table.c.created_at < until
        now = self._clock.now()
        again = {"status": WAITING, "tries": 0, "next_at": now, "claimed_until": None}
        with self._state.writing() as connection:
            count = int(connection.execute(sa.update(table).where(chosen).values(again)).rowcount)
            if delivery_id and not count:
                raise NotThereError("There is no such message", hint="Messages are kept for two weeks.")
            audit.record(connection, now, by, "webhook.replayed", webhook_id, details={"messages": count})
        return count

    def clean(self) -> int:
        """Removes what is done with and old, also what waits for nobody, and notices that everybody knows.

        Returns:
            how many messages and notices.
        """
        off = sa.select(webhook.c.webhook_id).where(webhook.c.disabled_at.is_not(None))
        over = sa.or_(table.c.next_at.is_(None), table.c.webhook_id.in_(off))
        old = sa.and_(over, table.c.created_at < self._clock.now() - KEPT)
        live = sa.select(sa.func.min(webhook.c.told_notice)).where(webhook.c.disabled_at.is_(None))
        with self._state.writing() as connection:
            gone = int(connection.execute(sa.delete(table).where(old)).rowcount)
            known = connection.scalar(live)
            everything = sa.delete(notice)
            told = everything if known is None else everything.where(notice.c.number <= known)
            return gone + int(connection.execute(told).rowcount)


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        row.delivery_id, row.webhook_id, row.kind, row.status, row.created_at, row.tries, row.next_at, row.tried_at,
        row.answer_status, row.answer, bytes(row.payload),
    )  # fmt: skip
