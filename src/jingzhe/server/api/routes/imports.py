"""What was imported, and which rows were refused."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from jingzhe.access.permissions import IMPORTS_READ, PEOPLE_READ, QUARANTINE_READ
from jingzhe.collect.masking import masked, shape
from jingzhe.collect.quarantine import quarantine_page
from jingzhe.collect.reasons import REASONS
from jingzhe.collect.report import ImportSummary
from jingzhe.core.errors import NoDataError
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("imports")
_REFUSED = "quarantine"
_LIST = "imports"


class ImportShown(Shown):
    """What one import did."""

    import_id: str
    source: str
    files: list[str]
    rows: int
    rows_accepted: int
    rows_rejected: int
    rejected: dict[str, int] = Field(description="refused rows by reason")
    orders: int
    orders_replaced: int
    orders_unchanged: int
    people: int = Field(description="people not known before")
    keys: dict[str, int] = Field(description="further keys of customers that could be used, by kind")
    keys_unusable: dict[str, int] = Field(description="those that could not: placeholders, or not written like one")
    people_joined: int = Field(description="people who became one with another because of these keys")
    first_day: date | None = None
    last_day: date | None = None
    seconds: float
    publication: int | None = Field(default=None, description="number of the publication that shows it")


class Refused(Shown):
    """A row that was refused, and why."""

    import_id: str
    file: str
    line: int
    field: str
    value: str | None
    reason: str
    en: str = Field(description="the reason, in words")
    zh: str
    row: Any = Field(description="the row as it came: an object, or the line where it could not be taken apart")
    masked: bool = Field(description="true: values are shown by their shape, for who asks may not read people")


IMPORT_EXAMPLE = {
    "import_id": "20260305-080000-orders", "source": "shop", "files": ["orders.csv"], "rows": 1000,
    "rows_accepted": 998, "rows_rejected": 2, "rejected": {"bad-time": 2}, "orders": 400, "orders_replaced": 0,
    "orders_unchanged": 0, "people": 120, "keys": {"phone": 115}, "keys_unusable": {"phone": 3},
    "people_joined": 12, "first_day": "2025-01-01", "last_day": "2025-12-31", "seconds": 0.8,
    "publication": 3,
}  # fmt: skip
_ROW = {
    "import_id": "20260305-080000-orders", "file": "orders.csv", "line": 17, "field": "time", "value": "31.02.2025",
    "reason": "bad-time", "en": "is no time", "zh": "不是时间", "row": {"order": "A7", "time": "31.02.2025"},
    "masked": False,
}  # fmt: skip


@routes.add("GET", "/imports", needs=IMPORTS_READ, example={"items": [IMPORT_EXAMPLE], "next_cursor": None})
def list_imports(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[ImportShown]:
    """Lists imports, the latest first."""
    found = served.workspace.imports()
    if cursor:
        (last,) = key_of(_LIST, cursor, str)
        places = [place for place, one in enumerate(found) if one.import_id == last]
        found = found[places[0] + 1 :] if places else []
    shown, following = page(_LIST, found[: limit + 1], limit, lambda one: (one.import_id,))
    return Page(items=[_shown(one) for one in shown], next_cursor=following)


@routes.add("GET", "/imports/{import_id}", needs=IMPORTS_READ, example=IMPORT_EXAMPLE)
def get_import(import_id: str, served: Served) -> ImportShown:
    """Shows one import."""
    for one in served.workspace.imports():
        if one.import_id == import_id:
            return _shown(one)
    raise NoDataError("There is no such import", hint="List them: GET /api/v1/imports")


@routes.add("GET", "/quarantine", needs=QUARANTINE_READ, example={"items": [_ROW], "next_cursor": None})
def list_refused(
    caller: Caller,
    served: Served,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    import_id: Annotated[str, Query(max_length=200, description="of one import only")] = "",
    reason: Annotated[str, Query(max_length=100, description="of one reason only", examples=["bad-time"])] = "",
    source: Annotated[str, Query(max_length=200, description="of one source only")] = "",
) -> Page[Refused]:
    """Lists refused rows of files that nobody has mended yet. They hold what the file held: personal data too."""
    after = key_of(_REFUSED, cursor, int, str, int) if cursor else None
    found = quarantine_page(
        served.workspace.warehouse, import_id=import_id, reason=reason, source=source, after=after, limit=limit + 1
    )
    shown, following = page(_REFUSED, found, limit, lambda row: (row["batch"], row["file"], row["line"]))
    return Page(items=[_refused(row, open_=caller.may(PEOPLE_READ)) for row in shown], next_cursor=following)


def _shown(one: ImportSummary) -> ImportShown:
    return ImportShown.model_validate(one)


def _refused(row: dict[str, Any], *, open_: bool) -> Refused:
    words = REASONS[row["reason"]]
    known = {name: row[name] for name in ("import_id", "file", "line", "field", "value", "reason")}
    try:
        whole = json.loads(row["row"])
    except ValueError:
        whole = row["row"]
    if not open_:
        whole = shape(whole) if isinstance(whole, str) else masked(whole)
        known["value"] = None if row["value"] is None else shape(row["value"])
    return Refused(**known, en=words.en, zh=words.zh, row=whole, masked=not open_)
