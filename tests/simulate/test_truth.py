"""What the truth says can be seen in the events."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from jingzhe.simulate import Business, Chunk
from tests.simulate.whole import whole

HEAVY = Business(people=4_000, events_per_person=150, seed=7)


@pytest.fixture(scope="module")
def heavy() -> Chunk:
    return whole(HEAVY)


def purchases(chunk: Chunk) -> pl.DataFrame:
    return (
        pl.DataFrame(chunk.events)
        .filter(pl.col("activity") == "purchase")
        .join(pl.DataFrame(chunk.truth), on="person_id")
    )


def test_nobody_buys_between_lapse_and_return(drawn: Chunk) -> None:
    events = purchases(drawn)
    away = (events["day"] >= events["lapsed_on"]) & (
        events["returned_on"].is_null() | (events["day"] < events["returned_on"])
    )
    assert not away.any()
    assert 0.2 < pl.DataFrame(drawn.truth)["lapsed_on"].is_not_null().mean() < 0.8  # type: ignore[operator]


def test_arrivals_and_returns_are_purchases_on_that_day(drawn: Chunk) -> None:
    truth, events = pl.DataFrame(drawn.truth), purchases(drawn)
    for column in ("arrived_on", "returned_on"):
        moments = truth.filter(pl.col(column).is_not_null() & ~pl.col("prospect"))
        days = events.select("person_id", "day")
        assert moments.join(days, left_on=["person_id", column], right_on=["person_id", "day"], how="anti").is_empty()
    first = events.group_by("person_id").agg(pl.col("day").min(), pl.col("arrived_on").first())
    assert (first["day"] >= first["arrived_on"]).all()
    returned = truth.filter(pl.col("returned_on").is_not_null())
    assert (returned["returned_on"] - returned["lapsed_on"]).dt.total_days().min() >= 45  # type: ignore[operator]


def test_prospects_look_and_never_buy(drawn: Chunk) -> None:
    prospects = pl.DataFrame(drawn.truth).filter(pl.col("prospect"))
    assert not purchases(drawn)["prospect"].any()
    assert (prospects["rate_per_year"] == 0).all()
    events = pl.DataFrame(drawn.events).join(prospects, on="person_id", how="semi")
    assert events["person_id"].n_unique() > 0.7 * len(prospects)


def test_rates_are_recovered(heavy: Chunk) -> None:
    stayed = pl.DataFrame(heavy.truth).filter(
        pl.col("lapsed_on").is_null()
        & pl.col("arrived_on").is_null()
        & (pl.col("decline_weeks") == 0)
        & ~pl.col("prospect")
    )
    counts = pl.DataFrame(heavy.events).filter(pl.col("activity") == "purchase")["person_id"].value_counts()
    rows = stayed.join(counts, on="person_id", how="left").with_columns(pl.col("count").fill_null(0))
    observed = rows["count"] * 365.25 / HEAVY.days
    assert observed.mean() == pytest.approx(rows["rate_per_year"].mean(), rel=0.03)
    assert np.corrcoef(observed, rows["rate_per_year"])[0, 1] > 0.97


def test_regular_people_have_even_gaps(heavy: Chunk) -> None:
    gaps = (
        purchases(heavy)
        .filter(pl.col("lapsed_on").is_null())
        .with_columns(gap=pl.col("ts").diff().over("person_id").dt.total_seconds())
        .group_by("person_id")
        .agg(
            pl.col("gap").std() / pl.col("gap").mean(),
            pl.col("gap").count().alias("n"),
            pl.col("regularity").first(),
        )
        .filter(pl.col("n") >= 15)
    )
    even = gaps.filter(pl.col("regularity") > 6)["gap"].median()
    wild = gaps.filter(pl.col("regularity") < 1.2)["gap"].median()
    assert isinstance(even, float)
    assert isinstance(wild, float)
    assert even < 0.5
    assert wild > 0.8
    assert np.corrcoef(gaps["gap"], gaps["regularity"] ** -0.5)[0, 1] > 0.7


def test_a_decline_is_seen_before_the_lapse(heavy: Chunk) -> None:
    bought = purchases(heavy).filter(pl.col("lapsed_on").is_not_null() & (pl.col("day") < pl.col("lapsed_on")))
    days = (pl.col("lapsed_on") - pl.col("day")).dt.total_days() / (7 * pl.col("decline_weeks"))
    declining = bought.filter(pl.col("decline_weeks") > 0).with_columns(to_go=days)
    during, before = (
        declining.filter(pl.col("to_go") <= 1),
        declining.filter(pl.col("to_go").is_between(1, 1.25, closed="right")),
    )
    # The average intensity of a decline is (1 + 0.15) / 2; the quarter before it has full intensity.
    assert len(during) / (4 * len(before)) == pytest.approx(0.575, rel=0.15)
    late = during.filter(pl.col("to_go") < 0.5)
    assert late["revenue"].mean() < 0.85 * before["revenue"].mean()  # type: ignore[operator]


def test_the_season_shows(heavy: Chunk) -> None:
    ts = pl.DataFrame(heavy.events)["ts"]
    for unit, counts in (
        ("months", ts.dt.month().value_counts(sort=False)),
        ("weekdays", ts.dt.weekday().value_counts(sort=False)),
        ("hours", ts.dt.hour().value_counts(sort=False)),
    ):
        observed = counts.sort("ts")["count"].to_numpy()
        assert np.corrcoef(observed, getattr(HEAVY, unit))[0, 1] > 0.85, unit


def test_spontaneous_returns_are_as_frequent_as_the_base_says(heavy: Chunk) -> None:
    silence = HEAVY.silence_days
    lapsed = pl.DataFrame(heavy.truth).filter((pl.lit(HEAVY.end) - pl.col("lapsed_on")).dt.total_days() > silence + 90)
    back = (lapsed["returned_on"] - lapsed["lapsed_on"]).dt.total_days() - silence
    assert (back < 90).fill_null(value=False).mean() == pytest.approx(lapsed["base_return_90d"].mean(), abs=0.025)
