"""Training all models of a day and scoring everybody with them, set-based."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import ModelError, NoDataError
from jingzhe.core.progress import Progress, Silent
from jingzhe.dormancy.btyd import GammaGamma
from jingzhe.dormancy.choosing import BLEND, EDGE, RECENCY, Choice, Recency, blended, choose, fit_recency
from jingzhe.dormancy.edge import Edge, fit_edge, refusal
from jingzhe.dormancy.judging import Bin, Judgement
from jingzhe.dormancy.purchasing import (
    PurchaseModels,
    fit_purchase_models,
    histories_to_fit,
    keep_histories,
    predict,
    prediction_columns,
)
from jingzhe.dormancy.queries import DISTINCT_HISTORIES, HISTORIES, KNOWN, RISKS, SCORED, VALUES, scored
from jingzhe.dormancy.rhythm import Rhythm, clock, fit_rhythm, overdue
from jingzhe.dormancy.snapshots import (
    Snapshot,
    features_asked,
    forget,
    know,
    know_from_profiles,
    plan,
    share,
    snapshot,
    snapshot_of,
    span,
)
from jingzhe.dormancy.worth import fit_spend, keep_values
from jingzhe.profile.packs import StatePack
from jingzhe.store.engine import Session

Array = NDArray[np.float64]

MOST_TRAINED = 120_000
"""People times past cuts above which a fixed share of the people is trained on."""

DISCOUNT_RATE_ANNUAL = 0.1


class Tiers(NamedTuple):
    """Quantiles of the net spend among buyers from which the tiers begin.

    Args:
        middle_from: from this quantile on a person is of the middle tier.
        high_from: from this one on of the high tier.
    """

    middle_from: float = 0.5
    high_from: float = 0.8


@dataclass(frozen=True)
class Models:
    """Everything that was fitted as of a day; all that scoring needs.

    Args:
        as_of: the day; nothing after it was looked at.
        horizon_days: horizon of the default score, days.
        rhythm: the population's rhythm.
        purchase: the purchase models.
        spend: the Gamma-Gamma model; None where it could not be fitted.
        edge: the churn edge; None where too little is known to train it.
        recency: the recency rule; None where there is no past cut.
        choice: which model gives the default score, and why.
        notes: what a reader of the scores should know: what could not be fitted and why.
    """

    as_of: date
    horizon_days: int
    rhythm: Rhythm
    purchase: PurchaseModels
    spend: GammaGamma | None
    edge: Edge | None
    recency: Recency | None
    choice: Choice
    notes: tuple[str, ...] = ()

    @property
    def flag_risk(self) -> float:
        """Risk from which a person who is not dormant counts as being at the edge."""
        return self.edge.flag_risk if self.edge and self.choice.default in (EDGE, BLEND) else 0.5

    def probabilities(self, people: Snapshot, model: str | None = None) -> Array:
        """Returns the probability of a return within the snapshot's horizon, (n,).

        Args:
            people: features and predictions of the purchase models.
            model: whose probability; None for the default score.

        Raises:
            ModelError: the model could not be fitted.
        """
        name = model or self.choice.default
        if name in self.purchase.models:
            return people.predicted[f"return_{name}"]
        if name == RECENCY and self.recency is not None:
            return self.recency.probabilities(people)
        if name in (EDGE, BLEND) and self.edge is not None:
            edge = self.edge.probabilities(people)
            return edge if name == EDGE else blended(edge, people.predicted[f"return_{self.edge.base}"])
        raise ModelError(f"There is no fitted model {name!r}", hint="; ".join(self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Returns the models as JSON takes them."""
        return {
            "as_of": self.as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "rhythm": self.rhythm.to_dict(),
            "purchase": self.purchase.to_dict(),
            "spend": self.spend.to_dict() if self.spend else None,
            "edge": self.edge.to_dict() if self.edge else None,
            "recency": list(self.recency) if self.recency else None,
            "choice": self.choice.to_dict(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Models:
        """Returns the models that :meth:`to_dict` described, also after a way through JSON."""
        choice = dict(values["choice"])
        choice["candidates"] = tuple(
            Judgement(**{**one, "bins": tuple(Bin(**bin_) for bin_ in one["bins"])}) for one in choice["candidates"]
        )
        return cls(
            date.fromisoformat(values["as_of"]),
            int(values["horizon_days"]),
            Rhythm.from_dict(values["rhythm"]),
            PurchaseModels.from_dict(values["purchase"]),
            GammaGamma.from_dict(values["spend"]) if values["spend"] else None,
            Edge.from_dict(values["edge"]) if values["edge"] else None,
            Recency(*values["recency"]) if values["recency"] else None,
            Choice(**choice),
            tuple(values["notes"]),
        )


def train(
    session: Session,
    as_of: date,
    horizon_days: int,
    pack: StatePack,
    *,
    profiles: bool = False,
    progress: Progress | None = None,
) -> Models:
    """Fits everything on what was known at the end of ``as_of``.

    Args:
        session: reads person_days and items (and profiles).
        as_of: the day.
        horizon_days: horizon of the default score, days.
        pack: thresholds of the states.
        profiles: True where the table of profiles is as of this very day and may be used in place of the facts.
        progress: is told the stages.

    Returns:
        the models; afterwards the relation ``known`` holds the facts of the buyers as of ``as_of``.

    Raises:
        NoDataError: nobody had bought by then.
        ModelError: the horizon is not positive, or no purchase model can be fitted.
    """
    if horizon_days < 1:
        raise ModelError("The horizon must be at least one day", horizon_days=horizon_days)
    tell = progress or Silent()
    people = _past(session, as_of, horizon_days, pack, tell)
    tell.stage("purchase models")
    _know(session, as_of, profiles=profiles)
    rhythm = fit_rhythm(session, KNOWN)
    purchase = fit_purchase_models(histories_to_fit(session, keep_histories(session, KNOWN, as_of)))
    spend = fit_spend(session, KNOWN)
    tell.stage("churn edge")
    usable = [one for one in people if f"return_{purchase.base}" in one.predicted]
    problem = refusal(usable)
    choice = choose(usable, purchase.base)
    edge = None if problem else fit_edge(usable, purchase.base)
    return Models(
        as_of,
        horizon_days,
        rhythm,
        purchase,
        None if isinstance(spend, str) else spend,
        edge,
        fit_recency(usable) if usable else None,
        choice,
        _notes(rhythm, purchase, spend, problem=problem, people=usable, horizon_days=horizon_days),
    )


def score(
    session: Session,
    models: Models,
    as_of: date,
    pack: StatePack,
    *,
    profiles: bool = False,
    tiers: Tiers | None = None,
    progress: Progress | None = None,
) -> int:
    """Scores every buyer as of a day and keeps the result as the relation ``scored``, which has the columns of SCORES.

    Args:
        session: reads person_days and items (and profiles).
        models: of that day or an earlier one.
        as_of: the day at whose end the scores hold.
        pack: thresholds of the states.
        profiles: True where the table of profiles is as of this very day and may be used in place of the facts.
        tiers: where the value tiers begin.
        progress: is told how many people have been looked at.

    Returns:
        the number of people scored.

    Raises:
        ModelError: the models were fitted on a later day: they know what was not known then.
        NoDataError: nobody had bought by then.
    """
    if models.as_of > as_of:
        raise ModelError(
            "The models know more than was known on the day to be scored",
            hint="Train models as of that day.",
            models=models.as_of,
            as_of=as_of,
        )
    tell = progress or Silent()
    people = _know(session, as_of, profiles=profiles)
    shown = models.choice.purchase
    forget(session, SCORED, "valued")
    keep_histories(session, KNOWN, as_of)
    predict(session, _needed(models), models.horizon_days)
    keep_values(session, models.purchase.models[shown], models.spend, DISCOUNT_RATE_ANNUAL)
    by_model = models.choice.default in models.purchase.models
    try:
        if not by_model:
            tell.stage("risk", people, "people")
            _keep_risks(session, models, as_of, pack, tell)
        clocked = clock(models.rhythm, pack)
        query = scored(overdue(models.rhythm), clocked, shown, spend_known=models.spend is not None, risks=not by_model)
        share = tiers or Tiers()
        values: dict[str, Any] = {**clocked.values, **share._asdict(), "as_of": as_of}
        values |= {"horizon_days": models.horizon_days, "flag_risk": models.flag_risk}
        if models.spend:
            values |= {f"spend_{name}": value for name, value in models.spend.parameters.items()}
        return int(session.run(query, values)["people"][0].as_py())
    finally:
        forget(session, DISTINCT_HISTORIES, HISTORIES, VALUES, RISKS, "valued")


def _needed(models: Models) -> PurchaseModels:
    """Returns the purchase models on which the scores rest."""
    base = models.edge.base if models.edge else models.purchase.base
    return models.purchase.only(models.choice.purchase, models.choice.default, base)


def _know(session: Session, as_of: date, *, profiles: bool) -> int:
    people = know_from_profiles(session) if profiles else know(session, as_of)
    if not people:
        raise NoDataError("Nobody has bought anything on or before this day", as_of=as_of)
    return people


def _past(session: Session, as_of: date, horizon_days: int, pack: StatePack, tell: Progress) -> list[Snapshot]:
    """Returns snapshots of the past cuts, the latest first."""
    known = span(session, as_of)
    chosen = plan(known, as_of, horizon_days)
    tell.stage("past cuts", len(chosen.cuts), "cuts")
    keep, of = share(MOST_TRAINED, known.people * len(chosen.cuts))
    found: list[Snapshot] = []
    for number, cut in enumerate(chosen.cuts):
        if know(session, cut, keep=keep, of=of):
            found.append(snapshot(session, cut, chosen.horizon_days, pack))
        tell.advance(number + 1)
    return found


_RISKS = pa.schema([("person_id", pa.int64()), ("p_return", pa.float64())])


def _keep_risks(session: Session, models: Models, as_of: date, pack: StatePack, tell: Progress) -> None:
    """Keeps ``person_id, p_return`` by the default score; the engine applies the models where the people are."""
    needed, horizon_days = _needed(models), models.horizon_days
    query, values = features_asked(models.rhythm, needed, as_of=as_of, horizon_days=horizon_days, pack=pack)
    asked = partial(_risks, models, prediction_columns(needed), as_of)
    session.mapped(RISKS, query, asked, _RISKS, values, told=tell.advance)


def _risks(models: Models, names: tuple[str, ...], as_of: date, batch: pa.RecordBatch) -> pa.RecordBatch:
    people = snapshot_of(names, as_of, models.horizon_days, batch)
    columns = [pa.array(people.person_id), pa.array(models.probabilities(people))]
    return pa.record_batch(columns, schema=_RISKS)


def _notes(
    rhythm: Rhythm,
    purchase: PurchaseModels,
    spend: GammaGamma | str,
    *,
    problem: str,
    people: list[Snapshot],
    horizon_days: int,
) -> tuple[str, ...]:
    notes = [f"{name} could not be fitted: {reason}" for name, reason in purchase.failures.items()]
    notes += [f"{name} did not converge" for name, model in purchase.models.items() if not model.converged]
    if not rhythm.known:
        notes.append(f"No rhythm: {rhythm.reason}; the thresholds of the pack hold for everybody")
    if isinstance(spend, str):
        notes.append(f"No spend model: {spend}; each person's own mean stands for it, intervals are left out")
    if problem:
        notes.append(f"No churn edge: {problem}")
    elif people[0].horizon_days < horizon_days:
        notes.append(
            f"The churn edge was trained on a horizon of {people[0].horizon_days} days, for the history is too short "
            f"for {horizon_days}"
        )
    return tuple(notes)
