"""What BG/NBD and MBG/NBD share: a person lapses with their own probability p at certain purchases.

The models differ in one number: how many occasions to lapse a person with x repeat purchases has *survived*
if they are alive. BG/NBD (Fader, Hardie & Lee 2005): m = x, the first purchase is safe. MBG/NBD (Batislam,
Denizel & Filiztekin 2007; the same as CBG/NBD of Hoppe & Wagner 2007): m = x + 1, the first purchase counts,
too. With n = r + x,

    L = Γ(n)/Γ(r) · α^r · B(a, b+m)/B(a, b) · [ (α+T)^-n + 1{m>0} · a/(b+m-1) · (α+t_x)^-n ].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.special import digamma, expit, gammaln, polygamma

from jingzhe.dormancy.btyd.fitting import Evaluation, checked_for_purchases, maximise, typical_rate
from jingzhe.dormancy.btyd.history import FloatArray, IntArray
from jingzhe.dormancy.btyd.model import DAYS_PER_WEEK, PurchaseModel
from jingzhe.dormancy.btyd.quadrature import beta_mean
from jingzhe.dormancy.btyd.summary import Summary

_BLOCK = 8192  # rows whose intermediate columns stay in the processor's cache together
_UPPER = np.triu_indices(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometricModel(PurchaseModel):
    """Purchase rate λ ~ Gamma(r, α), probability p ~ Beta(a, b) of lapsing at an occasion.

    Args:
        r: shape of the rates' gamma distribution.
        alpha: its inverse scale, in time units.
        a: first parameter of the beta distribution of p.
        b: second parameter.
    """

    name: ClassVar[str] = "geometric"
    parameter_names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    occasions_at_first_purchase: ClassVar[int] = 0

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit_to(cls, summary: Summary, *, time_unit_days: float = DAYS_PER_WEEK) -> Self:
        """Estimate the parameters by maximum likelihood.

        Args:
            summary: histories, compressed or not; weights count people.
            time_unit_days: unit of time of the parameters.

        Returns:
            The fitted model; look at ``converged``.

        Raises:
            ModelError: the histories cannot be used, or nobody came back.
        """
        rows = checked_for_purchases(summary, time_unit_days)
        likelihood = GeometricLikelihood(rows, time_unit_days, cls.occasions_at_first_purchase)
        rate = typical_rate(rows, time_unit_days)
        starts = [
            (r, r / rate, a, b) for r, a, b in ((0.5, 1.0, 2.5), (2.0, 0.5, 5.0), (0.2, 0.2, 0.5), (5.0, 2.0, 20.0))
        ]
        estimates, fit = maximise(likelihood, starts, rows.n_people)
        r, alpha, a, b = map(float, estimates)
        return cls(r=r, alpha=alpha, a=a, b=b, fit=fit, time_unit_days=time_unit_days)

    def _survived(self, x: FloatArray) -> FloatArray:
        return x + self.occasions_at_first_purchase

    def _p_alive(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
        m = self._survived(x)
        # log-odds of having lapsed; at least 1 in the logarithm only where m = 0, which is overruled below
        log_odds = np.log(self.a / (self.b + np.maximum(m, 1.0) - 1.0)) + (self.r + x) * (
            np.log(self.alpha + age) - np.log(self.alpha + recency)
        )
        return np.where(m > 0, expit(-log_odds), 1.0)

    def _p_return_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray:
        # Alive, a person cannot lapse before the next purchase; that comes after an exponential time.
        returns: FloatArray = -np.expm1(-(self.r + x) * np.log1p(horizon / (self.alpha + age)))
        return returns

    def _expected_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray:
        """E[(1 - e^{-λpt})/p] over λ ~ Gamma(r+x, α+T), p ~ Beta(a, b+m).

        Fader, Hardie & Lee 2005 (eq. 10) give it with 2F1, which overflows for large x and is 0/0 at a = 1.
        As an integral over p neither happens.
        """
        n = self.r + x
        ahead = horizon / (self.alpha + age)
        second = self.b + self._survived(x)

        def purchases(p: FloatArray, rows: IntArray) -> FloatArray:
            return -np.expm1(-n[rows, None] * np.log1p(np.multiply.outer(ahead[rows], p))) / p

        # (1+pτ)^-n changes on the scale 1/(nτ) in p, and is singular at -1/τ.
        difficulty = np.maximum(n * ahead / (self.a + second), np.sqrt(ahead))
        return beta_mean(purchases, self.a, second, difficulty)

    def _simulate(
        self, horizon: float, x: FloatArray, age: FloatArray, generator: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        rate = generator.standard_gamma(self.r + x) / (self.alpha + age)
        lapse = np.clip(generator.beta(self.a, self.b + self._survived(x)), 1e-12, 1.0)
        wished = generator.poisson(np.minimum(rate * horizon, 1e15)).astype(np.float64)
        last = np.minimum(generator.geometric(lapse).astype(np.float64), 2.0**62)
        count = np.minimum(wished, last)
        # Given how many fall into the horizon, their times are uniform order statistics, the i-th at
        # i/(wished+1).
        return count, horizon * (count + 1.0) / (2.0 * (wished + 1.0))


class GeometricLikelihood:
    """Log-likelihood of the histories with gradient and Hessian by (r, α, a, b).

    Args:
        rows: compressed histories.
        time_unit_days: unit of time of the parameters.
        occasions_at_first_purchase: 0 for BG/NBD, 1 for MBG/NBD.
    """

    def __init__(self, rows: Summary, time_unit_days: float, occasions_at_first_purchase: int) -> None:
        self._x, self._weight = rows.frequency, rows.weight
        self._recency = rows.recency_days / time_unit_days
        self._age = rows.age_days / time_unit_days
        self._m = self._x + occasions_at_first_purchase
        self._before = np.maximum(self._m, 1.0) - 1.0
        # Gamma functions depend on x alone, of which there are few values.
        self._counts, index = np.unique(self._x, return_inverse=True)
        self._people = np.bincount(index, weights=self._weight)
        self._survived = self._counts + occasions_at_first_purchase

    def __call__(self, parameters: FloatArray) -> Evaluation:
        """Evaluate at (r, α, a, b)."""
        value, gradient, hessian = self._by_count(parameters)
        for start in range(0, self._x.size, _BLOCK):
            part = self._by_row(parameters, slice(start, start + _BLOCK))
            value += part.value
            gradient += part.gradient
            hessian += part.hessian
        return Evaluation(value, gradient, hessian)

    def _by_row(self, parameters: FloatArray, rows: slice) -> Evaluation:
        """Add up ln[ (α+T)^-n + 1{m>0} · a/(b+m-1) · (α+t_x)^-n ] over some rows.

        It is -n ln(α+T) + ln(1 + e^g), with g the log-odds of having lapsed and σ = 1/(1 + e^-g) its
        probability.
        """
        r, alpha, a, b = parameters
        weight, n = self._weight[rows], r + self._x[rows]
        age, recency = alpha + self._age[rows], alpha + self._recency[rows]
        log_age, before = np.log(age), b + self._before[rows]
        gap = log_age - np.log(recency)
        log_odds = np.log(a / before) + n * gap
        raised, lapsed = _softplus_and_sigmoid(log_odds)
        never = self._m[rows] == 0
        raised[never] = lapsed[never] = 0.0
        value = weight @ (raised - n * log_age)

        # ∇g = (gap, n·slope, 1/a, -1/(b+m-1)); gradient Σσ∇g, Hessian Σσ(1-σ)∇g∇gᵀ + σ∇²g
        doubt = weight * lapsed * (1.0 - lapsed)
        lapsed *= weight
        by_age, by_recency, by_before = 1.0 / age, 1.0 / recency, 1.0 / before
        slope = by_age - by_recency
        n_slope = n * slope
        n_doubt, gap_doubt, before_doubt = n_slope * doubt, gap * doubt, by_before * doubt
        n_age = weight * n * by_age
        any_lapsed, before_lapsed = lapsed.sum(), lapsed * by_before
        gradient = np.array(
            [
                lapsed @ gap - weight @ log_age,
                lapsed @ n_slope - n_age.sum(),
                any_lapsed / a,
                -before_lapsed.sum(),
            ]
        )
        curvature = n_age @ by_age - lapsed @ (n_slope * (by_age + by_recency))
        upper_triangle = [
            gap_doubt @ gap,
            gap_doubt @ n_slope + lapsed @ slope - weight @ by_age,
            gap_doubt.sum() / a,
            -(gap_doubt @ by_before),
            n_doubt @ n_slope + curvature,
            n_doubt.sum() / a,
            -(n_doubt @ by_before),
            (doubt.sum() - any_lapsed) / a**2,
            -before_doubt.sum() / a,
            before_doubt @ by_before + before_lapsed @ by_before,
        ]
        hessian = np.zeros((4, 4))
        hessian[_UPPER] = upper_triangle
        hessian.T[_UPPER] = upper_triangle
        return Evaluation(float(value), gradient, hessian)

    def _by_count(self, parameters: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """The terms that depend on x alone: ln Γ(r+x)/Γ(r) + r ln α + ln B(a, b+m)/B(a, b)."""
        r, alpha, a, b = parameters
        people, total = self._people, self._people.sum()
        n, bm = r + self._counts, b + self._survived
        value = people @ (gammaln(n) + gammaln(bm) - gammaln(a + bm))
        value += total * (r * np.log(alpha) - gammaln(r) + gammaln(a + b) - gammaln(b))
        with_a = people @ digamma(a + bm) - total * digamma(a + b)
        with_aa = people @ polygamma(1, a + bm) - total * polygamma(1, a + b)
        gradient = np.array(
            [
                people @ digamma(n) + total * (np.log(alpha) - digamma(r)),
                total * r / alpha,
                -with_a,
                people @ digamma(bm) - total * digamma(b) - with_a,
            ]
        )
        hessian = np.zeros((4, 4))
        hessian[0, 0] = people @ polygamma(1, n) - total * polygamma(1, r)
        hessian[0, 1] = hessian[1, 0] = total / alpha
        hessian[1, 1] = -total * r / alpha**2
        hessian[2, 2] = hessian[2, 3] = hessian[3, 2] = -with_aa
        hessian[3, 3] = people @ polygamma(1, bm) - total * polygamma(1, b) - with_aa
        return float(value), gradient, hessian


def _softplus_and_sigmoid(log_odds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ln(1 + e^g) and 1/(1 + e^-g) from one exponential that cannot overflow."""
    small = np.exp(-np.abs(log_odds))
    softplus: FloatArray = np.maximum(log_odds, 0.0) + np.log1p(small)
    sigmoid: FloatArray = np.where(log_odds >= 0.0, 1.0, small) / (1.0 + small)
    return softplus, sigmoid
