from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.tail import gather_tail
from jingzhe.store.warehouse import Warehouse
from tests.store.small import event, ids, opened, published, retracted


def sizes(warehouse: Warehouse) -> list[int]:
    """Returns the rows of each file of events, in order."""
    latest = warehouse.state.latest()
    assert latest is not None
    return sorted(file.rows for file in warehouse.lake.files(EVENTS, latest.tables["events"]))


def test_many_small_files_become_one_and_readers_see_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as warehouse:
        for number in range(10):
            published(warehouse, [event(number, number % 3), event(100 + number, number % 3)])
        retracted(warehouse, [(0, 0)])
        with warehouse.reading() as session:
            before = ids(session), ids(session, "items")
        done = gather_tail(warehouse, (EVENTS, ITEMS), fan_in=10)
        assert (done.files, done.rows) == (20, 40)
        with warehouse.reading() as session:
            assert (ids(session), ids(session, "items")) == before
        latest = warehouse.state.latest()
        assert latest is not None
        assert [len(warehouse.lake.files(table, latest.tables[table.name])) for table in (EVENTS, ITEMS)] == [1, 1]
        # What a correction hides is still there for the correction to be undone or folded in.
        assert warehouse.lake.rows(EVENTS, latest.tables["events"]) == (20, 0)


def test_few_or_large_files_are_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as warehouse:
        assert gather_tail(warehouse, (EVENTS,)).publication is None
        for number in range(5):
            published(warehouse, [event(number, 1)])
        assert gather_tail(warehouse, (EVENTS,), fan_in=6).publication is None
        assert gather_tail(warehouse, (EVENTS,), fan_in=2, at_least=6).publication is None
        assert gather_tail(warehouse, (EVENTS,), fan_in=2, small_bytes=10).publication is None
        assert gather_tail(warehouse, (EVENTS,), fan_in=5).files == 5
        assert gather_tail(warehouse, (EVENTS,), fan_in=5).publication is None


def test_what_was_put_together_waits_for_others_of_its_size(tmp_path: Path) -> None:
    with opened(tmp_path) as warehouse:
        for number in range(3):
            published(warehouse, [event(number, 1)])
        gather_tail(warehouse, (EVENTS,), fan_in=3)
        assert sizes(warehouse) == [3]
        for number in range(3, 6):
            published(warehouse, [event(number, 1)])
        # Three small ones came; the one of three rows is not written again.
        assert gather_tail(warehouse, (EVENTS,), fan_in=3).rows == 3
        assert sizes(warehouse) == [3, 3]
        published(warehouse, [event(number, 1) for number in range(6, 9)])
        assert gather_tail(warehouse, (EVENTS,), fan_in=3).rows == 9
        assert sizes(warehouse) == [9]


def test_rows_are_sorted_unless_that_is_too_dear(tmp_path: Path) -> None:
    for ordered in (True, False):
        with opened(tmp_path / str(ordered)) as warehouse:
            for number in (3, 2, 1):
                published(warehouse, [event(10 - number, number)])
            gather_tail(warehouse, (EVENTS,), fan_in=3, ordered=ordered)
            latest = warehouse.state.latest()
            assert latest is not None
            (file,) = warehouse.lake.files(EVENTS, latest.tables["events"])
            assert file.is_sorted == ordered
            people = pq.read_table(file.path)["person_id"].to_pylist()
            assert sorted(people) == [1, 2, 3]
            assert not ordered or people == [1, 2, 3]


def test_more_than_fits_into_one_file_becomes_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.lake.tail.MOST_BYTES", 1)
    with opened(tmp_path) as warehouse:
        for number in range(8):
            published(warehouse, [event(number, 1)])
        gather_tail(warehouse, (EVENTS,), fan_in=3)
        assert sizes(warehouse) == [3, 5]
        with warehouse.reading() as session:
            assert ids(session) == list(range(8))


def test_a_row_is_written_no_oftener_than_there_are_sizes(tmp_path: Path) -> None:
    draw, written, rows = random.Random(1), 0, 0  # noqa: S311 - what is drawn is no secret
    with opened(tmp_path) as warehouse:
        for _ in range(40):
            count = draw.randint(1, 6)
            published(warehouse, [event(rows + place, draw.randint(1, 9)) for place in range(count)])
            rows += count
            written += gather_tail(warehouse, (EVENTS,), fan_in=3).rows
        # From a file of one row to one of all: at most one class further each time.
        assert written <= rows * 5
        assert len(sizes(warehouse)) <= 2 * 5
        with warehouse.reading() as session:
            assert ids(session) == list(range(rows))
