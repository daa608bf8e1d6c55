"""The two Gauss rules against closed forms and against composite rules with thousands of nodes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln, digamma, hyp2f1, logsumexp

from jingzhe.dormancy.btyd.history import FloatArray, IntArray
from jingzhe.dormancy.btyd.quadrature import Factor, beta_mean, power_nodes

PANEL_NODES, PANEL_WEIGHTS = np.polynomial.legendre.leggauss(16)


def panels(low: float, high: float, count: int) -> tuple[FloatArray, FloatArray]:
    """Composite Gauss-Legendre rule."""
    edges = np.linspace(low, high, count + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (PANEL_NODES + 1)).ravel(), (half * PANEL_WEIGHTS).ravel()


def log_integral(lower: FloatArray, upper: FloatArray, first: Factor, second: Factor, n_nodes: int) -> FloatArray:
    nodes, logs = power_nodes(lower, upper, first, second, n_nodes=n_nodes)
    for shift, power in (first, second):
        logs = logs - np.reshape(power, (-1, 1)) * np.log(np.reshape(shift, (-1, 1)) + nodes)
    result: FloatArray = logsumexp(logs, axis=1)
    return result


def log_integral_by_panels(lower: FloatArray, upper: FloatArray, first: Factor, second: Factor) -> FloatArray:
    """The same on a grid that is logarithmic towards the lower end, where the integrand may peak."""
    u, weights = panels(-40.0, 0.0, 160)
    distance = (upper - lower)[:, None] * np.exp(u)
    times = lower[:, None] + distance
    logs = np.log(distance) + np.log(weights)
    for shift, power in (first, second):
        logs = logs - np.reshape(power, (-1, 1)) * np.log(np.reshape(shift, (-1, 1)) + times)
    result: FloatArray = logsumexp(logs, axis=1)
    return result


@pytest.mark.parametrize(("extent", "n_nodes", "error"), [(1e3, 40, 2e-9), (50.0, 24, 1e-9)])
def test_power_integral_over_random_corners(extent: float, n_nodes: int, error: float) -> None:
    generator = np.random.default_rng(5)
    n = 1500

    def between(low: float, high: float) -> FloatArray:
        return np.exp(generator.uniform(np.log(low), np.log(high), n))

    x = np.where(generator.random(n) < 0.3, 0.0, np.floor(between(1, 1e4)))
    upper = between(0.1, 2600)
    lower = np.where(x == 0, 0.0, upper * generator.random(n))
    r, s = between(0.02, min(extent, 100)), between(0.02, min(extent, 100))
    first, second = Factor(between(1 / extent, extent), r + x), Factor(between(1 / extent, extent), s + 1)
    expected = log_integral_by_panels(lower, upper, first, second)
    found = log_integral(lower, upper, first, second, n_nodes)
    # The logarithm is the relative error of the integral; its own rounding grows with its size.
    assert np.all(np.abs(found - expected) < error + 1e-14 * np.abs(expected))


def test_power_integral_against_hyp2f1() -> None:
    """Fader & Hardie 2005, eq. 19, for α > β and histories short enough for 2F1 to keep its digits."""
    alpha, beta, r, s = 10.5763, 4.6715, 0.5532, 0.6062
    x, recency, age = np.array([0.0, 1, 4, 12]), np.array([0.0, 3, 20, 10]), np.array([30.0, 30, 38, 39])
    total = r + s + x

    def part(time: FloatArray) -> FloatArray:
        z = (alpha - beta) / (alpha + time)
        value: FloatArray = hyp2f1(total, s + 1, total + 1, z) / (alpha + time) ** total
        return value

    expected = np.log((part(recency) - part(age)) / total)
    np.testing.assert_allclose(
        log_integral(recency, age, Factor(alpha, r + x), Factor(beta, s + 1), 40), expected, rtol=1e-11
    )


def test_power_integral_when_both_shifts_are_equal_and_when_nothing_is_left() -> None:
    lower, upper = np.array([1.0, 2.0]), np.array([5.0, 2.0])
    found = log_integral(lower, upper, Factor(3.0, np.array([1.5, 1.5])), Factor(3.0, 2.0), 24)
    assert found[0] == pytest.approx(np.log((4.0**-2.5 - 8.0**-2.5) / 2.5), abs=1e-13)
    assert found[1] == -np.inf


def test_beta_mean_of_logarithms() -> None:
    """E[ln(1+p)-like functions] have no closed form, E[ln(1-p)] has: digamma(b) - digamma(a+b)."""
    second = np.array([3.0, 3.0, 50.0, 7.5])

    def log_rest(p: FloatArray, rows: IntArray) -> FloatArray:
        return np.broadcast_to(np.log1p(-p), (rows.size, p.size))

    found = beta_mean(log_rest, 0.4, second, np.array([100.0, 100.0, 1.0, 20.0]))
    np.testing.assert_allclose(found, digamma(second) - digamma(0.4 + second), rtol=1e-5)


def test_expected_purchases_integrand_over_random_corners() -> None:
    generator = np.random.default_rng(6)
    y, weights = panels(-400.0, 60.0, 4000)
    log_p, log_rest = -np.logaddexp(0, -y), -np.logaddexp(0, y)
    p_all = np.exp(log_p)
    for _ in range(60):
        n, a, second, ahead = np.exp(generator.uniform(np.log([0.1, 0.15, 0.6, 0.01]), np.log([300, 20, 300, 30])))

        def purchases(p: FloatArray, ahead: float = ahead, n: float = n) -> FloatArray:
            value: FloatArray = -np.expm1(-n * np.log1p(p * ahead)) / p
            return value

        density = np.exp(a * log_p + second * log_rest - betaln(a, second))
        expected = weights @ (density * purchases(p_all))
        difficulty = np.array([max(n * ahead / (a + second), np.sqrt(ahead))])
        found = beta_mean(lambda p, rows: purchases(p)[None, :], a, np.array([second]), difficulty)  # noqa: ARG005
        assert found[0] == pytest.approx(expected, rel=1e-8)
