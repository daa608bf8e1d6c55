from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from jingzhe.core.errors import SettingError
from jingzhe.simulate import Business, Chunk, append_day


@pytest.fixture(scope="module")
def days(business: Business) -> list[Chunk]:
    return [append_day(business, business.end + timedelta(days=n), events=3_000, batch=2 + n) for n in range(2)]


def test_a_day_has_that_day_and_about_as_many_events(business: Business, days: list[Chunk]) -> None:
    for number, chunk in enumerate(days):
        events = pl.DataFrame(chunk.events)
        assert events["day"].unique().to_list() == [business.end + timedelta(days=number)]
        assert len(events) == pytest.approx(3_000, rel=0.1)
        assert events["batch"].unique().to_list() == [2 + number]


def test_its_rows_fit_those_drawn_before(drawn: Chunk, days: list[Chunk]) -> None:
    for name in ("events", "items"):
        tables = [getattr(chunk, name) for chunk in (drawn, *days)]
        assert all(table.schema == tables[0].schema for table in tables)
    events = pl.concat(pl.DataFrame(chunk.events) for chunk in (drawn, *days))
    assert events["event_id"].is_unique().all()
    assert events.filter(pl.col("activity") == "purchase")["order_id"].is_unique().all()
    ordered = events.sort("event_id")
    assert ordered.select("person_id", "ts").equals(ordered.select("person_id", "ts").sort("person_id", "ts"))


def test_new_people_follow_the_old_ones_and_buy(business: Business, days: list[Chunk]) -> None:
    ids = [person for chunk in days for person in chunk.truth["person_id"].to_pylist()]
    assert ids == list(range(business.people + 1, business.people + 21))
    for chunk in days:
        events = pl.DataFrame(chunk.events).filter(pl.col("activity") == "purchase")
        assert set(chunk.truth["person_id"].to_pylist()) <= set(events["person_id"])


def test_those_who_come_are_the_active_ones(drawn: Chunk, days: list[Chunk]) -> None:
    truth = pl.DataFrame(drawn.truth)
    came = truth.join(pl.DataFrame(days[0].events), on="person_id", how="semi")
    gone = pl.col("lapsed_on").is_not_null() & pl.col("returned_on").is_null()
    assert came.select(gone.mean()).item() < 0.1 < truth.select(gone.mean()).item()
    assert came["rate_per_year"].mean() > 1.3 * truth["rate_per_year"].mean()  # type: ignore[operator]


def test_items_add_up(days: list[Chunk]) -> None:
    sums = pl.DataFrame(days[0].items).group_by("event_id").agg(pl.col("amount").sum())
    orders = pl.DataFrame(days[0].events).filter(pl.col("revenue").is_not_null())
    pairs = orders.join(sums, on="event_id", how="full")
    assert ((pairs["revenue"] - pairs["amount"]).abs() < 0.001).all()
    assert len(pairs) == len(sums)


def test_the_seed_decides(business: Business, days: list[Chunk]) -> None:
    again = append_day(business, business.end, events=3_000, batch=2)
    assert again.events.equals(days[0].events)
    assert not append_day(business, business.end, events=3_000, seed=1, batch=2).events.equals(days[0].events)


def test_a_day_may_bring_new_people_only(business: Business) -> None:
    chunk = append_day(business, business.end, events=10, new_people=1)
    assert business.people + 1 in chunk.events["person_id"].to_pylist()


def test_a_day_within_the_window_is_refused(business: Business) -> None:
    for on in (business.start, business.end - timedelta(days=1), date(2100, 1, 1)):
        with pytest.raises(SettingError):
            append_day(business, on, events=100)
    for new_people in (10, -1, 10_000):
        with pytest.raises(SettingError):
            append_day(business, business.end, events=10, new_people=new_people)


def test_more_events_than_there_are_numbers_for_are_refused() -> None:
    few = Business(people=3)
    with pytest.raises(SettingError, match="more events than"):
        append_day(few, few.end, events=5_000)
