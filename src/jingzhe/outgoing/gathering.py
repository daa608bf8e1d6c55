"""Fills the outbox: what was published since a webhook was told last becomes messages.

The publications are the truth, and a webhook remembers how far along them it has been told. Messages and that mark are
written in one transaction, so nothing is left out and nothing is put in twice, whatever dies when; and the drain and
the refresh need not know that anybody listens. Imported rows are not sent one by one: an import is one message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from jingzhe.collect.importing import KIND as IMPORT
from jingzhe.collect.sealed_properties import opened
from jingzhe.core.log import Log
from jingzhe.outgoing import queries
from jingzhe.outgoing.deliveries import Deliveries, put
from jingzhe.outgoing.kinds import EVENTS, IMPORTED, MERGED, QUARANTINED, STATES, Message
from jingzhe.outgoing.webhooks import Told, Webhook
from jingzhe.profile.columns import PROFILES
from jingzhe.store.engine import Session
from jingzhe.store.state import Publication
from jingzhe.store.state.identity_tables import identity_override
from jingzhe.store.state.outgoing_tables import notice, webhook_delivery
from jingzhe.store.state.outgoing_tables import webhook as table
from jingzhe.store.warehouse import Warehouse, oldest_readable

EVENTS_A_MESSAGE = 100
PEOPLE_A_MESSAGE = 500
EVENTS_AT_ONCE = 5_000
MERGES_AT_ONCE = 2_000
MOST_WAITING = 1_000
"""With so many messages waiting nothing more is put in: the lake keeps the rest, in order."""
_OVERLAP_US = 60_000_000
_FIRST = -(2**63)
_ANY = ["any"]
_IMPORT_SAYS = (
    "import_id", "source", "files", "rows", "rejected", "orders", "orders_replaced", "orders_unchanged", "events",
    "items", "people", "first_day", "last_day", "publication",
)  # fmt: skip


@dataclass
class _Found:
    """Messages for one webhook, and how far it will have been told with them."""

    told: Told
    messages: list[Message] = field(default_factory=list)


@dataclass
class Gathering:
    """Fills the outbox of a project.

    Args:
        warehouse: where things happen.
        deliveries: the outbox.
        log: is told when something cannot be told to others.
        states_seconds: states of everybody are compared at most this often.
        seconds: a clock that nobody sets.
    """

    warehouse: Warehouse
    deliveries: Deliveries
    log: Log
    states_seconds: float = 10.0
    seconds: Callable[[], float] = time.monotonic
    _states_due: dict[str, float] = field(default_factory=dict)

    def fill(self, webhook: Webhook) -> int:
        """Puts what a webhook is to be told into the outbox; returns how many messages.

        Raises:
            LakeError: a table cannot be read.
            StateError: the state store cannot be reached.
        """
        latest = self.warehouse.state.latest()
        if self.deliveries.waiting(webhook.webhook_id) >= MOST_WAITING:
            return 0
        found = _Found(webhook.told)
        if latest is not None:
            self._published(webhook, latest, found)
        self._merged(webhook, found)
        self._noticed(webhook, found)
        return self._keep(webhook, found)

    def _keep(self, webhook: Webhook, found: _Found) -> int:
        if found.told == webhook.told:
            return 0
        same = sa.and_(table.c.webhook_id == webhook.webhook_id, table.c.disabled_at.is_(None))
        for name, value in webhook.told.columns().items():
            same &= table.c[name].is_(None) if value is None else table.c[name] == value
        with self.warehouse.state.writing() as connection:
            moved = sa.update(table).where(same).values(found.told.columns())
            if not connection.execute(moved).rowcount:
                # Another process was quicker, or it was disabled meanwhile.
                return 0
            return put(connection, webhook.webhook_id, found.messages, self.warehouse.clock.now())

    # ---- publications

    def _published(self, webhook: Webhook, latest: Publication, found: _Found) -> None:
        told = webhook.told
        more_events = latest.seq > told.publication or told.event is not None
        states = STATES in webhook.kinds and self._states_changed(webhook, latest)
        if STATES not in webhook.kinds:
            found.told = replace(found.told, profiles=latest.seq)
        if not more_events and not states:
            return
        imports = self._imports()
        if EVENTS in webhook.kinds or states:
            with self.warehouse.reading(latest.seq) as session:
                if EVENTS in webhook.kinds:
                    self._events(session, webhook, latest, [int(one["batch"]) for one in imports], found)
                if states:
                    self._states(session, webhook, latest, found)
        if EVENTS not in webhook.kinds:
            found.told = replace(found.told, publication=latest.seq, event=None)
        for body in imports:
            if told.publication < int(body["batch"]) <= found.told.publication:
                found.messages += _of_import(webhook, body, latest.published_at)

    def _imports(self) -> list[dict[str, Any]]:
        return sorted((one.body for one in self.warehouse.state.documents(IMPORT)), key=lambda body: int(body["batch"]))

    def _events(
        self, session: Session, webhook: Webhook, latest: Publication, imported: list[int], found: _Found
    ) -> None:
        told = webhook.told
        values = {
            "publication": told.publication, "event": 2**63 - 1 if told.event is None else told.event,
            "through": latest.seq, "imported": [one for one in imported if one >= told.publication] or [-1],
            "activities": list(webhook.activities) or _ANY, "most": EVENTS_AT_ONCE,
        }  # fmt: skip
        query = queries.NEW_EVENTS_WHOLE if webhook.personal else queries.NEW_EVENTS
        rows = session.run(query, values).to_pylist()
        for start in range(0, len(rows), EVENTS_A_MESSAGE):
            some = rows[start : start + EVENTS_A_MESSAGE]
            first, last = some[0], some[-1]
            key = f"{first['batch']}/{first['event_id']}-{last['batch']}/{last['event_id']}"
            data = {"publication": int(last["batch"]), "events": [self._event(row) for row in some]}
            found.messages.append(Message(EVENTS, key, latest.published_at, data))
        if len(rows) < EVENTS_AT_ONCE:
            found.told = replace(found.told, publication=latest.seq, event=None)
        else:
            found.told = replace(found.told, publication=int(rows[-1]["batch"]), event=int(rows[-1]["event_id"]))

    # ---- states

    def _event(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an event as it is told: its number as text, for it is larger than many languages' numbers are exact.

        Properties are in it for those alone who are told of people; to them they are opened.
        """
        told = {**row, "event_id": str(row["event_id"])}
        if row.get("properties"):
            told["properties"] = opened(self.warehouse.state.sealer, row["properties"], row["event_id"]).text
        return told

    def _states_changed(self, webhook: Webhook, latest: Publication) -> bool:
        """Tells whether profiles were published since, and it is time to compare them."""
        told = webhook.told
        if latest.seq <= told.profiles or self.seconds() < self._states_due.get(webhook.webhook_id, float("-inf")):
            return False
        return latest.tables.get(PROFILES.name) != self._profiles(told.profiles)

    def _profiles(self, seq: int) -> int | None:
        return self.warehouse.state.publication(seq).tables.get(PROFILES.name) if seq else None

    def _states(self, session: Session, webhook: Webhook, latest: Publication, found: _Found) -> None:
        self._states_due[webhook.webhook_id] = self.seconds() + self.states_seconds
        before = webhook.told.profiles
        found.told = replace(found.told, profiles=latest.seq)
        if before and before < oldest_readable(self.warehouse.state):
            # Its files are gone: who changed since cannot be said any more, and a guess would be worse.
            self.log.error("changes of states cannot be told: the profiles of then were removed", publication=before)
            return
        source = self.warehouse.lake.source(PROFILES, self._profiles(before))
        session.attach(replace(source, table=replace(PROFILES, name=queries.BEFORE)))
        changed = session.run(queries.CHANGED_STATES, {"states": list(webhook.states) or _ANY})
        for start in range(0, changed.num_rows, PEOPLE_A_MESSAGE):
            people = changed.slice(start, PEOPLE_A_MESSAGE).to_pylist()
            data = {"publication": latest.seq, "people": people}
            key = f"{before}-{latest.seq}/{people[0]['person_id']}"
            found.messages.append(Message(STATES, key, latest.published_at, data))

    # ---- identity and notices

    def _merged(self, webhook: Webhook, found: _Found) -> None:
        row, last = identity_override.c, webhook.told.moved_us
        # Looked at again a minute back, in case two processes wrote at once; the ids of messages tell what is known.
        recent = sa.select(row.old_person, row.new_person, row.moved_us).where(row.moved_us > last - _OVERLAP_US)
        with self.warehouse.state.reading() as connection:
            merges = connection.execute(recent.order_by(row.moved_us, row.old_person)).all()
            if MERGED not in webhook.kinds:
                newest = max((one.moved_us for one in merges), default=last)
                found.told = replace(found.told, moved_us=max(last, newest))
                return
            if not any(one.moved_us > last for one in merges):
                return
            messages = [_merge(*one) for one in merges]
            ids = [one.delivery_id(webhook.webhook_id) for one in messages]
            held = webhook_delivery.c.delivery_id
            known = set(connection.scalars(sa.select(held).where(held.in_(ids[:MERGES_AT_ONCE]))))
        new = [
            (merge.moved_us, one) for merge, one, name in zip(merges, messages, ids, strict=True) if name not in known
        ]
        taken = new[:MERGES_AT_ONCE]
        found.messages += [one for _, one in taken]
        newest = taken[-1][0] if len(new) > len(taken) else merges[-1].moved_us
        found.told = replace(found.told, moved_us=max(last, newest))

    def _noticed(self, webhook: Webhook, found: _Found) -> None:
        behind = sa.select(notice).where(notice.c.number > webhook.told.notice).order_by(notice.c.number)
        with self.warehouse.state.reading() as connection:
            rows = connection.execute(behind.limit(MERGES_AT_ONCE)).all()
        for row in rows:
            if row.kind in webhook.kinds:
                found.messages.append(Message(row.kind, f"notice {row.number}", row.at, dict(row.body)))
        if rows:
            found.told = replace(found.told, notice=rows[-1].number)


def _merge(old: int, new: int, moved_us: int) -> Message:
    at = datetime.fromtimestamp(moved_us / 1e6, UTC)
    return Message(MERGED, f"{old}-{new}-{moved_us}", at, {"person_id": new, "merged_person_id": old, "at": at})


def _of_import(webhook: Webhook, body: Mapping[str, Any], at: datetime) -> list[Message]:
    """Returns what there is to say of an import."""
    found = []
    if IMPORTED in webhook.kinds and body.get("publication") is not None:
        said = {name: body.get(name) for name in _IMPORT_SAYS}
        found.append(Message(IMPORTED, str(body["import_id"]), at, said))
    rejected = dict(body.get("rejected") or {})
    if QUARANTINED in webhook.kinds and rejected:
        counts = {"source": body.get("source"), "import_id": body["import_id"], "reasons": rejected}
        found.append(Message(QUARANTINED, f"import {body['import_id']}", at, counts))
    return found
