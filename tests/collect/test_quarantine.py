from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jingzhe.collect.importing import import_orders
from jingzhe.collect.quarantine import export_quarantined, imports, quarantined
from jingzhe.collect.reasons import ENGINE_REASONS, ERASED, REASONS
from jingzhe.collect.rows import REFUSALS
from jingzhe.core.errors import ImportRefusedError, NoDataError, SettingError
from jingzhe.store.warehouse import Warehouse
from tests.collect.conftest import facts, rows_of

TEXT = """订单号,客户ID,下单时间,商品编码,数量,单价,备注
A1,c1,2024-03-05,p1,1,10,good
A1,c1,2024-03-05,p2,one,5,"two
lines"
A2,,2024-03-05,p1,1,10,

A3,NULL,2024-03-05,p1,1,10,
A4,c1,,p1,1,10,
A5,c1,05-03,p1,1,10,
A6,c1,1969-12-31,p1,1,10,
A7,c1,2026-01-03,p1,1,10,
A8,c1,2024-03-05,p1,1,,
A9,c1,2024-03-05,p1,1,1e13,
B1,c1,2024-03-05,p1,1
B2,c1,2024-03-05,p1,1,10,x,y
B3,c1,2024-03-05,"p"1,1,10,
B4,c2,2026-01-01 23:00,p1,1,10,good too
"""
FOUND = [
    (3, "quantity", "one", "bad-number"), (5, "customer_id", None, "missing-customer"),
    (7, "customer_id", "NULL", "junk-customer"), (8, "ordered_at", None, "missing-time"),
    (9, "ordered_at", "05-03", "bad-time"), (10, "ordered_at", "1969-12-31", "time-out-of-range"),
    (11, "ordered_at", "2026-01-03", "time-in-future"), (12, "amount", "1", "missing-amount"),
    (13, "price", "1e13", "number-out-of-range"), (14, "", "B1,c1,2024-03-05,p1,1", "wrong-columns"),
    (15, "", "B2,c1,2024-03-05,p1,1,10,x,y", "wrong-columns"),
    (16, "", 'B3,c1,2024-03-05,"p"1,1,10,', "bad-quotes"),
]  # fmt: skip


def write(folder: Path, text: str = TEXT, name: str = "orders.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_every_refused_row_is_located_and_told(warehouse: Warehouse, tmp_path: Path) -> None:
    summary = import_orders(warehouse, write(tmp_path))
    assert (summary.rows, summary.rows_accepted, summary.rows_rejected) == (14, 2, 12)
    assert sum(summary.rejected.values()) == 12
    assert summary.rejected["wrong-columns"] == 2
    rows = quarantined(warehouse).to_pylist()
    assert [(row["line"], row["field"], row["value"], row["reason"]) for row in rows] == FOUND
    assert {row["file"] for row in rows} == {"orders.csv"}
    assert rows[0]["row"] == (
        '{"订单号":"A1","客户ID":"c1","下单时间":"2024-03-05","商品编码":"p2","数量":"one","单价":"5","备注":"two\\nlines"}'
    )


def test_an_amount_that_is_missing_points_at_its_parts(warehouse: Warehouse, tmp_path: Path) -> None:
    import_orders(warehouse, write(tmp_path, "order,customer,date,amount\nA1,c1,2024-03-05,\nA2,c1,2024-03-05,1\n"))
    assert [(row["field"], row["value"]) for row in quarantined(warehouse).to_pylist()] == [("amount", None)]


def test_bytes_that_are_no_text_refuse_their_line_only(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = "".join(f"A{n},客户,2024-03-05,1\n" for n in range(50))
    path.write_bytes(f"order,customer,date,amount\n{rows}".encode() + b"Z,\xff\xfe,2024-03-05,1\nY,c,2024-03-05,1\n")
    summary = import_orders(warehouse, path)
    assert (summary.orders, dict(summary.rejected)) == (51, {"bad-encoding": 1})
    assert [row["line"] for row in quarantined(warehouse).to_pylist()] == [52]


def test_strict_refuses_everything(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        import_orders(warehouse, write(tmp_path), strict=True)
    assert "12 rows cannot be imported" in refused.value.message
    assert "orders.csv, line 3: quantity: 'one' (the number cannot be read)" in refused.value.message
    assert warehouse.state.latest() is None
    assert imports(warehouse.state) == []


def test_the_same_refusals_are_kept_once(warehouse: Warehouse, tmp_path: Path) -> None:
    import_orders(warehouse, write(tmp_path))
    again = import_orders(warehouse, write(tmp_path, TEXT.replace("good too", "better")))
    assert (again.changed, again.rows_rejected) == (False, 12)
    assert quarantined(warehouse).num_rows == 12


def test_imports_are_listed_and_their_refusals_found(warehouse: Warehouse, tmp_path: Path) -> None:
    first = import_orders(warehouse, write(tmp_path))
    second = import_orders(
        warehouse, write(tmp_path, "order,customer,date,amount\nX,c1,x,1\nY,c9,2024-03-05,1\n", "2.csv")
    )
    assert imports(warehouse.state) == [second, first]
    assert quarantined(warehouse, import_id=second.import_id)["value"].to_pylist() == ["x"]
    assert quarantined(warehouse, reason="bad-time")["file"].to_pylist() == ["orders.csv", "2.csv"]
    with pytest.raises(SettingError, match="no reason 'bad'"):
        quarantined(warehouse, reason="bad")


def test_mended_rows_complete_their_orders(warehouse: Warehouse, tmp_path: Path) -> None:
    first = import_orders(warehouse, write(tmp_path))
    path = tmp_path / "mend.csv"
    assert export_quarantined(warehouse, path, import_id=first.import_id) == 12
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["jingzhe_reason"] for row in rows[:2]] == ["bad-number quantity", "missing-customer customer_id"]
    assert rows[9]["jingzhe_text"] == "B1,c1,2024-03-05,p1,1"
    rows[0]["数量"], rows[1]["客户ID"] = "3", "c3"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    summary = import_orders(warehouse, path)
    assert (summary.orders, summary.orders_replaced) == (1, 1)
    assert [(row[0], row[1], row[7]) for row in facts(warehouse)["events"]] == [
        ("c1", "A1", 25.0), ("c2", "B4", 10.0), ("c3", "A2", 10.0),
    ]  # fmt: skip
    assert [(row[3], row[5], row[9]) for row in facts(warehouse)["items"]] == [
        ("p1", 1.0, "A1"), ("p2", 3.0, "A1"), ("p1", 1.0, "B4"), ("p1", 1.0, "A2"),
    ]  # fmt: skip
    left = rows_of(warehouse, "SELECT reason FROM quarantine WHERE file = 'orders.csv'")
    assert len(left) == 10
    before = facts(warehouse)
    path.write_text(path.read_text("utf-8").replace("wrong-columns", "still wrong"), "utf-8")
    again = import_orders(warehouse, path)
    assert (again.orders, again.orders_replaced) == (0, 0)
    assert facts(warehouse) == before


def test_nothing_to_export_is_said(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(NoDataError):
        export_quarantined(warehouse, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_every_reason_has_words_in_both_languages() -> None:
    used = {refusal.reason for refusal in REFUSALS} | set(ENGINE_REASONS.values())
    assert used | {ERASED} == set(REASONS)
    assert all(text.en and text.zh for text in REASONS.values())
