from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jingzhe.collect.activities import set_activity
from jingzhe.collect.importing import import_orders
from jingzhe.core.errors import ImportRefusedError, SettingError
from jingzhe.store.warehouse import Warehouse
from tests.collect.conftest import facts, rows_of

HEADER = "order_id,customer_id,ordered_at,product_id,category,quantity,price,discount\n"
LINES = HEADER + (
    "A1,c1,2024-03-05 10:00:00,p1,toys,2,10,1\n"
    "A1,c1,2024-03-05 10:00:00,p2,food,1,5,\n"
    "A2,c2,2024-03-06 23:30:00,p1,toys,1,10,0\n"
)


def write(folder: Path, text: str, name: str = "orders.csv") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def run(warehouse: Warehouse, folder: Path, text: str, name: str = "orders.csv", **wishes: Any) -> Any:
    return import_orders(warehouse, write(folder, text, name), **wishes)


def when(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


def test_orders_with_lines(warehouse: Warehouse, tmp_path: Path) -> None:
    summary = run(warehouse, tmp_path, LINES, timezone="Asia/Shanghai", currency="CNY")
    assert (summary.rows, summary.orders, summary.events, summary.items, summary.people) == (3, 2, 2, 3, 2)
    assert (summary.first_day, summary.last_day) == (date(2024, 3, 5), date(2024, 3, 6))
    assert summary.mappings[0].shape == "lines"
    assert facts(warehouse) == {
        "events": [
            ("c1", "A1", when(5, 2), date(2024, 3, 5), "orders", "order_completed", "purchase", 24.0, 1.0, 3.0, "CNY"),
            ("c2", "A2", when(6, 15, 30), date(2024, 3, 6), "orders", "order_completed", "purchase", 10.0, 0.0, 1.0,
             "CNY"),
        ],
        "items": [
            ("c1", when(5, 2), date(2024, 3, 5), "p1", "toys", 2.0, 10.0, 1.0, 19.0, "A1"),
            ("c1", when(5, 2), date(2024, 3, 5), "p2", "food", 1.0, 5.0, None, 5.0, "A1"),
            ("c2", when(6, 15, 30), date(2024, 3, 6), "p1", "toys", 1.0, 10.0, 0.0, 10.0, "A2"),
        ],
    }  # fmt: skip


def test_returns_stand_beside_the_purchase(warehouse: Warehouse, tmp_path: Path) -> None:
    text = (
        "order,customer,date,sku,qty,price,discount\nA1,c1,2024-03-05,p1,2,10,1\nA1,c1,2024-03-05,p2,-1,5,1\n"
        "C2,c1,2024-03-07,p1,-2,10,\nF3,c1,2024-03-08,p3,1,0,\n"
    )
    summary = run(warehouse, tmp_path, text)
    found = [(row[1], row[5], row[6], row[7], row[8], row[9]) for row in facts(warehouse)["events"]]
    assert found == [
        ("A1", "order_completed", "purchase", 19.0, 1.0, 2.0),
        ("A1", "order_refunded", "refund", -4.0, 1.0, -1.0),
        ("C2", "order_refunded", "refund", -20.0, None, -2.0),
        ("F3", "order_completed", "purchase", 0.0, None, 1.0),
    ]
    assert (summary.orders, summary.events) == (3, 4)


def test_orders_alone_and_their_refunds(warehouse: Warehouse, tmp_path: Path) -> None:
    summary = run(
        warehouse, tmp_path, "订单编号,会员号,付款时间,实付金额\nA1,c1,2024/3/5 10:00,12.50\nA2,c1,2024/3/6,-3\n"
    )
    assert summary.mappings[0].shape == "orders"
    assert [(row[1], row[6], row[7], row[9]) for row in facts(warehouse)["events"]] == [
        ("A1", "purchase", 12.5, None), ("A2", "refund", -3.0, None),
    ]  # fmt: skip
    assert facts(warehouse)["items"] == []


def test_lines_of_one_order_share_its_first_moment(warehouse: Warehouse, tmp_path: Path) -> None:
    run(
        warehouse,
        tmp_path,
        HEADER + "A1,c1,2024-03-05 23:59:00,p1,,1,1,\nA1,c1,2024-03-06 00:01:00,p2,,1,1,\nA2,c1,2024-03-07,p1,,1,1,\n",
    )
    assert [row["ts"] for row in rows_of(warehouse, "SELECT ts FROM events ORDER BY ts")] == [when(5, 23, 59), when(7)]
    assert [(row["ts"], row["day"]) for row in rows_of(warehouse, "SELECT ts, day FROM items ORDER BY ts")] == [
        (when(5, 23, 59), date(2024, 3, 5)), (when(5, 23, 59), date(2024, 3, 5)), (when(7), date(2024, 3, 7)),
    ]  # fmt: skip


def test_one_order_number_of_two_customers_is_two_orders(warehouse: Warehouse, tmp_path: Path) -> None:
    run(warehouse, tmp_path, HEADER + "A1,c1,2024-03-05,p1,,1,1,\nA1,c2,2024-03-05,p1,,1,2,\n")
    assert [row[:2] + row[7:8] for row in facts(warehouse)["events"]] == [("c1", "A1", 1.0), ("c2", "A1", 2.0)]


def test_generic_events(warehouse: Warehouse, tmp_path: Path) -> None:
    set_activity(warehouse.state, "Shared Poster", "interaction")
    text = (
        "event_name,user_id,timestamp,item_id,amount\npv,u1,1709641800,p1,\nadd to cart,u1,1709641860,p1,\n"
        "buy,u1,1709641900,p1,9.5\nshared_poster,u2,1709641800,,\nwobble,u2,1709641801,,\n"
    )
    summary = run(warehouse, tmp_path, text)
    assert summary.mappings[0].shape == "events"
    assert dict(summary.unknown_events) == {"wobble": 1}
    in_time = sorted(facts(warehouse)["events"], key=lambda row: (row[0], row[2]))
    assert [(row[0], row[5], row[6], row[7]) for row in in_time] == [
        ("u1", "pv", "view", None), ("u1", "add to cart", "cart", None), ("u1", "buy", "purchase", 9.5),
        ("u2", "shared_poster", "interaction", None), ("u2", "wobble", "interaction", None),
    ]  # fmt: skip
    assert [row[3] for row in facts(warehouse)["items"]] == ["p1", "p1", "p1"]


def test_activities_are_a_closed_vocabulary(warehouse: Warehouse) -> None:
    with pytest.raises(SettingError, match="no activity"):
        set_activity(warehouse.state, "x", "shopping")


def test_the_same_file_again_changes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    first = run(warehouse, tmp_path, LINES)
    before = warehouse.state.latest()
    again = run(warehouse, tmp_path, LINES)
    assert (again.repeated, again.changed, again.orders, again.orders_unchanged) == (first.import_id, False, 0, 2)
    other_name = run(warehouse, tmp_path, LINES, "copy.csv")
    assert (other_name.repeated, other_name.changed, other_name.orders_unchanged) == (None, False, 2)
    lines = LINES.splitlines()
    reordered = run(warehouse, tmp_path, "\n".join([lines[0], *reversed(lines[1:])]), "reordered.csv")
    assert (reordered.changed, reordered.orders_unchanged) == (False, 2)
    assert warehouse.state.latest() == before


LAST = "A2,c2,2024-03-06 23:30:00,p1,toys,1,10,0\n"
CORRECTIONS = {
    "customer": "A2,c3,2024-03-06 23:30:00,p1,toys,1,10,0\n",
    "time": "A2,c2,2024-03-06 23:31:00,p1,toys,1,10,0\n",
    "product": "A2,c2,2024-03-06 23:30:00,p9,toys,1,10,0\n",
    "category": "A2,c2,2024-03-06 23:30:00,p1,food,1,10,0\n",
    "quantity": "A2,c2,2024-03-06 23:30:00,p1,toys,2,10,0\n",
    "price": "A2,c2,2024-03-06 23:30:00,p1,toys,1,11,0\n",
    "discount": "A2,c2,2024-03-06 23:30:00,p1,toys,1,10,2\n",
    "unknown discount": "A2,c2,2024-03-06 23:30:00,p1,toys,1,10,\n",
    "a line more": LAST + LAST,
    "a return": LAST + LAST.replace("toys,1", "toys,-1"),
}
FAST = {"price", "a return"}


@pytest.mark.parametrize(
    "corrected",
    [pytest.param(text, id=name, marks=() if name in FAST else pytest.mark.slow) for name, text in CORRECTIONS.items()],
)
def test_a_corrected_order_is_replaced(warehouse: Warehouse, tmp_path: Path, corrected: str) -> None:
    run(warehouse, tmp_path, LINES)
    text = LINES.replace(LAST, corrected)
    summary = run(warehouse, tmp_path, text, "corrected.csv")
    assert (summary.orders, summary.orders_replaced, summary.orders_unchanged) == (0, 1, 1)
    fresh = facts(warehouse)
    retracted = rows_of(warehouse, "SELECT * FROM retractions")
    assert [(row["day"], row["batch"]) for row in retracted] == [(date(2024, 3, 6), 2)]
    run(warehouse, tmp_path, text, "alone.csv", source_name="alone")
    alone = [row for row in facts(warehouse)["events"] if row[4] == "alone"]
    assert [(*row[:4], *row[5:]) for row in fresh["events"]] == [(*row[:4], *row[5:]) for row in alone]


def test_the_old_file_after_its_correction_takes_it_back(warehouse: Warehouse, tmp_path: Path) -> None:
    run(warehouse, tmp_path, LINES)
    before = facts(warehouse)
    run(warehouse, tmp_path, LINES.replace(",1,10,0", ",1,12,0"))
    assert facts(warehouse) != before
    back = run(warehouse, tmp_path, LINES)
    assert (back.orders_replaced, facts(warehouse)) == (1, before)


def test_another_source_has_orders_of_its_own(warehouse: Warehouse, tmp_path: Path) -> None:
    run(warehouse, tmp_path, LINES, source_name="shop")
    summary = run(warehouse, tmp_path, LINES, source_name="till")
    assert (summary.orders, summary.people) == (2, 0)
    assert len(facts(warehouse)["events"]) == 4


def test_rows_without_an_order_number(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = "customer,date,amount\nc1,2024-03-05,5\nc1,2024-03-05,5\nc2,2024-03-06,7.25\nc2,2024-03-07,-1\n"
    summary = run(warehouse, tmp_path, rows)
    assert (summary.orders, summary.events) == (4, 4)
    assert [(row[0], row[1], row[6], row[7]) for row in facts(warehouse)["events"]] == [
        ("c1", None, "purchase", 5.0), ("c1", None, "purchase", 5.0), ("c2", None, "purchase", 7.25),
        ("c2", None, "refund", -1.0),
    ]  # fmt: skip
    more = run(warehouse, tmp_path, rows + "c1,2024-03-05,5\nc3,2024-03-09,1\n", "more.csv")
    assert (more.orders, more.orders_unchanged, more.people) == (2, 4, 1)
    assert run(warehouse, tmp_path, rows, "less.csv").changed is False


def test_an_order_over_two_files_of_a_folder_is_one(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder, HEADER + "A1,c1,2024-03-05,p1,,1,1,\n", "1.csv")
    write(folder, "客户ID;订单号;下单时间;实付金额;商品编码\nc1;A1;2024-03-05;2,50;p2\n", "2.csv")
    write(folder, "not an order", "notes.md")
    write(folder, "", "3.csv")
    summary = import_orders(warehouse, folder)
    assert summary.files == ("1.csv", "2.csv")
    assert [(row[1], row[7]) for row in facts(warehouse)["events"]] == [("A1", 3.5)]
    assert summary.mappings[1]["amount"].note == "decimal comma"
    assert import_orders(warehouse, folder).changed is False


def test_a_pattern_takes_what_fits(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder, HEADER + "A1,c1,2024-03-05,p1,,1,1,\n", "a-1.csv")
    write(folder, HEADER + "B1,c1,2024-03-05,p1,,1,1,\n", "b-1.csv")
    assert import_orders(warehouse, str(folder / "a-*.csv")).files == ("a-1.csv",)


def test_day_and_month_are_told_apart_by_all_values(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = "".join(f"A{n},c1,{1 + n % 12}/{1 + n % 12}/2024,1\n" for n in range(3_000))
    summary = run(warehouse, tmp_path, f"order,customer,date,amount\nA,c1,5/3/2024,1\n{rows}Z,c1,25/3/2024,1\n")
    assert "day before month" in summary.mappings[0]["ordered_at"].note
    assert rows_of(warehouse, "SELECT day FROM events WHERE order_id = 'A'") == [{"day": date(2024, 3, 5)}]
    other = run(warehouse, tmp_path, "order,customer,date,amount\nX,c1,5/3/2024,1\n", "x.csv")
    assert "cannot be told apart" in other.mappings[0]["ordered_at"].note
    assert rows_of(warehouse, "SELECT day FROM events WHERE order_id = 'X'") == [{"day": date(2024, 5, 3)}]
    run(warehouse, tmp_path, "order,customer,date,amount\nX,c1,5/3/2024,1\n", "x.csv", dates="day-first")
    assert rows_of(warehouse, "SELECT day FROM events WHERE order_id = 'X'") == [{"day": date(2024, 3, 5)}]


def test_mapping_can_be_given(warehouse: Warehouse, tmp_path: Path) -> None:
    text = "a,b,c,d\nA1,c1,2024-03-05,3\n"
    summary = run(
        warehouse, tmp_path, text, mapping={"order_id": "a", "customer_id": "B", "ordered_at": "c", "amount": "d"}
    )
    assert summary.mappings[0].columns == {"order_id": "a", "customer_id": "b", "ordered_at": "c", "amount": "d"}
    assert {match.why for match in summary.mappings[0].matches} == {"given"}
    assert [(row[0], row[1], row[7]) for row in facts(warehouse)["events"]] == [("c1", "A1", 3.0)]


@pytest.mark.parametrize(
    ("text", "wishes", "words"),
    [
        ("", {}, "file is empty"),
        ("\n\n\n", {}, "file is empty"),
        ("alone\n1\n2\n", {}, "No column for customer and time"),
        ("customer,amount\nc1,5\n", {}, "No column for time was found"),
        ("customer,date,colour\nc1,2024-03-05,red\n", {}, "No column for amount was found"),
        (LINES, {"mapping": {"customer_id": "nobody"}}, "'nobody', given for customer_id, is not in the file"),
        (LINES, {"mapping": {"who": "customer_id"}}, "no field 'who'"),
        (LINES, {"preset": "nothing"}, "no preset 'nothing'"),
        (LINES, {"encoding": "klingon"}, "no encoding 'klingon'"),
        (HEADER + "A1,,2024-03-05,p1,,1,1,\n", {}, "None of the 1 rows"),
        (HEADER + "A1,c1,soon,p1,,1,1,\n", {}, "line 2: ordered_at: 'soon' (the time cannot be read)"),
    ],
)
def test_refusals_say_what_was_looked_for(
    warehouse: Warehouse, tmp_path: Path, text: str, wishes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        run(warehouse, tmp_path, text, **wishes)
    assert words in str(refused.value)
    assert warehouse.state.latest() is None


def test_a_refusal_shows_columns_and_the_way_out(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        run(warehouse, tmp_path, "姓名,颜色\n张三,red\n李四,blue\n")
    assert "客户" not in refused.value.message
    for words in ("姓名 (", "颜色 (blue, red)", "--map customer_id=COLUMN", "customerid"):
        assert words in refused.value.hint


def test_a_header_alone_imports_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    summary = run(warehouse, tmp_path, HEADER)
    assert (summary.rows, summary.changed) == (0, False)


def test_a_zone_that_is_none_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no IANA time zone"):
        run(warehouse, tmp_path, LINES, timezone="Mars/Olympus")


def test_a_missing_file_and_an_empty_folder(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError, match="no such file"):
        import_orders(warehouse, tmp_path / "nowhere.csv")
    (tmp_path / "none").mkdir()
    with pytest.raises(ImportRefusedError, match="no file that can be imported"):
        import_orders(warehouse, tmp_path / "none")
    with pytest.raises(ImportRefusedError, match="nothing to import"):
        import_orders(warehouse, None)


class Heard:
    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        assert unit == "rows"
        self.stages.append((name, total))

    def advance(self, done: int) -> None:
        assert done >= 0


def test_progress_names_stages_and_estimates_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    heard = Heard()
    text = HEADER + "".join(f"A{n},c{n % 9},2024-03-05 10:00:00,p1,toys,1,10,0\n" for n in range(5_000))
    run(warehouse, tmp_path, text, progress=heard)
    totals = dict(heard.stages)
    assert 4_500 < (totals["read orders.csv"] or 0) < 5_500
    assert [name for name, _ in heard.stages][-3:] == ["orders", "lines", "publish"]
