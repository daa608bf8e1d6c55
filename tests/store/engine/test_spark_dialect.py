"""What the table of exceptions makes of DuckDB's dialect; that the rows are the same, tests/engines shows."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from jingzhe.core.errors import EngineError
from jingzhe.store.engine.dialect import EXCEPTIONS, Known, translated
from jingzhe.store.engine.spark_relations import duck_type

COLUMNS = {
    "t": {
        "day": "DATE", "n": "BIGINT", "x": "DOUBLE", "name": "VARCHAR", "ts": "TIMESTAMPTZ", "parts": "DOUBLE[]",
        "flag": "BOOLEAN", "local": "TIMESTAMP",
    },
    "u": {"n": "BIGINT", "x": "DOUBLE"},
}  # fmt: skip
KNOWN = Known(COLUMNS, {"t": "view_1", "u": "view_2"})


def spark(sql: str, values: dict[str, Any] | None = None) -> str:
    return translated(sql, KNOWN, values or {})


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("day - $as_of", "DATEDIFF(`t`.`day`, CAST(:as_of AS DATE))"),
        ("day - 3", "`t`.`day` - 3"),
        ("day + n", "`t`.`day` + CAST(`t`.`n` AS INT)"),
        ("x - n", "`t`.`x` - `t`.`n`"),
        ("CAST(x AS INTEGER)", "CAST(RINT(`t`.`x`) AS INT)"),
        ("CAST(n AS INTEGER)", "CAST(`t`.`n` AS INT)"),
        ("n / 2.0", "`t`.`n` / 2.0D"),
        ("round(x, 2)", "(ROUND((`t`.`x`) * 100.0D) / 100.0D)"),
        ("isodow(day)", "(WEEKDAY(`t`.`day`) + 1)"),
        ("epoch_us(ts) // 1000", "UNIX_MICROS(CAST(`t`.`ts` AS TIMESTAMP)) DIV 1000"),
        ("make_timestamp(epoch_us(ts))", "TIMESTAMP_MICROS(UNIX_MICROS(CAST(`t`.`ts` AS TIMESTAMP)))"),
        ("parts[1] - parts[2]", "`t`.`parts`[0] - `t`.`parts`[1]"),
        ("hash(n, name) >> 1", "SHIFTRIGHTUNSIGNED(XXHASH64("),
        ("arg_max(name, day)", "MAX_BY(`t`.`name`, `t`.`day`) FILTER(WHERE NOT `t`.`name` IS NULL)"),
        ("quantile_cont(x, [0.2, 0.4])", "PERCENTILE(`t`.`x`, ARRAY(0.2D, 0.4D))"),
        ("sum(x) FILTER (flag)", "SUM(`t`.`x`) FILTER(WHERE `t`.`flag`)"),
        ("row_number() OVER (ORDER BY n) + 1", "AS BIGINT) + 1"),
        ("json_extract_string(name, '/a~1b')", "TRY_ELEMENT_AT(FROM_JSON(`t`.`name`, 'MAP<STRING, STRING>')"),
        ("timezone($zone, local)", "TO_UTC_TIMESTAMP(`t`.`local`, CAST(:zone AS STRING))"),
    ],
)
def test_expressions(sql: str, expected: str) -> None:
    assert expected in spark(f"SELECT {sql} AS answer FROM t", {"as_of": date(2024, 1, 1), "zone": "UTC"})


def test_rows_are_named_and_places_put_in() -> None:
    found = spark("SELECT * FROM t AS a SEMI JOIN u USING (n) WHERE x > 1")
    assert "FROM `view_1` AS `a` SEMI JOIN `view_2` AS `u`" in found
    assert "`u`.`x` AS" not in found
    assert "`view_2`" in spark("WITH t AS (SELECT n FROM u) SELECT n FROM t")
    assert "`view_1`" not in spark("WITH t AS (SELECT n FROM u) SELECT n FROM t")


def test_columns_of_a_union_are_put_together_by_name() -> None:
    found = spark("SELECT n, x, flag FROM t UNION ALL BY NAME SELECT x, n FROM u")
    assert "BY NAME" not in found
    assert found.index("`x`") > found.index("`n`")
    assert "NULL AS" in found


def test_lists_and_lambdas() -> None:
    found = spark("SELECT list_slice(list_filter([name, NULL], lambda part: part IS NOT NULL), 1, 2) AS a FROM t")
    assert found.startswith("SELECT SLICE(FILTER(ARRAY(`t`.`name`, NULL), ")
    assert "ARRAY_CONTAINS" in spark("SELECT list_contains($names, name) AS a FROM t", {"names": ["x"]})


def test_a_type_that_decides_and_is_not_known_is_refused() -> None:
    for sql in ("SELECT strange(n) - strange(x) AS a FROM t", "SELECT CAST(strange(n) AS BIGINT) AS a FROM t"):
        with pytest.raises(EngineError, match="is not known"):
            spark(sql)


@pytest.mark.parametrize(
    "sql", ["DROP TABLE t", "SELECT 1; SELECT 2", "SELECT FROM WHERE", "CREATE TABLE x AS SELECT 1"]
)
def test_only_one_select(sql: str) -> None:
    with pytest.raises(EngineError):
        spark(sql)


def test_types_have_two_names() -> None:
    assert duck_type("array<double>") == "DOUBLE[]"
    assert duck_type("decimal(30,0)") == "DECIMAL(30,0)"
    assert duck_type("timestamp_ntz") == "TIMESTAMP"


def test_every_exception_says_what_and_why() -> None:
    assert len({(one.what, one.kind) for one in EXCEPTIONS}) == len(EXCEPTIONS)
    assert all(one.what and one.why for one in EXCEPTIONS)
