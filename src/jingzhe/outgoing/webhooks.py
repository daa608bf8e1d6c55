"""Who wants to be told what: the webhooks of a project, their secrets, and how far each has been told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import ConflictError, NotThereError
from jingzhe.access.permissions import DATA_EXPORT
from jingzhe.access.secrets import new_id
from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError
from jingzhe.outgoing.kinds import KINDS
from jingzhe.outgoing.sending import checked_url
from jingzhe.outgoing.signing import new_secret
from jingzhe.profile.packs import STATES
from jingzhe.store.facts import ACTIVITIES
from jingzhe.store.state import State, notices
from jingzhe.store.state.identity_tables import identity_override
from jingzhe.store.state.outgoing_tables import webhook as table
from jingzhe.store.state.tables import publication

OVERLAP = timedelta(hours=24)
"""How long the secret before the newest one signs too."""
MOST = 50
_LONGEST = 100


@dataclass(frozen=True)
class NewWebhook:
    """What a webhook is to be.

    Args:
        name: for people.
        url: where messages go.
        kinds: what it is told, names of :data:`jingzhe.outgoing.kinds.KINDS`.
        activities: only events of these activities; none: of all.
        states: only changes into these states; none: into all.
        personal: True to send ids, addresses and properties of people too, not just numbers.
    """

    name: str
    url: str
    kinds: tuple[str, ...]
    activities: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    personal: bool = False


@dataclass(frozen=True)
class Told:
    """How far a webhook has been told.

    Args:
        publication: everything of publications up to this one …
        event: … but of this very publication only events up to this number; None: all of it.
        profiles: publication whose states it knows.
        moved_us: moment of the last merge, UTC microseconds.
        notice: number of the last notice.
    """

    publication: int
    event: int | None
    profiles: int
    moved_us: int
    notice: int

    def columns(self) -> dict[str, int | None]:
        """Returns it as columns of the table."""
        return {
            "told_publication": self.publication, "told_event": self.event, "told_profiles": self.profiles,
            "told_moved_us": self.moved_us, "told_notice": self.notice,
        }  # fmt: skip


@dataclass(frozen=True)
class Webhook(NewWebhook):
    """A webhook.

    Args:
        webhook_id: its name in lists.
        made_by: who made it.
        created_at: when.
        disabled_at: since when it is told nothing.
        disabled_why: why, for people.
        delivered_at: when it took a message last.
        secrets: those that sign now, the newest first; never shown.
        told: how far it has been told.
    """

    webhook_id: str = ""
    made_by: str = ""
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_why: str = ""
    delivered_at: datetime | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    told: Told = field(default=Told(0, None, 0, 0, 0))


class Webhooks:
    """The webhooks of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
        private: True where receivers in the own network are allowed.
    """

    def __init__(self, state: State, clock: Clock, *, private: bool = False) -> None:
        self._state = state
        self._clock = clock
        self._private = private

    def add(self, by: Actor, wish: NewWebhook) -> tuple[Webhook, str]:
        """Makes a webhook, which is told what happens from now on.

        Returns:
            the webhook and its secret, which is shown this once.

        Raises:
            ForbiddenError: it would be told of people, and whoever makes it may not export their data.
            SettingError: a value cannot be used.
            ConflictError: there are too many webhooks.
        """
        now, values, secret = self._clock.now(), self._checked(by, wish), new_secret()
        with self._state.writing() as connection:
            if int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0) >= MOST:
                raise ConflictError(f"There are {MOST} webhooks", hint="Let one receiver tell the others.")
            made = {
                **values, "webhook_id": new_id("wh"), "secret": secret, "made_by": by.label, "created_at": now,
                "disabled_why": "", **_now(connection).columns(),
            }  # fmt: skip
            connection.execute(sa.insert(table).values(made))
            details = {"kinds": list(wish.kinds), "personal": wish.personal}
            audit.record(connection, now, by, "webhook.made", made["webhook_id"], details=details)
            return _webhook(_found(connection, made["webhook_id"]), now), secret

    def _checked(self, by: Actor, wish: NewWebhook) -> dict[str, Any]:
        name = " ".join(wish.name.split())
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise SettingError(f"A webhook needs a name of up to {_LONGEST} visible signs", field="name")
        if not wish.kinds:
            raise SettingError("A webhook is told of one kind at least", hint=f"Kinds: {', '.join(KINDS)}.")
        if wish.personal:
            by.check(DATA_EXPORT)
        return {
            "name": name, "url": checked_url(wish.url, private=self._private), "personal": wish.personal,
            "kinds": _known("kind", wish.kinds, KINDS), "states": _known("state", wish.states, STATES),
            "activities": _known("activity", wish.activities, ACTIVITIES),
        }  # fmt: skip

    def all(self, *, after: str = "", limit: int = 1000) -> list[Webhook]:
        """Returns webhooks in order of their names in lists, those behind ``after``; disabled ones too."""
        wanted = sa.select(table).where(table.c.webhook_id > after).order_by(table.c.webhook_id).limit(limit)
        now = self._clock.now()
        with self._state.reading() as connection:
            return [_webhook(row, now) for row in connection.execute(wanted)]

    def live(self) -> list[Webhook]:
        """Returns those that are told something."""
        return [one for one in self.all() if one.disabled_at is None]

    def get(self, webhook_id: str) -> Webhook:
        """Returns one webhook.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _webhook(_found(connection, webhook_id), self._clock.now())

    def disable(self, by: Actor, webhook_id: str) -> Webhook:
        """Has a webhook told nothing more; what waits for it waits on. One that is disabled stays as it is.

        Raises:
            NotThereError: there is no such webhook.
        """
        now = self._clock.now()
        with self._state.writing() as connection:
            _found(connection, webhook_id)
            if stop(connection, webhook_id, now, f"disabled by {by.label}"):
                audit.record(connection, now, by, "webhook.disabled", webhook_id)
            return _webhook(_found(connection, webhook_id), now)

    def enable(self, by: Actor, webhook_id: str) -> Webhook:
        """Has a webhook told again: what still waits for it, and what happens from now on.

        Raises:
            NotThereError: there is no such webhook.
        """
        now = self._clock.now()
        off = sa.and_(table.c.webhook_id == webhook_id, table.c.disabled_at.is_not(None))
        with self._state.writing() as connection:
            _found(connection, webhook_id)
            on = {"disabled_at": None, "disabled_why": "", **_now(connection).columns()}
            if connection.execute(sa.update(table).where(off).values(on)).rowcount:
                audit.record(connection, now, by, "webhook.enabled", webhook_id)
            return _webhook(_found(connection, webhook_id), now)

    def rotate(self, by: Actor, webhook_id: str) -> tuple[Webhook, str]:
        """Gives a webhook a new secret; for :data:`OVERLAP` messages are signed with the old one too.

        Returns:
            the webhook and the new secret, which is shown this once.

        Raises:
            NotThereError: there is no such webhook.
        """
        now, secret = self._clock.now(), new_secret()
        with self._state.writing() as connection:
            row = _found(connection, webhook_id)
            values = {"secret": secret, "old_secret": row.secret, "old_secret_until": now + OVERLAP}
            connection.execute(sa.update(table).where(table.c.webhook_id == webhook_id).values(values))
            audit.record(connection, now, by, "webhook.secret_changed", webhook_id)
            return _webhook(_found(connection, webhook_id), now), secret


