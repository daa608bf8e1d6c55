"""The churn edge: the probability that a person returns within the horizon, learnt from past cuts.

Two parts look at the same people. A logistic regression over a dozen quantities, among them what the base purchase
model says, carries the level and the order over to other horizons and to longer histories; boosted trees (LightGBM)
over all features find what is not additive: declines, lengthening cycles, shrinking spend. Their logits are averaged
and calibrated (Platt 1999) on predictions for people whom neither part had seen.

The two parts, their settings and the average were chosen by their mean AUC over fifteen pairs of cut and horizon of
CDNOW, Online Retail and The Complete Journey: .0095 above the best single model there, the logistic part alone .0087,
the trees alone .0076. So on those pairs the lead is flattered; on nine
other pairs of the same data, looked at once everything was fixed, it was .0091 (.0011 to .0174).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.queries import FEATURES
from jingzhe.dormancy.snapshots import Snapshot

Array = NDArray[np.float64]

LEAST_PEOPLE = 300
"""Buyers at the training cuts below which no edge is trained."""

LEAST_OF_EACH = 40
"""Of those who returned and of those who did not, at least so many are needed."""

MATURE_CUTS = 3
"""Cuts from which the edge is compared with other models on a cut later than those it was trained on."""

FEW_ROWS = 30_000

FOLDS = 4
SEED = 20240305
"""惊蛰 of 2024; all that is random here is drawn from it."""

_RIDGE = 0.05  # inverse strength of the logistic regression's penalty, on standardised quantities
_ROUNDS = 60
_TREES: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "seed": SEED,
    "verbosity": -1,
}
_LEAST, _MOST = 1e-6, 1 - 1e-6
_POSITION = {name: position for position, name in enumerate(FEATURES)}


@dataclass(frozen=True)
class Logistic:
    """A logistic regression over standardised quantities.

    Args:
        means: of the quantities, in the order of :func:`quantities`.
        scales: their standard deviations.
        weights: per standard deviation.
        intercept: logit of somebody average.
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def logits(self, values: Array) -> Array:
        """Returns logits of people, (n,), from their quantities, (n, k)."""
        standard = (values - np.asarray(self.means)) / np.asarray(self.scales)
        result: Array = standard @ np.asarray(self.weights) + self.intercept
        return result


