from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import BgNbd, GammaGamma, MbgNbd, ParetoNbd, Summary, clv
from tests.dormancy.btyd.populations import live

SPEND = GammaGamma(p=4.0, q=4.0, gamma=60.0)
MODELS: list[BgNbd | MbgNbd | ParetoNbd] = [
    BgNbd(r=1.5, alpha=20.0, a=0.4, b=4.5, time_unit_days=1.0),
    MbgNbd(r=1.5, alpha=20.0, a=0.4, b=4.5, time_unit_days=1.0),
    ParetoNbd(r=0.8, alpha=25.0, s=0.7, beta=60.0, time_unit_days=1.0),
]


@pytest.mark.parametrize("truth", MODELS, ids=lambda model: model.name)
def test_the_interval_holds_what_people_really_spend(truth: BgNbd | MbgNbd | ParetoNbd) -> None:
    """Fit on simulated people, then look at what they spent afterwards, without discount."""
    generator = np.random.default_rng(11)
    people = live(truth, generator.uniform(60, 200, 4000), 120.0, seed=12)
    scale = SPEND.gamma / generator.gamma(SPEND.q, size=4000)
    x = people.frequency
    monetary = np.where(x > 0, generator.gamma(SPEND.p * np.maximum(x, 1)) * scale / np.maximum(x, 1), 0.0)
    spent = np.where(people.later > 0, generator.gamma(SPEND.p * np.maximum(people.later, 1)) * scale, 0.0)

    summary = Summary.of(*people.history, monetary=monetary)
    model = type(truth).fit_to(summary, time_unit_days=1.0)
    value = clv(model, GammaGamma.fit_to(summary), summary, 120.0, draws=300, seed=1)
    assert np.all((value.low >= 0) & (value.low <= value.high))
    # Nobody spends less than 0: where the lower end is 0, only the upper tail can be checked.
    above = spent > value.high
    assert above.mean() == pytest.approx(0.05, abs=0.015)
    assert (spent < value.low).mean() <= 0.05
    open_below = value.low > 0
    assert open_below.sum() > 50
    inside = ((spent >= value.low) & (spent <= value.high))[open_below]
    assert inside.mean() == pytest.approx(0.9, abs=4.5 * np.sqrt(0.09 / open_below.sum()))
    for group in (x == 0, x > 2):
        assert above[group].mean() == pytest.approx(0.05, abs=0.025)
    error = (spent - value.mean).std() / np.sqrt(spent.size)
    assert abs(spent.mean() - value.mean.mean()) < 4.5 * error


def test_mean_is_discounted_purchases_times_spend() -> None:
    summary = Summary.of([0, 4], [0, 150], [30, 160], monetary=[0, 50.0])
    model, year = MODELS[2], 365.25
    plain, dear = clv(model, SPEND, summary, year, draws=2), clv(model, SPEND, summary, year, 0.2, draws=2)
    spend = SPEND.expected_spend(summary.frequency, [0, 50.0])
    np.testing.assert_allclose(plain.mean, model.expected_purchases(year, *summary.history) * spend, rtol=1e-12)
    steps = np.linspace(0, year, 4001)
    expected = np.stack([model.expected_purchases(step, *summary.history) for step in steps])
    middle = (steps[1:] + steps[:-1]) / 2
    discounted = (np.diff(expected, axis=0) * 1.2 ** -(middle / year)[:, None]).sum(axis=0)
    np.testing.assert_allclose(dear.mean, discounted * spend, rtol=1e-7)


def test_parameter_uncertainty_widens_the_interval_and_seeds_repeat_it() -> None:
    few = live(MODELS[0], np.full(150, 150.0), 0.0, seed=3)
    model = BgNbd.fit_to(Summary.of(*few.history), time_unit_days=1.0)
    certain = dataclasses.replace(model, fit=None)
    summary = Summary.of(np.full(300, 3), np.full(300, 60), np.full(300, 90), monetary=np.full(300, 40.0))
    with_it, again, without = (clv(m, SPEND, summary, 400.0, seed=5) for m in (model, model, certain))
    np.testing.assert_array_equal(with_it.high, again.high)
    assert with_it.high.mean() > 1.02 * without.high.mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": 1.0}, "interval must lie between"),
        ({"discount_rate_annual": -1.0}, "discount_rate_annual"),
        ({"draws": 1}, "draws must be 2 or more"),
        ({"horizon_days": -3.0}, "horizon_days is negative"),
        ({"summary": Summary.of([1], [1], [2])}, "amounts are not known"),
    ],
)
def test_arguments_out_of_range_are_named(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"summary": Summary.of([1], [1], [2], monetary=[3.0]), "horizon_days": 30.0} | change
    with pytest.raises(ModelError, match=message):
        clv(MODELS[0], SPEND, **given)
