"""What failed and where, in words that hold nothing of what was being worked on."""

from __future__ import annotations

from pathlib import PurePath


def told(error: BaseException) -> str:
    """Returns what failed and where, without the error's own words: they may hold values.

    >>> try:
    ...     int("13800000000x")
    ... except ValueError as error:
    ...     told(error).split(":")[0]
    'ValueError at <doctest jingzhe.core.failures.told[0]>'

    Args:
        error: that was raised.
    """
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    return f"{type(error).__name__} at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