@dataclass(frozen=True)
class Edge:
    """A trained churn edge.

    Args:
        base: name of the purchase model it builds on.
        logistic: the additive part.
        trees: LightGBM's text form of the other part.
        slope: of the calibration, on the averaged logit.
        intercept: of the calibration.
        flag_risk: risk of no return from which a person who is not dormant counts as being at the edge.
        horizon_days: horizon of the outcomes it was trained on.
        cuts: past days it was trained on, ISO, the latest first.
        rows: people at these cuts.
    """

    base: str
    logistic: Logistic
    trees: str
    slope: float
    intercept: float
    flag_risk: float
    horizon_days: int
    cuts: tuple[str, ...]
    rows: int

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=self.trees)

    def probabilities(self, people: Snapshot) -> Array:
        """Returns the calibrated probability of each person's return within the snapshot's horizon, (n,)."""
        raw = self.raw_logits(people)
        result: Array = expit(self.slope * raw + self.intercept)
        return result

    def raw_logits(self, people: Snapshot) -> Array:
        """Returns the averaged logits before calibration, (n,)."""
        trees = _grown(self._booster, tree_inputs(people, self.base))
        result: Array = (self.logistic.logits(quantities(people, self.base)) + trees) / 2
        return result

    def importance(self) -> dict[str, float]:
        """Returns what share of the trees' gain each feature has, the largest first."""
        gain = self._booster.feature_importance(importance_type="gain")
        names = (*FEATURES, "return_model", "expected_model")
        total = float(gain.sum()) or 1.0
        ranked = sorted(zip(names, gain, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) / total for name, value in ranked}

    def to_dict(self) -> dict[str, Any]:
        """Returns the model as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Edge:
        """Returns the model that :meth:`to_dict` described, also after a way through JSON."""
        logistic = values["logistic"]
        parts = {name: tuple(logistic[name]) for name in ("means", "scales", "weights")}
        return cls(
            **{**values, "cuts": tuple(values["cuts"]), "logistic": Logistic(**parts, intercept=logistic["intercept"])}
        )


def quantities(people: Snapshot, base: str) -> Array:
    """Returns what the logistic regression looks at, (n, k); unknown is 0."""

    def feature(name: str) -> Array:
        return np.nan_to_num(people.features[:, _POSITION[name]].astype(np.float64))

    returning = np.clip(people.predicted[f"return_{base}"], _LEAST, _MOST)
    expected = np.maximum(people.predicted[f"expected_{base}"], 1e-9)
    return np.column_stack(
        [
            logit(returning),
            np.log(expected),
            np.log1p(feature("silence")),
            np.log(feature("silence_share") + 0.01),
            np.log1p(feature("frequency")),
            feature("overdue"),
            feature("average_order"),
            feature("units_per_order"),
            feature("purchases_kept"),
            np.log1p(feature("purchases_recent")),
            feature("cycle_lengthening"),
            np.log1p(feature("categories")),
            np.log1p(feature("events_per_day")),
            feature("days_kept"),
        ]
    )


def tree_inputs(people: Snapshot, base: str) -> Array:
    """Returns what the trees look at, (n, features + 2); NaN is unknown."""
    returning = np.clip(people.predicted[f"return_{base}"], _LEAST, _MOST)
    expected = np.maximum(people.predicted[f"expected_{base}"], 1e-9)
    return np.column_stack([people.features, logit(returning), np.log(expected)])


def refusal(people: Sequence[Snapshot]) -> str:
    """Returns why no edge can be trained on these snapshots; empty where it can."""
    if not people:
        return "the history is too short for a past cut with its outcomes known"
    rows = sum(len(snapshot) for snapshot in people)
    returned = sum(int(snapshot.returned.sum()) for snapshot in people)
    if rows < LEAST_PEOPLE:
        return f"only {rows} buyers at past cuts, {LEAST_PEOPLE} are needed"
    if min(returned, rows - returned) < LEAST_OF_EACH:
        return (
            f"of {rows} buyers at past cuts {returned} returned; at least {LEAST_OF_EACH} who returned and as "
            "many who did not are needed"
        )
    return ""


def fit_edge(people: Sequence[Snapshot], base: str) -> Edge:
    """Trains the churn edge on past cuts.

    Args:
        people: snapshots with outcomes, of one horizon, the latest cut first.
        base: name of the purchase model to build on; its predictions stand in every snapshot.

    Returns:
        the edge, calibrated on predictions out of fold (folds are of people).

    Raises:
        ModelError: the snapshots do not suffice.
    """
    problem = refusal(people)
    if problem:
        raise ModelError(f"The churn edge cannot be trained: {problem}")
    unseen = np.concatenate(_out_of_fold(people, people, base))
    returned = np.concatenate([snapshot.returned for snapshot in people])
    slope, intercept = _platt(unseen, returned)
    awake = np.concatenate([snapshot.awake for snapshot in people])
    risk = 1 - expit(slope * unseen + intercept)
    logistic, trees = _fit_parts(people, [np.ones(len(snapshot), dtype=np.bool_) for snapshot in people], base)
    return Edge(
        base,
        logistic,
        trees,
        slope,
        intercept,
        _flag_risk(risk[awake], ~returned[awake]),
        people[0].horizon_days,
        tuple(snapshot.as_of.isoformat() for snapshot in people),
        returned.size,
    )


def unseen_probabilities(people: Sequence[Snapshot], base: str) -> Array:
    """Returns honest predictions for the latest snapshot, (n,): each by an edge that never saw the person.

    With three cuts or more, by edges trained at the earlier cuts only. With fewer, the earlier cut stands so early in
    the history that an edge trained there says little about one trained now; then by edges trained at all cuts.
    """
    latest, trained = people[0], people[1:] if len(people) >= MATURE_CUTS else people
    logits = _out_of_fold(trained, [latest], base)[0]
    calibrating = np.concatenate(_out_of_fold(trained, trained, base))
    slope, intercept = _platt(calibrating, np.concatenate([snapshot.returned for snapshot in trained]))
    result: Array = expit(slope * logits + intercept)
    return result


def fold_of(person_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the fold of each person; the same at every cut."""
    mixed = person_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash, 64 bits
    return ((mixed >> np.uint64(33)) % np.uint64(FOLDS)).astype(np.int64)


