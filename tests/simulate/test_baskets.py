from __future__ import annotations

import polars as pl

from jingzhe.simulate import Chunk


def test_a_refund_comes_after_its_purchase_and_never_exceeds_it(drawn: Chunk) -> None:
    events = pl.DataFrame(drawn.events)
    bought, returned = (events.filter(pl.col("activity") == name) for name in ("purchase", "refund"))
    pairs = returned.join(bought, on=["order_id", "person_id"], how="left", suffix="_bought")
    assert returned["order_id"].is_unique().all()
    assert (pairs["ts"] > pairs["ts_bought"]).all()
    assert (-pairs["revenue"] <= pairs["revenue_bought"] + 1e-9).all()
    assert (-pairs["quantity"] <= pairs["quantity_bought"]).all()
    assert (pairs["source"] == pairs["source_bought"]).all()
    assert 0.02 < len(returned) / len(bought) < 0.05
    partly = (-pairs["revenue"] < pairs["revenue_bought"] - 0.01).mean()
    assert 0.05 < partly < 0.5  # type: ignore[operator]


def test_refunded_lines_were_bought(drawn: Chunk) -> None:
    orders = pl.DataFrame(drawn.events).select("event_id", "order_id")
    items = pl.DataFrame(drawn.items).join(orders, on="event_id")
    sold, returned = items.filter(pl.col("quantity") > 0), items.filter(pl.col("quantity") < 0)
    pairs = returned.join(sold, on=["order_id", "product_id", "price"], how="left", suffix="_sold")
    assert len(pairs) == len(returned)
    assert (-pairs["amount"] == pairs["amount_sold"]).all()
    assert (-pairs["quantity"] == pairs["quantity_sold"]).all()
    assert returned["discount"].is_null().all()


def test_people_buy_what_they_like_and_the_sensitive_wait_for_discounts(drawn: Chunk) -> None:
    truth = pl.DataFrame(drawn.truth).select("person_id", "preferred_category", "price_sensitivity")
    sold = pl.DataFrame(drawn.items).filter(pl.col("quantity") > 0).join(truth, on="person_id")
    assert 0.55 < (sold["category"] == sold["preferred_category"]).mean() < 0.75  # type: ignore[operator]
    reduced = sold.group_by(pl.col("price_sensitivity") > 0.5).agg((pl.col("discount") > 0).mean())
    shares = dict(reduced.iter_rows())
    assert shares[True] > shares[False] + 0.1


def test_few_products_make_most_sales(drawn: Chunk) -> None:
    counts = pl.DataFrame(drawn.items)["product_id"].value_counts(sort=True)["count"]
    assert counts.head(len(counts) // 5).sum() > counts.sum() / 2
