"""The shape in which every model takes purchase histories, and the check that they can be used.

A history is three numbers about one person: how often they came back, when they last did, how old they are
here.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jingzhe.core.errors import ModelError

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
History: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]


def refuse(bad: NDArray[np.bool_], problem: str, hint: str = "") -> None:
    """Raise where any row is bad, and say how many are and which is the first.

    Args:
        bad: mask of the rows that cannot be used, any shape.
        problem: what is wrong with them, such as ``"frequency is negative"``.
        hint: what to do about it.

    Raises:
        ModelError: at least one row is bad.
    """
    if bad.any():
        flat = bad.ravel()
        count = int(np.count_nonzero(flat))
        raise ModelError(f"{problem} in {count} of {flat.size} rows", hint=hint, first_row=int(np.argmax(flat)))


def checked_history(frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> History:
    """Bring a history to float64 arrays of one shape, or say why it cannot be used.

    Args:
        frequency: x, repeat purchases (distinct purchase days after the first), 0 or more. Any shape.
        recency_days: t_x, days from the first purchase to the last; 0 where x is 0. Broadcasts.
        age_days: T, days from the first purchase to the moment of observation. Broadcasts.

    Returns:
        The three arrays, broadcast against one another.

    Raises:
        ModelError: a value is missing, infinite or negative, t_x > T, or t_x > 0 where x = 0.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in (frequency, recency_days, age_days)]
    try:
        x, recency, age = np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = ", ".join(str(values.shape) for values in arrays)
        raise ModelError(f"frequency, recency_days and age_days have different lengths: {shapes}") from error
    for name, values in (("frequency", x), ("recency_days", recency), ("age_days", age)):
        refuse(~np.isfinite(values), f"{name} is missing or infinite")
        refuse(values < 0, f"{name} is negative")
    refuse(
        recency > age,
        "recency_days is larger than age_days",
        "Purchases after the moment of observation do not belong in a history; cut them off first.",
    )
    refuse(
        (x == 0) & (recency > 0),
        "recency_days is above 0 although frequency is 0",
        "frequency counts repeat purchases: without one, the last purchase is the first.",
    )
    return x, recency, age


def checked_horizon(horizon_days: ArrayLike) -> FloatArray:
    """Bring a horizon to float64, or say why it cannot be used.

    Args:
        horizon_days: length of the time to look ahead, in days; a number, or one per history.

    Returns:
        The same as an array.

    Raises:
        ModelError: a value is missing, infinite or negative.
    """
    horizon = np.asarray(horizon_days, dtype=np.float64)
    refuse(~np.isfinite(horizon), "horizon_days is missing or infinite")
    refuse(horizon < 0, "horizon_days is negative")
    return horizon
