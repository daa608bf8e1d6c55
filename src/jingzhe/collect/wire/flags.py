"""Flags as clients write them: some send the text ``false``, and a text is true to most languages."""

from __future__ import annotations

from typing import Any

_NO = frozenset({"", "0", "0.0", "false", "no", "off", "null", "none"})


def is_set(value: Any) -> bool:
    """Returns whether a flag is set; something that is neither a truth, a number nor a text sets none.

    >>> [is_set(value) for value in (True, 1, "true", "false", "0", "", None, {"a": 1})]
    [True, True, True, False, False, False, False, False]
    """
    if isinstance(value, str):
        return value.strip().lower() not in _NO
    return isinstance(value, bool | int | float) and bool(value)
