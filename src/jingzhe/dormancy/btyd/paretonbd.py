"""Pareto/NBD: a person buys at a steady rate and may lapse at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.special import digamma, expit, exprel, gammaln, logsumexp, polygamma

from jingzhe.dormancy.btyd.fitting import Evaluation, checked_for_purchases, maximise, typical_rate
from jingzhe.dormancy.btyd.history import FloatArray
from jingzhe.dormancy.btyd.model import DAYS_PER_WEEK, PurchaseModel
from jingzhe.dormancy.btyd.quadrature import Factor, power_nodes
from jingzhe.dormancy.btyd.summary import Summary

_FIT_NODES = 24  # per row in the likelihood: for the parameters of real businesses as good as any more
_BLOCK = 512  # rows whose quadrature nodes stay in the processor's cache together


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoNbd(PurchaseModel):
    """Pareto/NBD of Schmittlein, Morrison & Colombo (1987), Management Science 33 (1), 1-24.

    Purchase rate λ ~ Gamma(r, α); rate of lapsing μ ~ Gamma(s, β). With n = r + x the likelihood of a history
    is

        Γ(n)/Γ(r) · α^r · β^s · [ (α+T)^-n (β+T)^-s + s ∫ (α+t)^-n (β+t)^-(s+1) dt ],  t from t_x to T

    (Fader & Hardie 2005, brucehardie.com/notes/009, eq. 16 ff.). They turn the integral into 2F1 at four
    places; we integrate, with `power_nodes`, which loses no digits where two 2F1 nearly cancel (t_x close to
    T).

    `p_return`: a purchase comes before lapsing and within h with probability
    ∫ n (α+T)^n / (α+T+t)^(n+1) · ((β+T)/(β+T+t))^s dt, t from 0 to h, for who is alive at T.

    Args:
        r: shape of the purchase rates' gamma distribution.
        alpha: its inverse scale, in time units.
        s: shape of the lapse rates' gamma distribution.
        beta: its inverse scale, in time units.

    >>> model = ParetoNbd(r=0.5532, alpha=10.5763, s=0.6062, beta=11.6715)
    >>> model.p_alive([0, 2], [0, 213], [272, 272]).round(3).tolist()
    [0.295, 0.869]
    """

    name: ClassVar[str] = "pareto-nbd"
    parameter_names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")

    r: float
    alpha: float
    s: float
    beta: float

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
        likelihood = ParetoLikelihood(rows, time_unit_days)
        rate = typical_rate(rows, time_unit_days)
        age = float(np.average(rows.age_days, weights=rows.weight)) / time_unit_days
        starts = [
            (r, r / (2.0 * rate), s, share * age)
            for r, s, share in ((0.6, 0.6, 0.4), (2.0, 0.5, 2.0), (0.2, 0.2, 0.2), (5.0, 2.0, 5.0))
        ]
        estimates, fit = maximise(likelihood, starts, rows.n_people)
        r, alpha, s, beta = map(float, estimates)
        return cls(r=r, alpha=alpha, s=s, beta=beta, fit=fit, time_unit_days=time_unit_days)

    def _p_alive(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
        n = self.r + x.ravel()
        recency, age = recency.ravel(), age.ravel()
        alive = -n * np.log(self.alpha + age) - self.s * np.log(self.beta + age)
        lapsed = np.log(self.s) + _log_integral(recency, age, Factor(self.alpha, n), Factor(self.beta, self.s + 1.0))
        p_alive: FloatArray = expit(alive - lapsed)
        return p_alive.reshape(x.shape)

    def _p_return_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray:
        n, alpha, beta = self.r + x, self.alpha + age, self.beta + age
        log_integral = _log_integral(np.zeros(n.shape), horizon, Factor(alpha, n + 1.0), Factor(beta, self.s))
        returns: FloatArray = np.exp(np.log(n) + n * np.log(alpha) + self.s * np.log(beta) + log_integral)
        return returns

    def _expected_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray:
        """Fader & Hardie 2005, eq. 41, written with (e^z - 1)/z so that s = 1 is no exception."""
        growth = np.log1p(horizon / (self.beta + age))
        expected: FloatArray = (
            (self.r + x) * (self.beta + age) / (self.alpha + age) * growth * exprel((1.0 - self.s) * growth)
        )
        return expected

    def _simulate(
        self, horizon: float, x: FloatArray, age: FloatArray, generator: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        rate = generator.standard_gamma(self.r + x) / (self.alpha + age)
        # An exponential time at a gamma-distributed rate is a Pareto time.
        growth = generator.standard_exponential(x.shape) / self.s
        stays = np.minimum((self.beta + age) * np.expm1(np.minimum(growth, 700.0)), horizon)
        count = generator.poisson(np.minimum(rate * stays, 1e15)).astype(np.float64)
        return count, stays / 2.0


def _log_integral(lower: FloatArray, upper: FloatArray, first: Factor, second: Factor) -> FloatArray:
    """Logarithm of ∫ (c1+t)^-p1 (c2+t)^-p2 dt, shape (n,)."""
    shape = lower.shape
    result = np.empty(shape)
    first, second = first.spread(shape), second.spread(shape)
    for rows in _blocks(lower.size):
        c1, p1 = (np.asarray(values)[rows] for values in first)
        c2, p2 = (np.asarray(values)[rows] for values in second)
        nodes, logs = power_nodes(lower[rows], upper[rows], Factor(c1, p1), Factor(c2, p2))
        logs -= p1[:, None] * np.log(c1[:, None] + nodes) + p2[:, None] * np.log(c2[:, None] + nodes)
        result[rows] = logsumexp(logs, axis=1)
    return result


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n_rows, _BLOCK))


class ParetoLikelihood:
    """Log-likelihood of the histories with gradient and Hessian by (r, α, s, β).

    The bracket of the likelihood is a sum of positive terms: alive, and lapsed at each node. Its derivatives
    are then those of a mixture: mean of the terms' gradients, mean of their Hessians plus covariance of their
    gradients.

    Args:
        rows: compressed histories.
        time_unit_days: unit of time of the parameters.
    """

    def __init__(self, rows: Summary, time_unit_days: float) -> None:
        self._x, self._weight = rows.frequency, rows.weight
        self._recency = rows.recency_days / time_unit_days
        self._age = rows.age_days / time_unit_days
        self._counts, index = np.unique(self._x, return_inverse=True)
        self._people = np.bincount(index, weights=self._weight)

    def __call__(self, parameters: FloatArray) -> Evaluation:
        """Evaluate at (r, α, s, β)."""
        value, gradient, hessian = self._outside(parameters)
        for rows in _blocks(self._x.size):
            part = self._bracket(parameters, rows)
            value += part.value
            gradient += part.gradient
            hessian += part.hessian
        return Evaluation(value, gradient, hessian)

    def _outside(self, parameters: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Sum up ln Γ(r+x)/Γ(r) + r ln α + s ln β, which depend on x alone."""
        r, alpha, s, beta = parameters
        people, total, n = self._people, self._people.sum(), parameters[0] + self._counts
        value = people @ gammaln(n) + total * (r * np.log(alpha) + s * np.log(beta) - gammaln(r))
        gradient = np.array(
            [
                people @ digamma(n) + total * (np.log(alpha) - digamma(r)),
                total * r / alpha,
                total * np.log(beta),
                total * s / beta,
            ]
        )
        hessian = np.diag(
            [
                people @ polygamma(1, n) - total * polygamma(1, r),
                -total * r / alpha**2,
                0.0,
                -total * s / beta**2,
            ]
        )
        hessian[0, 1] = hessian[1, 0] = total / alpha
        hessian[2, 3] = hessian[3, 2] = total / beta
        return float(value), gradient, hessian

    def _bracket(self, parameters: FloatArray, rows: slice) -> Evaluation:
        r, alpha, s, beta = parameters
        weight, n, age = self._weight[rows], r + self._x[rows], self._age[rows]
        nodes, log_weight = power_nodes(
            self._recency[rows], age, Factor(alpha, n), Factor(beta, s + 1.0), n_nodes=_FIT_NODES
        )
        times = np.column_stack((nodes, age))  # the last term is "still alive at T"
        to_alpha, to_beta = np.log(alpha + times), np.log(beta + times)
        power = np.append(np.full(nodes.shape[1], s + 1.0), s)
        terms = -n[:, None] * to_alpha - power * to_beta
        terms[:, :-1] += log_weight + np.log(s)
        peak = terms.max(axis=1)
        share = np.exp(terms - peak[:, None])
        total = share.sum(axis=1)
        share *= (weight / total)[:, None]  # posterior probability of each term, times people

        by_alpha, by_beta = 1.0 / (alpha + times), 1.0 / (beta + times)
        ending = np.append(np.full(nodes.shape[1], 1.0 / s), 0.0)
        slopes = (-to_alpha, -n[:, None] * by_alpha, ending - to_beta, -power * by_beta)
        sums = np.stack([np.einsum("ij,ij->i", share, slope) for slope in slopes])
        means = sums / weight
        hessian = np.empty((4, 4))
        for i in range(4):
            shared = share * slopes[i]
            for j in range(i, 4):
                covariance = np.einsum("ij,ij->", shared, slopes[j]) - sums[i] @ means[j]
                hessian[i, j] = hessian[j, i] = covariance
        cross_alpha, cross_beta = (share * by_alpha).sum(), (share * by_beta).sum()
        hessian[0, 1] -= cross_alpha
        hessian[1, 0] -= cross_alpha
        hessian[1, 1] += (share * by_alpha**2 * n[:, None]).sum()
        hessian[2, 2] -= share[:, :-1].sum() / s**2
        hessian[2, 3] -= cross_beta
        hessian[3, 2] -= cross_beta
        hessian[3, 3] += (share * by_beta**2 * power).sum()
        return Evaluation(float(weight @ (peak + np.log(total))), sums.sum(axis=1), hessian)
