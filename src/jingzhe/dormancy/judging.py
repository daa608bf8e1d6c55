"""How good predictions are: ranking, squared error, calibration, lift, expected numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Outcome = NDArray[np.bool_]

BINS = 10


class Bin(NamedTuple):
    """People whose predictions are alike.

    Args:
        predicted: mean predicted probability.
        observed: share who did return.
        people: how many.
    """

    predicted: float
    observed: float
    people: int


@dataclass(frozen=True)
class Judgement:
    """How one model did on data after the cut; None where the model does not say that.

    Args:
        model: its name.
        auc: area under the ROC curve of its score; None where everybody or nobody returned.
        auc_expected: the same, ranking by expected purchases.
        auc_alive: the same, ranking by P(alive).
        brier: mean squared error of the probabilities.
        calibration_error: mean absolute difference of predicted and observed over the bins, weighted by people.
        top_decile_lift: share who returned among the tenth with the highest scores, over the share among all.
        purchases_mae: mean absolute error of the expected purchase days.
        purchases_correlation: their correlation with the purchase days that came.
        mean_predicted: mean predicted probability.
        bins: calibration in ten groups of equal size, from the lowest prediction to the highest.
    """

    model: str
    auc: float | None
    auc_expected: float | None = None
    auc_alive: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    top_decile_lift: float | None = None
    purchases_mae: float | None = None
    purchases_correlation: float | None = None
    mean_predicted: float | None = None
    bins: tuple[Bin, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers by name, as JSON takes them."""
        return {**asdict(self), "bins": [bin_._asdict() for bin_ in self.bins]}


def auc(scores: Array, outcome: Outcome) -> float | None:
    """Returns the area under the ROC curve, ties counted half (Mann and Whitney 1947); None with one class only."""
    positive = int(outcome.sum())
    negative = outcome.size - positive
    if positive == 0 or negative == 0:
        return None
    ranks = rankdata(scores)
    return float((ranks[outcome].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auc_standard_error(area: float | None, positives: int, negatives: int) -> float | None:
    """Returns the standard error of an area under the ROC curve (Hanley & McNeil 1982, formula 1).

    Args:
        area: the area; None gives None.
        positives: people who returned.
        negatives: people who did not.
    """
    if area is None or positives < 1 or negatives < 1:
        return None
    both_positive = area / (2 - area)
    both_negative = 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (both_positive - area**2)
    variance += (negatives - 1) * (both_negative - area**2)
    return math.sqrt(variance / (positives * negatives))


def brier(probabilities: Array, outcome: Outcome) -> float:
    """Returns the mean squared error of probabilities (Brier 1950)."""
    return float(np.mean((probabilities - outcome) ** 2))


def calibration(probabilities: Array, outcome: Outcome, bins: int = BINS) -> tuple[Bin, ...]:
    """Returns predicted and observed means in groups of equal size, ordered by prediction."""
    order = np.argsort(probabilities, kind="stable")
    groups = [rows for rows in np.array_split(order, bins) if rows.size]
    return tuple(Bin(float(probabilities[rows].mean()), float(outcome[rows].mean()), int(rows.size)) for rows in groups)


def calibration_error(groups: tuple[Bin, ...]) -> float:
    """Returns the mean absolute difference of predicted and observed, weighted by people (Naeini et al. 2015)."""
    people = sum(group.people for group in groups)
    return sum(abs(group.predicted - group.observed) * group.people for group in groups) / people


def top_decile_lift(scores: Array, outcome: Outcome) -> float | None:
    """Returns the share of positives in the top tenth over that among all; ties at the border count in proportion."""
    share = float(outcome.mean())
    if share == 0.0:
        return None
    size = scores.size / 10
    border = np.sort(scores)[::-1][max(int(np.ceil(size)) - 1, 0)]
    above, at = scores > border, scores == border
    hits = float(outcome[above].sum()) + (size - float(above.sum())) * float(outcome[at].mean())
    return hits / size / share


def judge(
    model: str,
    probabilities: Array,
    bought_days: Array,
    *,
    expected: Array | None = None,
    alive: Array | None = None,
) -> Judgement:
    """Judges a model on data after the cut.

    Args:
        model: its name.
        probabilities: of a return within the horizon, (n,).
        bought_days: purchase days within it, (n,).
        expected: expected purchase days, (n,), where the model gives them.
        alive: P(alive), (n,), where the model gives it.
    """
    outcome = bought_days > 0
    groups = calibration(probabilities, outcome)
    correlation = None
    if expected is not None and expected.std() > 0 and bought_days.std() > 0:
        correlation = float(np.corrcoef(expected, bought_days)[0, 1])
    return Judgement(
        model,
        auc(probabilities, outcome),
        None if expected is None else auc(expected, outcome),
        None if alive is None else auc(alive, outcome),
        brier(probabilities, outcome),
        calibration_error(groups),
        top_decile_lift(probabilities, outcome),
        None if expected is None else float(np.mean(np.abs(expected - bought_days))),
        correlation,
        float(probabilities.mean()),
        groups,
    )
