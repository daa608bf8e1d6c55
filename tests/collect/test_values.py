from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.collect.values import Reading, TimeStyle, key_of, moment_of, number_of, text_of, time_of
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.query import one


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckSession]:
    with DuckEngine(Path(tmp_path_factory.mktemp("engine")), threads=1).session() as opened:
        yield opened


def evaluated(session: DuckSession, expression: str, values: list[Any]) -> list[Any]:
    session.offer("given", pa.table({"c0": pa.array(values), "place": list(range(len(values)))}))
    rows = session.run(one("evaluated", f"SELECT {expression} AS result FROM given ORDER BY place"))
    return list(rows["result"].to_pylist())


def times(session: DuckSession, reading: Reading, values: list[Any], zone: str = "UTC") -> list[tuple[Any, Any]]:
    time = time_of(reading)
    moment, day = moment_of(zone)
    session.offer("given", pa.table({"c0": pa.array(values), "place": list(range(len(values)))}))
    sql = f"""
SELECT make_timestamptz(epoch_us(ts)) AS ts, day FROM (SELECT *, {moment} AS ts, {day} AS day FROM (
  SELECT *, {time.local} AS t_local, {time.instant} AS t_instant
  FROM (SELECT *, {time.quick} AS t_quick FROM given))) ORDER BY place"""
    return [(row["ts"], row["day"]) for row in session.run(one("times", sql)).to_pylist()]


NUMBERS = [
    ("12", 12.0), ("-12.5", -12.5), ("+3", 3.0), (" 7 ", 7.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0),
    ("1,234.50", 1234.5), ("1,23,456", 123456.0), ("-1,234", -1234.0), ("¥1,200.5", 1200.5), ("￥30元", 30.0),
    ("$ 9.99", 9.99), ("9.99 €", 9.99), ("£5", 5.0), ("-$5", -5.0), ("$-5", -5.0), ("(5.25)", -5.25), ("5-", -5.0),
    ("１２．５", 12.5), ("1 234", 1234.0), ("USD 12", 12.0), ("12 CNY", 12.0), ("99.5圆", 99.5),
    ("", None), ("   ", None), (None, None), ("abc", None), ("12abc", None), ("10%", None), ("1,2,3", None),
    ("1.2.3", None), ("nan", None), ("inf", None), ("-", None), ("--5", None), ("12:30", None), ("½", None),
]  # fmt: skip


def test_numbers_as_people_write_them(session: DuckSession) -> None:
    found = evaluated(session, number_of(Reading("c0")), [text for text, _ in NUMBERS])
    assert dict(zip([t for t, _ in NUMBERS], found, strict=True)) == dict(NUMBERS)


def test_numbers_with_a_decimal_comma(session: DuckSession) -> None:
    table = {"1.234,50": 1234.5, "12,5": 12.5, "1234": 1234.0, "-3,99 €": -3.99, "1.234": 1234.0, "1'234,5": 1234.5,
             "12.5": None, "1,2,3": None, "": None}  # fmt: skip
    found = evaluated(session, number_of(Reading("c0", decimal="comma")), list(table))
    assert dict(zip(table, found, strict=True)) == table


def test_numbers_of_typed_columns(session: DuckSession) -> None:
    reading = Reading("c0", "DOUBLE")
    assert evaluated(session, number_of(reading), [1.5, float("nan"), float("inf"), None]) == [1.5, None, None, None]
    assert evaluated(session, number_of(Reading("c0", "BIGINT")), [3, None]) == [3.0, None]


def test_keys(session: DuckSession) -> None:
    table = {" a b ": "a b", "": None, "  ": None, "007": "007", "17850.0": "17850.0", None: None, "客户": "客户"}
    assert evaluated(session, key_of(Reading("c0")), list(table)) == list(table.values())
    sheet = {"17850.0": "17850", "100.0": "100", "1.5": "1.5", "v1.0": "v1.0", "": None}
    assert evaluated(session, key_of(Reading("c0", spreadsheet=True)), list(sheet)) == list(sheet.values())
    assert evaluated(session, key_of(Reading("c0", "DOUBLE")), [17850.0, 1.5, None, float("nan")]) == [
        "17850", "1.5", None, None,
    ]  # fmt: skip
    assert evaluated(session, text_of(Reading("c0", "BIGINT")), [5, None]) == ["5", None]


