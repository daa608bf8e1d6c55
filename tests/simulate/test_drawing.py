from __future__ import annotations

import dataclasses
from datetime import date

import polars as pl
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.core.errors import SettingError
from jingzhe.simulate import BLOCK_PEOPLE, Business, Chunk, draw
from jingzhe.store import facts
from tests.simulate.whole import whole


def same(left: Chunk, right: Chunk) -> bool:
    return all(getattr(left, name).equals(getattr(right, name)) for name in ("events", "items", "truth"))


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(business: Business, drawn: Chunk) -> None:
    assert same(whole(business), drawn)
    other = whole(dataclasses.replace(business, seed=business.seed + 1))
    assert not other.events["ts"].slice(0, 100).equals(drawn.events["ts"].slice(0, 100))


def test_rows_do_not_depend_on_the_size_of_chunks(business: Business, drawn: Chunk) -> None:
    chunks = list(draw(business, people_per_chunk=1))
    assert [len(chunk.truth) for chunk in chunks] == [BLOCK_PEOPLE, BLOCK_PEOPLE, 5_000 - 2 * BLOCK_PEOPLE]
    assert same(whole(business, people_per_chunk=BLOCK_PEOPLE + 1), drawn)
    assert sum(len(chunk.events) for chunk in chunks) == len(drawn.events)


def test_a_person_is_the_same_in_a_larger_business(business: Business, drawn: Chunk) -> None:
    small = whole(dataclasses.replace(business, people=700))
    for name in ("events", "items", "truth"):
        table = getattr(drawn, name)
        assert getattr(small, name).equals(table.filter(pc.less_equal(table["person_id"], 700)))


def test_columns_are_those_of_the_store(drawn: Chunk) -> None:
    for table, facts_table in ((drawn.events, facts.EVENTS), (drawn.items, facts.ITEMS)):
        assert tuple(table.column_names) == facts_table.column_names
        for field in facts_table.arrow_schema:
            assert table.schema.field(field.name).type == field.type, field.name


def test_proportions_are_those_of_a_shop(business: Business, drawn: Chunk) -> None:
    events = len(drawn.events)
    days = pl.DataFrame(drawn.events).select("person_id", "day").n_unique()
    bought = pl.DataFrame(drawn.events).filter(pl.col("activity") == "purchase")
    assert events / business.people == pytest.approx(business.events_per_person, rel=0.05)
    assert 3.0 < events / days < 4.0
    assert 0.10 < len(bought) / events < 0.15
    assert 1.5 < len(drawn.items) / len(bought) < 2.0
    assert set(drawn.events["activity"].unique().to_pylist()) <= set(facts.ACTIVITIES)


def test_the_batch_is_written_on_every_row() -> None:
    (chunk,) = draw(Business(people=50), batch=7)
    assert chunk.events["batch"].unique().to_pylist() == [7]
    assert chunk.items["batch"].unique().to_pylist() == [7]


def test_an_empty_chunk_is_refused() -> None:
    with pytest.raises(SettingError):
        next(draw(Business(), people_per_chunk=0))


businesses = st.builds(
    Business,
    people=st.integers(1, 60),
    days=st.integers(1, 900),
    start=st.dates(date(1971, 1, 1), date(2100, 1, 1)),
    seed=st.integers(0, 2**40),
    events_per_person=st.floats(10, 200),
    browsing=st.floats(0, 4),
    established=st.floats(0, 1),
    prospects=st.floats(0, 1),
    declining=st.floats(0, 1),
    median_life_days=st.floats(1, 3_000),
    refunded=st.floats(0, 1),
    silence_days=st.integers(0, 100),
    products=st.integers(40, 400),
)


@given(business=businesses)
@settings(max_examples=6, deadline=None, database=None)
def test_whatever_the_business_the_books_balance(business: Business) -> None:
    chunk = whole(business)
    events, items = pl.DataFrame(chunk.events), pl.DataFrame(chunk.items)
    assert chunk.truth["person_id"].to_pylist() == list(range(1, business.people + 1))
    assert events["event_id"].is_unique().all()
    assert events["event_id"].is_sorted()
    assert events["day"].is_between(business.start, business.end, closed="left").all()
    assert (events["ts"].dt.date() == events["day"]).all()
    paid = events.filter(pl.col("revenue").is_not_null()).select("event_id", "revenue", "quantity")
    sums = items.group_by("event_id").agg(pl.col("amount", "quantity").sum())
    joined = paid.join(sums, on="event_id", how="full")
    assert joined.null_count().sum_horizontal().sum() == 0
    assert ((joined["amount"] - joined["revenue"]).abs() < 0.001).all()
    assert (joined["quantity"] == joined["quantity_right"]).all()
