"""Models fitted to compressed statistics against models fitted to everybody."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jingzhe.dormancy.btyd import GammaGamma
from jingzhe.dormancy.purchasing import fit_purchase_models, histories_to_fit, keep_histories, predict
from jingzhe.dormancy.queries import HISTORIES, KNOWN, VALUES
from jingzhe.dormancy.snapshots import know, share
from jingzhe.dormancy.worth import fit_spend, keep_values
from jingzhe.store.query import one
from tests.dormancy.conftest import Opened
from tests.dormancy.histories import cdnow

AS_OF = date(1998, 3, 31)
ALL = one("all", f"SELECT * FROM {HISTORIES} JOIN {VALUES} USING (frequency, recency_days, age_days) ORDER BY ALL")


@pytest.mark.parametrize(("most", "errors"), [(3500, 0.01), (1500, 0.06)])
def test_alike_histories_put_together_give_the_parameters_of_all(opened: Opened, most: int, errors: float) -> None:
    with opened(cdnow("full")) as session:
        people = know(session, AS_OF)
        distinct = keep_histories(session, KNOWN, AS_OF)
        every = histories_to_fit(session, distinct)
        coarse = histories_to_fit(session, distinct, most)
    assert every.num_rows == distinct > most >= coarse.num_rows > most / 4
    assert pc.sum(every["people"]).as_py() == pc.sum(coarse["people"]).as_py() == people
    assert pc.all(pc.less_equal(coarse["recency_days"], coarse["age_days"])).as_py()
    fine, rough = fit_purchase_models(every), fit_purchase_models(coarse)
    assert set(fine.models) == set(rough.models) == {"bg_nbd", "mbg_nbd", "pareto_nbd"}
    for name, model in fine.models.items():
        deviations = model.standard_errors or {}
        for parameter, value in model.parameters.items():
            assert rough.models[name].parameters[parameter] == pytest.approx(value, abs=errors * deviations[parameter])


def test_alike_spends_put_together_give_the_parameters_of_all(opened: Opened) -> None:
    with opened(cdnow("full")) as session:
        know(session, AS_OF)
        every, rough = fit_spend(session, KNOWN), fit_spend(session, KNOWN, most=10)
    assert isinstance(every, GammaGamma)
    assert isinstance(rough, GammaGamma)
    for parameter, deviation in (every.standard_errors or {}).items():
        assert rough.parameters[parameter] == pytest.approx(every.parameters[parameter], abs=0.001 * deviation)


def test_histories_of_one_cell_share_the_shape_of_their_interval(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(cdnow("sample")) as session:
        know(session, AS_OF)
        purchase = fit_purchase_models(histories_to_fit(session, keep_histories(session, KNOWN, AS_OF)))
        spend = fit_spend(session, KNOWN)
        assert isinstance(spend, GammaGamma)
        predict(session, purchase, 90)
        tables: list[pa.Table] = []
        for most in (20_000, 100):
            monkeypatch.setattr("jingzhe.dormancy.worth.MOST_SIMULATED", most)
            keep_values(session, purchase.models["pareto_nbd"], spend, 0.1)
            tables.append(session.run(ALL))
    own, shared = tables
    assert own.num_rows == shared.num_rows > 1000
    assert own["discounted_purchases"] == shared["discounted_purchases"]
    # Bounds are quantiles of few purchases, so a person's may jump; those of all together must not.
    assert pc.count_distinct(shared["high_ratio"]).as_py() < pc.count_distinct(own["high_ratio"]).as_py()
    assert pc.mean(shared["high_ratio"]).as_py() == pytest.approx(pc.mean(own["high_ratio"]).as_py(), rel=0.1)


def test_a_share_of_the_people_does_not_grow_with_them() -> None:
    assert share(120_000, 100_000) == (1000, 1000)
    for people in (200_000, 10**7, 10**8, 10**9, 10**10):
        keep, of = share(120_000, people)
        assert 60_000 < people * keep / of <= 120_000
