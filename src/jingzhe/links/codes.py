"""The codes of a project: made, listed, disabled. A slug is random, short, and holds no letters that look alike."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import NotThereError
from jingzhe.collect.wire.channels import CHANNELS
from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError, StateError
from jingzhe.links.targets import checked_target, checked_utm, destination
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import source as sources
from jingzhe.store.state.links_tables import code as table

LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
"""No 0 and o, no 1, i and l: a slug is also read from paper and typed."""
SLUG_LENGTH = 10
PATH = "/l/"
SOURCE_PREFIX = "codes: "
"""How the sources of scans are called; no client's write key leads to them."""
_TRIES = 8
_LONGEST = 100


@dataclass(frozen=True)
class NewCode:
    """What a code is to be.

    Args:
        name: for people.
        target: web address, or page of a mini-program.
        channel: kind of source (A6), one of :data:`jingzhe.collect.wire.channels.CHANNELS`.
        placement: where it hangs or who shows it: ``store poster``, ``receipt`` …
        campaign: name of the campaign; empty for none.
        member: for a referral, the id by which the business knows the member who recommends.
        app_id: of the mini-program.
        utm: UTM parameters to add, without their prefix.
        carry_visitor: True to hand the visitor's anonymous id to the target as ``ajs_aid``.
        expires_at: until when it works; None: for ever.
    """

    name: str
    target: str
    channel: str = "qr_code"
    placement: str = ""
    campaign: str = ""
    member: str = ""
    app_id: str = ""
    utm: Mapping[str, str] = field(default_factory=dict, hash=False)
    carry_visitor: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Code(NewCode):
    """A code.

    Args:
        slug: last part of its link.
        source_id: number of the source that its scans carry.
        made_by: who made it.
        created_at: when.
        disabled_at: since when it leads nowhere.
    """

    slug: str = ""
    source_id: int = 0
    made_by: str = ""
    created_at: datetime | None = None
    disabled_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Tells whether it leads anywhere at a moment."""
        return self.disabled_at is None and (self.expires_at is None or now < self.expires_at)

    def destination(self, visitor: str = "") -> str:
        """Returns where a scan is sent; ``visitor`` is handed over where the code says so."""
        shown = visitor if self.carry_visitor else ""
        return destination(self.target, self.app_id, slug=self.slug, utm=self.utm, visitor=shown)

    def url(self, base: str) -> str:
        """Returns the short link under the address ``base``."""
        return f"{base.rstrip('/')}{PATH}{self.slug}"


def new_slug() -> str:
    """Returns a random slug of 49 bits: a million codes leave less than one guess in 800 million right."""
    return "".join(secrets.choice(LETTERS) for _ in range(SLUG_LENGTH))


class Codes:
    """The codes of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
        private: True where targets in the own network are allowed.
        slugs: gives slugs.
    """

    def __init__(self, state: State, clock: Clock, *, private: bool = False, slugs: Any = new_slug) -> None:
        self._state = state
        self._clock = clock
        self._private = private
        self._slugs = slugs

    def add(self, by: Actor, wish: NewCode) -> Code:
        """Makes a code.

        Raises:
            SettingError: the target, the channel, a name or a moment cannot be used.
            StateError: no free slug was found, which does not happen by chance.
        """
        now = self._clock.now()
        values = self._checked(wish, now)
        for _ in range(_TRIES):
            try:
                with self._state.writing() as connection:
                    number = _source(connection, wish.channel, self._clock)
                    row = {**values, "slug": self._slugs(), "source_id": number, "made_by": by.label, "created_at": now}
                    connection.execute(sa.insert(table).values(row))
                    details = {"channel": wish.channel, "campaign": bool(wish.campaign)}
                    audit.record(connection, now, by, "code.made", row["slug"], details=details)
                    return _found(connection, row["slug"])
            except IntegrityError:
                # The slug is taken, or another process has just made the source: both are over at the next try.
                continue
        raise StateError("No free slug was found", hint="Try again.")

    def _checked(self, wish: NewCode, now: datetime) -> dict[str, Any]:
        texts = {"placement": wish.placement, "campaign": wish.campaign, "member": wish.member}
        for field_, value in texts.items():
            if len(value) > _LONGEST or not (value.isprintable() or not value):
                raise SettingError(f"{field_} has up to {_LONGEST} visible signs", field=field_)
        name = " ".join(wish.name.split())
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise SettingError(f"A code needs a name of up to {_LONGEST} visible signs", field="name")
        if wish.channel not in CHANNELS:
            raise SettingError(
                f"There is no channel {wish.channel!r}", hint=f"One of: {', '.join(CHANNELS)}.", field="channel"
            )
        if wish.channel == "member_referral" and not wish.member:
            raise SettingError("A referral needs the member who recommends", field="member")
        if wish.expires_at is not None and wish.expires_at <= now:
            raise SettingError("A code cannot expire in the past", field="expires_at")
        return {
            **texts, "name": name, "channel": wish.channel, "app_id": wish.app_id, "utm": checked_utm(wish.utm),
            "target": checked_target(wish.target, wish.app_id, private=self._private),
            "carry_visitor": wish.carry_visitor, "expires_at": wish.expires_at,
        }  # fmt: skip

    def all(self, *, before: tuple[datetime, str] | None = None, limit: int = 1000) -> list[Code]:
        """Returns codes, the latest first; those that expired or were disabled too.

        Args:
            before: moment and slug of the code behind which to go on.
            limit: at most this many.
        """
        newest = sa.select(table).order_by(table.c.created_at.desc(), table.c.slug.desc()).limit(limit)
        if before is not None:
            at, slug = before
            same = sa.and_(table.c.created_at == at, table.c.slug < slug)
            newest = newest.where(sa.or_(table.c.created_at < at, same))
        with self._state.reading() as connection:
            return [_code(row) for row in connection.execute(newest)]

    def get(self, slug: str) -> Code:
        """Returns one code.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _found(connection, slug)

    def known(self, slug: str) -> Code | None:
        """Returns one code, None where there is none."""
        with self._state.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.slug == slug)).first()
        return None if row is None else _code(row)

    def disable(self, by: Actor, slug: str) -> Code:
        """Lets a code lead nowhere from now on; its scans stay. One that is disabled stays as it is.

        Raises:
            NotThereError: there is no such code.
        """
        now = self._clock.now()
        alive = sa.and_(table.c.slug == slug, table.c.disabled_at.is_(None))
        with self._state.writing() as connection:
            _found(connection, slug)
            if connection.execute(sa.update(table).where(alive).values(disabled_at=now)).rowcount:
                audit.record(connection, now, by, "code.disabled", slug)
            return _found(connection, slug)


def _source(connection: Connection, channel: str, clock: Clock) -> int:
    """Returns the number of the source of a channel's scans; makes it where there is none."""
    name = f"{SOURCE_PREFIX}{channel}"
    known = connection.scalar(sa.select(sources.c.source_id).where(sources.c.name == name))
    if known is not None:
        return int(known)
    number = int(connection.scalar(sa.select(sa.func.max(sources.c.source_id))) or 0) + 1
    row = {"source_id": number, "name": name, "kind": channel, "created_at": clock.now()}
    connection.execute(sa.insert(sources).values(row))
    return number


def _found(connection: Connection, slug: str) -> Code:
    row = connection.execute(sa.select(table).where(table.c.slug == slug)).first()
    if row is None:
        raise NotThereError("There is no such code", hint="List them: jingzhe code list", code=slug)
    return _code(row)


def _code(row: sa.Row[Any]) -> Code:
    return Code(**row._mapping)  # noqa: SLF001 - the documented way to a row's columns by name
