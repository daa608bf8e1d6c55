"""Single people: look-up by a key, profile and scores, timeline."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field, create_model

from jingzhe.access.errors import RefusedValueError
from jingzhe.access.permissions import PEOPLE_FIND, PEOPLE_READ
from jingzhe.core.errors import NoDataError
from jingzhe.dormancy.columns import SCORES
from jingzhe.measure.holdout import assignments_of
from jingzhe.profile.columns import PEOPLE
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, PersonId, Shown, row_model
from jingzhe.server.api.paging import Cursor, Limit, cursor_of, key_of
from jingzhe.server.api.routes.consents import Standing, SuppressionShown, consents_of, suppressions_of
from jingzhe.server.api.services import Served
from jingzhe.store.facts import EVENTS, ITEMS

routes = Routes("people")
_LIST = "timeline"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Profile = row_model("Profile", PEOPLE, leave=("person_id",))
Scores = row_model("Scores", SCORES, leave=("person_id",))
Item = row_model("Item", ITEMS, as_text=("event_id",), leave=("person_id", "event_id", "ts", "day", "batch"))
_Event = row_model("EventFacts", EVENTS, as_text=("event_id",), leave=("person_id", "batch"))


class Identity(Shown):
    """A key that leads to the person."""

    kind: str
    value: str | None = Field(default=None, description="null of personal kinds, such as email and phone")
    hashed: bool = Field(
        default=False, description="true: personal, so the value is kept as a keyed hash and not shown"
    )
    strength: int | None = Field(default=None, description="of the kind; the strongest key says whose an event is")
    first_seen: datetime | None = Field(default=None, description="null where the identity graph has not met it yet")


class AssignmentShown(Shown):
    """What the person was assigned in an experiment, before anything was sent."""

    experiment: str
    control: bool = Field(description="true: held out")
    assigned_at: datetime
    mixed: bool = Field(description="true: ids that are one person now had been assigned different things")


PersonShown: Any = create_model(
    "PersonShown",
    __base__=Shown,
    __doc__="One person as of a day.",
    person_id=int,
    as_of=(date, Field(description="day at whose end it holds")),
    publication=int,
    identities=list[Identity],
    profile=(Profile | None, Field(default=None, description="null for people of whom only keys are known")),
    scores=(Scores | None, Field(default=None, description="null for an earlier day, and for people without an order")),
    consents=(list[Standing], Field(default=[], description="what may be sent, of all that was ever named")),
    suppressions=(list[SuppressionShown], Field(default=[], description="what stops them, lifted ones too; today's")),
    personalisation=(bool, Field(default=True, description="false: no automated decisions about them")),
    assignments=(list[AssignmentShown], Field(default=[], description="in experiments")),
)
Event: Any = create_model(
    "Event",
    __base__=_Event,
    __doc__="One event, with its items.",
    items=list[Item],  # type: ignore[valid-type]
)
Timeline: Any = create_model(
    "Timeline",
    __base__=Shown,
    __doc__="Some of a person's events, the latest first.",
    items=list[Event],
    next_cursor=(str | None, None),
)


class Found(Shown):
    """Who is known by a key."""

    items: list[int] = Field(description="numbers of people")


class KeyGiven(Given):
    """A key to look somebody up by; in a body, because addresses stand in the logs of whoever passes them on."""

    kind: str = Field(min_length=1, max_length=100, examples=["email"])
    value: str = Field(min_length=1, max_length=500, examples=["li@example.com"])


_PERSON = {
    "person_id": 17, "as_of": "2026-03-05", "publication": 7,
    "identities": [
        {"kind": "customer", "value": "C00017", "hashed": False, "strength": 100,
         "first_seen": "2025-11-02T10:00:00Z"},
        {"kind": "email", "value": None, "hashed": True, "strength": 70, "first_seen": "2025-11-02T10:00:00Z"},
    ],
    "profile": {
        "state": "dormant", "state_since": "2026-02-11", "purchases": 14, "monetary": 2210.5, "recency_days": 63,
        "rfm_class": "important_keep",
    },
    "scores": {"p_return": 0.21, "risk": 0.79, "value_tier": "high"},
}  # fmt: skip
_EVENT = {
    "event_id": "8301883420190227345", "ts": "2026-01-02T09:30:00Z", "day": "2026-01-02", "activity": "purchase",
    "name": "order_completed", "order_id": "A7", "revenue": 81.5, "currency": "CNY",
    "items": [{"product_id": "P3", "category": "tea", "quantity": 2.0, "amount": 81.5}],
}  # fmt: skip


@routes.add("GET", "/people", needs=PEOPLE_FIND, example={"items": [17]})
def find(
    served: Served,
    kind: Annotated[str, Query(min_length=1, max_length=100, examples=["customer"])],
    value: Annotated[str, Query(min_length=1, max_length=500, examples=["C00017"])],
) -> Found:
    """Says who is known by a key; an empty list where nobody is. For personal keys use ``POST /people/find``."""
    return Found(items=served.people.find(kind, value))


@routes.add("POST", "/people/find", needs=PEOPLE_FIND, example={"items": [17]})
def find_by(given: KeyGiven, served: Served) -> Found:
    """Says who is known by a key of any kind, in any spelling; the key stands in no address, so in no log."""
    return Found(items=served.people.find(given.kind, given.value))


@routes.add("GET", "/people/{person_id}", needs=PEOPLE_READ, example=_PERSON, response_model=PersonShown)
def get_person(
    person_id: PersonId,
    served: Served,
    as_of: Annotated[date | None, Query(description="an earlier day; nothing after it is looked at")] = None,
) -> Any:
    """Shows one person: keys, profile, state, RFM class and scores, also as of an earlier day.

    For an earlier day the clock and the thresholds of the classes are today's, so that a difference is the person's.
    """
    found = served.people.person(person_id, as_of=as_of)
    end = None if as_of is None else min(served.now(), _end_of(as_of, served.workspace.settings.timezone))
    said = consents_of(served, person_id, end)
    return PersonShown(
        person_id=found.person_id, as_of=found.as_of, publication=found.publication,
        identities=[Identity(hashed=one.value is None, **asdict(one)) for one in found.identities],
        profile=None if found.profile is None else Profile.model_validate(found.profile),
        scores=None if found.scores is None else Scores.model_validate(found.scores), consents=said.standing,
        suppressions=suppressions_of(served, person_id), personalisation=said.personalisation,
        assignments=_assignments(served, person_id, end),
    )  # fmt: skip


def _assignments(served: Served, person_id: int, until: datetime | None) -> list[AssignmentShown]:
    found = assignments_of(served.workspace.warehouse.state, person_id)
    return [AssignmentShown(**asdict(one)) for one in found if until is None or one.assigned_at <= until]


@routes.add(
    "GET",
    "/people/{person_id}/timeline",
    needs=PEOPLE_READ,
    example={"items": [_EVENT], "next_cursor": None},
    response_model=Timeline,
)
def timeline(
    person_id: PersonId,
    served: Served,
    limit: Limit = 50,
    cursor: Cursor = None,
    activity: Annotated[list[str], Query(max_length=20, description="only these", examples=[["purchase"]])] = [],  # noqa: B006
) -> Any:
    """Lists a person's events with their items, the latest first."""
    before = None
    if cursor:
        micros, event_id = key_of(_LIST, cursor, int, int)
        before = _moment(micros), event_id
    rows = served.people.timeline(person_id, before=before, limit=limit + 1, activities=activity)
    if not rows and cursor is None and not served.people.exists(person_id):
        raise NoDataError("There is no such person", hint="Look them up: POST /api/v1/people/find")
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = cursor_of(_LIST, _micros(last["ts"]), last["event_id"])
    return Timeline(items=[_event(row) for row in rows[:limit]], next_cursor=following)


def _event(row: dict[str, Any]) -> Any:
    return Event.model_validate({**row, "event_id": str(row["event_id"])})


def _end_of(day: date, zone: str) -> datetime:
    try:
        return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone))
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _micros(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _moment(micros: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise RefusedValueError("This is no cursor of this list", field="cursor") from error
