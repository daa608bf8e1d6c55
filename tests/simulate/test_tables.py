from __future__ import annotations

import numpy as np
import polars as pl

from jingzhe.simulate import Chunk, customer_keys
from jingzhe.simulate.tables import order_ids


def test_keys_and_order_numbers_are_as_the_shop_writes_them() -> None:
    assert customer_keys(np.array([1, 123_456_789])).to_pylist() == ["C00000001", "C123456789"]
    assert order_ids(np.array([123]), np.array([4])).to_pylist() == ["S000000123-4"]


def test_events_are_ordered_and_numbered_in_time(drawn: Chunk) -> None:
    events = pl.DataFrame(drawn.events)
    assert events["event_id"].is_unique().all()
    assert events.select("person_id", "ts").equals(events.select("person_id", "ts").sort("person_id", "ts"))
    assert events["event_id"].is_sorted()
    assert events.select((pl.col("event_id") // 2**20 == pl.col("person_id")).all()).item()
    assert events.select((pl.col("received_at") == pl.col("ts")).all()).item()


def test_money_stands_on_purchases_and_refunds_only(drawn: Chunk) -> None:
    events = pl.DataFrame(drawn.events)
    deals = events["activity"].is_in(["purchase", "refund"])
    for column in ("revenue", "quantity", "order_id", "currency"):
        assert (events[column].is_not_null() == deals).all(), column
    assert (events["discount"].is_not_null() == (events["activity"] == "purchase")).all()
    bought, returned = (events.filter(pl.col("activity") == name) for name in ("purchase", "refund"))
    assert bought.select((pl.col("revenue") > 0, pl.col("quantity") >= 1, pl.col("discount") >= 0)).to_numpy().all()
    assert returned.select((pl.col("revenue") < 0, pl.col("quantity") <= -1)).to_numpy().all()
    assert bought["order_id"].is_unique().all()
    assert (
        bought["order_id"]
        == bought.select(
            pl.format(
                "S{}-{}",
                pl.col("person_id").cast(pl.String).str.zfill(9),
                pl.col("ts").rank("ordinal").over("person_id"),
            )
        ).to_series()
    ).all()


def test_items_add_up_to_their_order_to_the_cent(drawn: Chunk) -> None:
    items, events = pl.DataFrame(drawn.items), pl.DataFrame(drawn.events)
    sums = items.group_by("event_id").agg(
        (pl.col("amount") * 100).round().sum(),
        pl.col("quantity").sum(),
        (pl.col("discount") * 100).round().sum(),
    )
    deals = events.filter(pl.col("order_id").is_not_null()).join(sums, on="event_id", how="left")
    assert ((deals["revenue"] * 100).round() == deals["amount"]).all()
    assert (deals["quantity"] == deals["quantity_right"]).all()
    assert ((deals["discount"].fill_null(0) * 100).round() == deals["discount_right"]).all()
    assert len(deals) == len(sums)
    assert not items.select("event_id", "product_id").is_duplicated().any()


def test_a_sold_line_is_quantity_times_price_less_discount(drawn: Chunk) -> None:
    sold = pl.DataFrame(drawn.items).filter(pl.col("quantity") > 0)
    net = sold["quantity"] * sold["price"] - sold["discount"]
    assert ((net - sold["amount"]).abs() < 1e-6).all()
    assert (sold["amount"] > 0).all()
    assert (sold["discount"] > 0).mean() > 0.1  # type: ignore[operator]


def test_lines_carry_the_moment_and_the_person_of_their_event(drawn: Chunk) -> None:
    columns = ["event_id", "ts", "day", "person_id"]
    events = pl.DataFrame(drawn.events).select(columns)
    items = pl.DataFrame(drawn.items).select(columns)
    assert items.join(events, on=columns, how="anti").is_empty()
    assert items["event_id"].is_sorted()
