"""What is known of everybody: states, RFM classes, the list to act on, backtests, the report."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import HTMLResponse
from pydantic import Field

from jingzhe.access.permissions import FIGURES_READ, LISTS_READ
from jingzhe.app import outcome
from jingzhe.core.errors import NoDataError
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Served

routes = Routes("figures")
_LIST = "dormant"
State = Literal["prospect", "new", "active", "declining", "dormant", "lost", "returned"]
Tier = Literal["high", "middle", "low"]


class StateCount(Shown):
    """How many people stand in a state."""

    state: State
    people: int
    purchases: int | None = None
    monetary: float | None = Field(default=None, description="net spend, in the project's currency")


class ClassCount(Shown):
    """How many people are in an RFM class."""

    rfm_class: str
    people: int
    monetary: float | None = None
    recency_days_mean: float | None = None
    purchases_mean: float | None = None


class States(Shown):
    """Everybody by state."""

    as_of: date
    publication: int
    items: list[StateCount]


class Classes(Shown):
    """All buyers by RFM class."""

    as_of: date
    publication: int
    items: list[ClassCount]


class Listed(Shown):
    """Somebody to act on."""

    customer_id: str | None = Field(default=None, description="key of the source")
    person_id: int
    state: State
    since: date | None = None
    value_tier: Tier
    value_at_risk: float = Field(description="risk x spend of the last 365 days")
    spend_year: float
    expected_value: float | None = None
    p_return: float | None = None
    overdue: float | None = None
    dormant_on: date | None = None
    last_purchase_day: date | None = None
    recency_days: int | None = None
    cycle_days: float | None = None
    purchases: int
    monetary: float | None = None
    rfm_class: str | None = None
    top_category: str | None = None
    treatment: str | None = None
    treatment_en: str | None = None
    treatment_zh: str | None = None
    evidence_en: str | None = None
    evidence_zh: str | None = None


class ListedPage(Shown):
    """Some people of the list to act on, those with most value at risk first."""

    as_of: date
    publication: int
    items: list[Listed]
    next_cursor: str | None = None


class BacktestShown(Shown):
    """How the models did on data after a cut, as the job that computed it found."""

    job_id: str
    done_at: datetime
    result: dict[str, Any]


_STATES = {
    "as_of": "2026-03-05", "publication": 7,
    "items": [{"state": "dormant", "people": 312, "purchases": 2210, "monetary": 88213.5}],
}  # fmt: skip
_CLASSES = {
    "as_of": "2026-03-05", "publication": 7,
    "items": [{
        "rfm_class": "important_keep", "people": 41, "monetary": 9210.0, "recency_days_mean": 71.2,
        "purchases_mean": 9.1,
    }],
}  # fmt: skip
_LISTED = {
    "as_of": "2026-03-05", "publication": 7, "next_cursor": None,
    "items": [{
        "customer_id": "C00017", "person_id": 17, "state": "dormant", "since": "2026-02-11", "value_tier": "high",
        "value_at_risk": 812.4, "spend_year": 1100.0, "purchases": 14, "recency_days": 63,
    }],
}  # fmt: skip
_BACKTEST = {"job_id": "job_1f6c2a9d0b3e", "done_at": "2026-03-05T08:00:00Z", "result": {"cut": "2025-12-01"}}


@routes.add("GET", "/states", needs=FIGURES_READ, example=_STATES)
def states(served: Served) -> States:
    """Counts people by state, as of the day of the stored profiles."""
    with served.figures.view() as standing:
        rows = standing.view.session.run(outcome.STATES).to_pylist()
        return States(as_of=standing.view.as_of, publication=standing.publication, items=rows)


@routes.add("GET", "/rfm", needs=FIGURES_READ, example=_CLASSES)
def classes(served: Served) -> Classes:
    """Counts buyers by RFM class."""
    with served.figures.view() as standing:
        rows = standing.view.session.run(outcome.CLASSES).to_pylist()
        return Classes(as_of=standing.view.as_of, publication=standing.publication, items=rows)


@routes.add("GET", "/dormant", needs=LISTS_READ, example=_LISTED)
def dormant(
    served: Served,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[list[State], Query(max_length=7, description="states to list")] = ["dormant", "declining"],  # noqa: B006
    tier: Annotated[list[Tier], Query(max_length=3, description="value tiers to list")] = ["high", "middle", "low"],  # noqa: B006
) -> ListedPage:
    """Lists who has gone quiet or is about to, the most valuable first, and why."""
    after = key_of(_LIST, cursor, float, float, int) if cursor else None
    with served.figures.view() as standing:
        rows = outcome.listed(
            standing.view, top=limit + 1, states=tuple(state), tiers=tuple(tier), after=after
        ).to_pylist()
        day, publication = standing.view.as_of, standing.publication
    shown, following = page(
        _LIST, rows, limit, lambda row: (row["value_at_risk"], 1.0 - row["p_return"], row["person_id"])
    )
    return ListedPage(as_of=day, publication=publication, items=shown, next_cursor=following)


@routes.add("GET", "/backtest", needs=FIGURES_READ, example=_BACKTEST)
def latest_backtest(served: Served) -> BacktestShown:
    """Shows the latest backtest; start one with POST /api/v1/jobs."""
    found = served.jobs.latest("backtest")
    if found is None or found.done_at is None:
        raise NoDataError("There is no backtest yet", hint='Start one: POST /api/v1/jobs {"kind": "backtest", …}')
    return BacktestShown(job_id=found.job_id, done_at=found.done_at, result=dict(found.result or {}))


@routes.add(
    "GET", "/report", needs=FIGURES_READ, media_type="text/html", example="<!doctype html>…",
    response_class=HTMLResponse,
)  # fmt: skip
def report(served: Served) -> HTMLResponse:
    """Shows the report that was made last; make one with POST /api/v1/jobs."""
    path = served.jobs.report_path
    if not path.is_file():
        raise NoDataError("There is no report yet", hint='Make one: POST /api/v1/jobs {"kind": "report"}')
    # The page brings everything with it; it may load nothing from anywhere.
    own = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:"
    return HTMLResponse(path.read_text("utf-8"), headers={"Content-Security-Policy": f"{own}; frame-ancestors 'self'"})
