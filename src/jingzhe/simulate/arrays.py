"""Types of numpy arrays, tables for drawing from a few values, and the streams of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Bytes: TypeAlias = NDArray[np.uint8]


class Stream(IntEnum):
    """What a stream of random numbers is for: one part drawing more must not change another."""

    CATALOGUE = 1
    PEOPLE = 2
    PURCHASES = 3
    BASKETS = 4
    REFUNDS = 5
    BROWSING = 6
    SESSIONS = 7
    DAILY = 8


def generator(seed: int, stream: Stream, number: int = 0) -> np.random.Generator:
    """Returns the random numbers of ``stream`` for block (or day) ``number``.

    SFC64 is the fastest of numpy's bit generators; ``SeedSequence`` keeps the streams independent.
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int(stream), number])))


def quantiles(weights: Sequence[float] | Floats, resolution: int = 256) -> Ints:
    """Tabulates an inverse distribution function, so that one small random integer draws from it.

    Args:
        weights: shape (n,), relative probability of each of the values 0..n-1, not negative.
        resolution: length of the table; probabilities are rounded to its reciprocal.

    Returns:
        Shape (resolution,): the value for each equally likely index.
    """
    cumulated = np.cumsum(np.asarray(weights, dtype=np.float64))
    middles = (np.arange(resolution) + 0.5) / resolution
    return np.searchsorted(cumulated / cumulated[-1], middles, side="right").astype(np.int64)


def starts_of(counts: Ints) -> Ints:
    """Returns the position at which each of the runs of lengths ``counts`` (n,) begins."""
    return np.cumsum(counts) - counts


def within_runs(counts: Ints) -> Ints:
    """Returns 0, 1, 2 … anew for each of the runs of lengths ``counts`` (n,); shape (sum of counts,)."""
    return np.arange(int(counts.sum())) - np.repeat(starts_of(counts), counts)
