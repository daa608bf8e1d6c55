"""Sources of live events and their write keys: a key is shown once, and only its hash is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.collect.wire.channels import CHANNELS
from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError
from jingzhe.core.tokens import new_secret
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import source as sources
from jingzhe.store.state.collect_tables import write_key as keys

GUESSED = "any"
"""Kind of a source whose channel is told from each request."""
KINDS = (GUESSED, *CHANNELS)
_LONGEST_NAME = 200
_ID_LENGTH = 16
_SECRET_LENGTH = 32
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('jingzhe sources', 0))"


@dataclass(frozen=True)
class Source:
    """A source of live events.

    Args:
        source_id: its number.
        name: what its events carry as ``source``.
        kind: its channel, one of :data:`KINDS`.
        keys: the first signs of its write keys that hold.
        created_at: when it was made.
    """

    source_id: int
    name: str
    kind: str
    keys: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class WriteKey:
    """A write key without its secret.

    Args:
        key_id: names it; the beginning of the hash of a long random secret, which says nothing of it.
        source_id: whose it is.
        hint: its first signs.
        created_at: when it was made.
        revoked_at: since when it holds no longer; None: it holds.
    """

    key_id: str
    source_id: int
    hint: str
    created_at: datetime
    revoked_at: datetime | None


def key_hash(key: str) -> str:
    """Returns what is kept of a write key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def add_source(state: State, name: str, *, clock: Clock, kind: str = GUESSED) -> str:
    """Makes a source, or gives one that is there another key; returns the write key, which is shown this once.

    Args:
        state: where sources are kept.
        name: what its events carry as ``source``.
        clock: when.
        kind: its channel.

    Raises:
        SettingError: the name is empty, there is no such kind, or the source is of another kind.
    """
    name, kind = checked_name(name), checked_kind(kind)
    with state.writing() as connection:
        known = find_source(connection, sources.c.name == name)
        if known is None:
            known = insert_source(connection, name, kind, clock.now())
        elif kind not in {GUESSED, known.kind}:
            raise SettingError(f"The source {name!r} is of the kind {known.kind!r}", hint="Choose another name.")
        return insert_key(connection, known.source_id, clock.now())[1]


def checked_name(name: str) -> str:
    """Returns the name of a source without spaces around it.

    Raises:
        SettingError: it is empty or too long.
    """
    plain = name.strip()
    if not plain or len(plain) > _LONGEST_NAME or not plain.isprintable():
        raise SettingError(f"A source needs a name of up to {_LONGEST_NAME} visible signs", field="name")
    return plain


def checked_kind(kind: str) -> str:
    """Returns a kind of source.

    Raises:
        SettingError: there is no such kind.
    """
    if kind not in KINDS:
        raise SettingError(f"There is no kind of source {kind!r}", hint=f"One of: {', '.join(KINDS)}.", field="kind")
    return kind


def insert_source(connection: Connection, name: str, kind: str, now: datetime) -> Source:
    """Makes a source within a transaction that writes; name and kind are checked."""
    _take_turn(connection)
    number = int(connection.scalar(sa.select(sa.func.max(sources.c.source_id))) or 0) + 1
    connection.execute(sa.insert(sources).values(source_id=number, name=name, kind=kind, created_at=now))
    return Source(number, name, kind, (), now)


def insert_key(connection: Connection, source_id: int, now: datetime) -> tuple[WriteKey, str]:
    """Makes a write key within a transaction that writes; returns it with its secret, which is kept nowhere."""
    secret = new_secret(_SECRET_LENGTH)
    hashed, hint = key_hash(secret), secret[:4]
    connection.execute(sa.insert(keys).values(key_hash=hashed, source_id=source_id, hint=hint, created_at=now))
    return WriteKey(hashed[:_ID_LENGTH], source_id, hint, now, None), secret


def find_source(connection: Connection, which: sa.ColumnElement[bool]) -> Source | None:
    """Returns the one source that ``which`` names, None where there is none."""
    row = connection.execute(sa.select(sources).where(which)).first()
    if row is None:
        return None
    holds = (keys.c.source_id == row.source_id) & keys.c.revoked_at.is_(None)
    hints = connection.scalars(sa.select(keys.c.hint).where(holds))
    return Source(row.source_id, row.name, row.kind, tuple(sorted(hints)), row.created_at)


def write_keys_of(connection: Connection, source_id: int) -> list[WriteKey]:
    """Returns the write keys of a source, revoked ones too, the oldest first."""
    found = connection.execute(sa.select(keys).where(keys.c.source_id == source_id))
    rows = [
        WriteKey(row.key_hash[:_ID_LENGTH], row.source_id, row.hint, row.created_at, row.revoked_at) for row in found
    ]
    return sorted(rows, key=lambda one: (one.created_at, one.key_id))


def revoke_key(connection: Connection, source_id: int, key_id: str, now: datetime) -> bool:
    """Makes one write key hold no longer; tells whether it held."""
    which = (keys.c.source_id == source_id) & keys.c.revoked_at.is_(None)
    which &= sa.func.substr(keys.c.key_hash, 1, _ID_LENGTH) == key_id
    return bool(connection.execute(sa.update(keys).where(which).values(revoked_at=now)).rowcount)


def set_kind(connection: Connection, source_id: int, kind: str) -> None:
    """Says of which channel a source is from now on."""
    connection.execute(sa.update(sources).where(sources.c.source_id == source_id).values(kind=kind))


def _take_turn(connection: Connection) -> None:
    # Two who make sources at once would both find the same number free; on SQLite a writer is alone anyway.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_TURN)


def list_sources(state: State) -> list[Source]:
    """Returns all sources, in the order in which they were made."""
    with state.reading() as connection:
        rows = connection.execute(sa.select(sources).order_by(sources.c.source_id)).all()
        live = connection.execute(sa.select(keys.c.source_id, keys.c.hint).where(keys.c.revoked_at.is_(None))).all()
    hints: dict[int, list[str]] = {}
    for number, hint in live:
        hints.setdefault(number, []).append(hint)
    return [
        Source(row.source_id, row.name, row.kind, tuple(sorted(hints.get(row.source_id, []))), row.created_at)
        for row in rows
    ]


def revoke_keys(state: State, name: str, *, clock: Clock, hint: str = "") -> int:
    """Makes write keys of a source hold no longer; what they brought stays. Returns how many.

    Args:
        state: where sources are kept.
        name: of the source.
        clock: when.
        hint: the first signs of the key; empty for all.

    Raises:
        SettingError: there is no such source or key.
    """
    found = next((one for one in list_sources(state) if one.name == name), None)
    if found is None:
        raise SettingError(f"There is no source {name!r}", hint="`jingzhe source list` says which there are.")
    which = (keys.c.source_id == found.source_id) & keys.c.revoked_at.is_(None)
    if hint:
        which &= keys.c.hint == hint[:4]
    with state.writing() as connection:
        count = connection.execute(sa.update(keys).where(which).values(revoked_at=clock.now())).rowcount
    if not count:
        raise SettingError(f"The source {name!r} has no such key", key=hint or None)
    return count


def live_keys(state: State) -> Mapping[str, Source]:
    """Returns the source of every write key that holds, by the key's hash."""
    by_number = {one.source_id: one for one in list_sources(state)}
    held = sa.select(keys.c.key_hash, keys.c.source_id).where(keys.c.revoked_at.is_(None))
    with state.reading() as connection:
        return {hashed: by_number[number] for hashed, number in connection.execute(held) if number in by_number}
