"""Documents: small JSON bodies that parts own, every change a new version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.errors import StateError
from jingzhe.store.state.records import Document
from jingzhe.store.state.tables import document


def put(connection: Connection, kind: str, name: str, body: Mapping[str, Any], written_at: datetime) -> int:
    """Writes the next version within a transaction that writes, and returns its number.

    Raises:
        StateError: ``body`` holds what JSON cannot say; names the place.
    """
    plain = _plain(body, f"{kind}/{name}")
    take_turn(connection, kind, name)
    newest = connection.scalar(sa.select(sa.func.max(document.c.version)).where(_is(kind, name)))
    version = int(newest or 0) + 1
    row = {"kind": kind, "name": name, "version": version, "body": plain, "created_at": written_at}
    connection.execute(sa.insert(document).values(row))
    return version


def take_turn(connection: Connection, kind: str, name: str) -> None:
    """Waits, within a transaction that writes, until nobody else is writing a document.

    Who reads a document to write what follows from it calls this before reading, or loses what another one wrote in
    between.
    """
    if connection.dialect.name == "postgresql":
        # Two writers of one document take turns until the end of their transactions, so that neither meets
        # the other's number; SQLite has one writer at a time anyway.
        key = sa.func.hashtextextended(f"jingzhe document {kind}/{name}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def get(connection: Connection, kind: str, name: str, version: int | None) -> Document | None:
    """Returns a version (None: the newest) of a document, None where there is none."""
    found = sa.select(document).where(_is(kind, name)).order_by(document.c.version.desc()).limit(1)
    if version is not None:
        found = found.where(document.c.version == version)
    row = connection.execute(found).first()
    return None if row is None else _document(row)


def newest(connection: Connection, kind: str) -> list[Document]:
    """Returns the newest version of every document of ``kind``, ordered by name."""
    other = document.alias()
    last = (
        sa.select(sa.func.max(other.c.version))
        .where(other.c.kind == document.c.kind, other.c.name == document.c.name)
        .scalar_subquery()
    )
    rows = connection.execute(sa.select(document).where(document.c.kind == kind, document.c.version == last))
    # Ordered here: databases order text by the rules of their own language settings.
    return sorted((_document(row) for row in rows), key=lambda one: one.name)


def drop(connection: Connection, kind: str, name: str) -> None:
    """Deletes all versions of a document."""
    connection.execute(sa.delete(document).where(_is(kind, name)))


def _is(kind: str, name: str) -> sa.ColumnElement[bool]:
    return (document.c.kind == kind) & (document.c.name == name)


def _document(row: sa.Row[Any]) -> Document:
    return Document(row.kind, row.name, row.version, row.body, row.created_at)


def _plain(value: Any, place: str) -> Any:
    """Returns ``value`` in JSON's own terms, so that what is read later equals what was written.

    Left to itself the encoder turns a number used as a key into text, and writes NaN, which is no JSON.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise StateError(f"The key {key!r} of a document is not text", at=place)
        return {key: _plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{place}[{index}]") for index, inner in enumerate(value)]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise StateError(f"A document cannot hold {value!r} ({type(value).__name__}): it is no JSON", at=place)
