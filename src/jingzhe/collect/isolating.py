"""Finds the events that nobody foresaw: those at which reading or writing fails for a reason that is no refusal.

One of them must not hold up all others. It goes to quarantine like any event that cannot be a fact, as it was written,
and can be tried again when the reason is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jingzhe.core.errors import JingzheError

UNFORESEEN = "unforeseen"
"""The reason with which such an event is refused."""
NOT_OF_EVENTS = (JingzheError, OSError, MemoryError)
"""Failures of stores and machines: no event is the cause, and trying again is right."""
_ATTEMPTS = 200


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
