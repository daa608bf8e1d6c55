"""Orders of many whole numbers: what joining in memory is made of.

NumPy sorts numbers several times as fast as it says in which order they would stand, and looks numbers up several times
as fast when they come in order. Both are used here, once for all who work on the identity graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_BITS = 63
"""Bits of a number that is not negative."""


def order_of(numbers: Numbers) -> Numbers:
    """Returns the places of ``numbers`` in the order of the numbers; equal ones keep theirs.

    Each number is sorted together with its place, which stands in its lowest bits. Of numbers that are too long for
    that, the lowest bits are left out; where these would have told two apart, NumPy's own way is taken.

    >>> order_of(np.array([30, 10, 20, 10])).tolist()
    [1, 3, 2, 0]
    """
    count = len(numbers)
    if not count:
        return np.empty(0, np.int64)
    if int(numbers.min()) < 0:
        return np.argsort(numbers, kind="stable")
    bits = count.bit_length()
    left_out = max(int(numbers.max()).bit_length() + bits - _BITS, 0)
    packed: Numbers = (numbers >> left_out) << bits
    packed |= np.arange(count)
    packed.sort()
    packed &= (1 << bits) - 1
    if left_out:
        ordered = numbers[packed]
        if (ordered[1:] < ordered[:-1]).any():
            return np.argsort(numbers, kind="stable")
    return packed


def distinct(numbers: Numbers) -> Numbers:
    """Returns the distinct numbers in order."""
    ordered = np.sort(numbers)
    return ordered[_begins(ordered)]


def first_places(numbers: Numbers) -> Numbers:
    """Returns where each distinct number stands first, in the order of the numbers."""
    order = order_of(numbers)
    return order[_begins(numbers[order])]


def numbered_places(numbers: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Returns the distinct numbers in order, where each stands first, and the place of each number among them."""
    order = order_of(numbers)
    ordered = numbers[order]
    begins = _begins(ordered)
    places = np.empty(len(numbers), np.int64)
    places[order] = np.cumsum(begins) - 1
    return ordered[begins], order[begins], places


def among(numbers: Numbers, ordered: Numbers) -> NDArray[np.bool_]:
    """Tells which numbers stand in ``ordered``."""
    if not len(ordered):
        return np.zeros(len(numbers), bool)
    place = np.searchsorted(ordered, numbers)
    place[place == len(ordered)] = 0
    found: NDArray[np.bool_] = ordered[place] == numbers
    return found


def _begins(ordered: Numbers) -> NDArray[np.bool_]:
    """Tells where another number begins."""
    begins = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins
