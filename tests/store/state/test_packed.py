"""Packed rows against a plain dictionary and a plain list, over random batches, with runs of a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingzhe.store.state import State, packed
from jingzhe.store.state.identity_tables import identity_block, identity_run, identity_span
from jingzhe.store.state.packed import Rows, Shelf

ONE = Shelf("one", (("number", "<i8"),), texts=2, unique=True)
MANY = Shelf("many", (("number", "<i8"),), texts=1)

numbers = st.integers(0, 40)
batches = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(numbers, numbers), max_size=25)),
        st.tuples(st.just("blank"), st.lists(st.tuples(numbers, numbers), max_size=3)),
    ),
    max_size=12,
)


@contextmanager
def tiny() -> Iterator[None]:
    """Blocks of three rows, and runs that are merged as those of thousands are."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"_ROWS": 3, "_BLOCKS": 2, "_SPAN": 6, "_SMALL": 8, "_LARGE": 60}.items():
            patched.setattr(packed, name, value)
        yield


def rows_of(shelf: Shelf, pairs: list[tuple[int, int]]) -> Rows:
    keys, others = np.array(pairs, np.int64).reshape(-1, 2).T
    texts = [pa.array([f"{n}·{key}" * (key % 3) for key, _ in pairs], pa.string()) for n in range(shelf.texts)]
    return shelf.rows({"key": keys, "number": others}, tuple(texts))


def told(rows: Rows) -> list[tuple[int, int]]:
    pairs = list(zip(rows.records["key"].tolist(), rows.records["number"].tolist(), strict=True))
    for n, text in enumerate(rows.texts):
        assert text.to_pylist() == [f"{n}·{key}" * (key % 3) for key, _ in pairs], "texts stay with their rows"
    return sorted(pairs)


@given(batches, st.lists(numbers, max_size=10))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_those_of_a_dictionary_and_a_list(
    state: State, done: list[tuple[str, list[tuple[int, int]]]], asked: list[int]
) -> None:
    one: dict[int, int] = {}
    many: list[tuple[int, int]] = []
    with tiny(), state.writing() as connection:
        for table in (identity_run, identity_span, identity_block):
            connection.execute(sa.delete(table))
        for action, pairs in done:
            if action == "add":
                one.update(dict(pairs))
                many += pairs
                packed.add(connection, ONE, rows_of(ONE, list(dict(pairs).items())))
                packed.add(connection, MANY, rows_of(MANY, pairs))
            else:
                gone = {key for key, _ in pairs}
                for key in gone:
                    one.pop(key, None)
                many = [pair for pair in many if not (pair[0] in gone and pair[1] % 2)]
                keys = np.array([key for key, _ in pairs], np.int64)
                packed.blank(connection, ONE, keys)
                packed.blank(connection, MANY, keys, lambda records: records["number"] % 2 == 1)
        wanted = np.array(asked, np.int64)
        assert told(packed.read_all(connection, ONE)) == sorted(one.items())
        assert told(packed.read_all(connection, MANY)) == sorted(many)
        assert told(packed.read(connection, ONE, wanted)) == sorted(pair for pair in one.items() if pair[0] in asked)
        assert told(packed.read(connection, MANY, wanted)) == sorted(pair for pair in many if pair[0] in asked)
        assert packed.read(connection, ONE, wanted, texts=1).texts[0].to_pylist() == [
            f"0·{key}" * (key % 3) for key in packed.read(connection, ONE, wanted).records["key"].tolist()
        ]


def test_what_was_blanked_is_in_no_block(state: State) -> None:
    with state.writing() as connection:
        packed.add(connection, ONE, ONE.rows({"key": np.arange(500), "number": 7}, _values("secret-{}", 500)))
        packed.blank(connection, ONE, np.array([77]))
        blocks = connection.execute(sa.select(identity_block.c.texts_0, identity_block.c.texts_1)).all()
    everything = b"".join(part for block in blocks for part in block)
    assert b"secret-77s" not in everything
    assert b"secret-76s" in everything
    with state.reading() as connection:
        assert len(packed.read(connection, ONE, np.array([77])).records) == 0


def test_small_runs_become_one_and_large_ones_stay(state: State) -> None:
    with tiny(), state.writing() as connection:
        sizes = []
        for begin in range(0, 140, 7):
            packed.add(connection, MANY, rows_of(MANY, [(key, key) for key in range(begin, begin + 7)]))
            found = connection.execute(sa.select(identity_run.c.row_count).order_by(identity_run.c.run)).scalars().all()
            sizes.append(list(found))
    assert sizes[0] == [7]
    assert max(len(size) for size in sizes) <= 5
    assert sum(sizes[-1]) == 140
    assert max(max(size) for size in sizes) <= 60


def _values(form: str, count: int) -> tuple[pa.Array, pa.Array]:
    values = pa.array([form.format(f"{n}s") for n in range(count)], pa.string())
    return values, values
