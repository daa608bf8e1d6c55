"""Many numbers told to a statement, and many read from it, on both kinds of store."""

from __future__ import annotations

import numpy as np

from jingzhe.store.state import State, bulk

LARGE = 2**62 + 1
PAIRS = [(1, LARGE), (2, -5), (5, 0), (7, 70)]


def test_values_come_row_after_row(state: State) -> None:
    with state.writing() as connection:
        bulk.offer(connection, "told", ("a", "b"), PAIRS)
        flat = bulk.select_flat(
            connection, "SELECT t.a, t.b FROM ({numbers}) q JOIN told t ON t.a = q.n ORDER BY t.a", [7, 1, 3]
        )
        ranged = bulk.select_flat(
            connection, "SELECT a FROM told WHERE a BETWEEN {low} AND {high} ORDER BY a", low=2, high=5
        )
        rows = bulk.select(connection, "SELECT t.a, t.b FROM ({numbers}) q JOIN told t ON t.a = q.n", [2])
        none = bulk.select_flat(connection, "SELECT n FROM ({numbers}) q", [])
    assert flat == [1, LARGE, 7, 70]
    assert ranged == [2, 5]
    assert rows == [(2, -5)]
    assert none == []


def test_numbers_of_numpy_are_numbers(state: State) -> None:
    with state.reading() as connection:
        found = bulk.select_flat(connection, "SELECT n FROM ({numbers}) q ORDER BY n", list(np.array([9, LARGE])))
    assert found == [9, LARGE]


def test_columns_are_whole_and_belong_together(state: State) -> None:
    with state.writing() as connection:
        bulk.offer(connection, "told", ("a", "b"), PAIRS)
        a, b = bulk.columns(connection, ("a", "b"), "FROM told")
        some = bulk.columns(connection, ("t.b",), "FROM ({numbers}) q JOIN told t ON t.a = q.n", [5])
        none = bulk.columns(connection, ("a", "b"), "FROM told WHERE a > {low}", low=7)
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == PAIRS
    assert [column.tolist() for column in some] == [[0]]
    assert [column.tolist() for column in none] == [[], []]


def test_a_statement_that_writes_takes_numbers_as_well(state: State) -> None:
    with state.writing() as connection:
        bulk.offer(connection, "told", ("a", "b"), [])
        bulk.execute(
            connection, "INSERT INTO told (a, b) SELECT q.n, CAST({more} AS BIGINT) FROM ({numbers}) q", [4, 8], more=3
        )
        assert sorted(bulk.select(connection, "SELECT a, b FROM told")) == [(4, 3), (8, 3)]
