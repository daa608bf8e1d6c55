"""Pages: a cursor says behind which row to go on, so that rows that come or go meanwhile shift nothing.

A cursor is the key of the last row, as JSON in base64url, with the name of the list. It holds nothing that the page
itself does not show, so it is not signed; one that was changed is either refused or a place in the list all the same.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query

from jingzhe.access.errors import RefusedValueError

MOST = 500
Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most", examples=[50])]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next_cursor` of the page before; leave it out for the first page")
]


def cursor_of(name: str, *key: str | float) -> str:
    """Returns the cursor of a row.

    >>> key_of("accounts", cursor_of("accounts", "li@example.com"), str)
    ('li@example.com',)

    Args:
        name: of the list.
        key: of the row, in the list's order.
    """
    text = json.dumps([name, *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_of(name: str, cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Returns the key that a cursor holds.

    Args:
        name: of the list.
        cursor: as :func:`cursor_of` made it.
        kinds: of the key's parts.

    Raises:
        RefusedValueError: it is no cursor of this list.
    """
    try:
        held = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(held, list) or len(held) != len(kinds) + 1 or held[0] != name:
        raise _refused()
    for value, kind in zip(held[1:], kinds, strict=True):
        # True is an int, and 1 is as good as 1.0.
        fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
        if not fits or (isinstance(value, int) and not -(2**63) <= value < 2**63):
            raise _refused()
    return tuple(held[1:])


def moment_of(text: str) -> datetime:
    """Returns a moment that a cursor holds.

    Raises:
        RefusedValueError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refused() from error
    if found.tzinfo is None or not 1970 <= found.year < 9999:
        raise _refused()
    return found


def page(name: str, rows: Sequence[Any], limit: int, key: Any) -> tuple[list[Any], str | None]:
    """Returns the rows of a page and the cursor of the next one.

    Args:
        name: of the list.
        rows: one more than ``limit`` where there is a next page.
        limit: of the page.
        key: returns the key of a row.
    """
    shown = list(rows[:limit])
    return shown, cursor_of(name, *key(shown[-1])) if len(rows) > limit and shown else None


def _refused() -> RefusedValueError:
    return RefusedValueError(
        "This is no cursor of this list", hint="Leave it out to begin with the first page.", field="cursor"
    )
