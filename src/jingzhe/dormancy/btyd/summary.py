"""Purchase histories as sufficient statistics: one row per distinct history, weighted by people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.history import FloatArray, History, IntArray, checked_history, refuse

_PACKED_BITS = 63  # of an int64, without the sign


@dataclass(frozen=True, slots=True)
class Summary:
    """Histories of many people; every array is 1-D and of the same length, one entry per row.

    Args:
        frequency: x, distinct purchase days after the first.
        recency_days: t_x, days from the first purchase day to the last.
        age_days: T, days from the first purchase day to the moment of observation.
        weight: number of people who have this history.
        monetary: mean amount of a repeat purchase day, 0 where x is 0; None when amounts are not known.
        person_id: whose history it is; None once rows stand for several people.
        inverse: for each person of the uncompressed summary, the row that holds their history; see `scatter`.
    """

    frequency: FloatArray
    recency_days: FloatArray
    age_days: FloatArray
    weight: FloatArray
    monetary: FloatArray | None = None
    person_id: IntArray | None = None
    inverse: IntArray | None = None

    @classmethod
    def of(
        cls,
        frequency: ArrayLike,
        recency_days: ArrayLike,
        age_days: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        monetary: ArrayLike | None = None,
    ) -> Summary:
        """Check arrays and make a summary of them.

        Args:
            frequency: x per row, shape (n,).
            recency_days: t_x per row, shape (n,).
            age_days: T per row, shape (n,).
            weight: people per row, shape (n,); one each when None.
            monetary: mean amount of a repeat purchase day, shape (n,).

        Returns:
            The summary, uncompressed.

        Raises:
            ModelError: there are no rows, or some cannot be used; the message says which.
        """
        x, recency, age = (np.atleast_1d(values) for values in checked_history(frequency, recency_days, age_days))
        if x.size == 0:
            raise ModelError("there are no purchase histories", hint="Check the time range and the activity.")
        weights = np.ones(x.size) if weight is None else _per_row(weight, x.size, "weight")
        refuse(weights < 0, "weight is negative")
        if not weights.any():
            raise ModelError("all weights are 0, so that no person is left")
        amounts = None if monetary is None else _per_row(monetary, x.size, "monetary")
        return cls(x, recency, age, weights, amounts)

    @property
    def history(self) -> History:
        """The three arrays which the models' methods take: ``model.p_alive(*summary.history)``."""
        return self.frequency, self.recency_days, self.age_days

    @property
    def n_people(self) -> float:
        """Number of people: the sum of the weights."""
        return float(self.weight.sum())

    def __len__(self) -> int:
        return self.frequency.size

    def compress(self, *, keep_inverse: bool = False) -> Summary:
        """Merge equal histories; the likelihood of the purchase models stays the same.

        Amounts are left out, for they are hardly ever equal.

        Args:
            keep_inverse: keep which row each person went to, so that `scatter` can bring predictions back.

        Returns:
            A summary whose rows are distinct and sorted by x, t_x, T.
        """
        keys = self._packed()
        plain = not keep_inverse and bool((self.weight == 1.0).all())
        if keys is not None and plain:
            return _unpacked_counts(*keys)
        columns = np.column_stack(self.history)
        if keys is not None:
            _, first, inverse = np.unique(keys[0], return_index=True, return_inverse=True)
            rows = columns[first]
        else:
            rows, inverse = np.unique(columns, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1).astype(np.int64, copy=False)
        weight = np.bincount(inverse, weights=self.weight, minlength=len(rows)).astype(np.float64, copy=False)
        x, recency, age = np.ascontiguousarray(rows.T)
        return Summary(x, recency, age, weight, inverse=inverse if keep_inverse else None)

    def scatter(self, values: ArrayLike) -> FloatArray:
        """Bring predictions for compressed rows back to people.

        Args:
            values: one value per row of this compressed summary, shape (rows,).

        Returns:
            One value per person of the summary that was compressed, in its order.

        Raises:
            ModelError: the summary was not made by ``compress(keep_inverse=True)``.
        """
        if self.inverse is None:
            raise ModelError("this summary does not know who is where", hint="Use compress(keep_inverse=True).")
        return np.asarray(values, dtype=np.float64)[self.inverse]

    def _packed(self) -> tuple[IntArray, int, int] | None:
        """One sortable integer per row, and the bits of t_x and of T; None unless all are whole and fit."""
        whole: list[IntArray] = []
        for values in self.history:
            if values.max() >= 2.0**31:
                return None
            integers = values.astype(np.int64)
            if not np.array_equal(integers, values):
                return None
            whole.append(integers)
        x, recency, age = whole
        recency_bits, age_bits = int(recency.max()).bit_length(), int(age.max()).bit_length()
        if int(x.max()).bit_length() + recency_bits + age_bits > _PACKED_BITS:
            return None
        return (((x << recency_bits) | recency) << age_bits) | age, recency_bits, age_bits


def _per_row(values: ArrayLike, n_rows: int, name: str) -> FloatArray:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.shape != (n_rows,):
        raise ModelError(f"{name} has shape {array.shape}, the histories have ({n_rows},)")
    refuse(~np.isfinite(array), f"{name} is missing or infinite")
    return array


def _unpacked_counts(keys: IntArray, recency_bits: int, age_bits: int) -> Summary:
    """Sort packed keys and count equal ones; sorting values is several times faster than sorting an index."""
    ordered = np.sort(keys)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    distinct = ordered[starts]
    weight = np.diff(starts, append=ordered.size).astype(np.float64)
    age = (distinct & ((1 << age_bits) - 1)).astype(np.float64)
    rest = distinct >> age_bits
    recency = (rest & ((1 << recency_bits) - 1)).astype(np.float64)
    return Summary((rest >> recency_bits).astype(np.float64), recency, age, weight)
