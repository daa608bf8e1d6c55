"""Columns of the state store that are sealed: what is written is sealed on its way in, what is read is opened.

A column says so by its type, so nobody who writes or reads it can forget. Where a store was opened without keys it
writes such columns as they are; rows from before there were keys are read as they are.
"""

from __future__ import annotations

import json
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from jingzhe.core.errors import SealError
from jingzhe.core.sealing import MAGIC, TEXT, Sealer

_SEALERS: weakref.WeakKeyDictionary[Dialect, Sealer] = weakref.WeakKeyDictionary()


def use(dialect: Dialect, sealer: Sealer) -> None:
    """Has the columns of one database sealed from now on.

    Args:
        dialect: of its engine, which every connection shares.
        sealer: with the project's keys.
    """
    _SEALERS[dialect] = sealer


def sealer_of(dialect: Dialect) -> Sealer | None:
    """Returns what a database's columns are sealed with, None where they are not."""
    return _SEALERS.get(dialect)


class SealedBytes(TypeDecorator[bytes]):
    """Bytes that are sealed.

    Args:
        what: table and column, which are authenticated with them.
    """

    impl = sa.LargeBinary
    cache_ok = True

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Seals."""
        sealer = _SEALERS.get(dialect)
        return value if value is None or sealer is None else sealer.seal(self.what, value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:
        """Opens."""
        if value is None:
            return None
        stored = bytes(value)
        return _known(self.what, dialect).open(self.what, stored) if stored.startswith(MAGIC) else stored


class SealedText(TypeDecorator[str]):
    """A text that is sealed; an empty one, which says nothing, is not.

    Args:
        what: table and column, which are authenticated with it.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seals."""
        sealer = _SEALERS.get(dialect)
        return sealer.seal_text(self.what, value) if value and sealer is not None else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Opens."""
        return _opened_text(self.what, value, dialect) if isinstance(value, str) else value


class SealedJson(TypeDecorator[Any]):
    """JSON that is sealed as one text; what is empty is not.

    Args:
        what: table and column, which are authenticated with it.
    """

    impl = sa.JSON
    cache_ok = True

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any | None:
        """Seals."""
        sealer = _SEALERS.get(dialect)
        if not value or sealer is None:
            return value
        return sealer.seal_text(self.what, json.dumps(value, ensure_ascii=False))

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        """Opens."""
        if not isinstance(value, str) or not value.startswith(TEXT):
            return value
        return json.loads(_opened_text(self.what, value, dialect))


def opened(connection: Connection, column: sa.Column[Any], text: str) -> str:
    """Returns what a statement in plain SQL read from a sealed column of texts.

    Args:
        connection: by which it was read.
        column: which one.
        text: as it is stored.

    Raises:
        SealError: it cannot be opened.
    """
    return _opened_text(f"{column.table.name}.{column.name}", text, connection.dialect)


def _opened_text(what: str, text: str, dialect: Dialect) -> str:
    return _known(what, dialect).open_text(what, text) if text.startswith(TEXT) else text


def _known(what: str, dialect: Dialect) -> Sealer:
    sealer = _SEALERS.get(dialect)
    if sealer is None:
        raise SealError("This is sealed, and the store was opened without its keys", column=what)
    return sealer
