"""Small questions asked again and again: the answers are those of a session, and the plan is made once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.core.errors import EngineError
from jingzhe.store.engine.desk import Desk
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.query import Query, Step, one

QUESTION = Query(
    "days",
    (
        Step("known", "SELECT * FROM visits WHERE day <= $as_of"),
        Step("rare", "SELECT count(*) AS visits FROM known WHERE day > $as_of - CAST($window_days AS INTEGER)"),
        Step("answer", "SELECT visits, $as_of - max(day) AS silence, max(name) AS name, $share * visits AS share "
             "FROM rare, known WHERE name <> $name GROUP BY visits"),
    ),
)  # fmt: skip


def visits(*days: date) -> pa.Table:
    return pa.table({"day": pa.array(days, pa.date32()), "name": [f"it's {day}" for day in days]})


def asked(as_of: date = date(2025, 3, 9), **others: Any) -> dict[str, Any]:
    return {"as_of": as_of, "window_days": 7, "share": 0.1, "name": "", **others}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with DuckEngine(tmp_path, memory_limit_mb=256, threads=1).desk() as desk:
        yield desk


class Counting:
    """Rows that count how often they are read."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows, self.read, self.schema = rows, 0, rows.schema

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        self.read += 1
        return self.rows.__arrow_c_stream__(requested_schema)


def test_every_answer_is_that_of_a_session_for_these_rows_and_values(desk: Desk, session: DuckSession) -> None:
    days = [date(2025, 3, day) for day in range(1, 15)]
    answers = set()
    for number, as_of in enumerate(days):
        rows = visits(*days[number % 4 :: 1 + number % 3])
        for values in (
            asked(as_of),
            asked(as_of, window_days=number, share=-1.5e-7 * number),
            asked(as_of, share=3, name="it's 2025-03-02"),
        ):
            session.offer("visits", rows)
            found = desk.rows(QUESTION, values, {"visits": rows})
            assert found == session.run(QUESTION, values).to_pylist()
            answers.add(str(found))
    assert len(answers) > 20


@pytest.mark.parametrize(
    "value",
    [True, False, 0, -7, 2**31 - 1, 2**31, -(2**31), -(2**63), 0.1, -0.0, 1e300, 5e-324, 1 / 3, 1e22, float("inf"),
     date(1, 1, 1), date(9999, 12, 31), "", "it's", "a\nb -- $x", "女", "$as_of"],
    ids=str,
)  # fmt: skip
def test_values_arrive_as_they_are(value: Any, desk: Desk) -> None:
    (row,) = desk.rows(one("echo", "SELECT $value AS value"), {"value": value}, {})
    assert row["value"] == value
    assert type(row["value"]) is type(value)


def test_a_question_is_planned_once(desk: Desk) -> None:
    first = Counting(visits(date(2025, 3, 1)))
    reads = []
    for day in range(1, 8):
        before = first.read
        assert len(desk.rows(QUESTION, asked(date(2025, 3, day)), {"visits": first})) == 1
        reads.append(first.read - before)
    assert len(set(reads[1:])) == 1, "planning looks at the relation once more"
    assert reads[0] > reads[1]


def test_a_relation_that_comes_later_spoils_no_plan(desk: Desk) -> None:
    rows = Counting(visits(date(2025, 3, 1)))
    once = desk.rows(QUESTION, asked(), {"visits": rows})
    desk.rows(one("other", "SELECT count(*) AS n FROM others"), {}, {"others": visits()})
    assert desk.rows(QUESTION, asked(), {"visits": rows}) == once
    before = rows.read
    desk.rows(QUESTION, asked(), {"visits": rows})
    assert rows.read - before == 1


def test_rows_are_forgotten_with_the_answer(desk: Desk) -> None:
    desk.rows(QUESTION, asked(), {"visits": visits(date(2025, 3, 1))})
    with pytest.raises(EngineError):
        desk.rows(QUESTION, {"as_of": date(2025, 3, 1)}, {"visits": visits(date(2025, 3, 1))})
    assert desk.rows(one("left", "SELECT count(*) AS n FROM visits"), {}, {}) == [{"n": 0}]


def test_many_questions_push_each_other_out_and_are_answered_all_the_same(desk: Desk) -> None:
    for _ in range(2):
        for number in range(40):
            assert desk.rows(one("n", f"SELECT {number} + $add AS n"), {"add": 1}, {}) == [{"n": number + 1}]


def test_steps_that_want_to_be_kept_are_computed_within_the_answer(desk: Desk) -> None:
    query = Query("drawn", (Step("drawn", "SELECT random() AS x", kept=True), Step("same", "SELECT a.x = b.x AS same "
                  "FROM drawn AS a, drawn AS b")))  # fmt: skip
    assert desk.rows(query, {}, {}) == [{"same": True}]


def test_what_cannot_be_asked_is_said(desk: Desk) -> None:
    with pytest.raises(EngineError, match="needs the value 'share'"):
        desk.rows(QUESTION, {key: value for key, value in asked().items() if key != "share"}, {"visits": visits()})
    with pytest.raises(EngineError, match="other columns"):
        desk.rows(QUESTION, asked(), {"visits": visits().select(["day"])})
    with pytest.raises(EngineError, match="datetime"):
        desk.rows(one("now", "SELECT $now AS now"), {"now": datetime(2025, 3, 1, tzinfo=UTC)}, {})
    number = "telephone 13800138000"
    with pytest.raises(EngineError) as caught:
        desk.rows(one("ages", "SELECT CAST($phone AS INTEGER) AS age"), {"phone": number}, {})
    assert "13800138000" not in str(caught.value)
    assert "CAST($phone AS INTEGER)" in str(caught.value)
    assert desk.rows(one("after", "SELECT 1 AS n"), {}, {}) == [{"n": 1}]
