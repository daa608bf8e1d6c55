"""What arrives, in numbers, and how good it is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from jingzhe.access.permissions import COLLECTION_READ
from jingzhe.app.collection import Amount, Quality, SourceDay, collection, quality
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Shown
from jingzhe.server.api.services import Served

routes = Routes("collection")
Days = Annotated[int, Query(ge=1, le=400, description="how many days back, today included", examples=[7])]


class WaitingShown(Shown):
    """What is acknowledged and not in the lake yet."""

    events: int
    size_bytes: int
    oldest_seconds: float = Field(description="how long the oldest has waited")


class FreshnessShown(Shown):
    """How old the newest facts of a source are."""

    source: str
    kind: str
    received_at: datetime | None = Field(default=None, description="when its last fact was received")
    happened_at: datetime | None = Field(
        default=None, description="when its latest event happened; historical ones do not count"
    )


class AmountShown(Shown):
    """Events or rows by what became of them."""

    received: int = Field(description="all of the following together")
    accepted: int = Field(description="facts, of their own time")
    historical: int = Field(description="facts whose time was given with them; all of an import")
    duplicates: int = Field(description="known before, and left out; of imports not counted by row")
    refused: int
    reasons: dict[str, int] = Field(description="what was refused, by reason")


class DayShown(AmountShown):
    """What a source sent on a day."""

    day: date = Field(description="of receipt, in the project's zone")
    source: str


class CollectionShown(Shown):
    """What arrives."""

    as_of: datetime
    waiting: WaitingShown
    freshness: list[FreshnessShown]
    days: list[DayShown]


class QualityShown(AmountShown):
    """How good the data of a source are."""

    source: str
    way: Literal["live", "import"]
    validity: float | None = Field(default=None, description="share of what came that could be a fact")
    duplicate_share: float | None = Field(default=None, description="share of what came that was known before")
    orders_unchanged: int | None = Field(default=None, description="of imports: orders known already, exactly so")
    in_quarantine: dict[str, int] = Field(description="what nobody has mended or discarded yet, by reason")


class QualityReport(Shown):
    """How good the data are, by source."""

    as_of: datetime
    days: int
    items: list[QualityShown]


_AMOUNT = {
    "received": 1010, "accepted": 980, "historical": 0, "duplicates": 18, "refused": 12,
    "reasons": {"missing-event": 12},
}  # fmt: skip
_COLLECTION = {
    "as_of": "2026-03-05T08:00:00Z", "waiting": {"events": 40, "size_bytes": 18000, "oldest_seconds": 0.4},
    "freshness": [{
        "source": "web-shop", "kind": "pc_web", "received_at": "2026-03-05T07:59:59Z",
        "happened_at": "2026-03-05T07:59:58Z",
    }],
    "days": [{**_AMOUNT, "day": "2026-03-05", "source": "web-shop"}],
}  # fmt: skip
_QUALITY = {
    "as_of": "2026-03-05T08:00:00Z", "days": 30,
    "items": [{
        **_AMOUNT, "source": "web-shop", "way": "live", "validity": 0.988, "duplicate_share": 0.018,
        "orders_unchanged": None, "in_quarantine": {"missing-event": 12},
    }],
}  # fmt: skip


@routes.add("GET", "/collection", needs=COLLECTION_READ, example=_COLLECTION)
def show_collection(served: Served, days: Days = 7) -> CollectionShown:
    """Shows what arrives: by source and day, what waits, how old the newest facts are.

    An event that is replayed from quarantine is received a second time, and counts a second time.
    """
    found = collection(served.workspace, served.inbox, days=days)
    return CollectionShown(
        as_of=found.as_of,
        waiting=WaitingShown.model_validate(found.waiting),
        freshness=[FreshnessShown.model_validate(one) for one in found.freshness],
        days=[_day(one) for one in found.days],
    )


@routes.add("GET", "/quality", needs=COLLECTION_READ, example=_QUALITY)
def show_quality(served: Served, days: Days = 30) -> QualityReport:
    """Reports on the quality of the data, by source: validity, duplicates, refusals by reason."""
    found = quality(served.workspace, days=days)
    return QualityReport(as_of=served.now(), days=days, items=[_quality(one) for one in found])


def _amount(one: Amount) -> AmountShown:
    return AmountShown(
        received=one.received, accepted=one.accepted, historical=one.historical, duplicates=one.duplicates,
        refused=one.refused_in_all, reasons=dict(one.refused),
    )  # fmt: skip


def _day(one: SourceDay) -> DayShown:
    return DayShown(**_amount(one.amount).model_dump(), day=one.day, source=one.source)


def _quality(one: Quality) -> QualityShown:
    return QualityShown(
        **_amount(one.amount).model_dump(), source=one.source, way=one.way, validity=one.validity,
        duplicate_share=one.duplicate_share, orders_unchanged=one.orders_unchanged,
        in_quarantine=dict(one.in_quarantine),
    )  # fmt: skip
