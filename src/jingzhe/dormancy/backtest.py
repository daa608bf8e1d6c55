"""What the models would have said on a past day, against what happened then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import ModelError, NoDataError
from jingzhe.core.progress import Progress, Silent
from jingzhe.dormancy.choosing import BLEND, EDGE, RECENCY, lead_of
from jingzhe.dormancy.judging import Judgement, judge
from jingzhe.dormancy.purchasing import keep_histories, predict
from jingzhe.dormancy.queries import DISTINCT_HISTORIES, HISTORIES, KNOWN, OUTCOMES
from jingzhe.dormancy.scoring import Models, train
from jingzhe.dormancy.snapshots import Snapshot, feature_batches, forget, know, share, span
from jingzhe.profile.packs import StatePack
from jingzhe.store.engine import Session

Array = NDArray[np.float64]

DEFAULT = "default"
MOST_JUDGED = 1_000_000
"""People above which a fixed share of them is judged on: an AUC of so many has a standard error below .001."""

_NUMBERS = (
    "auc", "auc_expected", "auc_alive", "brier", "calibration_error", "top_decile_lift", "purchases_mae",
    "purchases_correlation", "mean_predicted",
)  # fmt: skip


@dataclass(frozen=True)
class Backtest:
    """How every model did on the time after a cut.

    Args:
        cut: at whose end the models were fitted.
        horizon_days: length of the time after it that was looked at.
        people: people with a purchase on or before the cut.
        return_share: share of them with a purchase in (cut, cut + horizon].
        default: name of the model that gave the default score.
        judgements: of every model; the first is the default score.
        beaten: names of the models whose AUC the default score did not reach; empty where it is the best.
        rival: name of the best model besides the learned ones: of the purchase models and recency alone.
        lead: AUC of the default score minus that of the rival, on the same people.
        lead_error: standard error of that difference (paired, DeLong et al. 1988).
        reason: why the default was chosen, before the cut.
        notes: what could not be fitted and why.
    """

    cut: date
    horizon_days: int
    people: int
    return_share: float
    default: str
    judgements: tuple[Judgement, ...]
    beaten: tuple[str, ...]
    rival: str
    lead: float
    lead_error: float
    reason: str
    notes: tuple[str, ...]

    def __getitem__(self, model: str) -> Judgement:
        for judgement in self.judgements:
            if judgement.model == model:
                return judgement
        raise KeyError(model)

    def table(self) -> pa.Table:
        """Returns one row per model: its name and the numbers of :class:`Judgement`, null where it says nothing."""
        columns: dict[str, Any] = {"model": pa.array([one.model for one in self.judgements], pa.string())}
        for name in _NUMBERS:
            columns[name] = pa.array([getattr(one, name) for one in self.judgements], pa.float64())
        return pa.table(columns)

    def calibration_table(self) -> pa.Table:
        """Returns one row per model and bin: ``model, bin, predicted, observed, people``."""
        rows = [
            {"model": one.model, "bin": number, **bin_._asdict()}
            for one in self.judgements
            for number, bin_ in enumerate(one.bins, start=1)
        ]
        return pa.Table.from_pylist(rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as JSON takes it."""
        return {
            "cut": self.cut.isoformat(),
            "horizon_days": self.horizon_days,
            "people": self.people,
            "return_share": self.return_share,
            "default": self.default,
            "beaten_by": list(self.beaten),
            "rival": self.rival,
            "lead": self.lead,
            "lead_error": self.lead_error,
            "reason": self.reason,
            "notes": list(self.notes),
            "models": [one.to_dict() for one in self.judgements],
        }


