"""Orders of numbers against NumPy's own, also of numbers whose lowest bits find no room beside their places."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from jingzhe.store.state.ordering import among, distinct, first_places, numbered_places, order_of

# Few distinct small numbers, numbers of 63 bits, such as differ in their lowest bits only, and negative ones.
small = st.integers(0, 5)
long = st.integers(2**62, 2**63 - 1)
near = st.integers(2**63 - 9, 2**63 - 1)
below = st.integers(-(2**63), -1)
columns = st.one_of(*(st.lists(sort, max_size=40) for sort in (small, long, near, st.one_of(small, near, below))))


@given(columns)
@example([2**62 + 1, 2**62, 2**62 + 1])
@example([2**63 - 1])
def test_orders_and_places_are_those_of_numpy(listed: list[int]) -> None:
    numbers = np.array(listed, np.int64)
    before = numbers.copy()
    once, first, places = np.unique(numbers, return_index=True, return_inverse=True)
    assert order_of(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
    assert distinct(numbers).tolist() == once.tolist()
    assert first_places(numbers).tolist() == first.tolist()
    assert [column.tolist() for column in numbered_places(numbers)] == [once.tolist(), first.tolist(), places.tolist()]
    assert numbers.tolist() == before.tolist(), "nothing is sorted in its place"


@given(columns, columns)
def test_among_tells_what_a_set_tells(listed: list[int], others: list[int]) -> None:
    ordered = distinct(np.array(others, np.int64))
    assert among(np.array(listed, np.int64), ordered).tolist() == [number in set(others) for number in listed]


def test_many_long_numbers_keep_their_order() -> None:
    numbers = np.random.default_rng(3).integers(0, 2**62, 200_000)
    numbers[100_000:] = numbers[:100_000]
    assert np.array_equal(order_of(numbers), np.argsort(numbers, kind="stable"))
