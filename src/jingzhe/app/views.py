"""People as of any day: the stored profiles and scores where they are of that day, computed anew where not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from jingzhe.app.models import Basis, recipe
from jingzhe.core.progress import Progress
from jingzhe.dormancy.scoring import Models, score, train
from jingzhe.profile import rfm
from jingzhe.profile.movement import keep_people
from jingzhe.profile.refresh import profiles_as_of
from jingzhe.store.engine import Session
from jingzhe.store.query import Query, Step, one
from jingzhe.store.warehouse import Warehouse


@dataclass(frozen=True)
class View:
    """An engine session in which profiles, scores and people are as of one day.

    Args:
        session: with the relations ``profiles``, ``scores``, ``people`` and all tables of facts.
        as_of: the day at whose end they hold.
        models: with which the scores were computed.
        thresholds: of the RFM classes; None where nobody has bought anything.
        basis: time zone and thresholds of the states.
    """

    session: Session
    as_of: date
    models: Models
    thresholds: rfm.Thresholds | None
    basis: Basis

    def keep_people_before(self, before: date) -> None:
        """Keeps the relation ``people_before``: everybody as of an earlier day, classes by today's thresholds.

        The clock is that of the view, so that a change of state is a change of the person, not of the clock.
        """
        keep_people(self.session, recipe(self.basis, self.models), before, self.thresholds or rfm.NOBODY)


def _keep(session: Session, query: Query, values: dict[str, object]) -> None:
    *before, last = query.steps
    count = Step("counted", f"SELECT count(*) AS rows FROM {last.name}")
    session.run(Query(query.name, (*before, Step(last.name, last.sql, kept=True), count)), values)


@contextmanager
def stored_view(warehouse: Warehouse, models: Models, as_of: date, basis: Basis) -> Iterator[View]:
    """Opens the view of the day of the stored profiles and scores."""
    with warehouse.reading() as session:
        yield _with_people(session, models, as_of, basis)


@contextmanager
def past_view(warehouse: Warehouse, as_of: date, horizon_days: int, basis: Basis, progress: Progress) -> Iterator[View]:
    """Opens the view of any day: models, profiles and scores see nothing of what came after it."""
    with warehouse.reading() as session:
        models = train(session, as_of, horizon_days, basis.pack, progress=progress)
        how = recipe(basis, models)
        progress.stage("profiles")
        _keep(session, profiles_as_of(how, kept="profiles_then"), how.values(as_of))
        session.show(Step("profiles", "SELECT * FROM profiles_then"))
        score(session, models, as_of, basis.pack, profiles=True, progress=progress)
        session.show(Step("scores", "SELECT * FROM scored"))
        yield _with_people(session, models, as_of, basis)


_BUYERS = one("any_buyer", "SELECT count(*) AS buyers FROM profiles WHERE last_purchase_day IS NOT NULL")


def _with_people(session: Session, models: Models, as_of: date, basis: Basis) -> View:
    buyers = session.run(_BUYERS).to_pylist()[0]["buyers"]
    found = None
    if buyers:
        found = rfm.thresholds(session, as_of, method=basis.rfm_method, given=basis.rfm_thresholds)
    _keep(session, rfm.PEOPLE, rfm.people_values(found or rfm.NOBODY, as_of))
    return View(session, as_of, models, found, basis)
