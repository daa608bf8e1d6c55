"""Estimates recover what was simulated, standard errors are honest, unusable data are named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import BgNbd, GammaGamma, MbgNbd, ParetoNbd, Summary
from jingzhe.dormancy.btyd.fitting import Fit
from tests.dormancy.btyd.populations import live

Model = BgNbd | MbgNbd | ParetoNbd

TRUTH: list[Model] = [
    BgNbd(r=0.6, alpha=20.0, a=0.8, b=2.5, time_unit_days=1.0),
    MbgNbd(r=0.9, alpha=25.0, a=0.7, b=1.6, time_unit_days=1.0),
    ParetoNbd(r=0.8, alpha=25.0, s=0.7, beta=60.0, time_unit_days=1.0),
]


@pytest.mark.parametrize("truth", TRUTH, ids=lambda model: model.name)
def test_estimates_recover_the_truth_with_honest_standard_errors(truth: Model) -> None:
    deviations = []
    for seed in range(25):
        age = np.random.default_rng(seed).uniform(100, 300, 3000)
        people = live(truth, age, 0.0, seed=100 + seed)
        model = type(truth).fit_to(Summary.of(*people.history), time_unit_days=1.0)
        assert model.converged
        assert model.fit is not None
        assert model.fit.evaluations < 25
        assert model.fit.log_covariance is not None
        # in logarithms, in which the estimates are closest to normal
        errors = np.sqrt(np.diag(model.fit.log_covariance))
        gap = np.log(list(model.parameters.values())) - np.log(list(truth.parameters.values()))
        deviations.append(gap / errors)
    z = np.array(deviations)
    # 25 × 4 correlated standard normal numbers
    assert np.all(np.abs(z.mean(axis=0)) < 0.8)
    assert 0.75 < np.sqrt((z**2).mean()) < 1.3


def spend_histories(truth: GammaGamma, n: int, seed: int) -> Summary:
    generator = np.random.default_rng(seed)
    x = generator.geometric(0.3, n).astype(np.float64) - 1
    scale = truth.gamma / generator.gamma(truth.q, size=n)
    spend = generator.gamma(np.maximum(truth.p * x, 1e-9)) * scale / np.maximum(x, 1)
    return Summary.of(x, x * 7, x * 7 + 1, monetary=np.where(x > 0, spend, 0.0))


def test_gammagamma_recovers_the_truth() -> None:
    truth = GammaGamma(p=5.0, q=3.5, gamma=20.0)
    deviations = []
    for seed in range(25):
        model = GammaGamma.fit_to(spend_histories(truth, 3000, seed))
        assert model.converged
        assert model.standard_errors is not None
        deviations.append([(model.parameters[k] - truth.parameters[k]) / model.standard_errors[k] for k in "pq"])
    z = np.array(deviations)
    assert np.all(np.abs(z.mean(axis=0)) < 0.8)
    assert 0.7 < np.sqrt((z**2).mean()) < 1.35


def test_expected_spend() -> None:
    model = GammaGamma(p=6.25, q=3.74, gamma=15.44)
    population = 6.25 * 15.44 / 2.74
    few, many = model.expected_spend([1, 10_000], [100.0, 100.0])
    assert population < few < many
    assert many == pytest.approx(100.0, rel=1e-3)
    assert model.expected_spend(0, 55.0) == pytest.approx(population)
    # weighted mean of population and person, Fader & Hardie 2013, eq. 5
    share = 6.25 * 3 / (6.25 * 3 + 2.74)
    assert model.expected_spend(3, 20.0) == pytest.approx((1 - share) * population + share * 20.0)
    skewed = GammaGamma(p=2.0, q=0.9, gamma=10.0)
    assert skewed.expected_spend([0, 1], [0.0, 10.0]).tolist() == [np.inf, pytest.approx(40 / 1.9)]


@pytest.mark.parametrize("family", [BgNbd, MbgNbd, ParetoNbd])
def test_people_who_never_lapse_are_said_not_to_converge(family: type[Model]) -> None:
    """All buy at one steady rate up to the end: lapsing has no measurable parameters."""
    age = np.repeat([100.0, 150.0, 200.0], 40)
    model = family.fit_to(Summary.of(age / 10, age, age))
    assert not model.converged
    assert model.p_return(60, [10], [100], [100])[0] > 0.9


@pytest.mark.parametrize("family", [BgNbd, MbgNbd, ParetoNbd])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0, 0], [0, 0], [5, 9]), "frequency is 0 for everybody"),
        (([1, 2], [0, 0], [0, 0]), "age_days is 0 for everybody"),
    ],
)
def test_data_without_information_are_refused(family: type[Model], columns: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        family.fit_to(Summary.of(*columns))


def test_rows_made_without_a_check_are_checked_when_fitted() -> None:
    raw = Summary(*(np.array([value]) for value in (2.0, 9.0, 5.0, 1.0)))
    with pytest.raises(ModelError, match="recency_days is larger than age_days in 1 of 1 rows"):
        BgNbd.fit_to(raw)


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (Summary.of([1], [1], [2]), "amounts are not known"),
        (Summary.of([0], [0], [2], monetary=[0.0]), "frequency is 0 for everybody"),
        (Summary.of([1, 2], [1, 1], [2, 2], monetary=[5.0, 0.0]), "monetary is not above 0 .* in 1 of 2 rows"),
    ],
)
def test_amounts_that_cannot_be_used_are_named(summary: Summary, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        GammaGamma.fit_to(summary)


def test_models_survive_json() -> None:
    people = live(TRUTH[0], np.full(2000, 200.0), 0.0, seed=7)
    fitted: list[Any] = [
        BgNbd.fit_to(Summary.of(*people.history), time_unit_days=30.0),
        GammaGamma.fit_to(spend_histories(GammaGamma(p=5.0, q=3.5, gamma=20.0), 500, 1)),
        *TRUTH,
    ]
    for model in fitted:
        assert type(model).from_dict(json.loads(json.dumps(model.to_dict()))) == model


@pytest.mark.parametrize(
    ("change", "message"),
    [({"model": "mbg-nbd"}, "stored 'mbg-nbd'"), ({"parameters": {"r": 1.0}}, "cannot be read: 'alpha'")],
)
def test_stored_models_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        BgNbd.from_dict(TRUTH[0].to_dict() | change)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_parameters_must_be_above_0(bad: float) -> None:
    with pytest.raises(ModelError, match="parameter alpha of bg-nbd"):
        BgNbd(r=1.0, alpha=bad, a=1.0, b=1.0)
    with pytest.raises(ModelError, match="time_unit_days must be above 0"):
        BgNbd(r=1.0, alpha=1.0, a=1.0, b=1.0, time_unit_days=bad)


def test_models_are_drawn_though_variances_lie_far_apart() -> None:
    """As of a handful of customers, who say of some parameters next to nothing: NumPy warns of such a matrix."""
    covariance = (
        (106.57036404360788, 106.06912357218616, 650861269.672003, 650861345.9542006),
        (106.06912357218616, 106.57024090207786, 647281999.6800709, 647282076.2059402),
        (650861269.672003, 647281999.6800709, 3.0579577069447193e19, 3.0579580683961344e19),
        (650861345.9542006, 647282076.2059402, 3.0579580683961344e19, 3.057958542338345e19),
    )
    fit = Fit(log_likelihood=-9.0, n_people=3.0, converged=False, evaluations=20, log_covariance=covariance)
    model = ParetoNbd(r=0.8, alpha=25.0, s=0.7, beta=60.0, time_unit_days=1.0, fit=fit)
    drawn = model.drawn(20, np.random.default_rng(1))
    assert all(np.isfinite(list(one.parameters.values())).all() for one in drawn)
