"""API keys: how a program comes in. A key is shown once, kept as a hash, and may do what its scopes say.

A key looks like ``jz_7hq2mkw4x9ab_…``: the part in the middle names it in lists and logs and is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import ForbiddenError, NotSignedInError, NotThereError, RefusedValueError
from jingzhe.access.permissions import PERMISSIONS, checked_scopes
from jingzhe.access.secrets import equal, hashed, new_id, new_token
from jingzhe.core.clock import Clock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import api_key

_WRITTEN = re.compile(r"jz_([a-z0-9]{12})_([A-Za-z0-9_-]{43})\Z")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Key:
    """One API key, without its secret.

    Args:
        key_id: names it.
        name: what it is for.
        scopes: names of permissions.
        made_by: who made it.
        created_at: when.
        expires_at: until when it works; None: for ever.
        revoked_at: since when it no longer works.
        last_used_day: day, in UTC, on which it was used last.
    """

    key_id: str
    name: str
    scopes: tuple[str, ...]
    made_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_day: date | None


class Keys:
    """The API keys of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def make(
        self, by: Actor, name: str, scopes: Iterable[str], *, expires_at: datetime | None = None
    ) -> tuple[Key, str]:
        """Makes a key.

        Args:
            by: who makes it; it may do no more than they may.
            name: what it is for.
            scopes: names of permissions.
            expires_at: until when it works, aware; None: for ever.

        Returns:
            the key, and what to write into the program that uses it; the latter is shown this once.

        Raises:
            ForbiddenError: whoever makes it may not do that themselves.
            RefusedValueError: a value cannot be used.
        """
        now, wanted = self._clock.now(), checked_scopes(scopes)
        missing = [scope for scope in wanted if scope not in by.permissions]
        if missing:
            raise ForbiddenError(
                f"Who makes a key with the scope {missing[0]} must have that permission", scope=missing[0]
            )
        plain = " ".join(name.split())
        if not plain or len(plain) > _LONGEST_NAME or not plain.isprintable():
            raise RefusedValueError(f"A name has 1 to {_LONGEST_NAME} visible characters", field="name")
        if expires_at is not None and expires_at <= now:
            raise RefusedValueError("A key cannot expire in the past", field="expires_at")
        secret, key_id = new_token(), new_id("key").removeprefix("key_")
        with self._state.writing() as connection:
            connection.execute(
                sa.insert(api_key).values(
                    key_id=key_id, secret_hash=hashed(secret, "key"), name=plain, scopes=list(wanted), made_by=by.label,
                    created_at=now, expires_at=expires_at,
                )
            )  # fmt: skip
            audit.record(connection, now, by, "key.made", key_id, details={"scopes": list(wanted)})
            return _key(_found(connection, key_id)), f"jz_{key_id}_{secret}"

    def all(self, *, after: str = "", limit: int = 1000) -> list[Key]:
        """Returns keys in order of their names in lists, those behind ``after``; revoked ones too."""
        wanted = sa.select(api_key).where(api_key.c.key_id > after).order_by(api_key.c.key_id).limit(limit)
        with self._state.reading() as connection:
            return [_key(row) for row in connection.execute(wanted)]

    def get(self, key_id: str) -> Key:
        """Returns one key.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _key(_found(connection, key_id))

    def revoke(self, by: Actor, key_id: str) -> Key:
        """Revokes a key, at once and for ever; one that is revoked already stays as it is.

        Raises:
            NotThereError: there is no such key.
        """
        now = self._clock.now()
        alive = sa.and_(api_key.c.key_id == key_id, api_key.c.revoked_at.is_(None))
        with self._state.writing() as connection:
            _found(connection, key_id)
            if connection.execute(sa.update(api_key).where(alive).values(revoked_at=now)).rowcount:
                audit.record(connection, now, by, "key.revoked", key_id)
            return _key(_found(connection, key_id))

    def actor(self, written: str) -> Actor:
        """Returns who has a key, and notes the day on which it was used.

        Raises:
            NotSignedInError: there is no such key, or it no longer works.
        """
        parts = _WRITTEN.match(written)
        now = self._clock.now()
        row = None
        if parts is not None:
            with self._state.reading() as connection:
                row = connection.execute(sa.select(api_key).where(api_key.c.key_id == parts[1])).first()
        works = (
            parts is not None
            and row is not None
            and equal(row.secret_hash, hashed(parts[2], "key"))
            and row.revoked_at is None
            and (row.expires_at is None or row.expires_at > now)
        )
        if row is None or not works:
            raise NotSignedInError("This API key does not work", hint="Make a new one: jingzhe key add")
        if row.last_used_day != now.date():
            with self._state.writing() as connection:
                used = sa.update(api_key).where(api_key.c.key_id == row.key_id)
                connection.execute(used.values(last_used_day=now.date()))
        # A scope that a newer version no longer knows allows nothing.
        return Actor("key", row.key_id, frozenset(row.scopes) & frozenset(PERMISSIONS))


def _found(connection: Connection, key_id: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(api_key).where(api_key.c.key_id == key_id)).first()
    if row is None:
        raise NotThereError("There is no such key", hint="List them: jingzhe key list", key=key_id)
    return row


def _key(row: sa.Row[Any]) -> Key:
    return Key(
        row.key_id, row.name, tuple(row.scopes), row.made_by, row.created_at, row.expires_at, row.revoked_at,
        row.last_used_day,
    )  # fmt: skip
