from __future__ import annotations

from pathlib import Path

from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.tail import gather_tail
from tests.store.small import event, ids, opened, published, retracted


def test_many_small_files_become_one_and_readers_see_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as warehouse:
        for number in range(10):
            published(warehouse, [event(number, number % 3), event(100 + number, number % 3)])
        retracted(warehouse, [(0, 0)])
        with warehouse.reading() as session:
            before = ids(session), ids(session, "items")
        done = gather_tail(warehouse, (EVENTS, ITEMS), at_least=10)
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
        assert gather_tail(warehouse, (EVENTS,), at_least=6).publication is None
        assert gather_tail(warehouse, (EVENTS,), at_least=2, small_bytes=10).publication is None
        assert gather_tail(warehouse, (EVENTS,), at_least=5).files == 5
        assert gather_tail(warehouse, (EVENTS,), at_least=5).publication is None
