from __future__ import annotations

from pathlib import Path

import pytest

from jingzhe.core.errors import EngineError, LakeError
from jingzhe.store.facts import EVENTS, IDENTITIES, QUARANTINE
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.erase import delete, erase
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse
from tests.store.small import append, event, ids, published, retracted, scores, stage_scores

NAME = "Zhang Wei of Hangzhou"


def filled(warehouse: Warehouse) -> None:
    published(warehouse, [event(n, n % 4, order_id=f"{NAME} {n}" if n % 4 == 1 else f"order {n}") for n in range(40)])
    published(warehouse, [event(100, 2), event(101, 3)])
    retracted(warehouse, [(5, 1), (6, 2)])
    with warehouse.writing("more") as writing:
        append(
            writing, IDENTITIES, [{"person_id": 1, "kind": "customer", "value": NAME}, {"person_id": 2, "value": "b"}]
        )
        append(writing, QUARANTINE, [{"import_id": "i", "line": 1, "value": NAME}, {"import_id": "i", "line": 2}])
        stage_scores(writing, {1: 10, 2: 20}, layer="base")
        writing.publish("more")
    with warehouse.writing("overlay") as writing:
        stage_scores(writing, {1: 11, 3: 30}, layer="overlay")
        writing.publish("overlay")


def holding(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize("compacted", [False, True])
def test_nothing_of_an_erased_person_is_left_on_the_disk(warehouse: Warehouse, tmp_path: Path, compacted: bool) -> None:
    filled(warehouse)
    if compacted:
        compact(warehouse, keep_after_batch=None)
    # Parquet compresses pages but not its footer: the name stands in the statistics, so the search means something.
    assert holding(tmp_path / "lake", NAME)
    done = erase(warehouse, [1], {"name": NAME}, conditions={"quarantine": "value = $name"})
    assert done.rows["quarantine"] == 1
    assert done.rows["scores"] == (1 if compacted else 2)
    assert done.rows["events"] == (9 if compacted else 10)
    assert holding(tmp_path / "lake", "Zhang") == []
    with warehouse.reading() as session:
        people = one(
            "people",
            "SELECT DISTINCT person_id FROM (SELECT person_id FROM events UNION ALL SELECT person_id "
            "FROM items UNION ALL SELECT person_id FROM identities UNION ALL SELECT person_id FROM retractions)",
        )
        assert 1 not in session.run(people)["person_id"].to_pylist()
        assert (
            ids(session)
            == ids(session, "items")
            == [n for n in [*range(40), 100, 101] if n % 4 != 1 and n != 6] + [101]
        )
        assert scores(session) == {2: 20, 3: 30}
        assert session.run(one("q", "SELECT line FROM quarantine"))["line"].to_pylist() == [2]
    with pytest.raises(LakeError, match="publication 1 was vacuumed"), warehouse.reading(1):
        pass
    # Sorted files stay sorted: there is nothing left to do but what was open before.
    if compacted:
        assert compact(warehouse, keep_after_batch=None).publication is None


def test_people_chosen_by_a_query(warehouse: Warehouse) -> None:
    filled(warehouse)
    who = one("who", "SELECT person_id FROM identities WHERE value = $value")
    assert erase(warehouse, who, {"value": NAME}).rows["identities"] == 1
    assert sum(erase(warehouse, who, {"value": NAME}).rows.values()) == 0
    assert erase(warehouse, []).publication is None


def test_delete_rewrites_only_files_that_hold_such_rows(warehouse: Warehouse) -> None:
    filled(warehouse)
    before = warehouse.state.latest()
    assert before is not None
    files = {file.path for file in warehouse.lake.files(EVENTS, before.tables["events"])}
    done = delete(warehouse, {"events": "event_id >= $low"}, {"low": 100})
    assert (dict(done.rows), done.publication) == ({"events": 2}, before.seq + 1)
    after = warehouse.state.publication(before.seq + 1)
    assert {file.path for file in warehouse.lake.files(EVENTS, after.tables["events"])} < files
    assert after.tables["items"] == before.tables["items"]
    with warehouse.reading(before.seq) as session:
        assert 100 in ids(session)
    with warehouse.reading() as session:
        assert 100 not in ids(session)
        assert 100 in ids(session, "items")


def test_unknown_tables_and_bad_conditions_change_nothing(warehouse: Warehouse) -> None:
    filled(warehouse)
    latest = warehouse.state.latest()
    with pytest.raises(LakeError, match="no table 'people'"):
        delete(warehouse, {"people": "true"})
    with pytest.raises(EngineError, match="no_such_column"):
        delete(warehouse, {"items": "event_id = 1", "events": "no_such_column = 1"})
    assert warehouse.state.latest() == latest
