from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingzhe.collect.databases import SqlSource
from jingzhe.collect.importing import import_orders
from jingzhe.collect.reasons import JUNK_CUSTOMERS
from jingzhe.collect.report import ImportSummary
from jingzhe.core.errors import ImportRefusedError
from jingzhe.store.warehouse import Warehouse
from tests.collect.conftest import facts, rows_of
from tests.collect.workbooks import write_workbook

NAMES = ("订单号", "客户ID", "下单时间", "商品编码", "数量", "单价")
Row = tuple[str, str, datetime, str, int, float]
T0 = datetime(2024, 3, 5, 12, 30)  # noqa: DTZ001 - files know no zones
ROWS: list[Row] = [
    ("A1", "客户 甲", T0, "p1", 2, 10.5),
    ("A1", "客户 甲", T0, "p,2", 1, 5.0),
    ("A2", 'q"uote', T0 + timedelta(days=1), "p1", -1, 10.5),
    ("B7", "line\nend", T0 + timedelta(days=2, seconds=7), "p3", 3, 0.25),
]


def as_csv(rows: list[Row], delimiter: str = ",", end: str = "\n") -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end)
    writer.writerow(NAMES)
    writer.writerows([(*row[:2], row[2].isoformat(sep=" "), *row[3:]) for row in rows])
    return buffer.getvalue()


def text_writer(encoding: str, delimiter: str = ",", end: str = "\n") -> Callable[[Path, list[Row]], None]:
    def write(path: Path, rows: list[Row]) -> None:
        path.write_bytes(as_csv(rows, delimiter, end).encode(encoding))

    return write


def parquet(path: Path, rows: list[Row]) -> None:
    pq.write_table(pa.table(dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))), path)


def json_lines(path: Path, rows: list[Row]) -> None:
    dicts = [dict(zip(NAMES, (*row[:2], row[2].isoformat(), *row[3:]), strict=True)) for row in rows]
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in dicts), "utf-8")


def workbook(path: Path, rows: list[Row]) -> None:
    write_workbook(path, {"leer": [], "订单": [NAMES, *rows]})


def packed(path: Path, rows: list[Row]) -> None:
    path.write_bytes(gzip.compress(as_csv(rows).encode("gb18030")))


FORMATS: dict[str, tuple[str, Callable[[Path, list[Row]], None]]] = {
    "utf-8": ("x.csv", text_writer("utf-8")),
    "bom": ("x.csv", text_writer("utf-8-sig", ";")),
    "gbk": ("x.csv", text_writer("gb18030", "\t", "\r\n")),
    "utf-16": ("x.txt", text_writer("utf-16", "\t")),
    "pipe": ("x.dat", text_writer("utf-8", "|", "\r\n")),
    "packed": ("x.csv.gz", packed),
    "parquet": ("x.parquet", parquet),
    "json": ("x.jsonl", json_lines),
    "excel": ("x.xlsx", workbook),
    "wrong ending": ("x.csv", parquet),
}


def expected(rows: list[Row]) -> list[tuple[Any, ...]]:
    return sorted(
        (row[1].strip(), row[2].replace(tzinfo=UTC), row[0], row[3].strip(), float(row[4]), row[5], row[4] * row[5])
        for row in rows
    )


