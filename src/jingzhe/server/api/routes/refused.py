"""Live events that were refused: look at them, correct them, send them through again, discard them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field, field_validator

from jingzhe.access.actor import Actor
from jingzhe.access.errors import RefusedValueError
from jingzhe.access.permissions import PEOPLE_READ, QUARANTINE_READ, QUARANTINE_WRITE
from jingzhe.app.refusals import Chosen, MendedRow, Refusals
from jingzhe.collect.masking import masked, shape
from jingzhe.collect.refusals import EVENT_REASONS
from jingzhe.collect.refused_events import Quarantined, get_quarantined, list_quarantined
from jingzhe.collect.write_keys import list_sources
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.routes.imports import IMPORT_EXAMPLE, ImportShown
from jingzhe.server.api.services import Caller, Served

routes = Routes("quarantine")
_LIST = "refused events"
Number = Annotated[int, Path(ge=0, lt=2**63, description="number of the event", examples=[8301883420190227345])]
_LEVELS = 64
"""As deep as an event may be nested."""
_NUMBER_TEXT = r"^[0-9]{1,19}$"


class RefusedEvent(Shown):
    """An event that was refused, and why."""

    quarantine_id: str
    source_id: int
    source: str | None = Field(default=None, description="its name; null where it is not known any more")
    protocol: str
    received_at: datetime
    reason: str
    en: str = Field(description="the reason, in words")
    zh: str
    field: str = Field(description="which field was wrong")
    detail: str | None = Field(default=None, description="what was wrong with it; null where it is masked")
    event: Any = Field(description="as the client wrote it: an object, or a text where it is no JSON")
    masked: bool = Field(description="true: values are shown by their shape, for who asks may not read people")


class Correction(Given):
    """What is wrong with an event, put right: some fields, or the whole."""

    patch: dict[str, Any] | None = Field(
        default=None, examples=[{"event": "Signed Up"}],
        description="fields that change, as a JSON merge patch (RFC 7396); all others stay",
    )  # fmt: skip
    event: dict[str, Any] | None = Field(default=None, description="the whole event; needs people.read")

    @field_validator("patch", "event")
    @classmethod
    def _not_too_deep(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if not _is_flat(value):
            raise ValueError(f"it is nested more than {_LEVELS} levels deep")
        return value


class Choice(Given):
    """Which events are meant; at least one of the fields."""

    numbers: list[Annotated[str, Field(pattern=_NUMBER_TEXT)]] = Field(
        default_factory=list, max_length=1000, description="these", examples=[["8301883420190227345"]]
    )
    reason: str = Field(default="", max_length=100, description="of one reason only")
    source_id: int | None = Field(default=None, ge=1, lt=2**63, description="of one source only")
    everything: bool = Field(default=False, description="true where really all are meant")


class Done(Shown):
    """How many it was."""

    count: int


class RowMended(Given):
    """A refused row, corrected; without values it is tried again as it is."""

    file: str = Field(max_length=1000)
    line: int = Field(ge=0, lt=2**63)
    values: dict[str, str | None] = Field(default_factory=dict, description="by column; columns not named stay")


class RowsMended(Given):
    """Rows of one file of an import."""

    rows: list[RowMended] = Field(
        min_length=1, max_length=500, examples=[[{"file": "orders.csv", "line": 17, "values": {"time": "2025-03-01"}}]]
    )


class RowNamed(Given):
    """A refused row."""

    file: str = Field(max_length=1000)
    line: int = Field(ge=0, lt=2**63)


class RowsNamed(Given):
    """Refused rows of an import."""

    rows: list[RowNamed] = Field(min_length=1, max_length=500, examples=[[{"file": "orders.csv", "line": 17}]])


_EVENT = {
    "quarantine_id": "8301883420190227345", "source_id": 1, "source": "web-shop", "protocol": "segment",
    "received_at": "2026-03-05T08:00:00Z", "reason": "missing-event", "en": "no name of the event",
    "zh": "缺少事件名称", "field": "event", "detail": "a track call needs a name",
    "event": {"type": "track", "userId": "u1", "timestamp": "2026-03-05T07:59:58Z"}, "masked": False,
}  # fmt: skip


@routes.add(
    "GET", "/quarantine/events", needs=QUARANTINE_READ, example={"items": [_EVENT], "next_cursor": None}
)  # fmt: skip
def list_refused_events(
    caller: Caller,
    served: Served,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    reason: Annotated[str, Query(max_length=100, description="of one reason only", examples=["missing-event"])] = "",
    source_id: Annotated[int | None, Query(ge=1, lt=2**63, description="of one source only")] = None,
) -> Page[RefusedEvent]:
    """Lists refused events; they are kept for 90 days."""
    after = key_of(_LIST, cursor, int)[0] if cursor else -1
    found = list_quarantined(served.state, reason=reason, source_id=source_id, after=after, limit=limit + 1)
    shown, following = page(_LIST, found, limit, lambda one: (one.quarantine_id,))
    names = _names(served)
    return Page(items=[_shown(one, names, caller) for one in shown], next_cursor=following)


@routes.add("GET", "/quarantine/events/{number}", needs=QUARANTINE_READ, example=_EVENT)
def get_refused_event(number: Number, caller: Caller, served: Served) -> RefusedEvent:
    """Shows one refused event."""
    return _shown(get_quarantined(served.state, number), _names(served), caller)


@routes.add("PATCH", "/quarantine/events/{number}", needs=QUARANTINE_WRITE, example=_EVENT)
def correct_refused_event(number: Number, given: Correction, caller: Caller, served: Served) -> RefusedEvent:
    """Corrects an event; it is not tried again before it is replayed."""
    if (given.patch is None) == (given.event is None):
        raise RefusedValueError("Give either the fields that change or the whole event", field="patch")
    refusals = _of(served)
    if given.patch is not None:
        refusals.amend(caller, number, given.patch)
    elif given.event is not None:
        # Who sees shapes only would write shapes.
        caller.check(PEOPLE_READ)
        refusals.correct(caller, number, given.event)
    return _shown(get_quarantined(served.state, number), _names(served), caller)


@routes.add("POST", "/quarantine/events/replay", needs=QUARANTINE_WRITE, example={"count": 12})
def replay_refused_events(given: Choice, caller: Caller, served: Served) -> Done:
    """Sends events through the drain again, with their own times; those that are still wrong come back."""
    return Done(count=_of(served).replay(caller, _chosen(given)))


@routes.add("POST", "/quarantine/events/discard", needs=QUARANTINE_WRITE, example={"count": 12})
def discard_refused_events(given: Choice, caller: Caller, served: Served) -> Done:
    """Deletes events for good."""
    return Done(count=_of(served).discard(caller, _chosen(given)))


@routes.add(
    "POST", "/imports/{import_id}/mended", needs=QUARANTINE_WRITE, example={**IMPORT_EXAMPLE, "orders_replaced": 1}
)  # fmt: skip
def import_mended_rows(import_id: str, given: RowsMended, caller: Caller, served: Served) -> ImportShown:
    """Imports refused rows again, corrected or as they are; they complete their orders and leave the quarantine.

    Write times as YYYY-MM-DD HH:MM: how the rest of the file wrote them cannot be told from some rows.
    """
    rows = [MendedRow(row.file, row.line, row.values) for row in given.rows]
    return ImportShown.model_validate(_of(served).import_again(caller, import_id, rows))


@routes.add("POST", "/imports/{import_id}/discarded", needs=QUARANTINE_WRITE, example={"count": 1})
def discard_rows(import_id: str, given: RowsNamed, caller: Caller, served: Served) -> Done:
    """Takes refused rows of an import out of quarantine for good."""
    count = _of(served).discard_rows(caller, import_id, [(row.file, row.line) for row in given.rows])
    return Done(count=count)


def _of(served: Any) -> Refusals:
    return Refusals(served.workspace, served.inbox)


def _names(served: Any) -> dict[int, str]:
    return {one.source_id: one.name for one in list_sources(served.state)}


def _chosen(given: Choice) -> Chosen:
    numbers = tuple(int(number) for number in given.numbers)
    if any(number >= 2**63 for number in numbers):
        raise RefusedValueError("There is no event of this number", field="numbers")
    return Chosen(numbers, given.reason, given.source_id, given.everything)


def _shown(one: Quarantined, names: dict[int, str], caller: Actor) -> RefusedEvent:
    open_ = caller.may(PEOPLE_READ)
    words = EVENT_REASONS[one.reason]
    event = _parsed(one.body)
    if event is None:
        event = one.body if open_ else shape(one.body)
    elif not open_:
        event = masked(event)
    return RefusedEvent(
        quarantine_id=str(one.quarantine_id), source_id=one.source_id, source=names.get(one.source_id),
        protocol=one.protocol, received_at=one.received_at, reason=one.reason, en=words.en, zh=words.zh,
        field=one.field, detail=one.detail if open_ else None, event=event, masked=not open_,
    )  # fmt: skip


def _parsed(body: str) -> Any:
    """Returns an event that can be shown as an object; None for one that is shown as the text it is.

    Refused events may be what no answer can hold as JSON: nested hundreds of levels deep, or half a surrogate pair.
    """
    try:
        event = json.loads(body)
        if not _is_flat(event):
            return None
        json.dumps(event, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return event


def _is_flat(value: Any) -> bool:
    """Tells whether JSON is nested no deeper than an event may be."""
    level = [value]
    for _ in range(_LEVELS + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False
