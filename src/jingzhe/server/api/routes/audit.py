"""The audit trail."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.permissions import AUDIT_READ
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Served

routes = Routes("audit")
_LIST = "audit"


class AuditRow(Shown):
    """Who did what, when."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    previous: str = Field(description="hash of the row before")
    hash: str = Field(description="of this row")


class VerdictShown(Shown):
    """Whether the trail is whole."""

    whole: bool
    rows: int = Field(description="how many rows were good, counted from the first")
    end: str = Field(description="hash of the last good row; note it elsewhere, with the number of rows")
    broken_at: int | None = Field(default=None, description="number of the first row that does not follow")
    en: str | None = None
    zh: str | None = None


_ROW = {
    "number": 12, "at": "2026-03-05T08:00:00Z", "actor": "account:acc_7hq2mkw4x9ab", "action": "key.made",
    "subject": "7hq2mkw4x9ab", "details": {"scopes": ["lists.read"]}, "previous": "9f…", "hash": "3c…",
}  # fmt: skip


@routes.add("GET", "/audit", needs=AUDIT_READ, example={"items": [_ROW], "next_cursor": None})
def list_audit(
    served: Served,
    limit: Limit = 50,
    cursor: Cursor = None,
    actor: Annotated[str | None, Query(max_length=100, examples=["machine:cli"])] = None,
    action: Annotated[str | None, Query(max_length=100, examples=["key.made"])] = None,
) -> Page[AuditRow]:
    """Lists the trail, newest first."""
    before = key_of(_LIST, cursor, int)[0] if cursor else None
    found = audit.rows(served.state, before=before, limit=limit + 1, actor=actor, action=action)
    shown, following = page(_LIST, found, limit, lambda row: (row.number,))
    items = [
        AuditRow(
            number=row.number,
            at=row.at,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            details=json.loads(row.details),
            previous=row.previous,
            hash=row.hash,
        )
        for row in shown
    ]
    return Page(items=items, next_cursor=following)


@routes.add(
    "GET", "/audit/verification", needs=AUDIT_READ,
    example={"whole": True, "rows": 12, "end": "3c…", "broken_at": None, "en": None, "zh": None},
)  # fmt: skip
def verify(served: Served) -> VerdictShown:
    """Follows the whole chain and names the first row that is not as it was written."""
    found = audit.verify(served.state)
    why = found.why
    return VerdictShown(
        whole=found.whole, rows=found.rows, end=found.end, broken_at=found.broken_at,
        en=why.en if why else None, zh=why.zh if why else None,
    )  # fmt: skip
