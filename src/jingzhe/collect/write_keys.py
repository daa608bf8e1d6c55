"""Sources of live events and their write keys: a key is shown once, and only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.collect.wire.channels import CHANNELS
from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import source as sources
from jingzhe.store.state.collect_tables import write_key as keys

GUESSED = "any"
"""Kind of a source whose channel is told from each request."""
KINDS = (GUESSED, *CHANNELS)


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
    if not name.strip() or len(name) > 200:
        raise SettingError("A source needs a name of up to 200 signs", name=name[:40])
    if kind not in KINDS:
        raise SettingError(f"There is no kind of source {kind!r}", hint=f"One of: {', '.join(KINDS)}.")
    key = secrets.token_urlsafe(24)
    with state.writing() as connection:
        number = _source_id(connection, name.strip(), kind, clock)
        row = {"key_hash": key_hash(key), "source_id": number, "hint": key[:4], "created_at": clock.now()}
        connection.execute(sa.insert(keys).values(row))
    return key


def _source_id(connection: Connection, name: str, kind: str, clock: Clock) -> int:
    known = connection.execute(sa.select(sources).where(sources.c.name == name)).first()
    if known is not None:
        if kind not in {GUESSED, known.kind}:
            raise SettingError(f"The source {name!r} is of the kind {known.kind!r}", hint="Choose another name.")
        return int(known.source_id)
    number = int(connection.scalar(sa.select(sa.func.max(sources.c.source_id))) or 0) + 1
    row = {"source_id": number, "name": name, "kind": kind, "created_at": clock.now()}
    connection.execute(sa.insert(sources).values(row))
    return number


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
