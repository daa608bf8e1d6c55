"""Likelihoods against their definition as integrals over people, derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import betaln
from scipy.stats import gamma as gamma_distribution

from jingzhe.dormancy.btyd import BgNbd, GammaGamma, MbgNbd, ParetoNbd, Summary
from jingzhe.dormancy.btyd.fitting import Evaluation
from jingzhe.dormancy.btyd.gammagamma import SpendLikelihood
from jingzhe.dormancy.btyd.geometric import GeometricLikelihood
from jingzhe.dormancy.btyd.history import FloatArray
from jingzhe.dormancy.btyd.paretonbd import ParetoLikelihood
from tests.dormancy.btyd import cdnow

Objective = Callable[[FloatArray], Evaluation]

ROWS = Summary.of(
    [0, 0, 1, 1, 3, 30, 2, 400, 5],
    [0, 0, 14, 200, 90, 270, 270, 3000, 0],
    [7, 272, 272, 200, 90, 272, 270, 3001, 500],
    weight=[5, 3, 1, 2, 1, 0.5, 4, 1, 1],
)
SPEND = (np.array([1.0, 2, 5, 40]), np.array([3.0, 20, 35, 80]), np.array([1.0, 2, 1, 0.5]))

OBJECTIVES: list[tuple[Objective, int]] = [
    (GeometricLikelihood(ROWS, 7.0, 0), 4),
    (GeometricLikelihood(ROWS, 7.0, 1), 4),
    (ParetoLikelihood(ROWS, 7.0), 4),
    (SpendLikelihood(*SPEND), 3),
]


@pytest.mark.parametrize(("objective", "k"), OBJECTIVES)
@given(logs=arrays(np.float64, 4, elements=st.floats(-2.0, 2.5)))
def test_derivatives(objective: Objective, k: int, logs: FloatArray) -> None:
    at = np.exp(logs[:k])
    exact = objective(at)
    np.testing.assert_array_equal(exact.hessian, exact.hessian.T)
    for i in range(k):
        step = np.zeros(k)
        step[i] = 1e-5 * at[i]
        above, below = objective(at + step), objective(at - step)
        width = 2 * step[i]
        scale = abs(exact.value) * 1e-10 / width
        assert (above.value - below.value) / width == pytest.approx(exact.gradient[i], rel=1e-6, abs=scale)
        by_differences = (above.gradient - below.gradient) / width
        tolerance = 1e-5 * (np.abs(exact.hessian).max() + np.abs(exact.gradient).max() / at[i])
        np.testing.assert_allclose(by_differences, exact.hessian[i], rtol=1e-5, atol=tolerance)


def gamma_grid(shape: float, rate: float) -> tuple[FloatArray, FloatArray]:
    """Points of a gamma distribution and their probabilities, by the trapezoidal rule in the logarithm."""
    logs = np.linspace(-40.0, 5.0, 901)
    weights = gamma_distribution.pdf(np.exp(logs), shape, scale=1 / rate) * np.exp(logs) * 0.05
    return np.exp(logs), weights


def bg_by_integration(at: FloatArray, x: int, recency: float, age: float, *, first_counts: bool) -> float:
    """∫∫ of the likelihood of one person (Fader, Hardie & Lee 2005, eq. 3) over λ and p."""
    r, alpha, a, b = at
    rate, rate_weights = gamma_grid(r, alpha)
    odds = np.linspace(-40.0, 40.0, 1601)
    p = 1 / (1 + np.exp(-odds))
    rest = 1 / (1 + np.exp(odds))
    p_weights = np.exp(a * np.log(p) + b * np.log(rest) - betaln(a, b)) * 0.05
    survived = x + 1 if first_counts else x
    by_p_alive = p_weights @ rest**survived
    by_p_lapsed = p_weights @ (p * rest ** (survived - 1)) if survived else 0.0
    alive, lapsed = (rate_weights @ (rate**x * np.exp(-rate * time)) for time in (age, recency))
    return float(np.log(by_p_alive * alive + by_p_lapsed * lapsed))


def pareto_by_integration(at: FloatArray, x: int, recency: float, age: float) -> float:
    """∫∫ of the likelihood of one person (Fader & Hardie 2005, eq. 5) over λ and μ."""
    r, alpha, s, beta = at
    rate, rate_weights = gamma_grid(r, alpha)
    lapse, lapse_weights = gamma_grid(s, beta)
    both = rate[:, None] + lapse
    value = lapse / both * np.exp(-both * recency) + rate[:, None] / both * np.exp(-both * age)
    return float(np.log((rate_weights * rate**x) @ value @ lapse_weights))


@pytest.mark.parametrize("parameters", [(0.5, 3.0, 0.6, 2.2), (2.5, 4.0, 1.8, 1.5)])
@pytest.mark.parametrize(("x", "recency", "age"), [(0, 0.0, 5.0), (1, 2.0, 5.0), (4, 5.0, 5.0)])
def test_likelihoods_are_what_they_are_defined_as(
    parameters: tuple[float, ...], x: int, recency: float, age: float
) -> None:
    at, row = np.array(parameters), Summary.of([x], [recency], [age])
    bg = GeometricLikelihood(row, 1.0, 0)(at).value
    mbg = GeometricLikelihood(row, 1.0, 1)(at).value
    pareto = ParetoLikelihood(row, 1.0)(at).value
    assert bg == pytest.approx(bg_by_integration(at, x, recency, age, first_counts=False), abs=1e-8)
    assert mbg == pytest.approx(bg_by_integration(at, x, recency, age, first_counts=True), abs=1e-8)
    assert pareto == pytest.approx(pareto_by_integration(at, x, recency, age), abs=1e-8)


@pytest.mark.parametrize("family", [BgNbd, MbgNbd, ParetoNbd])
def test_weights_are_people(family: type[BgNbd | MbgNbd | ParetoNbd]) -> None:
    people = cdnow.sample().summary()
    counts = np.where(np.arange(len(people)) % 2, 3.0, 1.0)
    repeated = [np.repeat(column, counts.astype(int)) for column in people.history]
    weighted = family.fit_to(Summary.of(*people.history, weight=counts))
    spelled_out = family.fit_to(Summary.of(*repeated))
    assert weighted.n_people == spelled_out.n_people == counts.sum()
    assert weighted.log_likelihood == pytest.approx(spelled_out.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(list(weighted.parameters.values()), list(spelled_out.parameters.values()), rtol=1e-6)
    assert weighted.standard_errors is not None
    assert weighted.standard_errors == pytest.approx(spelled_out.standard_errors, rel=1e-5)


def test_gammagamma_weights_are_people() -> None:
    generator = np.random.default_rng(9)
    x = generator.integers(0, 6, 800).astype(np.float64)
    spend = 30 * generator.gamma(3.0, size=800) / generator.gamma(4.0, size=800)
    days = x * 10
    once = Summary.of(x, days, days, monetary=spend, weight=np.repeat([2.0, 1.0], 400))
    twice = np.concatenate((np.arange(400), np.arange(800)))
    spelled_out = Summary.of(x[twice], days[twice], days[twice], monetary=spend[twice])
    left, right = GammaGamma.fit_to(once), GammaGamma.fit_to(spelled_out)
    np.testing.assert_allclose(list(left.parameters.values()), list(right.parameters.values()), rtol=1e-7)
    assert left.n_people == right.n_people