NOON = datetime(2024, 3, 5, 12, 30, tzinfo=UTC)
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
TIMES: list[tuple[TimeStyle, str, datetime | None]] = [
    ("iso", "2024-03-05", MIDNIGHT), ("iso", "2024-3-5", MIDNIGHT), ("iso", "2024/3/5", MIDNIGHT),
    ("iso", "2024.3.5", MIDNIGHT), ("iso", " 2024-03-05 ", MIDNIGHT), ("iso", "20240305", MIDNIGHT),
    ("iso", "20240305123000", NOON), ("iso", "20240305 12:30", NOON), ("iso", "2024年3月5日", MIDNIGHT),
    ("iso", "2024年03月05日 12:30", NOON), ("iso", "2024年3月5日12时30分", NOON),
    ("iso", "２０２４-０３-０５", MIDNIGHT),
    ("iso", "2024-03-05 12:30", NOON), ("iso", "2024-03-05T12:30:00", NOON), ("iso", "2024-03-05 12:30:00.000", NOON),
    ("iso", "2024-03-05T12:30:00Z", NOON), ("iso", "2024-03-05T12:30Z", NOON), ("iso", "2024-03-05 12:30:00+00", NOON),
    ("iso", "2024-03-05T20:30:00+08:00", NOON), ("iso", "2024-03-05T20:30:00.000+0800", NOON),
    ("iso", "2024-03-05 07:30:00-05", NOON), ("iso", "2024-03-05 12:30:00 UTC", NOON),
    ("iso", "2024/3/5 12:30 PM", NOON), ("iso", "2024/3/5 下午 12:30", NOON), ("iso", "5 March 2024", MIDNIGHT),
    ("iso", "05-Mar-2024 12:30", NOON), ("iso", "Mar 5, 2024", MIDNIGHT), ("iso", "3/5/2024", MIDNIGHT),
    ("day-first", "5/3/2024", MIDNIGHT), ("day-first", "05.03.2024 12:30", NOON), ("day-first", "5/3/24", MIDNIGHT),
    ("day-first", "5-3-2024 12:30:00", NOON), ("day-first", "2024-03-05", MIDNIGHT),
    ("month-first", "3/5/2024", MIDNIGHT), ("month-first", "3/5/2024 12:30 PM", NOON),
    ("month-first", "3/5/24", MIDNIGHT),
    ("compact", "20240305", MIDNIGHT), ("compact", "20240305123000", NOON), ("compact", "2024-03-05", MIDNIGHT),
    ("epoch-seconds", "1709641800", NOON), ("epoch-milliseconds", "1709641800000", NOON), ("excel", "45356", MIDNIGHT),
    ("excel", "45356.520833333336", NOON),
    ("iso", "", None), ("iso", "x", None), ("iso", "2024-13-05", None), ("iso", "2024-02-30", None),
    ("iso", "0000-00-00", None), ("iso", "20241305", None), ("iso", "12", None), ("day-first", "5/13/2024", None),
    ("month-first", "13/5/2024", None), ("excel", "x", None), ("epoch-seconds", "x", None),
]  # fmt: skip


@pytest.mark.parametrize("style", sorted({style for style, _, _ in TIMES}))
def test_times_as_people_write_them(session: DuckSession, style: TimeStyle) -> None:
    table = {text: moment for of, text, moment in TIMES if of == style}
    found = times(session, Reading("c0", time=style), list(table))
    assert {text: moment for text, (moment, _) in zip(table, found, strict=True)} == table


def test_days_begin_in_the_zone(session: DuckSession) -> None:
    texts = ["2024-03-05 00:30:00", "2024-03-05T00:30:00Z", "2024-07-05 23:59:59"]
    assert times(session, Reading("c0"), texts, "Asia/Shanghai") == [
        (datetime(2024, 3, 4, 16, 30, tzinfo=UTC), date(2024, 3, 5)),
        (datetime(2024, 3, 5, 0, 30, tzinfo=UTC), date(2024, 3, 5)),
        (datetime(2024, 7, 5, 15, 59, 59, tzinfo=UTC), date(2024, 7, 5)),
    ]
    found = times(session, Reading("c0"), texts, "America/New_York")
    assert [day for _, day in found] == [date(2024, 3, 5), date(2024, 3, 4), date(2024, 7, 5)]
    assert found[2][0] == datetime(2024, 7, 6, 3, 59, 59, tzinfo=UTC)


def test_times_of_typed_columns(session: DuckSession) -> None:
    naive = times(session, Reading("c0", "TIMESTAMP_NS"), [datetime(2024, 3, 5, 12, 30)], "Asia/Shanghai")  # noqa: DTZ001
    assert naive == [(datetime(2024, 3, 5, 4, 30, tzinfo=UTC), date(2024, 3, 5))]
    aware = times(
        session, Reading("c0", "TIMESTAMP WITH TIME ZONE"), [datetime(2024, 3, 5, 20, 30, tzinfo=UTC)], "Asia/Shanghai"
    )
    assert aware == [(datetime(2024, 3, 5, 20, 30, tzinfo=UTC), date(2024, 3, 6))]
    assert times(session, Reading("c0", "DATE"), [date(2024, 3, 5)]) == [(MIDNIGHT, date(2024, 3, 5))]
    assert times(session, Reading("c0", "BIGINT", time="compact"), [20240305]) == [(MIDNIGHT, date(2024, 3, 5))]
    assert times(session, Reading("c0", "BIGINT", time="epoch-seconds"), [1709641800, 1 << 62]) == [
        (NOON, date(2024, 3, 5)),
        (None, None),
    ]