def stop(connection: Connection, webhook_id: str, at: datetime, why: str) -> bool:
    """Disables a webhook within a transaction; tells whether it was live."""
    alive = sa.and_(table.c.webhook_id == webhook_id, table.c.disabled_at.is_(None))
    return bool(
        connection.execute(sa.update(table).where(alive).values(disabled_at=at, disabled_why=why[:300])).rowcount
    )


def _now(connection: Connection) -> Told:
    """Returns how far one is that has been told everything."""
    newest = int(connection.scalar(sa.select(sa.func.max(publication.c.seq))) or 0)
    moved = int(connection.scalar(sa.select(sa.func.max(identity_override.c.moved_us))) or 0)
    return Told(newest, None, newest, moved, notices.last(connection))


def _known(what: str, given: Iterable[str], known: Iterable[str] | Mapping[str, str]) -> list[str]:
    names = list(known)
    listed = sorted(set(given))
    wrong = [one for one in listed if one not in names]
    if wrong:
        raise SettingError(f"There is no {what} {wrong[0]!r}", hint=f"There are: {', '.join(names)}.")
    return listed


def _found(connection: Connection, webhook_id: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(table).where(table.c.webhook_id == webhook_id)).first()
    if row is None:
        raise NotThereError("There is no such webhook", hint="List them: jingzhe webhook list", webhook=webhook_id)
    return row


def _webhook(row: sa.Row[Any], now: datetime) -> Webhook:
    old = row.old_secret if row.old_secret and row.old_secret_until and row.old_secret_until > now else None
    return Webhook(
        row.name, row.url, tuple(row.kinds), tuple(row.activities), tuple(row.states), row.personal, row.webhook_id,
        row.made_by, row.created_at, row.disabled_at, row.disabled_why, row.delivered_at,
        (row.secret, old) if old else (row.secret,),
        Told(row.told_publication, row.told_event, row.told_profiles, row.told_moved_us, row.told_notice),
    )  # fmt: skip
