from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import summarise

Raw = list[tuple[int, int, int]]  # person, day, cents

PEOPLE = st.sampled_from([0, 1, 2, 7, 1_000_000, -5, 2**62, -(2**62), 2**63 - 1, -(2**63)])
PURCHASES = st.lists(st.tuples(PEOPLE, st.integers(-40_000, 40_000), st.integers(-500, 5000)), min_size=1)


def by_hand(raw: Raw, as_of: int) -> dict[int, tuple[float, float, float, float]]:
    """x, t_x, T and mean repeat amount per person, spelled out."""
    result = {}
    for person in {who for who, day, _ in raw if day <= as_of}:
        days: dict[int, int] = {}
        for who, day, cents in raw:
            if who == person and day <= as_of:
                days[day] = days.get(day, 0) + cents
        first, last = min(days), max(days)
        repeats = [cents for day, cents in days.items() if day > first]
        mean = sum(repeats) / len(repeats) if repeats else 0.0
        result[person] = (float(len(repeats)), float(last - first), float(as_of - first), mean)
    return result


@given(raw=PURCHASES, as_of=st.integers(-40_000, 45_000))
def test_same_as_by_hand(raw: Raw, as_of: int) -> None:
    person, day, cents = (np.array(column, dtype=np.int64) for column in zip(*raw, strict=True))
    expected = by_hand(raw, as_of)
    if not expected:
        with pytest.raises(ModelError, match="no purchases on or before"):
            summarise(person, day, as_of, cents)
        return
    for amounts in (cents, None):
        summary = summarise(person, day.astype(np.int32), as_of, amounts)
        assert summary.person_id is not None
        assert summary.person_id.tolist() == sorted(expected)
        rows = np.array([expected[who] for who in summary.person_id.tolist()])
        np.testing.assert_array_equal(np.column_stack(summary.history), rows[:, :3])
        np.testing.assert_array_equal(summary.weight, np.ones(len(rows)))
        if amounts is not None:
            assert summary.monetary is not None
            np.testing.assert_allclose(summary.monetary, rows[:, 3], rtol=1e-12, atol=1e-9)
        else:
            assert summary.monetary is None


def test_same_as_lifetimes() -> None:
    pandas: Any = pytest.importorskip("pandas")
    generator = np.random.default_rng(3)
    person = generator.integers(0, 400, 5000)
    day = generator.integers(0, 300, 5000)
    amount = np.round(generator.gamma(2.0, 20.0, 5000), 2)
    dates = np.datetime64("2024-01-01") + day.astype("timedelta64[D]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oracle is archived and pandas warns about it
        oracle: Any = pytest.importorskip("lifetimes.utils")
        theirs = oracle.summary_data_from_transaction_data(
            pandas.DataFrame({"who": person, "date": dates, "amount": amount}),
            "who",
            "date",
            "amount",
            observation_period_end=np.datetime64("2024-09-01"),
        ).sort_index()
    ours = summarise(person, day, 244, amount)
    columns = np.column_stack([*ours.history, ours.monetary if ours.monetary is not None else ours.weight])
    np.testing.assert_allclose(columns, theirs[["frequency", "recency", "T", "monetary_value"]].to_numpy())


@pytest.mark.parametrize(
    ("person", "day", "amount", "message"),
    [
        ([], [], None, "no purchases"),
        ([1], [5], None, "no purchases on or before"),
        ([1.5], [1], None, "person_id must be integers"),
        ([1], [1.5], None, "day must be integers"),
        ([1, 2], [1], None, "different lengths"),
        ([1], [1], [1.0, 2.0], "different lengths"),
        ([1, 1], [1, 2], [1.0, float("nan")], "amount is missing or infinite in 1 of 2 rows"),
        ([[1]], [[1]], None, "one column"),
    ],
)
def test_what_cannot_be_used_is_named(person: Any, day: Any, amount: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        summarise(person, day, 4, amount)
