"""Refused events and rows for eyes that may not see people: the shape of each value in place of the value.

``13800138000`` becomes ``99999999999``, ``Li Lei`` becomes ``xx xxx``: enough to see that a date stands where an amount
should, too little to know whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jingzhe.collect.personal import PersonalNames

OPEN = frozenset({
    "type", "event", "timestamp", "originalTimestamp", "sentAt", "time", "_flush_time", "time_free", "historical",
})  # fmt: skip
"""Fields of an event itself that say what it is and when, never whose; within its properties they may say anything."""
_LONGEST = 200
_SHORT_NUMBER = 100_000
_NAMES = PersonalNames()


def shape(text: str) -> str:
    """Returns letters as x, digits as 9, other signs as they are.

    >>> shape("Li.Lei7@example.com 李雷")
    'xx.xxx9@xxxxxxx.xxx xx'
    """
    cut = text[:_LONGEST]
    return "".join("9" if sign.isdigit() else "x" if sign.isalpha() else sign for sign in cut)


def masked(event: Any) -> Any:
    """Returns JSON with its values as shapes; names of fields, truths, small numbers and what :data:`OPEN` names stay.

    Small numbers of personal fields, as :mod:`jingzhe.collect.personal` names them, do not.

    Args:
        event: as a decoder gives it.
    """
    if isinstance(event, Mapping):
        return {
            name: value if name in OPEN and _is_plain(value) else _hidden(value, personal=_is_personal(name))
            for name, value in event.items()
        }
    return _hidden(event)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping | list)


def _hidden(value: Any, *, personal: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {name: _hidden(inner, personal=personal or _is_personal(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner, personal=personal) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return shape(value)
    # A telephone number may stand there as a number, and of a personal field a short one tells something, too.
    return value if abs(value) < _SHORT_NUMBER and not personal else shape(str(value))


def _is_personal(name: object) -> bool:
    return _NAMES.holds(str(name), of_person=True)


def masked_text(text: str) -> str:
    """Returns a text that may be JSON with its values as shapes."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return shape(text)
    return json.dumps(masked(found), ensure_ascii=False)
