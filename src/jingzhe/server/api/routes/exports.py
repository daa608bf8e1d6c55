"""Raw data out: a whole table or the list to act on, as one file."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi.responses import FileResponse
from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.permissions import DATA_EXPORT
from jingzhe.app.exporting import MEDIA_TYPES
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("exports")
_LIST = "exports"
Format = Literal["parquet", "csv", "jsonl"]


class NewExport(Given):
    """What is to be exported."""

    what: str = Field(
        max_length=100, examples=["profiles"], description="dormant: the list to act on; else a table of the lake"
    )
    format: Format = Field(default="parquet", examples=["parquet"])
    publication: int | None = Field(
        default=None, ge=1, lt=2**63, description="number of the publication that it shows; null: the newest"
    )
    personal: bool = Field(
        default=False,
        description="of the list: customers by the telephone number or e-mail address that files name them by, not by "
        "a hash",
    )


class ExportShown(Shown):
    """One export."""

    export_id: str
    what: str
    file_format: Format
    status: Literal["waiting", "running", "done", "failed", "interrupted", "removed"]
    asked_at: datetime
    asked_by: str
    publication: int | None = None
    rows: int | None = None
    size_bytes: int | None = None
    done_at: datetime | None = None
    expires_at: datetime | None = Field(default=None, description="when the file is removed")
    problem: dict[str, str] | None = Field(default=None, description="code, detail and hint of what went wrong")
    personal: bool = False


_EXPORT = {
    "export_id": "export_1f6c2a9d0b3e", "what": "profiles", "file_format": "parquet", "status": "done",
    "asked_at": "2026-03-05T08:00:00Z", "asked_by": "account:acc_7hq2mkw4x9ab", "publication": 7, "rows": 1200,
    "size_bytes": 184320, "done_at": "2026-03-05T08:00:01Z", "expires_at": "2026-03-06T08:00:01Z", "problem": None,
    "personal": False,
}  # fmt: skip
_WAITING = {
    **_EXPORT, "status": "waiting", "rows": None, "size_bytes": None, "done_at": None, "expires_at": None,
}  # fmt: skip


@routes.add("GET", "/exports", needs=DATA_EXPORT, example={"items": [_EXPORT], "next_cursor": None})
def list_exports(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[ExportShown]:
    """Lists exports, the latest first."""
    found = served.exports.all()
    if cursor:
        moment, name = key_of(_LIST, cursor, str, str)
        found = [one for one in found if (one.asked_at.isoformat(), one.export_id) < (moment, name)]
    shown, following = page(_LIST, found, limit, lambda one: (one.asked_at.isoformat(), one.export_id))
    return Page(items=[ExportShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add("POST", "/exports", needs=DATA_EXPORT, status=202, location="/exports/{export_id}", example=_WAITING)
def start_export(given: NewExport, caller: Caller, served: Served) -> ExportShown:
    """Starts an export; it stands in the audit trail, and so does each time its file is fetched."""
    made = served.exports.start(
        given.what, given.format, caller.label, publication=given.publication, personal=given.personal
    )
    with served.state.writing() as connection:
        details = {"what": given.what, "format": given.format, "personal": given.personal}
        audit.record(connection, served.now(), caller, "export.started", made.export_id, details=details)
    return ExportShown.model_validate(made)


@routes.add("GET", "/exports/{export_id}", needs=DATA_EXPORT, example=_EXPORT)
def get_export(export_id: str, served: Served) -> ExportShown:
    """Shows how far an export is."""
    return ExportShown.model_validate(served.exports.get(export_id))


@routes.add(
    "GET", "/exports/{export_id}/file", needs=DATA_EXPORT, media_type="application/octet-stream",
    example="PAR1…", response_class=FileResponse,
)  # fmt: skip
def fetch_export(export_id: str, caller: Caller, served: Served) -> FileResponse:
    """Gives the file, piece by piece."""
    served.exports.clean()
    found, path = served.exports.file(export_id)
    with served.state.writing() as connection:
        details = {"what": found.what, "rows": found.rows}
        audit.record(connection, served.now(), caller, "export.fetched", export_id, details=details)
    return FileResponse(
        path, media_type=MEDIA_TYPES[found.file_format], filename=found.file_name,
        headers={"Cache-Control": "private, no-store"},
    )  # fmt: skip
