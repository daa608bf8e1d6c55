"""Finds the events that nobody foresaw: those at which reading or writing fails for a reason that is no refusal.

One of them must not hold up all others. It goes to quarantine like any event that cannot be a fact, as it was written,
and can be tried again when the reason is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from jingzhe.core.errors import JingzheError

UNFORESEEN = "unforeseen"
"""The reason with which such an event is refused."""
NOT_OF_EVENTS = (JingzheError, OSError, MemoryError)
"""Failures of stores and machines: no event is the cause, and trying again is right."""
_ATTEMPTS = 200


def told(error: BaseException) -> str:
    """Returns what failed and where, without the error's own words: they may hold values.

    >>> try:
    ...     int("13800000000x")
    ... except ValueError as error:
    ...     told(error).split(":")[0]
    'ValueError at <doctest jingzhe.collect.isolating.told[0]>'

    Args:
        error: that was raised.
    """
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    return f"{type(error).__name__} at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"


def culprits(
    count: int, attempt: Callable[[NDArray[np.bool_]], None], *, attempts: int = _ATTEMPTS
) -> NDArray[np.bool_]:
    """Returns which of several items make an attempt fail, by halving those that do.

    Args:
        count: how many there are.
        attempt: is tried with some of them; may be called often and publishes nothing.
        attempts: how often at most; what has not been shown to work by then is among those returned.

    Returns:
        True where an item fails by itself, (count,).

    Raises:
        Exception: the attempt fails without any item, or for a reason that is not the items'.
    """
    found = np.zeros(count, bool)
    attempt(found)
    places = np.arange(count)
    doubtful = [(0, count)] if count else []
    while doubtful:
        begin, end = doubtful.pop()
        attempts -= 1
        if attempts >= 0 and _works(attempt, (places >= begin) & (places < end)):
            continue
        if end - begin == 1 or attempts <= 0:
            found[begin:end] = True
        else:
            middle = (begin + end) // 2
            doubtful += [(middle, end), (begin, middle)]
    return found


def _works(attempt: Callable[[NDArray[np.bool_]], None], chosen: NDArray[np.bool_]) -> bool:
    try:
        attempt(chosen)
    except NOT_OF_EVENTS:
        raise
    except Exception:  # noqa: BLE001 - that it fails is what was asked
        return False
    return True
