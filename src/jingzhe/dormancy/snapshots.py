"""Everybody as of a day: features, what the purchase models say, and, where the future is known, what happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import NoDataError
from jingzhe.dormancy.purchasing import (
    PurchaseModels,
    fit_purchase_models,
    histories_to_fit,
    keep_histories,
    predict,
    prediction_columns,
)
from jingzhe.dormancy.queries import (
    CHOOSE,
    CHOSEN,
    DISTINCT_HISTORIES,
    FEATURES,
    HISTORIES,
    KNOWN,
    OUTCOMES,
    PROFILED,
    SPAN,
    buyers,
    features,
)
from jingzhe.dormancy.rhythm import Rhythm, clock, fit_rhythm, overdue
from jingzhe.profile.columns import WINDOW_DAYS
from jingzhe.profile.packs import StatePack
from jingzhe.store.engine import Session
from jingzhe.store.query import Query

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Snapshot:
    """Buyers as of a day, one entry per person in every array.

    Args:
        person_id: who, (n,) int64.
        features: float32, (n, features) in the order of :data:`jingzhe.dormancy.queries.FEATURES`; NaN: unknown.
        predicted: what the purchase models say, by column, (n,) each.
        awake: True where the personal clock does not call the silence dormant yet, (n,).
        bought_days: purchase days within the horizon after the day, (n,); None where that is not known.
        as_of: the day.
        horizon_days: horizon of predictions and outcomes, days.
    """

    person_id: NDArray[np.int64]
    features: NDArray[np.float32]
    predicted: Mapping[str, Array]
    awake: NDArray[np.bool_]
    bought_days: Array | None
    as_of: date
    horizon_days: int

    @property
    def days_bought(self) -> Array:
        """Purchase days within the horizon, (n,)."""
        if self.bought_days is None:
            raise NoDataError("What happened after this day is not known", as_of=self.as_of)
        return self.bought_days

    @property
    def returned(self) -> NDArray[np.bool_]:
        """True where the person bought within the horizon, (n,)."""
        return self.days_bought > 0

    def __len__(self) -> int:
        return self.person_id.size


@dataclass(frozen=True)
class Span:
    """The time in which purchases are known.

    Args:
        first_day: day of the first purchase.
        last_day: day of the last one, of those on or before the moment asked for.
        people: who made them.
    """

    first_day: date
    last_day: date
    people: int


def span(session: Session, as_of: date) -> Span:
    """Returns the time in which there were purchases on or before ``as_of``.

    Raises:
        NoDataError: there were none.
    """
    row = session.run(SPAN, {"as_of": as_of}).to_pylist()[0]
    if row["first_day"] is None:
        raise NoDataError("There are no purchases on or before this day", as_of=as_of)
    return Span(row["first_day"], row["last_day"], int(row["people"]))


def know(session: Session, as_of: date, *, keep: int = 1, of: int = 1) -> int:
    """Keeps the facts of the buyers as of ``as_of`` as the relation ``known``; returns their number.

    Args:
        session: reads person_days and items.
        as_of: the day at whose end the facts hold.
        keep: with ``of``: a fixed ``keep / of`` of the people only.
        of: 1 for everybody.
    """
    forget(session, KNOWN)
    values = {"as_of": as_of, "window_days": WINDOW_DAYS, "keep": keep, "of": of}
    chosen = keep < of
    if chosen:
        session.keep(CHOOSE, values)
    counted = session.run(buyers(chosen=chosen), values)
    if chosen:
        forget(session, CHOSEN)
    return int(counted["people"][0].as_py())


def share(most: int, rows: int) -> tuple[int, int]:
    """Returns ``keep, of``: the share of people that leaves about ``most`` of ``rows``; all where they are fewer."""
    of = 1000 if rows <= 1000 * most else 1_000_000
    return min(of, max(1, of * most // max(rows, 1))), of


def know_from_profiles(session: Session) -> int:
    """Keeps the facts of the buyers in the table of profiles as the relation ``known``; returns their number."""
    forget(session, KNOWN)
    return int(session.run(PROFILED)["people"][0].as_py())


def forget(session: Session, *names: str) -> None:
    """Drops kept or offered relations, whether they are there or not."""
    for name in names:
        session.drop(name)


def snapshot(session: Session, as_of: date, horizon_days: int, pack: StatePack) -> Snapshot:
    """Returns the buyers in ``known`` with the models fitted to them and with what they did afterwards.

    Nothing but the outcome looks beyond ``as_of``; the models are those that would have been fitted on that day.
    """
    rhythm = fit_rhythm(session, KNOWN)
    purchase = fit_purchase_models(histories_to_fit(session, keep_histories(session, KNOWN, as_of)))
    predict(session, purchase, horizon_days)
    try:
        batches = list(feature_batches(session, rhythm, purchase, as_of=as_of, horizon_days=horizon_days, pack=pack))
        values = {"as_of": as_of, "horizon_days": horizon_days}
        outcomes = session.run(OUTCOMES, values)
    finally:
        forget(session, HISTORIES, DISTINCT_HISTORIES)
    found = _joined(batches)
    order = np.argsort(found.person_id, kind="stable")
    return Snapshot(
        found.person_id[order],
        found.features[order],
        {name: values[order] for name, values in found.predicted.items()},
        found.awake[order],
        outcomes["bought_days"].to_numpy().astype(np.float64),
        as_of,
        horizon_days,
    )


def feature_batches(
    session: Session, rhythm: Rhythm, purchase: PurchaseModels, *, as_of: date, horizon_days: int, pack: StatePack
) -> Iterator[Snapshot]:
    """Yields the buyers in ``known`` bit by bit, without outcomes; for samples of them.

    The predictions must be kept as ``histories``; see :func:`jingzhe.dormancy.purchasing.predict`.
    """
    query, values = features_asked(rhythm, purchase, as_of=as_of, horizon_days=horizon_days, pack=pack)
    names = prediction_columns(purchase)
    for batch in session.batches(query, values):
        if batch.num_rows:
            yield snapshot_of(names, as_of, horizon_days, batch)


def features_asked(
    rhythm: Rhythm, purchase: PurchaseModels, *, as_of: date, horizon_days: int, pack: StatePack
) -> tuple[Query, dict[str, Any]]:
    """Returns the query of the features of the buyers in ``known``, and what it binds."""
    columns = clock(rhythm, pack)
    query = features(overdue(rhythm), columns, prediction_columns(purchase))
    return query, {**columns.values, "as_of": as_of, "horizon_days": horizon_days}


def snapshot_of(names: tuple[str, ...], as_of: date, horizon_days: int, batch: pa.RecordBatch) -> Snapshot:
    """Returns some rows of the features as a snapshot; ``names`` are the predictions among their columns."""
    matrix = np.empty((batch.num_rows, len(FEATURES)), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        matrix[:, position] = batch[name].to_numpy(zero_copy_only=False)
    return Snapshot(
        batch["person_id"].to_numpy(zero_copy_only=False).astype(np.int64),
        matrix,
        {name: batch[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in names},
        batch["awake"].to_numpy(zero_copy_only=False).astype(np.bool_),
        None,
        as_of,
        horizon_days,
    )


def _joined(batches: list[Snapshot]) -> Snapshot:
    if not batches:
        raise NoDataError("There are no buyers as of this day")
    first = batches[0]
    return Snapshot(
        np.concatenate([batch.person_id for batch in batches]),
        np.vstack([batch.features for batch in batches]),
        {name: np.concatenate([batch.predicted[name] for batch in batches]) for name in first.predicted},
        np.concatenate([batch.awake for batch in batches]),
        None,
        first.as_of,
        first.horizon_days,
    )


@dataclass(frozen=True)
class Plan:
    """On which past days the churn edge is trained.

    Args:
        horizon_days: horizon of the training outcomes; shorter than the one asked for where history is short.
        cuts: days, the latest first; the outcomes of each end on or before the moment of training.
    """

    horizon_days: int
    cuts: tuple[date, ...]


MOST_CUTS = 4
LEAST_HISTORY = 0.25
LONGEST_HORIZON = 0.45
SHORTEST_HORIZON_DAYS = 7


def plan(known: Span, as_of: date, horizon_days: int) -> Plan:
    """Chooses past cuts: half a horizon apart, each with a quarter of the history before it and its outcomes known.

    Where the history is shorter than needed, the training horizon is at most .45 of it: features count time in
    horizons, and the purchase models carry the level over to the horizon asked for.
    """
    days = (as_of - known.first_day).days
    shorter = min(horizon_days, int(days * LONGEST_HORIZON))
    if shorter < min(SHORTEST_HORIZON_DAYS, horizon_days):
        return Plan(shorter, ())
    step = max(shorter // 2, SHORTEST_HORIZON_DAYS)
    candidates = [as_of - timedelta(shorter + number * step) for number in range(MOST_CUTS)]
    least = max(LEAST_HISTORY * days, 2 * SHORTEST_HORIZON_DAYS)
    return Plan(shorter, tuple(cut for cut in candidates if (cut - known.first_day).days >= least))
