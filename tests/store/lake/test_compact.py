from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from jingzhe.store.facts import EVENTS, RETRACTIONS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.tables import in_order
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse
from tests.store.small import SCORES, event, ids, published, retracted, scores, stage_scores


def versions(warehouse: Warehouse) -> dict[str, int]:
    latest = warehouse.state.latest()
    return dict(latest.tables) if latest else {}


def stored_rows(warehouse: Warehouse, name: str) -> int:
    return sum(warehouse.lake.rows(warehouse.catalogue[name], versions(warehouse)[name]))


def test_rows_are_sorted_and_corrections_folded_in(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3), event(3, 5)])
    published(warehouse, [event(4, 3), event(5, 1)])
    retracted(warehouse, [(2, 3), (5, 1)])
    done = compact(warehouse, keep_after_batch=None)
    assert done.tables == ("events", "items", "retractions")
    assert (done.rows, done.folded, done.publication) == (6, 2, 4)
    (file,) = warehouse.lake.files(EVENTS, versions(warehouse)["events"])
    assert (file.low, file.high) == (3, 9)
    assert pq.read_table(file.path)["event_id"].to_pylist() == [4, 3, 1]
    assert stored_rows(warehouse, "retractions") == 0
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 3, 4]
        assert session.run(one("b", "SELECT max(batch) AS b FROM events"))["b"][0].as_py() == 2
    with warehouse.reading(3) as session:
        assert ids(session) == [1, 3, 4]
    again = compact(warehouse, keep_after_batch=None)
    assert (again.tables, again.publication) == ((), None)
    assert versions(warehouse) == dict(warehouse.state.publication(4).tables)


def test_retractions_that_a_refresh_has_not_seen_are_kept(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3), event(3, 5)])
    retracted(warehouse, [(1, 9)])
    retracted(warehouse, [(2, 3)])
    assert compact(warehouse, keep_after_batch=2).folded == 1
    with warehouse.reading() as session:
        assert session.run(one("r", "SELECT event_id, batch FROM retractions")).to_pylist() == [
            {"event_id": 2, "batch": 3}
        ]
        assert ids(session) == ids(session, "items") == [3]
    assert stored_rows(warehouse, "events") == 2
    assert compact(warehouse, keep_after_batch=0).publication is None
    assert compact(warehouse, keep_after_batch=3).folded == 1
    assert stored_rows(warehouse, "events") == stored_rows(warehouse, "items") == 1


def test_retractions_stay_where_items_do_not_take_part(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3)])
    published(warehouse, [event(3, 1)])
    retracted(warehouse, [(1, 9)])
    assert compact(warehouse, ["events"], keep_after_batch=None).tables == ("events",)
    assert stored_rows(warehouse, "retractions") == 1
    assert stored_rows(warehouse, "events") == 3
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [2, 3]


def test_an_overlay_is_folded_in(warehouse: Warehouse) -> None:
    with warehouse.writing("base") as writing:
        stage_scores(writing, {3: 30, 1: 10, 2: 20}, layer="base")
        writing.publish("base")
    with warehouse.writing("overlay") as writing:
        stage_scores(writing, {2: None, 3: 31, 4: 40}, layer="overlay")
        writing.publish("overlay")
    assert compact(warehouse, keep_after_batch=None).tables == ("scores",)
    assert warehouse.lake.rows(SCORES, versions(warehouse)["scores"]) == (3, 0)
    with warehouse.reading() as session:
        assert scores(session) == {1: 10, 3: 31, 4: 40}


def test_files_cover_ranges_of_people(warehouse: Warehouse) -> None:
    for batch in range(3):
        published(warehouse, [event(batch * 1000 + i, i * 7919 % 500, order_id=f"order {i}") for i in range(1000)])
    for pieces in (3, 8):
        # Shuffled again, so that there is something to do: first in passes, then sorted beforehand.
        published(warehouse, [event(9000 + pieces, 250)])
        total = sum(file.size_bytes for file in warehouse.lake.files(EVENTS, versions(warehouse)["events"]))
        compact(warehouse, ["events"], keep_after_batch=None, file_bytes=total // pieces)
        files = warehouse.lake.files(EVENTS, versions(warehouse)["events"])
        assert pieces - 1 <= len(files) <= pieces + 2
        assert in_order(files)
        for file in files:
            people = pq.read_table(file.path)["person_id"].to_pylist()
            assert people == sorted(people)
    with warehouse.reading() as session:
        assert len(ids(session)) == 3002


def test_many_small_files_without_an_order_become_one(warehouse: Warehouse) -> None:
    for _ in range(3):
        with warehouse.writing("identities") as writing:
            query = one("rows", "SELECT 1 AS person_id, 'customer' AS kind, 'x' AS value, $batch AS batch")
            writing.append(warehouse.catalogue["identities"], query, {"batch": writing.batch})
            writing.publish("identities")
    assert compact(warehouse, keep_after_batch=None).tables == ("identities",)
    assert len(warehouse.lake.files(warehouse.catalogue["identities"], 4)) == 1
    assert stored_rows(warehouse, "identities") == 3


def test_everything_retracted(warehouse: Warehouse, tmp_path: Path) -> None:
    published(warehouse, [event(1, 9)])
    retracted(warehouse, [(1, 9)])
    compact(warehouse, keep_after_batch=None)
    assert warehouse.lake.files(EVENTS, versions(warehouse)["events"]) == ()
    assert warehouse.lake.files(RETRACTIONS, versions(warehouse)["retractions"]) == ()
    with warehouse.reading() as session:
        assert ids(session) == []
