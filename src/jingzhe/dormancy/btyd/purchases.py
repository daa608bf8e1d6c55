"""From raw purchases to recency, frequency, age and monetary value per person."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.history import FloatArray, IntArray, refuse
from jingzhe.dormancy.btyd.summary import Summary

_Purchases: TypeAlias = tuple[IntArray, IntArray, FloatArray | None]

_PACKED_BITS = 63  # of an int64, without the sign
_DENSE_FACTOR = 4  # ids spread over at most so many times the purchases are used as table positions


def summarise(person_id: ArrayLike, day: ArrayLike, as_of_day: int, amount: ArrayLike | None = None) -> Summary:
    """Summarise purchases as of a day: x, t_x, T and mean repeat amount of each person.

    Purchases of one day count once (Fader, Hardie & Lee 2005, section 4), their amounts are added up;
    purchases after ``as_of_day`` are not seen. As in Fader & Hardie 2013, the first purchase day is not part
    of ``monetary``.

    Args:
        person_id: whose purchase it is, any int64, in any order, shape (n,).
        day: day number of the purchase, any epoch, integer, shape (n,).
        as_of_day: day number of the moment of observation.
        amount: money of the purchase, shape (n,).

    Returns:
        One row per person who had bought by then, sorted by ``person_id``, each with weight 1.

    Raises:
        ModelError: shapes differ, ids or days are not integers, an amount is missing, or no purchase is left.
    """
    person, days, money = _checked(person_id, day, int(as_of_day), amount)
    low, spread = int(person.min()), int(person.max()) - int(person.min())
    day_from = int(days.min())
    day_bits = max(1, (int(as_of_day) - day_from).bit_length())

    # Ids that are nearly dense serve as positions themselves. Ids that are far apart still pack into one key,
    # but amounts could not be added up by position; then, and when they do not even pack, they are ranked
    # first.
    dense = spread < _DENSE_FACTOR * person.size
    ranked = not dense and (money is not None or spread.bit_length() + day_bits > _PACKED_BITS)
    ids: IntArray | None = None
    if ranked:
        (person, days, money), ids = _ranked(person, days, money)
        low = 0
    position = person if low == 0 else person - low
    first_day = days if day_from == 0 else days - day_from
    keys = position << day_bits
    keys |= first_day
    keys.sort()

    opens, first, last, count = _per_person(keys, day_bits)
    who = opens + low if ids is None else ids
    x = (count - 1).astype(np.float64)
    monetary = None
    if money is not None:
        monetary = _mean_repeat_amount(position, first_day, money, opens=opens, first=first, x=x)
    recency = (last - first).astype(np.float64)
    age = (int(as_of_day) - day_from - first).astype(np.float64)
    return Summary(x, recency, age, np.ones(x.size), monetary, person_id=who)


def _checked(person_id: ArrayLike, day: ArrayLike, as_of_day: int, amount: ArrayLike | None) -> _Purchases:
    person, days = _integers(person_id, "person_id"), _integers(day, "day")
    money = None if amount is None else np.asarray(amount, dtype=np.float64)
    if person.shape != days.shape or (money is not None and money.shape != person.shape):
        raise ModelError("person_id, day and amount have different lengths")
    if money is not None:
        refuse(~np.isfinite(money), "amount is missing or infinite")
    if days.size and int(days.max()) > as_of_day:
        seen = days <= as_of_day
        person, days, money = person[seen], days[seen], None if money is None else money[seen]
    if person.size == 0:
        raise ModelError("there are no purchases on or before the day of observation", as_of_day=as_of_day)
    return person, days, money


def _integers(values: ArrayLike, name: str) -> IntArray:
    array: NDArray[np.generic] = np.asarray(values)
    if array.ndim != 1:
        raise ModelError(f"{name} must be one column, its shape is {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ModelError(f"{name} must be integers, it is {array.dtype}")
    return array.astype(np.int64, copy=False)


def _ranked(person: IntArray, days: IntArray, money: FloatArray | None) -> tuple[_Purchases, IntArray]:
    """Sort purchases by person and replace ids by their rank.

    Returns:
        The purchases with ranks for ids, and the id of each rank.
    """
    order = np.argsort(person)
    person, days = person[order], days[order]
    opens = np.concatenate(([True], person[1:] != person[:-1]))
    rank = np.cumsum(opens) - 1
    return (rank, days, None if money is None else money[order]), person[opens]


def _per_person(keys: IntArray, day_bits: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Reduce sorted keys ``position << day_bits | day``.

    Returns:
        Per person: position, first day, last day, number of distinct days.
    """
    new = np.empty(keys.size, dtype=np.bool_)
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    if not new.all():
        keys = keys[new]
    position = keys >> day_bits
    starts = np.flatnonzero(position[1:] != position[:-1])
    starts = np.concatenate(([0], starts + 1))
    ends = np.concatenate((starts[1:], [keys.size]))
    mask = (1 << day_bits) - 1
    return position[starts], keys[starts] & mask, keys[ends - 1] & mask, ends - starts


def _mean_repeat_amount(
    position: IntArray, day: IntArray, money: FloatArray, *, opens: IntArray, first: IntArray, x: FloatArray
) -> FloatArray:
    """Add up what was bought after each person's first day and divide by x; 0 where x is 0."""
    table = np.zeros(int(opens[-1]) + 1, dtype=np.int64)
    table[opens] = first
    repeat_money = np.where(day > table[position], money, 0.0)
    total = np.bincount(position, weights=repeat_money, minlength=table.size)[opens]
    mean: FloatArray = np.divide(total, x, out=np.zeros(x.size), where=x > 0)
    return mean
