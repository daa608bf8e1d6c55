"""What a person will spend within a horizon, discounted, with an interval that a future will fall into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.gammagamma import GammaGamma
from jingzhe.dormancy.btyd.history import FloatArray, IntArray, checked_horizon
from jingzhe.dormancy.btyd.model import PurchaseModel
from jingzhe.dormancy.btyd.summary import Summary

_DAYS_PER_YEAR = 365.25
_DISCOUNT_NODES = 8  # of a function as smooth as e^{-δt}E(t); the error is below 1e-9 of the value
_PARAMETER_DRAWS = 25
_BLOCK = 8192  # rows simulated together


@dataclass(frozen=True, slots=True)
class LifetimeValue:
    """Discounted spend within a horizon, one entry per row of the summary.

    Args:
        mean: expected value, in the money of ``monetary``.
        low: lower end of the interval; 0 for everybody who stays away with more than the lower tail's
            probability.
        high: upper end.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray


def clv(
    model: PurchaseModel,
    spend_model: GammaGamma,
    summary: Summary,
    horizon_days: float,
    discount_rate_annual: float = 0.0,
    *,
    interval: float = 0.9,
    draws: int = 500,
    seed: int = 0,
) -> LifetimeValue:
    """Customer lifetime value within a horizon: discounted purchases × spend.

    After Fader, Hardie & Lee (2005), "RFM and CLV", Journal of Marketing Research 42 (4), 415-430. The mean
    is exact. The interval is one of *prediction*: of what this person will really spend, not of its
    expectation. It is simulated: parameters from the normal approximation to their estimates' distribution,
    from each draw whether the person is alive, their own purchase rate and lapsing, the purchases in the
    horizon, and their amounts. One approximation: all purchases of a simulated future are discounted at their
    mean date. Time grows with draws × distinct histories, at well below a microsecond each.

    Args:
        model: purchases; when it was fitted, its parameters' uncertainty is part of the interval.
        spend_model: amounts; likewise.
        summary: histories with ``monetary``, shape (n,) each.
        horizon_days: days to look ahead.
        discount_rate_annual: .1 means that money in a year is worth 1/1.1 of money today.
        interval: probability that the interval shall hold.
        draws: simulated futures per row.
        seed: equal seeds and equal summaries give equal intervals.

    Returns:
        Mean and interval per row.

    Raises:
        ModelError: amounts are not known, or an argument is out of range.
    """
    monetary = _checked(summary, horizon_days, discount_rate_annual, interval, draws)
    discount_per_day = float(np.log1p(discount_rate_annual)) / _DAYS_PER_YEAR
    spend = spend_model.expected_spend(summary.frequency, monetary)
    purchases = discounted_purchases(model, summary, horizon_days, discount_per_day)
    mean = np.multiply(purchases, spend, out=np.zeros(len(summary)), where=purchases > 0)

    distinct, inverse = _distinct(summary)
    columns = [values[distinct] for values in (*summary.history, monetary)]
    tail = (1.0 - interval) / 2.0
    ends = np.empty((2, distinct.size))
    for number, start in enumerate(range(0, distinct.size, _BLOCK)):
        rows = slice(start, start + _BLOCK)
        futures = _futures(
            model,
            spend_model,
            [values[rows] for values in columns],
            horizon_days=horizon_days,
            discount_per_day=discount_per_day,
            draws=draws,
            generator=np.random.default_rng([seed, number]),
        )
        ends[:, rows] = np.quantile(futures, [tail, 1.0 - tail], axis=0)
    low, high = ends[:, inverse]
    return LifetimeValue(mean, low, high)


def _checked(
    summary: Summary, horizon_days: float, discount_rate_annual: float, interval: float, draws: int
) -> FloatArray:
    """Refuse arguments out of range; give the amounts."""
    if summary.monetary is None:
        raise ModelError("amounts are not known", hint="Give summarise() the amounts of the purchases.")
    if not 0 < interval < 1:
        raise ModelError(f"interval must lie between 0 and 1, it is {interval}")
    if not (np.isfinite(discount_rate_annual) and discount_rate_annual > -1):
        raise ModelError(f"discount_rate_annual must be above -1, it is {discount_rate_annual}")
    if draws < 2:
        raise ModelError(f"draws must be 2 or more, it is {draws}")
    checked_horizon(horizon_days)
    return summary.monetary


def _distinct(summary: Summary) -> tuple[IntArray, IntArray]:
    """Rows to simulate, and for each row of the summary the position among them.

    Most people bought once, and of them all that are of one age share one future.
    """
    once = summary.frequency == 0
    _, first, group = np.unique(summary.age_days[once], return_index=True, return_inverse=True)
    repeaters = np.flatnonzero(~once)
    inverse = np.empty(len(summary), dtype=np.int64)
    inverse[repeaters] = np.arange(repeaters.size)
    inverse[once] = repeaters.size + group
    return np.concatenate((repeaters, np.flatnonzero(once)[first])), inverse


def discounted_purchases(
    model: PurchaseModel, summary: Summary, horizon_days: float, discount_per_day: float
) -> FloatArray:
    """Expected purchases within a horizon, each discounted to the moment of observation.

    ∫ e^{-δt} dE(t) = e^{-δh} E(h) + δ ∫ e^{-δt} E(t) dt, by Gauss-Legendre.

    Args:
        model: purchases.
        summary: histories, shape (n,) each.
        horizon_days: h, days to look ahead.
        discount_per_day: δ, continuous rate.

    Returns:
        Shape (n,).
    """
    total: FloatArray = np.exp(-discount_per_day * horizon_days) * model.expected_purchases(
        horizon_days, *summary.history
    )
    if discount_per_day != 0.0 and horizon_days > 0.0:
        nodes, weights = np.polynomial.legendre.leggauss(_DISCOUNT_NODES)
        for day, weight in zip((nodes + 1.0) * horizon_days / 2.0, weights * horizon_days / 2.0, strict=True):
            factor = discount_per_day * weight * np.exp(-discount_per_day * day)
            total += factor * model.expected_purchases(day, *summary.history)
    return total


def _futures(
    model: PurchaseModel,
    spend_model: GammaGamma,
    columns: list[FloatArray],
    *,
    horizon_days: float,
    discount_per_day: float,
    draws: int,
    generator: np.random.Generator,
) -> FloatArray:
    """Discounted spend in simulated futures, shape (draws, rows)."""
    x, recency, age, monetary = columns
    sets = min(_PARAMETER_DRAWS, draws)
    futures = np.zeros((draws, x.size))
    pairs = zip(model.drawn(sets, generator), spend_model.drawn(sets, generator), strict=True)
    for number, (purchases, amounts) in enumerate(pairs):
        p_alive = purchases.p_alive(x, recency, age)
        for draw in range(number, draws, sets):
            alive = np.flatnonzero(generator.random(x.size) < p_alive)
            count, delay = purchases.simulate_if_alive(horizon_days, x[alive], age[alive], generator)
            total = amounts.simulate_spend(x[alive], monetary[alive], count, generator)
            futures[draw, alive] = total * np.exp(-discount_per_day * delay)
    return futures
