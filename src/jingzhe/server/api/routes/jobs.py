"""Long work: start it, and see how far it is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.permissions import JOBS_READ, JOBS_RUN
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("jobs")
_LIST = "jobs"
Kind = Literal["update", "train", "backtest", "report"]


class Wish(Given):
    """What is to be done."""

    kind: Kind = Field(
        description="update: profiles, models where they are old, scores; train: models; backtest; report",
        examples=["update"],
    )
    cut: date | None = Field(default=None, description="of a backtest: the last day that the models see")
    horizon_days: int | None = Field(
        None, ge=1, le=730, description="horizon of the probabilities; null: the project's"
    )


class JobShown(Shown):
    """One piece of long work."""

    job_id: str
    kind: Literal["update", "train", "backtest", "report", "person_export", "erasure"]
    status: Literal["waiting", "running", "done", "failed", "interrupted"]
    stage: str = Field(default="", description="what is being done just now")
    asked_at: datetime
    done_at: datetime | None = None
    result: dict[str, Any] | None = None
    problem: dict[str, str] | None = Field(default=None, description="code, detail and hint of what went wrong")
    options: dict[str, Any] = Field(default_factory=dict)


_JOB: dict[str, Any] = {
    "job_id": "job_1f6c2a9d0b3e", "kind": "update", "status": "running", "stage": "computing profiles",
    "asked_at": "2026-03-05T08:00:00Z", "done_at": None, "result": None, "problem": None, "options": {},
}  # fmt: skip


@routes.add("GET", "/jobs", needs=JOBS_READ, example={"items": [_JOB], "next_cursor": None})
def list_jobs(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[JobShown]:
    """Lists jobs, the latest first."""
    found = served.jobs.all()
    if cursor:
        moment, name = key_of(_LIST, cursor, str, str)
        found = [job for job in found if (job.asked_at.isoformat(), job.job_id) < (moment, name)]
    shown, following = page(_LIST, found, limit, lambda job: (job.asked_at.isoformat(), job.job_id))
    return Page(items=[JobShown.model_validate(job) for job in shown], next_cursor=following)


@routes.add(
    "POST",
    "/jobs",
    needs=JOBS_RUN,
    status=202,
    location="/jobs/{job_id}",
    example={**_JOB, "status": "waiting", "stage": ""},
)
def start_job(given: Wish, caller: Caller, served: Served) -> JobShown:
    """Starts a job; jobs are done one after the other."""
    started = served.jobs.start(given.kind, given.model_dump(mode="json", exclude={"kind"}, exclude_none=True))
    with served.state.writing() as connection:
        audit.record(connection, served.now(), caller, "job.started", started.job_id, details={"kind": given.kind})
    return JobShown.model_validate(started)


@routes.add("GET", "/jobs/{job_id}", needs=JOBS_READ, example=_JOB)
def get_job(job_id: str, served: Served) -> JobShown:
    """Shows how far a job is."""
    return JobShown.model_validate(served.jobs.get(job_id))
