from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jingzhe.core.errors import ModelError, NoDataError
from jingzhe.dormancy.choosing import EDGE
from jingzhe.dormancy.columns import SCORES
from jingzhe.dormancy.rhythm import clock
from jingzhe.dormancy.scoring import Models, score, train
from jingzhe.dormancy.snapshots import Span, know, plan
from jingzhe.profile.packs import pack
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.query import one
from tests.dormancy.conftest import FIRST_DAY, PROSPECT, Opened, Tables
from tests.dormancy.histories import items_of, person_days, until

GENERAL = pack("general")
AS_OF = date(2025, 9, 1)
HORIZON = 90
SCORED = one("all_scores", "SELECT * FROM scored ORDER BY person_id")


def scores(session: DuckSession, models: Models) -> pa.Table:
    score(session, models, AS_OF, GENERAL)
    return session.run(SCORED)


@pytest.fixture(scope="module")
def trained(shop: Tables, tmp_path_factory: pytest.TempPathFactory) -> tuple[Models, pa.Table]:
    from tests.dormancy.histories import session_of  # noqa: PLC0415

    with session_of(shop, tmp_path_factory.mktemp("engine")) as session:
        models = train(session, AS_OF, HORIZON, GENERAL)
        return models, scores(session, models)


def test_scored_has_the_columns_of_the_table_of_scores(trained: tuple[Models, pa.Table]) -> None:
    assert set(trained[1].column_names) == set(SCORES.column_names)


def test_every_buyer_has_a_row_and_prospects_have_none(shop: Tables, trained: tuple[Models, pa.Table]) -> None:
    days = until(shop, AS_OF)[0]
    buyers = days.filter(pc.field("purchases") > 0)["person_id"].to_pylist()
    assert PROSPECT in days["person_id"].to_pylist()
    assert PROSPECT not in buyers
    assert trained[1]["person_id"].to_pylist() == sorted(set(buyers))


def test_scores_mean_what_their_columns_say(trained: tuple[Models, pa.Table]) -> None:
    models, found = trained
    for row in found.to_pylist():
        assert 0 <= row["p_return_model"] <= row["p_alive"] <= 1
        assert 0 < row["p_return"] < 1
        assert row["risk"] == pytest.approx(1 - row["p_return"])
        purchases_of_a_return = max(row["expected_purchases"] / max(row["p_return_model"], 1e-9), 1.0)
        assert row["expected_value"] == pytest.approx(
            row["p_return"] * purchases_of_a_return * row["expected_spend"], rel=0.01, abs=0.5
        )
        assert 0 <= row["clv_low"] <= row["clv_high"]
        assert 0 <= row["overdue"] < 1
        if row["edge"]:
            assert row["dormant_on"] > AS_OF
            assert row["risk"] >= models.flag_risk


def test_tiers_part_buyers_by_what_they_have_spent(shop: Tables, trained: tuple[Models, pa.Table]) -> None:
    days = until(shop, AS_OF)[0]
    net = days.append_column("net", pc.subtract(days["spend"], days["returned"]))
    found = trained[1].join(net.group_by("person_id").aggregate([("net", "sum")]), "person_id")
    tiers = {name: found.filter(pc.field("value_tier") == name) for name in ("high", "middle", "low")}
    assert tiers["high"].num_rows == pytest.approx(0.2 * found.num_rows, abs=2)
    assert tiers["middle"].num_rows == pytest.approx(0.3 * found.num_rows, abs=2)
    assert pc.min(tiers["high"]["net_sum"]).as_py() >= pc.max(tiers["middle"]["net_sum"]).as_py()
    assert pc.min(tiers["middle"]["net_sum"]).as_py() >= pc.max(tiers["low"]["net_sum"]).as_py()


def test_nothing_later_than_the_day_changes_models_or_scores(
    shop: Tables, opened: Opened, trained: tuple[Models, pa.Table]
) -> None:
    with opened(until(shop, AS_OF)) as session:
        models = train(session, AS_OF, HORIZON, GENERAL)
        found = scores(session, models)
    assert models == trained[0]
    assert found.equals(trained[1])


def test_models_survive_json(trained: tuple[Models, pa.Table], shop: Tables, opened: Opened) -> None:
    models, before = trained
    stored = Models.from_dict(json.loads(json.dumps(models.to_dict())))
    assert stored == models
    with opened(shop) as session:
        assert scores(session, stored).equals(before)


def test_the_table_of_profiles_may_stand_for_the_facts(
    trained: tuple[Models, pa.Table], shop: Tables, opened: Opened
) -> None:
    models, before = trained
    with opened(shop) as session:
        know(session, AS_OF)
        columns = clock(models.rhythm, GENERAL)
        session.offer("profiles", session.run(one("profiles_now", columns.select("known")), dict(columns.values)))
        score(session, models, AS_OF, GENERAL, profiles=True)
        assert session.run(SCORED).equals(before)


def test_models_that_know_the_future_are_refused(
    trained: tuple[Models, pa.Table], shop: Tables, opened: Opened
) -> None:
    with opened(shop) as session, pytest.raises(ModelError, match="more than was known"):
        score(session, trained[0], AS_OF - timedelta(1), GENERAL)


def test_a_day_before_all_purchases_is_refused(shop: Tables, opened: Opened) -> None:
    with opened(shop) as session, pytest.raises(NoDataError, match="no purchases"):
        train(session, FIRST_DAY - timedelta(1), HORIZON, GENERAL)


def test_few_people_get_the_purchase_model_and_the_reason(opened: Opened) -> None:
    generator = np.random.default_rng(5)
    person = np.repeat(np.arange(40), 6)
    day = np.datetime64("2025-01-01") + generator.integers(0, 200, person.size).astype("timedelta64[D]")
    with opened((person_days(person, day), items_of())) as session:
        models = train(session, date(2025, 7, 20), 30, GENERAL)
        assert score(session, models, date(2025, 7, 20), GENERAL) == 40
        found = session.run(SCORED)
    assert models.edge is None
    assert models.choice.default in models.purchase.models
    assert any("No churn edge: only" in note for note in models.notes)
    assert found["p_return"].equals(found["p_return_model"])


def test_the_edge_parts_those_who_stay_away_from_those_who_return(
    trained: tuple[Models, pa.Table], shop: Tables
) -> None:
    models, found = trained
    assert models.choice.default == EDGE
    after = shop[0].filter((pc.field("day") > AS_OF) & (pc.field("day") <= AS_OF + timedelta(HORIZON)))
    returned = np.isin(found["person_id"].to_numpy(), after["person_id"].to_numpy())
    p_return = found["p_return"].to_numpy()
    assert p_return[returned].mean() > p_return[~returned].mean() + 0.3
    assert p_return.mean() == pytest.approx(returned.mean(), abs=0.06)


def test_past_cuts_leave_history_before_and_outcomes_after() -> None:
    for days in (30, 100, 272, 800):
        for horizon in (7, 30, 90, 273):
            as_of = FIRST_DAY + timedelta(days)
            chosen = plan(Span(FIRST_DAY, as_of, 10), as_of, horizon)
            assert chosen.horizon_days <= horizon
            for cut in chosen.cuts:
                assert cut + timedelta(chosen.horizon_days) <= as_of
                assert (cut - FIRST_DAY).days >= 0.25 * days
