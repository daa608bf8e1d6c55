from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from jingzhe.simulate import Business, Chunk, respond
from jingzhe.simulate.response import uniforms


def test_only_the_dormant_answer(business: Business, drawn: Chunk) -> None:
    on = date(2025, 6, 1)
    answers = respond(drawn.truth, [], on, seed=1)
    rows = pl.DataFrame(drawn.truth).filter(
        (pl.col("lapsed_on") <= on) & (pl.col("returned_on").is_null() | (pl.col("returned_on") > on))
    )
    assert answers["person_id"].to_pylist() == rows["person_id"].to_list()
    assert not any(answers["contacted"].to_pylist())


def test_returns_are_as_frequent_as_the_truth_says_in_both_arms(drawn: Chunk, business: Business) -> None:
    people = np.asarray(drawn.truth["person_id"])
    truth = pl.DataFrame(drawn.truth)
    for contacted, chance in (([], "base_return_90d"), (people, "treated_return_90d")):
        shares = pl.concat(
            pl.DataFrame(respond(drawn.truth, contacted, business.end, seed=seed)) for seed in range(10)
        ).join(truth, on="person_id")
        for response, rows in shares.group_by("response"):
            observed, expected = rows["returned"].cast(pl.Float64).mean(), rows[chance].mean()
            assert observed == pytest.approx(expected, abs=0.03), response


def test_a_contact_changes_nothing_for_those_who_do_not_care(drawn: Chunk, business: Business) -> None:
    truth = pl.DataFrame(drawn.truth).select("person_id", "response")
    alone = pl.DataFrame(respond(drawn.truth, [], business.end, seed=3)).join(truth, on="person_id")
    everybody = drawn.truth["person_id"].to_numpy()
    asked = pl.DataFrame(respond(drawn.truth, everybody, business.end, seed=3))
    for response, woken in (("sure_thing", 0), ("lost_cause", 0), ("persuadable", 1), ("do_not_disturb", -1)):
        mask = alone["response"] == response
        change = asked["returned"].cast(pl.Int8).filter(mask) - alone["returned"].cast(pl.Int8).filter(mask)
        assert set(change.unique()) <= {0, woken}
        assert (change.sum() != 0) == (woken != 0)


def test_returns_fall_within_the_horizon(drawn: Chunk, business: Business) -> None:
    answers = pl.DataFrame(respond(drawn.truth, drawn.truth["person_id"].to_numpy(), business.end, seed=4))
    assert (answers["returned_on"].is_null() == ~answers["returned"]).all()
    days = answers["returned_on"].drop_nulls()
    assert days.min() == business.end + timedelta(days=1)
    assert days.max() <= business.end + timedelta(days=90)  # type: ignore[operator]


def test_an_answer_does_not_depend_on_who_else_is_asked(drawn: Chunk, business: Business) -> None:
    everybody = pl.DataFrame(respond(drawn.truth, [5], business.end, seed=9))
    some = pl.DataFrame(respond(drawn.truth.slice(100, 500), [5], business.end, seed=9))
    assert some.equals(everybody.join(some.select("person_id"), on="person_id", how="semi"))


def test_uniforms_are_uniform() -> None:
    numbers = uniforms(np.arange(100_000), seed=1)
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 5_000).max() < 5 * 70
    assert np.abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.015
    assert not np.isin(uniforms(np.arange(1_000), seed=2), numbers).any()
