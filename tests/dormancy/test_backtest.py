from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest

from jingzhe.core.errors import ModelError, NoDataError
from jingzhe.dormancy.backtest import DEFAULT, Backtest, backtest
from jingzhe.profile.packs import pack
from tests.dormancy.conftest import Opened, Tables
from tests.dormancy.histories import cdnow, complete_journey, online_retail

GENERAL = pack("general")
BTYD = ("bg_nbd", "mbg_nbd", "pareto_nbd")


def highest(done: Backtest) -> float:
    """Returns the best AUC that a purchase model has by any of its rankings, or recency alone."""
    found = [done[name] for name in (*BTYD, "recency")]
    return max(value for one in found for value in (one.auc, one.auc_expected, one.auc_alive) if value is not None)


def test_numbers_of_the_literature_come_out_of_cdnow(opened: Opened) -> None:
    """Fader, Hardie and Lee (2005) and REFERENCES: holdout of weeks 40 to 78, AUC of E[x] and P(alive), MAE."""
    with opened(cdnow("sample")) as session:
        done = backtest(session, date(1997, 9, 30), 273, GENERAL)
    assert done.people == 2357
    assert done.return_share == pytest.approx(0.290, abs=5e-4)
    expected = {
        "bg_nbd": (0.7855, 0.6256, 0.7725, 0.3158),
        "mbg_nbd": (0.7648, 0.6273, 0.7728, 0.6866),
        "pareto_nbd": (0.7545, 0.6302, 0.7787, 0.7262),
    }
    for name, numbers in expected.items():
        one = done[name]
        measured = (one.purchases_mae, one.purchases_correlation, one.auc_expected, one.auc_alive)
        assert measured == pytest.approx(numbers, abs=6e-5)
    assert done["recency"].auc == pytest.approx(0.7714, abs=5e-5)
    assert (done[DEFAULT].auc or 0) >= highest(done)
    assert done.beaten == ()
    assert done.lead == pytest.approx((done[DEFAULT].auc or 0) - (done[done.rival].auc or 0), abs=1e-12)
    assert 0 < done.lead_error < 0.02


@pytest.mark.slow
def test_full_cdnow(opened: Opened) -> None:
    with opened(cdnow("full")) as session:
        done = backtest(session, date(1997, 12, 31), 181, GENERAL)
    assert done["bg_nbd"].auc == pytest.approx(0.7882, abs=5e-5)
    assert done["pareto_nbd"].auc == pytest.approx(0.7998, abs=5e-5)
    assert (done[DEFAULT].auc or 0) >= highest(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut", "horizon"),
    [(date(2011, 6, 9), 90), (date(2011, 6, 30), 160), (date(2011, 9, 9), 90), (date(2011, 10, 10), 60),
     (date(2011, 11, 9), 30)],
)  # fmt: skip
def test_default_score_ranks_online_retail_best(cut: date, horizon: int, opened: Opened) -> None:
    with opened(online_retail()) as session:
        done = backtest(session, cut, horizon, GENERAL)
    assert (done[DEFAULT].auc or 0) >= highest(done)


@pytest.mark.slow
@pytest.mark.parametrize(("cut", "horizon"), [(date(2017, 9, 30), 60), (date(2017, 11, 1), 14)])
def test_default_score_ranks_the_complete_journey_best(cut: date, horizon: int, opened: Opened) -> None:
    with opened(complete_journey()) as session:
        done = backtest(session, cut, horizon, GENERAL)
    assert (done[DEFAULT].auc or 0) >= highest(done)
    assert (done[DEFAULT].brier or 1) < min(done[name].brier or 0 for name in BTYD)


@pytest.mark.slow
def test_simulated_risk_is_calibrated(opened: Opened, shop: Tables) -> None:
    with opened(shop) as session:
        done = backtest(session, date(2025, 9, 1), 90, GENERAL)
    error = done[DEFAULT].calibration_error
    assert error is not None
    assert error < 0.06
    assert json.loads(json.dumps(done.to_dict()))["models"][0]["model"] == DEFAULT
    assert done.table().column_names[:2] == ["model", "auc"]
    people = done.calibration_table()
    shown = people.filter(pa.compute.field("model") == DEFAULT)["people"]
    assert sum(shown.to_pylist()) == done.people


def test_a_horizon_beyond_the_data_is_refused_with_the_range(opened: Opened, shop: Tables) -> None:
    with opened(shop) as session:
        with pytest.raises(NoDataError, match=r"after the data[\s\S]*At this cut the horizon can be at most"):
            backtest(session, date(2025, 11, 1), 90, GENERAL)
        with pytest.raises(NoDataError, match="on or before the cut"):
            backtest(session, date(2020, 1, 1), 90, GENERAL)
        with pytest.raises(ModelError, match="at least one day"):
            backtest(session, date(2025, 9, 1), 0, GENERAL)
