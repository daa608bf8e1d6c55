"""A person's own data: everything as a file, and gone for good."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Response
from fastapi.responses import FileResponse
from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.errors import RefusedValueError
from jingzhe.access.permissions import ERASURES_READ, PEOPLE_ERASE, PEOPLE_EXPORT
from jingzhe.app.certificates import certificate, certificate_text
from jingzhe.app.privacy import Erasure, Erasures
from jingzhe.app.privacy_jobs import export_path
from jingzhe.core.errors import NoDataError
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, PersonId, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.routes.jobs import JobShown
from jingzhe.server.api.services import Caller, Served

routes = Routes("privacy")
_LIST = "erasures"
ErasureId = Annotated[str, Path(max_length=100, examples=["era_7hq2mkw4x9ab"])]


class EraseGiven(Given):
    """That somebody is to be erased, and that it is meant."""

    why: str = Field(min_length=1, max_length=1000, examples=["request of 5 March 2026"])
    confirm: str = Field(max_length=100, description="the number of the person once more", examples=["0"])


class ErasureShown(Shown):
    """One erasure; nothing of the person."""

    erasure_id: str
    person_id: int
    stage: str = Field(description="the last stage that is done")
    asked_at: datetime
    actor: str
    why: str
    done_at: datetime | None = Field(default=None, description="null while it is not whole")
    job_id: str | None = Field(default=None, description="the job that does it")


class Certificate(Shown):
    """What was removed, without anything of the person."""

    erasure_id: str
    person_id: int
    asked_at: datetime
    asked_by: str
    why: str
    done_at: datetime
    keys: dict[str, int] = Field(description="how many keys, by kind")
    people_merged: int
    tombstones: int
    suppressions_kept: int
    events_dropped: int
    lake_rows: dict[str, int] = Field(description="rows removed, by table")
    lake_files_rewritten: dict[str, int]
    lake_rows_blotted: int = Field(default=0, description="events of others out of which their values were taken")
    lake_files_removed: dict[str, int]
    state_rows: dict[str, int]
    files_removed: list[str]
    state_file_rewritten: bool
    stages: dict[str, datetime]


_JOB: dict[str, Any] = {
    "job_id": "job_1f6c2a9d0b3e", "kind": "person_export", "status": "waiting", "stage": "",
    "asked_at": "2026-03-05T08:00:00Z", "done_at": None, "result": None, "problem": None,
    "options": {"person_id": 17, "name": "0b5f1c2d3e4f5a6b7c8d9e0f1a2b3c4d"},
}  # fmt: skip
_ERASURE: dict[str, Any] = {
    "erasure_id": "era_7hq2mkw4x9ab", "person_id": 17, "stage": "marked", "asked_at": "2026-03-05T08:00:00Z",
    "actor": "account:acc_7hq2mkw4x9ab", "why": "request of 5 March 2026", "done_at": None,
    "job_id": "job_1f6c2a9d0b3e",
}  # fmt: skip
_CERTIFICATE: dict[str, Any] = {
    "erasure_id": "era_7hq2mkw4x9ab", "person_id": 17, "asked_at": "2026-03-05T08:00:00Z",
    "asked_by": "account:acc_7hq2mkw4x9ab", "why": "request of 5 March 2026", "done_at": "2026-03-05T08:00:09Z",
    "keys": {"login": 1, "email": 1}, "people_merged": 1, "tombstones": 2, "suppressions_kept": 2,
    "events_dropped": 0, "lake_rows": {"events": 14, "items": 31}, "lake_files_rewritten": {"events": 1, "items": 1},
    "lake_rows_blotted": 0,
    "lake_files_removed": {"events": 3}, "state_rows": {"identity_key": 2}, "files_removed": ["reports/report.html"],
    "state_file_rewritten": True, "stages": {"marked": "2026-03-05T08:00:00Z", "whole": "2026-03-05T08:00:09Z"},
}  # fmt: skip


@routes.add(
    "POST", "/people/{person_id}/exports", needs=PEOPLE_EXPORT, status=202, location="/jobs/{job_id}", example=_JOB
)
def start_export(person_id: PersonId, caller: Caller, served: Served) -> JobShown:
    """Starts a job that writes everything that is held of a person into one zip file (JSON and Parquet)."""
    if not served.people.exists(person_id):
        raise NoDataError("There is no such person", hint="Look them up: POST /api/v1/people/find")
    name = uuid.uuid4().hex
    started = served.jobs.start("person_export", {"person_id": person_id, "name": name})
    with served.state.writing() as connection:
        audit.record(connection, served.now(), caller, "person.exported", f"person:{person_id}",
                     details={"job": started.job_id})  # fmt: skip
    return JobShown.model_validate(started)


@routes.add(
    "GET", "/people/{person_id}/exports/{job_id}", needs=PEOPLE_EXPORT, media_type="application/zip", example="PK…",
    response_class=FileResponse,
)  # fmt: skip
def fetch_export(person_id: PersonId, job_id: str, caller: Caller, served: Served) -> FileResponse:
    """Gives the file that a job wrote; it stands for seven days, and goes when the person is erased."""
    job = served.jobs.get(job_id)
    fits = job.kind == "person_export" and job.options.get("person_id") == person_id and job.status == "done"
    path = export_path(served.workspace, str(job.options.get("name"))) if fits else None
    if path is None or not path.is_file():
        raise NoDataError("There is no such export, or it is not written yet", hint="GET /api/v1/jobs/{job_id}")
    with served.state.writing() as connection:
        audit.record(connection, served.now(), caller, "person.export_fetched", f"person:{person_id}",
                     details={"job": job_id})  # fmt: skip
    return FileResponse(path, media_type="application/zip", filename=f"person-{person_id}.zip")


@routes.add(
    "POST",
    "/people/{person_id}/erasure",
    needs=PEOPLE_ERASE,
    status=202,
    location="/erasures/{erasure_id}",
    example=_ERASURE,
)
def erase(person_id: PersonId, given: EraseGiven, caller: Caller, served: Served) -> ErasureShown:
    """Erases a person, for good: at once nothing of them comes in any more, the job removes what is there."""
    if given.confirm != str(person_id):
        raise RefusedValueError(
            "The number that confirms is not the person's", hint="Write it as a text.", field="confirm"
        )
    asked = Erasures(served.workspace).ask(person_id, caller, given.why)
    job = served.jobs.start("erasure", {"erasure_id": asked.erasure_id})
    return _shown(asked, job.job_id)


@routes.add("GET", "/erasures", needs=ERASURES_READ, example={"items": [_ERASURE], "next_cursor": None})
def list_erasures(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[ErasureShown]:
    """Lists erasures, the latest first; those that are not whole go on by themselves."""
    found = Erasures(served.workspace).all()
    if cursor:
        (last,) = key_of(_LIST, cursor, str)
        places = [place for place, one in enumerate(found) if one.erasure_id == last]
        found = found[places[0] + 1 :] if places else []
    shown, following = page(_LIST, found[: limit + 1], limit, lambda one: (one.erasure_id,))
    return Page(items=[_shown(one) for one in shown], next_cursor=following)


@routes.add("GET", "/erasures/{erasure_id}", needs=ERASURES_READ, example={**_ERASURE, "job_id": None})
def get_erasure(erasure_id: ErasureId, served: Served) -> ErasureShown:
    """Shows how far an erasure is."""
    return _shown(Erasures(served.workspace).get(erasure_id))


@routes.add("GET", "/erasures/{erasure_id}/certificate", needs=ERASURES_READ, example=_CERTIFICATE)
def get_certificate(erasure_id: ErasureId, served: Served) -> Certificate:
    """Shows what an erasure removed, when it is whole."""
    return Certificate(**certificate(Erasures(served.workspace).get(erasure_id)))


@routes.add(
    "GET", "/erasures/{erasure_id}/certificate.txt", needs=ERASURES_READ, media_type="text/plain",
    example="Certificate of erasure 删除证明 …", response_class=Response,
)  # fmt: skip
def print_certificate(erasure_id: ErasureId, served: Served) -> Response:
    """Gives the certificate as text to print."""
    text = certificate_text(Erasures(served.workspace).get(erasure_id))
    return Response(text, media_type="text/plain; charset=utf-8")


def _shown(one: Erasure, job_id: str | None = None) -> ErasureShown:
    return ErasureShown(
        erasure_id=one.erasure_id, person_id=one.person_id, stage=one.stage, asked_at=one.asked_at, actor=one.actor,
        why=one.why, done_at=one.done_at, job_id=job_id,
    )  # fmt: skip