def _out_of_fold(trained: Sequence[Snapshot], asked: Sequence[Snapshot], base: str) -> list[Array]:
    """Returns raw logits for ``asked``, each by parts trained on ``trained`` without the people of its fold."""
    results = [np.empty(len(snapshot)) for snapshot in asked]
    trained_folds = [fold_of(snapshot.person_id) for snapshot in trained]
    asked_folds = [fold_of(snapshot.person_id) for snapshot in asked]
    inputs = [(quantities(snapshot, base), tree_inputs(snapshot, base)) for snapshot in asked]
    for fold in range(FOLDS):
        logistic, trees = _fit_parts(trained, [folds != fold for folds in trained_folds], base)
        booster = lightgbm.Booster(model_str=trees)
        for result, folds, (plain, wide) in zip(results, asked_folds, inputs, strict=True):
            rows = folds == fold
            if rows.any():
                result[rows] = (logistic.logits(plain[rows]) + _grown(booster, wide[rows])) / 2
    return results


def _fit_parts(people: Sequence[Snapshot], rows: Sequence[NDArray[np.bool_]], base: str) -> tuple[Logistic, str]:
    pairs = list(zip(people, rows, strict=True))
    returned = np.concatenate([snapshot.returned[chosen] for snapshot, chosen in pairs])
    plain = np.concatenate([quantities(snapshot, base)[chosen] for snapshot, chosen in pairs])
    wide = np.concatenate([tree_inputs(snapshot, base)[chosen] for snapshot, chosen in pairs])
    means, scales = plain.mean(axis=0), plain.std(axis=0)
    scales = np.where(scales > 1e-9, scales, 1.0)
    fitted = LogisticRegression(C=_RIDGE, solver="newton-cholesky").fit((plain - means) / scales, returned)
    logistic = Logistic(
        tuple(means.tolist()), tuple(scales.tolist()), tuple(fitted.coef_[0].tolist()), float(fitted.intercept_[0])
    )
    parameters = {**_TREES, "num_threads": _threads(returned.size)}
    data = lightgbm.Dataset(wide, returned.astype(np.float64), params=parameters)
    return logistic, lightgbm.train(parameters, data, _ROUNDS).model_to_string()


def _grown(booster: lightgbm.Booster, wide: Array) -> Array:
    """Returns the trees' logits, (n,)."""
    return np.asarray(booster.predict(wide, raw_score=True, num_threads=_threads(len(wide))))


def _threads(rows: int) -> int:
    """Returns 1 for few rows: waiting for one another costs a second thread more than it gains."""
    return 1 if rows < FEW_ROWS else 2


def _platt(logits: Array, returned: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns slope and intercept of the logistic calibration; the slope is kept above 0 so that ranks stay."""
    fitted = LogisticRegression(C=1e6, solver="newton-cholesky").fit(logits[:, None], returned)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return (slope, intercept) if slope > 0 else (1.0, 0.0)


def _flag_risk(risk: Array, stayed_away: NDArray[np.bool_]) -> float:
    """Returns the risk that best parts those who stay away from those who return (Youden 1950), at least one half."""
    if stayed_away.all() or not stayed_away.any():
        return 0.5
    order = np.argsort(-risk, kind="stable")
    hits = np.cumsum(stayed_away[order]) / stayed_away.sum()
    alarms = np.cumsum(~stayed_away[order]) / (~stayed_away).sum()
    return max(0.5, float(risk[order][int(np.argmax(hits - alarms))]))
