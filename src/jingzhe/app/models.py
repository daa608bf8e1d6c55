"""The fitted models of a project: trained on a day, kept as a document, used until the next training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from jingzhe.core.progress import Progress
from jingzhe.dormancy.columns import SCORES
from jingzhe.dormancy.rhythm import clock
from jingzhe.dormancy.scoring import Models, score, train
from jingzhe.profile.packs import StatePack
from jingzhe.profile.refresh import Recipe
from jingzhe.profile.rfm import Method
from jingzhe.profile.status import fixed_clock, states
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse

DOCUMENT = ("models", "default")
SCORED_DOCUMENT = ("models", "scored")
STALE_AFTER = timedelta(days=28)
"""Models older than this are trained again when scores are asked for."""

_STORED = one("scores", "SELECT * FROM scored")


class Basis(NamedTuple):
    """What a project's profiles and models stand on.

    Args:
        zone: IANA name of the time zone in which days begin.
        pack: thresholds of the states.
        rfm_method: how the thresholds of the RFM classes are found.
        rfm_thresholds: recency in days, orders, net spend, for the method ``given``.
    """

    zone: str
    pack: StatePack
    rfm_method: Method = "quantile"
    rfm_thresholds: tuple[float, float, float] | None = None


class Trained(NamedTuple):
    """Fitted models and the version of the document that keeps them."""

    models: Models
    version: int


@dataclass(frozen=True)
class Scored:
    """What the stored scores are of: the day, the publication of the profiles and the version of the models."""

    as_of: date
    profiles: int
    models: int
    horizon_days: int


def recipe(basis: Basis, models: Models | None) -> Recipe:
    """Returns how profiles are computed: with the personal clock where a rhythm is known."""
    pack = basis.pack
    clocked = clock(models.rhythm, pack) if models and models.rhythm.known else fixed_clock(pack)
    return Recipe(basis.zone, (clocked, states(pack)))


def latest(warehouse: Warehouse) -> Trained | None:
    """Returns the newest models."""
    document = warehouse.state.document(*DOCUMENT)
    return Trained(Models.from_dict(document.body), document.version) if document else None


def scored(warehouse: Warehouse) -> Scored | None:
    """Returns what the stored scores are of."""
    document = warehouse.state.document(*SCORED_DOCUMENT)
    if document is None:
        return None
    body = document.body
    return Scored(date.fromisoformat(body["as_of"]), body["profiles"], body["models"], body["horizon_days"])


def train_models(warehouse: Warehouse, pack: StatePack, as_of: date, horizon_days: int, progress: Progress) -> Trained:
    """Trains on what was known at the end of ``as_of`` and keeps the models."""
    with warehouse.reading() as session:
        models = train(session, as_of, horizon_days, pack, progress=progress)
    return Trained(models, warehouse.state.put_document(*DOCUMENT, models.to_dict()))


def score_everybody(warehouse: Warehouse, trained: Trained, pack: StatePack, as_of: date, progress: Progress) -> int:
    """Scores everybody as of the day of the profiles and stores the scores; returns the number of people."""
    with warehouse.writing("scores") as writing:
        people = score(writing.session, trained.models, as_of, pack, profiles=True, progress=progress)
        files = writing.write(SCORES, _STORED)
        writing.stage(SCORES, files, replace=True)
        body = {
            "as_of": as_of.isoformat(),
            "profiles": writing.before["profiles"],
            "models": trained.version,
            "horizon_days": trained.models.horizon_days,
        }
        writing.also(lambda connection: warehouse.state.put_document(*SCORED_DOCUMENT, body, connection=connection))
        writing.publish("scores")
    return people
