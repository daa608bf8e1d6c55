"""Which model gives the product's default score.

The churn edge does, unless another model ranked the people of the latest past cut better by more than chance explains
(paired test of DeLong et al. 1988, one-sided 5 %). A bare comparison of two areas would be decided by noise: at the
inner cut of CDNOW's sample their difference has a standard error of .005.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from jingzhe.dormancy.edge import refusal, unseen_probabilities
from jingzhe.dormancy.judging import Judgement, auc, judge
from jingzhe.dormancy.purchasing import KINDS
from jingzhe.dormancy.queries import FEATURES
from jingzhe.dormancy.snapshots import Snapshot

Array = NDArray[np.float64]

EDGE = "edge"
BLEND = "edge_and_model"
RECENCY = "recency"

CHANCE = 1.6448536269514722
"""Standard errors by which another model must be ahead of the edge to take its place: one-sided 5 %."""

_SILENCE = list(FEATURES).index("silence")


class Recency(NamedTuple):
    """The rule "who bought last stays longest" as a probability: logistic in the logarithm of the silence.

    Args:
        slope: per ln(1 + silence / horizon), below 0.
        intercept: logit right after a purchase.
    """

    slope: float
    intercept: float

    def probabilities(self, people: Snapshot) -> Array:
        """Returns the probability of a return within the horizon, (n,)."""
        result: Array = expit(self.slope * _log_silence(people) + self.intercept)
        return result


@dataclass(frozen=True)
class Choice:
    """What the comparison at a past cut said.

    Args:
        default: name of the model with the product's default score.
        purchase: name of the best purchase model.
        candidates: how each did at that cut, the best first; empty where there was none to compare at.
        cut: that cut, ISO; empty where there was none.
        horizon_days: horizon of the comparison, days.
        reason: why it was decided so.
    """

    default: str
    purchase: str
    candidates: tuple[Judgement, ...]
    cut: str
    horizon_days: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Returns the comparison as JSON takes it."""
        return {**asdict(self), "candidates": [one.to_dict() for one in self.candidates]}


def fit_recency(people: Sequence[Snapshot]) -> Recency:
    """Fits the recency rule to past cuts with outcomes."""
    returned = np.concatenate([snapshot.returned for snapshot in people])
    silence = np.concatenate([_log_silence(snapshot) for snapshot in people])
    if returned.all() or not returned.any():
        return Recency(-1.0, float(logit(np.clip(returned.mean(), 0.01, 0.99))))
    fitted = LogisticRegression(C=1e6, solver="newton-cholesky").fit(silence[:, None], returned)
    return Recency(min(float(fitted.coef_[0, 0]), -1e-3), float(fitted.intercept_[0]))


def blended(edge: Array, model: Array) -> Array:
    """Returns the mean of two probabilities on the logit scale, (n,)."""
    pair = [logit(np.clip(values, 1e-6, 1 - 1e-6)) for values in (edge, model)]
    result: Array = expit((pair[0] + pair[1]) / 2)
    return result


def choose(people: Sequence[Snapshot], base: str) -> Choice:
    """Compares every model at the latest of the past cuts.

    The purchase models are those fitted as of that cut; the edge and the recency rule know none of its people: see
    :func:`jingzhe.dormancy.edge.unseen_probabilities`.

    Args:
        people: snapshots with outcomes, the latest cut first.
        base: name of the purchase model on which the edge builds.
    """
    problem = refusal(people)
    if problem:
        return Choice(base, base, (), "", 0, f"{base} is the default: no churn edge can be trained, for {problem}.")
    latest, earlier = people[0], people[1:] or people[:1]
    unseen = unseen_probabilities(people, base)
    scores = {name: latest.predicted[f"return_{name}"] for name in KINDS if f"return_{name}" in latest.predicted}
    purchase = max(scores, key=lambda name: (auc(scores[name], latest.returned) or 0.0, name == base))
    scores[RECENCY] = fit_recency(earlier).probabilities(latest)
    scores[EDGE] = unseen
    scores[BLEND] = blended(unseen, scores[base])
    judged = [judge(name, values, latest.days_bought) for name, values in scores.items()]
    ranked = sorted(judged, key=lambda one: -(one.auc or 0.0))
    default, reason = _default(ranked, scores, latest)
    return Choice(default, purchase, tuple(ranked), latest.as_of.isoformat(), latest.horizon_days, reason)


def _default(ranked: list[Judgement], scores: Mapping[str, Array], latest: Snapshot) -> tuple[str, str]:
    areas = {one.model: one.auc or 0.0 for one in ranked}
    others = [one for one in ranked if one.model != EDGE]
    best = others[0].model
    lead, error = lead_of(scores[best], scores[EDGE], latest.returned)
    compared = (
        f"at the cut {latest.as_of} the AUC of {EDGE} was {areas[EDGE]:.4f}, that of {best} {areas[best]:.4f} "
        f"(difference {lead:+.4f}, standard error {error:.4f})"
    )
    if lead > CHANCE * error:
        return best, f"{best} is the default, for the churn edge did not keep up with it: {compared}."
    return EDGE, f"{EDGE} is the default: {compared}."


def lead_of(first: Array, second: Array, outcome: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns by how much the AUC of ``first`` exceeds that of ``second`` on the same people, and its standard error.

    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44, 837-845, with ranks as in Sun and Xu (2014), IEEE Signal
    Processing Letters 21, 1389-1393.

    Args:
        first: scores, (n,).
        second: other scores, (n,).
        outcome: what happened, (n,); both outcomes occur.
    """
    positive, negative = int(outcome.sum()), int((~outcome).sum())
    placed = []
    for scores in (first, second):
        ranks = rankdata(scores)
        above = (ranks[outcome] - rankdata(scores[outcome])) / negative
        below = 1.0 - (ranks[~outcome] - rankdata(scores[~outcome])) / positive
        placed.append((above, below))
    by_positive, by_negative = placed[0][0] - placed[1][0], placed[0][1] - placed[1][1]
    variance = by_positive.var(ddof=1) / positive + by_negative.var(ddof=1) / negative
    return float(by_positive.mean()), float(np.sqrt(variance))


def _log_silence(people: Snapshot) -> Array:
    result: Array = np.log1p(people.features[:, _SILENCE].astype(np.float64))
    return result
