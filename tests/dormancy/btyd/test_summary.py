from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import Summary


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, float, float]]:
    """A few distinct histories, many times over: whole days, halves, or numbers too large to be packed."""
    unit = draw(st.sampled_from([1.0, 0.5, 2.0**30]))
    one = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
    rows = draw(st.lists(one, min_size=1, max_size=60))
    return [(float(x), unit * (lag if x else 0), unit * ((lag if x else 0) + rest)) for x, lag, rest in rows]


@given(histories(), st.booleans(), st.booleans())
def test_compressing_counts_equal_histories(
    rows: list[tuple[float, float, float]], keep_inverse: bool, weighted: bool
) -> None:
    weight = np.arange(1, len(rows) + 1) / 2 if weighted else np.ones(len(rows))
    summary = Summary.of(*np.array(rows).T, weight=weight)
    compressed = summary.compress(keep_inverse=keep_inverse)
    expected: Counter[tuple[float, float, float]] = Counter()
    for row, people in zip(rows, weight.tolist(), strict=True):
        expected[row] += people
    found = list(zip(*(column.tolist() for column in compressed.history), strict=True))
    assert dict(zip(found, compressed.weight.tolist(), strict=True)) == dict(expected)
    assert found == sorted(found)
    assert compressed.n_people == summary.n_people
    if keep_inverse:
        for column, original in zip(compressed.history, summary.history, strict=True):
            np.testing.assert_array_equal(compressed.scatter(column), original)
    else:
        with pytest.raises(ModelError, match="who is where"):
            compressed.scatter(compressed.weight)


NAN = float("nan")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([], [], []), "no purchase histories"),
        (([1, -1], [1, 1], [2, 2]), r"frequency is negative in 1 of 2 rows \(first_row 1\)"),
        (([1, 1], [1, 3], [2, 2]), "recency_days is larger than age_days in 1 of 2 rows"),
        (([1], [-1], [2]), "recency_days is negative"),
        (([0], [0], [-2]), "age_days is negative"),
        (([NAN], [0], [1]), "frequency is missing or infinite"),
        (([1], [NAN], [1]), "recency_days is missing or infinite"),
        (([1], [0], [float("inf")]), "age_days is missing or infinite"),
        (([0], [1], [2]), "recency_days is above 0 although frequency is 0"),
        (([1, 2], [1, 2], [1, 2, 3]), "different lengths"),
    ],
)
def test_what_cannot_be_used_is_named(columns: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Summary.of(*columns)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weight": [1.0]}, "weight has shape"),
        ({"weight": [1.0, -1.0]}, "weight is negative in 1 of 2 rows"),
        ({"weight": [0.0, 0.0]}, "no person is left"),
        ({"monetary": [1.0, NAN]}, "monetary is missing or infinite"),
    ],
)
def test_columns_beside_the_history_are_checked(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Summary.of([1, 2], [1, 2], [3, 3], **more)
