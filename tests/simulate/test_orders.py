from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from jingzhe.core.errors import SettingError
from jingzhe.simulate import BLOCK_PEOPLE, Business, Chunk, orders_csv


def test_the_file_has_the_lines_that_were_sold(business: Business, drawn: Chunk, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    written = orders_csv(business, path)
    rows = pl.read_csv(path, try_parse_dates=True)
    orders = pl.DataFrame(drawn.events).select("event_id", "order_id")
    sold = pl.DataFrame(drawn.items).filter(pl.col("quantity") > 0).join(orders, on="event_id", maintain_order="left")
    assert len(rows) == written == len(sold)
    for column in ("order_id", "product_id", "category", "quantity", "price", "discount"):
        assert (rows[column] == sold[column]).all(), column
    assert (rows["ordered_at"] == sold["ts"].dt.replace_time_zone(None)).all()
    assert (rows["customer_id"].str.strip_prefix("C").cast(pl.Int64) == sold["person_id"]).all()


@pytest.mark.parametrize("lines", [1, 1_000, 20_000])
def test_it_stops_at_the_line_asked_for_and_draws_more_people_if_need_be(lines: int, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    assert orders_csv(Business(people=10), path, lines=lines) == lines
    text = path.read_text(encoding="utf-8").splitlines()
    assert len(text) == lines + 1
    assert text[0] == "customer_id,order_id,ordered_at,product_id,category,quantity,price,discount"
    if lines == 20_000:
        assert int(text[-1][1:9]) > BLOCK_PEOPLE


def test_no_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        orders_csv(Business(), tmp_path / "orders.csv", lines=0)