def backtest(
    session: Session,
    cut: date,
    horizon_days: int,
    pack: StatePack,
    *,
    known_until: date | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Trains everything as of a past day and judges it on the time after it.

    Args:
        session: reads person_days and items.
        cut: the day at whose end the models stand.
        horizon_days: days after the cut to predict.
        pack: thresholds of the states.
        known_until: last day on which the data are complete; None for the day of the last purchase.
        progress: is told the stages.

    Returns:
        how each model did.

    Raises:
        NoDataError: nobody had bought by the cut, or the data end before the horizon does.
        ModelError: the horizon is not positive, or no purchase model can be fitted.
    """
    tell = progress or Silent()
    _check(session, cut, horizon_days, known_until)
    models = train(session, cut, horizon_days, pack, progress=tell)
    tell.stage("comparison")
    notes = models.notes + _sampled(session, cut)
    keep_histories(session, KNOWN, cut)
    predict(session, models.purchase, horizon_days)
    try:
        batches = list(
            feature_batches(session, models.rhythm, models.purchase, as_of=cut, horizon_days=horizon_days, pack=pack)
        )
    finally:
        forget(session, HISTORIES, DISTINCT_HISTORIES)
    people = np.concatenate([batch.person_id for batch in batches])
    after = session.run(OUTCOMES, {"as_of": cut, "horizon_days": horizon_days})
    order = np.argsort(people, kind="stable")
    bought = after["bought_days"].to_numpy().astype(np.float64)
    judgements = tuple(_judgements(models, batches, order, bought))
    best = judgements[0].auc or 0.0
    rival = max((one for one in judgements[1:] if one.model not in (EDGE, BLEND)), key=lambda one: one.auc or 0.0).model
    lead, lead_error = 0.0, 0.0
    if rival != models.choice.default and 0 < (bought > 0).sum() < bought.size:
        default, other = (_probabilities(models, batches, name)[order] for name in (None, rival))
        lead, lead_error = lead_of(default, other, bought > 0)
    return Backtest(
        cut,
        horizon_days,
        people.size,
        float((bought > 0).mean()),
        models.choice.default,
        judgements,
        tuple(one.model for one in judgements[1:] if _highest(one) > best and one.model not in (EDGE, BLEND)),
        rival,
        lead,
        lead_error,
        models.choice.reason,
        notes,
    )


def _sampled(session: Session, cut: date) -> tuple[str, ...]:
    """Leaves a fixed share of the people to be judged on where they are very many; returns what to say of it."""
    keep, of = share(MOST_JUDGED, span(session, cut).people)
    if keep >= of:
        return ()
    people = know(session, cut, keep=keep, of=of)
    return (f"Judged on {people} people, a fixed share of {keep} in {of}",)


def _probabilities(models: Models, batches: list[Snapshot], name: str | None) -> Array:
    return np.concatenate([models.probabilities(batch, name) for batch in batches])


def _check(session: Session, cut: date, horizon_days: int, known_until: date | None) -> None:
    if horizon_days < 1:
        raise ModelError("The horizon must be at least one day", horizon_days=horizon_days)
    known = span(session, known_until or date.max)
    until = known_until or known.last_day
    data = f"{known.first_day} to {until}"
    if cut < known.first_day:
        raise NoDataError(
            "Nobody has bought anything on or before the cut",
            hint=f"There are purchases from {data}; choose a cut within.",
            cut=cut,
        )
    end = cut + timedelta(horizon_days)
    if end > until:
        longest = (until - cut).days
        advice = f"At this cut the horizon can be at most {longest} days" if longest > 0 else "Choose an earlier cut"
        latest = until - timedelta(horizon_days)
        raise NoDataError(
            f"The horizon ends on {end}, after the data",
            hint=f"There are purchases from {data}. {advice}; for this horizon the latest cut is {latest}.",
            cut=cut,
            horizon_days=horizon_days,
        )


def _judgements(models: Models, batches: list[Snapshot], order: NDArray[np.intp], bought: Array) -> list[Judgement]:
    def column(name: str) -> Array:
        return np.concatenate([batch.predicted[name] for batch in batches])[order]

    fitted = {RECENCY: models.recency, EDGE: models.edge, BLEND: models.edge}
    names = (*models.purchase.models, *(name for name, model in fitted.items() if model is not None))
    said = {name: _probabilities(models, batches, name)[order] for name in names}
    judged = [judge(DEFAULT, said[models.choice.default], bought)]
    for name, probabilities in said.items():
        if name in models.purchase.models:
            more = {"expected": column(f"expected_{name}"), "alive": column(f"alive_{name}")}
            judged.append(judge(name, probabilities, bought, **more))
        else:
            judged.append(judge(name, probabilities, bought))
    return judged


def _highest(one: Judgement) -> float:
    """Returns the best area under the curve that a model has by any of its rankings."""
    return max(value for value in (one.auc, one.auc_expected, one.auc_alive, 0.0) if value is not None)
