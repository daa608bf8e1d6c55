"""Gamma-Gamma: what a purchase of this person is worth, given how few of them have been seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln, polygamma

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.fitted import Fitted
from jingzhe.dormancy.btyd.fitting import Evaluation, maximise
from jingzhe.dormancy.btyd.history import FloatArray, refuse
from jingzhe.dormancy.btyd.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaGamma(Fitted):
    """Gamma-Gamma model of Fader & Hardie (2013), brucehardie.com/notes/025.

    A purchase is worth Gamma(p, ν), the person's ν ~ Gamma(q, γ), independently of how often they buy.
    (Independence is an assumption: look at the correlation of frequency and monetary among repeaters.)

    Args:
        p: shape of the amounts of one person.
        q: shape of the distribution of ν.
        gamma: its inverse scale, in money.

    >>> model = GammaGamma(p=6.25, q=3.74, gamma=15.44)
    >>> model.expected_spend([0, 1, 10], [0.0, 100.0, 100.0]).round(2).tolist()
    [35.22, 80.26, 97.28]
    """

    name: ClassVar[str] = "gamma-gamma"
    parameter_names: ClassVar[tuple[str, ...]] = ("p", "q", "gamma")

    p: float
    q: float
    gamma: float

    @classmethod
    def fit_to(cls, summary: Summary) -> Self:
        """Estimate the parameters from those who came back, by maximum likelihood (eq. 1a).

        Args:
            summary: histories with ``monetary``; weights count people.

        Returns:
            The fitted model; look at ``converged``.

        Raises:
            ModelError: amounts are not known, nobody came back, or a repeater's mean amount is not above 0.
        """
        x, monetary = _checked_spend(summary.frequency, summary.monetary)
        repeaters = (x > 0) & (summary.weight > 0)
        if not repeaters.any():
            raise ModelError("frequency is 0 for everybody", hint="Amounts are learned from repeat purchases.")
        refuse(
            repeaters & (monetary <= 0),
            "monetary is not above 0 although frequency is",
            "Take refunds and free orders out, or leave these people out.",
        )
        x, monetary, weight = x[repeaters], monetary[repeaters], summary.weight[repeaters]
        mean = float(np.average(monetary, weights=weight))
        starts = [(p, q, share * mean) for p, q, share in ((5.0, 4.0, 0.5), (1.0, 2.0, 1.0), (20.0, 10.0, 0.5))]
        estimates, fit = maximise(SpendLikelihood(x, monetary, weight), starts, float(weight.sum()))
        p, q, gamma = map(float, estimates)
        return cls(p=p, q=q, gamma=gamma, fit=fit)

    def expected_spend(self, frequency: ArrayLike, monetary: ArrayLike) -> FloatArray:
        """Expected amount of a future purchase, given the mean of x earlier ones (eq. 5).

        Args:
            frequency: x, repeat purchases seen.
            monetary: their mean amount; not looked at where x is 0. Broadcasts.

        Returns:
            p (γ + x·monetary) / (p·x + q - 1). Infinite where p·x + q is 1 or less: the mean does not exist
            then (only for people without a repeat purchase, and only if amounts are extremely skewed).

        Raises:
            ModelError: a value is missing or negative.
        """
        x, amount = _checked_spend(frequency, monetary)
        denominator = self.p * x + self.q - 1.0
        finite = denominator > 0
        expected = self.p * (self.gamma + x * amount) / np.where(finite, denominator, 1.0)
        return np.where(finite, expected, np.inf)

    def simulate_spend(
        self, frequency: FloatArray, monetary: FloatArray, count: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Draw the total amount of a number of future purchases.

        Args:
            frequency: x, shape (n,).
            monetary: mean amount of the x purchases, shape (n,).
            count: how many purchases to add up, shape (n,).
            generator: source of randomness.

        Returns:
            Totals, 0 where count is 0, shape (n,).
        """
        rate = generator.standard_gamma(self.p * frequency + self.q) / (self.gamma + frequency * monetary)
        total: FloatArray = generator.standard_gamma(self.p * count) / np.maximum(rate, 1e-300)
        return total


def _checked_spend(frequency: ArrayLike, monetary: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    if monetary is None:
        raise ModelError("amounts are not known", hint="Give summarise() the amounts of the purchases.")
    x, amount = np.asarray(frequency, dtype=np.float64), np.asarray(monetary, dtype=np.float64)
    try:
        x, amount = np.broadcast_arrays(x, amount)
    except ValueError as error:
        raise ModelError(f"frequency has shape {x.shape}, monetary {amount.shape}") from error
    for name, values in (("frequency", x), ("monetary", amount)):
        refuse(~np.isfinite(values), f"{name} is missing or infinite")
    refuse(x < 0, "frequency is negative")
    refuse((x > 0) & (amount < 0), "monetary is negative")
    return x, np.where(x > 0, amount, 0.0)


class SpendLikelihood:
    """Log-likelihood of mean amounts with gradient and Hessian by (p, q, γ).

    Args:
        x: repeat purchases, 1 or more, shape (n,).
        monetary: their mean amount, above 0, shape (n,).
        weight: people, shape (n,).
    """

    def __init__(self, x: FloatArray, monetary: FloatArray, weight: FloatArray) -> None:
        self._x, self._weight = x, weight
        self._total = x * monetary
        self._log_total, self._log_monetary = np.log(self._total), np.log(monetary)

    def __call__(self, parameters: FloatArray) -> Evaluation:
        """Evaluate at (p, q, γ)."""
        p, q, gamma = parameters
        x, weight, total = self._x, self._weight, self._weight.sum()
        px = p * x
        pxq, scale = px + q, gamma + self._total
        log_scale = np.log(scale)
        terms = gammaln(pxq) - gammaln(px) + px * self._log_total - self._log_monetary - pxq * log_scale
        value = float(weight @ terms + total * (q * np.log(gamma) - gammaln(q)))
        digamma_pxq, trigamma_pxq = digamma(pxq), polygamma(1, pxq)
        gradient = np.array(
            [
                (weight * x) @ (digamma_pxq - digamma(px) + self._log_total - log_scale),
                weight @ (digamma_pxq - log_scale) + total * (np.log(gamma) - digamma(q)),
                total * q / gamma - weight @ (pxq / scale),
            ]
        )
        pp = (weight * x**2) @ (trigamma_pxq - polygamma(1, px))
        pq = (weight * x) @ trigamma_pxq
        qq = weight @ trigamma_pxq - total * polygamma(1, q)
        p_gamma = -(weight @ (x / scale))
        q_gamma = total / gamma - weight @ (1.0 / scale)
        gamma_gamma = -total * q / gamma**2 + weight @ (pxq / scale**2)
        hessian = np.array([[pp, pq, p_gamma], [pq, qq, q_gamma], [p_gamma, q_gamma, gamma_gamma]])
        return Evaluation(value, gradient, hessian)
