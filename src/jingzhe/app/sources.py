"""Sources of live events and their write keys, by whoever may: each change stands in the audit trail."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import ConflictError, NotThereError
from jingzhe.collect import write_keys
from jingzhe.collect.write_keys import GUESSED, Source, WriteKey
from jingzhe.core.clock import Clock
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import source as table


class Sources:
    """The sources of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def all(self) -> list[Source]:
        """Returns all sources, in the order in which they were made."""
        return write_keys.list_sources(self._state)

    def get(self, source_id: int) -> Source:
        """Returns one source.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _found(connection, table.c.source_id == source_id)

    def named(self, name: str) -> Source:
        """Returns the source of a name.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _found(connection, table.c.name == name.strip())

    def make(self, by: Actor, name: str, kind: str = GUESSED) -> tuple[Source, WriteKey, str]:
        """Makes a source with its first write key.

        Args:
            by: who makes it.
            name: what its events carry as ``source``.
            kind: its channel.

        Returns:
            the source, the key, and the key's secret, which is shown this once.

        Raises:
            ConflictError: there is a source of that name.
            SettingError: a value cannot be used.
        """
        name, kind = write_keys.checked_name(name), write_keys.checked_kind(kind)
        now = self._clock.now()
        with self._state.writing() as connection:
            if write_keys.find_source(connection, table.c.name == name) is not None:
                raise ConflictError("There is a source of this name", hint="Make another key for it.", field="name")
            made = write_keys.insert_source(connection, name, kind, now)
            key, secret = write_keys.insert_key(connection, made.source_id, now)
            self._tell(connection, by, "source.made", made.source_id, kind=kind, key=key.key_id)
            return _found(connection, table.c.source_id == made.source_id), key, secret

    def change(self, by: Actor, source_id: int, *, kind: str) -> Source:
        """Says of which channel a source is; what it sent before keeps its channel.

        Raises:
            NotThereError: there is no such source.
            SettingError: there is no such kind.
        """
        kind = write_keys.checked_kind(kind)
        with self._state.writing() as connection:
            before = _found(connection, table.c.source_id == source_id)
            if before.kind != kind:
                write_keys.set_kind(connection, source_id, kind)
                self._tell(connection, by, "source.changed", source_id, kind=kind, kind_before=before.kind)
            return _found(connection, table.c.source_id == source_id)

    def keys(self, source_id: int) -> list[WriteKey]:
        """Returns the write keys of a source, revoked ones too.

        Raises:
            NotThereError: there is no such source.
        """
        with self._state.reading() as connection:
            _found(connection, table.c.source_id == source_id)
            return write_keys.write_keys_of(connection, source_id)

    def make_key(self, by: Actor, source_id: int) -> tuple[WriteKey, str]:
        """Makes another write key; returns it with its secret, which is shown this once.

        Raises:
            NotThereError: there is no such source.
        """
        with self._state.writing() as connection:
            _found(connection, table.c.source_id == source_id)
            key, secret = write_keys.insert_key(connection, source_id, self._clock.now())
            self._tell(connection, by, "source.key-made", source_id, key=key.key_id)
            return key, secret

    def revoke_key(self, by: Actor, source_id: int, key_id: str) -> WriteKey:
        """Revokes a write key for ever; collectors know within some seconds. What it brought stays.

        Raises:
            NotThereError: the source has no such key.
        """
        with self._state.writing() as connection:
            if write_keys.revoke_key(connection, source_id, key_id, self._clock.now()):
                self._tell(connection, by, "source.key-revoked", source_id, key=key_id)
            found = [one for one in write_keys.write_keys_of(connection, source_id) if one.key_id == key_id]
        if not found:
            raise NotThereError("The source has no such write key", hint="List them: GET /api/v1/sources/{id}/keys")
        return found[0]

    def _tell(self, connection: Connection, by: Actor, action: str, source_id: int, **details: Any) -> None:
        audit.record(connection, self._clock.now(), by, action, f"source:{source_id}", details=details)


def _found(connection: Connection, which: sa.ColumnElement[bool]) -> Source:
    found = write_keys.find_source(connection, which)
    if found is None:
        raise NotThereError("There is no such source", hint="List them: jingzhe source list")
    return found
