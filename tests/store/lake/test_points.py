"""Rows of single people, compared with what the engine says, over layers, corrections, many files and compaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import Table
from jingzhe.store.facts import EVENTS, IDENTITIES, ITEMS, RETRACTIONS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.points import Points
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse, Writing
from tests.store.small import SCORES, event, rows_of

PEOPLE = 60


def put(writing: Writing, table: Table, rows: list[dict[str, Any]], **how: Any) -> None:
    writing.session.offer("given", rows_of(table, rows))
    gone = ", gone" if table.layered else ""
    extra = [row.get("gone", False) for row in rows]
    if table.layered:
        data = rows_of(table, rows).append_column("gone", pa.array(extra))
        writing.session.offer("given", data)
    names = ", ".join(table.column_names)
    files = writing.write(table, one("given_rows", f"SELECT {names}{gone} FROM given"))
    writing.stage(table, files, **how)


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """Facts of three writes, the last of which corrects some events; scores with an overlay."""
    for turn in range(3):
        with warehouse.writing("facts") as writing:
            # People in no order, so that every file may hold everybody.
            people = [(number * 37 + turn) % PEOPLE for number in range(PEOPLE)]
            facts = [event(turn * 1000 + number, person, number) for number, person in enumerate(people)]
            put(writing, EVENTS, facts)
            put(writing, ITEMS, [{**fact, "product_id": "p"} for fact in facts])
            if turn == 2:
                put(writing, RETRACTIONS, [{**event(number, people_of(0, number)), "batch": 3} for number in range(20)])
            keys = [
                {"person_id": number + 20 * turn, "kind": "customer", "value": f"C{number + 20 * turn}"}
                for number in range(20)
            ]
            put(writing, IDENTITIES, keys)
            writing.publish("facts")
    with warehouse.writing("scores") as writing:
        put(writing, SCORES, [{"person_id": number, "score": number} for number in range(PEOPLE)], replace=True)
        writing.publish("scores")
    with warehouse.writing("scores") as writing:
        changed = [{"person_id": number, "score": -number, "gone": number % 2 == 0} for number in range(10)]
        put(writing, SCORES, changed, layer="overlay", replace=True)
        writing.publish("scores")
    return warehouse


def people_of(turn: int, number: int) -> int:
    return (number * 37 + turn) % PEOPLE


def told(warehouse: Warehouse, table: Table, column: str, values: list[Any]) -> list[dict[str, Any]]:
    with warehouse.reading() as session:
        asked = one("asked", f"SELECT * FROM {table.name} WHERE list_contains($values, {column})")
        return in_order(session.run(asked, {"values": values}))


def found(warehouse: Warehouse, table: Table, column: str, values: list[Any]) -> list[dict[str, Any]]:
    latest = warehouse.state.latest()
    assert latest is not None
    points = Points(warehouse.lake)
    try:
        rows = points.rows(
            table, latest.tables[table.name], values, by=column, retractions=latest.tables[RETRACTIONS.name]
        )
    finally:
        points.close()
    assert rows.schema == table.arrow_schema
    return in_order(rows)


def in_order(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=lambda row: [str(value) for value in row.values()])


@pytest.mark.parametrize("tidy", [False, True], ids=["as written", "compacted"])
@pytest.mark.parametrize("table", [EVENTS, ITEMS, IDENTITIES, SCORES], ids=lambda table: table.name)
def test_people_have_the_rows_that_the_engine_finds(table: Table, tidy: bool, filled: Warehouse) -> None:
    if tidy:
        compact(filled, keep_after_batch=None)
    everybody = 0
    for person in range(-1, PEOPLE + 1):
        rows = found(filled, table, "person_id", [person])
        assert rows == told(filled, table, "person_id", [person])
        everybody += len(rows)
    assert everybody == len(told(filled, table, "person_id", list(range(PEOPLE)))) > 0
    assert found(filled, table, "person_id", [3, 40, 3]) == told(filled, table, "person_id", [3, 40])


def test_somebody_is_found_by_a_text(filled: Warehouse) -> None:
    for value in ("C0", "C39", "C40", "nobody", ""):
        assert found(filled, IDENTITIES, "value", [value]) == told(filled, IDENTITIES, "value", [value])


def test_a_table_that_was_never_published_has_no_rows(warehouse: Warehouse) -> None:
    points = Points(warehouse.lake)
    assert points.rows(EVENTS, None, [1]).num_rows == 0
    points.close()


def test_a_file_that_is_gone_is_an_error_of_the_lake(filled: Warehouse) -> None:
    latest = filled.state.latest()
    assert latest is not None
    version = latest.tables[EVENTS.name]
    for file in filled.lake.files(EVENTS, version):
        Path(file.path).unlink()
    points = Points(filled.lake)
    with pytest.raises(LakeError, match="cannot be read"):
        points.rows(EVENTS, version, [1])
    points.close()


def test_files_that_hold_nobody_asked_for_are_looked_into_once(filled: Warehouse) -> None:
    with filled.writing("facts") as writing:
        # Bounds that hold everybody, and two people.
        put(writing, EVENTS, [event(9000, 0, 1), event(9001, PEOPLE - 1, 1)])
        writing.publish("facts")
    latest = filled.state.latest()
    assert latest is not None
    version, without = latest.tables[EVENTS.name], latest.tables[RETRACTIONS.name]
    two = next(file for file in filled.lake.files(EVENTS, version) if file.rows == 2)
    points = Points(filled.lake)
    before = points.rows(EVENTS, version, [7], retractions=without)
    assert before.num_rows
    Path(two.path).unlink()
    assert points.rows(EVENTS, version, [7], retractions=without).equals(before)
    with pytest.raises(LakeError, match="cannot be read"):
        points.rows(EVENTS, version, [7, 0], retractions=without)
    points.close()


@pytest.mark.parametrize("bound", ["_VALUES_KEPT_BYTES", "_FOOTERS_KEPT"])
def test_what_is_let_go_is_read_again(bound: str, filled: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.lake.points." + bound, 1)
    latest = filled.state.latest()
    assert latest is not None
    points = Points(filled.lake)
    for table, column, value in ((EVENTS, "person_id", 5), (IDENTITIES, "value", "C39"), (EVENTS, "person_id", 6)):
        without = latest.tables[RETRACTIONS.name]
        rows = points.rows(table, latest.tables[table.name], [value], by=column, retractions=without)
        assert in_order(rows) == told(filled, table, column, [value])
    points.close()