def found(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return sorted((row[0], row[1], row[9], row[3], row[5], row[6], row[8]) for row in facts(warehouse)["items"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_facts(warehouse: Warehouse, tmp_path: Path, name: str) -> None:
    file, write = FORMATS[name]
    write(tmp_path / file, ROWS)
    summary = import_orders(warehouse, tmp_path / file)
    assert (summary.rows, summary.rejected) == (4, {})
    assert found(warehouse) == expected(ROWS)
    assert import_orders(warehouse, tmp_path / file).repeated == summary.import_id


_KEYS = st.text(st.characters(codec="gb18030", exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda key: key.lower() not in JUNK_CUSTOMERS and not key.startswith("\ufeff") and not key.endswith(".0")
)
_ROWS = st.lists(
    st.tuples(
        st.text("AB01", min_size=3, max_size=4), _KEYS,
        st.datetimes(datetime(2000, 1, 1), datetime(2025, 1, 1)).map(lambda t: t.replace(microsecond=0)),  # noqa: DTZ001
        _KEYS, st.integers(-5, 50), st.decimals(0, 1000, places=2).map(float),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, names=st.sampled_from(sorted(FORMATS)))
def test_random_orders_survive_every_format(warehouse: Warehouse, rows: list[Row], names: str) -> None:
    file, write = FORMATS[names]
    moments = {(row[0], row[1], row[4] < 0): row[2] for row in reversed(rows)}
    rows = [(*row[:2], moments[row[0], row[1], row[4] < 0], *row[3:]) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / file, rows)
        source = Path(folder).name
        mapping = dict(
            zip(("order_id", "customer_id", "ordered_at", "product_id", "quantity", "price"), NAMES, strict=True)
        )
        encoding = "gb18030" if names in {"gbk", "packed"} else None  # a few rare characters look like anything
        import_orders(warehouse, Path(folder) / file, source_name=source, mapping=mapping, encoding=encoding)
    items = f"""
SELECT value, items.ts, order_id, product_id, items.quantity, price, amount FROM items
JOIN events USING (event_id, person_id) JOIN identities USING (person_id) WHERE source = '{source}'"""
    assert sorted(tuple(row.values()) for row in rows_of(warehouse, items)) == expected(rows)


def test_an_excel_file_with_a_title_and_numbers_as_keys(warehouse: Warehouse, tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["Sales of March"],
        [],
        ["Customer", "Date", "Amount"],
        [17850, T0, 12.5],
        [17851, "soon", 1],
    ]
    write_workbook(tmp_path / "x.xlsx", {"data": rows})
    summary = import_orders(warehouse, tmp_path / "x.xlsx")
    assert dict(summary.rejected) == {"bad-time": 1}
    assert [row[0] for row in facts(warehouse)["events"]] == ["17850"]
    assert rows_of(warehouse, "SELECT line, value FROM quarantine") == [{"line": 5, "value": "soon"}]
    with pytest.raises(ImportRefusedError, match="no sheet 'other'"):
        import_orders(warehouse, tmp_path / "x.xlsx", sheet="other")


def test_json_lines_that_are_none(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    good = '{"customer_id": 1, "date": "2024-03-05", "amount": 5, "more": {"x": [1]}}'
    path.write_text(f"{good}\n\n{{broken\n[1]\n{good.replace('5}', '6}')}\n", "utf-8")
    summary = import_orders(warehouse, path)
    assert (summary.rows_accepted, dict(summary.rejected)) == (2, {"bad-json": 2})


def test_nested_and_odd_parquet_types(warehouse: Warehouse, tmp_path: Path) -> None:
    table = pa.table({
        "customer": pa.array(["c1", "c2"]).dictionary_encode(),
        "when": pa.array([T0, T0], pa.timestamp("us", tz="Asia/Shanghai")),
        "total": pa.array(["1.50", "2.25"]).cast(pa.decimal128(10, 2)),
        "tags": pa.array([["a"], None]),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    import_orders(warehouse, tmp_path / "x.parquet", mapping={"ordered_at": "when"}, timezone="Asia/Shanghai")
    assert [(row[0], row[2], row[7]) for row in facts(warehouse)["events"]] == [
        ("c1", T0.replace(tzinfo=UTC), 1.5), ("c2", T0.replace(tzinfo=UTC), 2.25),
    ]  # fmt: skip


QUERY = (
    "SELECT id AS order_id, who AS customer_id, at AS ordered_at, net AS amount FROM sales "
    "WHERE note <> ':x' ORDER BY id"
)


def fill(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE sales (id integer, who text, at timestamp, net numeric(10,2), note text)")
        )
        for number in range(1, 8):
            connection.execute(
                sa.text("INSERT INTO sales VALUES (:n, :who, :at, :net, 'y')"),
                {"n": number, "who": f"客户{number % 3}", "at": f"2024-03-0{number} 10:00:00", "net": f"{number}.25"},
            )
    engine.dispose()


def check_query(warehouse: Warehouse, summary: ImportSummary, source: SqlSource) -> None:
    assert (summary.rows, summary.orders, summary.people, summary.files) == (7, 7, 3, ("query",))
    assert [row[7] for row in facts(warehouse)["events"]] == [3.25, 6.25, 1.25, 4.25, 7.25, 2.25, 5.25]
    again = import_orders(warehouse, source)
    assert (again.orders_unchanged, again.changed) == (7, False)


def test_a_query_on_sqlite(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.collect.databases.CHUNK_ROWS", 3)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    fill(url)
    source = SqlSource(url, QUERY)
    check_query(warehouse, import_orders(warehouse, source), source)


def test_a_query_on_postgresql(warehouse: Warehouse, postgres_url: str) -> None:
    fill(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    source = SqlSource(postgres_url, QUERY.replace("note <> ':x'", "note::text <> ':x'"))
    check_query(warehouse, import_orders(warehouse, source), source)


@pytest.mark.parametrize(
    ("url", "query", "words"),
    [
        ("sqlite://", "SELECT * FROM nowhere", "no such table"), ("sqlite://", "CREATE TABLE x (a)", "no SELECT"),
        ("nonsense", "SELECT 1", "URL cannot be used"), ("klingon://x", "SELECT 1", "URL cannot be used"),
    ],
)  # fmt: skip
def test_queries_that_fail(warehouse: Warehouse, url: str, query: str, words: str) -> None:
    with pytest.raises(ImportRefusedError, match=words):
        import_orders(warehouse, SqlSource(url, query))
