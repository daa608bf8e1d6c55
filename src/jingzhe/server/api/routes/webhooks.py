"""Outgoing webhooks: who is told what, whether it arrived, and once more where it did not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from jingzhe.access import audit
from jingzhe.access.permissions import WEBHOOKS_READ, WEBHOOKS_WRITE
from jingzhe.core.log import log_to_stderr
from jingzhe.outgoing.courier import Courier
from jingzhe.outgoing.deliveries import Deliveries
from jingzhe.outgoing.webhooks import NewWebhook, Webhooks
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Moment, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, moment_of, page
from jingzhe.server.api.services import Caller, Served, Services

routes = Routes("webhooks")
_LIST = "webhooks"
_SENT = "deliveries"
Kind = Literal["event.received", "person.state_changed", "person.merged", "import.completed", "quarantine.added"]
State = Literal["prospect", "new", "active", "declining", "dormant", "lost", "returned"]


class NewWebhookGiven(Given):
    """What a webhook is to be."""

    name: str = Field(max_length=100, examples=["CRM"])
    url: str = Field(max_length=2000, examples=["https://crm.example.com/hooks/jingzhe"])
    kinds: list[Kind] = Field(min_length=1, max_length=5, examples=[["person.state_changed"]])
    activities: list[str] = Field(
        default_factory=list, max_length=20, description="of events: only these activities; empty: all"
    )
    states: list[State] = Field(default_factory=list, max_length=7, description="only changes into these; empty: all")
    personal: bool = Field(
        default=False, description="send what clients said of people too; needs the permission data.export"
    )


class WebhookShown(Shown):
    """One webhook, without its secret."""

    webhook_id: str
    name: str
    url: str
    kinds: list[Kind]
    activities: list[str]
    states: list[State]
    personal: bool
    made_by: str
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_why: str = ""
    delivered_at: datetime | None = Field(default=None, description="when it took a message last")


class WebhookMade(WebhookShown):
    """A webhook with its secret, shown this once."""

    secret: str = Field(description="with it the receiver checks signatures (Standard Webhooks)")


class DeliveryShown(Shown):
    """One message."""

    delivery_id: str = Field(description="the header webhook-id, the same at every try")
    kind: str
    status: Literal["waiting", "delivered", "failed"]
    created_at: datetime
    tries: int
    next_at: datetime | None = None
    tried_at: datetime | None = None
    answer_status: int | None = Field(default=None, description="of HTTP, at the last try")
    answer: str = Field(description="the beginning of the last answer, or why there was none")


class Tried(Shown):
    """What a receiver said to a test message."""

    status: int | None = None
    text: str
    took_it: bool


class Replay(Given):
    """Which messages are to be sent once more."""

    delivery_id: str = Field(default="", max_length=100, description="one message; empty: those of the time range")
    since: Moment | None = None
    until: Moment | None = None


class Replayed(Shown):
    """How many messages are sent once more."""

    messages: int


_WEBHOOK: dict[str, Any] = {
    "webhook_id": "wh_7hq2mkw4x9ab", "name": "CRM", "url": "https://crm.example.com/hooks/jingzhe",
    "kinds": ["person.state_changed"], "activities": [], "states": ["dormant"], "personal": False,
    "made_by": "account:acc_7hq2mkw4x9ab", "created_at": "2026-03-05T08:00:00Z", "disabled_at": None,
    "disabled_why": "", "delivered_at": "2026-03-05T08:05:00Z",
}  # fmt: skip
_MADE = {**_WEBHOOK, "delivered_at": None, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}
_DELIVERY = {
    "delivery_id": "msg_1f6c2a9d0b3e4f5a6b7c8d9e0f1a2b", "kind": "person.state_changed", "status": "delivered",
    "created_at": "2026-03-05T08:05:00Z", "tries": 1, "next_at": None, "tried_at": "2026-03-05T08:05:01Z",
    "answer_status": 200, "answer": "ok",
}  # fmt: skip


@routes.add("GET", "/webhooks", needs=WEBHOOKS_READ, example={"items": [_WEBHOOK], "next_cursor": None})
def list_webhooks(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[WebhookShown]:
    """Lists webhooks, disabled ones too."""
    after = key_of(_LIST, cursor, str)[0] if cursor else ""
    found = _webhooks(served).all(after=after, limit=limit + 1)
    shown, following = page(_LIST, found, limit, lambda one: (one.webhook_id,))
    return Page(items=[WebhookShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add("POST", "/webhooks", needs=WEBHOOKS_WRITE, status=201, secret_answer=True, example=_MADE)
def make_webhook(given: NewWebhookGiven, caller: Caller, served: Served) -> WebhookMade:
    """Makes a webhook, which is told what happens from now on."""
    wish = NewWebhook(
        given.name, given.url, tuple(given.kinds), tuple(given.activities), tuple(given.states), given.personal
    )
    made, secret = _webhooks(served).add(caller, wish)
    return WebhookMade(**WebhookShown.model_validate(made).model_dump(), secret=secret)


@routes.add("GET", "/webhooks/{webhook_id}", needs=WEBHOOKS_READ, example=_WEBHOOK)
def get_webhook(webhook_id: str, served: Served) -> WebhookShown:
    """Shows one webhook."""
    return WebhookShown.model_validate(_webhooks(served).get(webhook_id))


@routes.add(
    "DELETE", "/webhooks/{webhook_id}", needs=WEBHOOKS_WRITE,
    example={**_WEBHOOK, "disabled_at": "2026-03-07T08:00:00Z", "disabled_why": "disabled by machine:cli"},
)  # fmt: skip
def disable_webhook(webhook_id: str, caller: Caller, served: Served) -> WebhookShown:
    """Has a webhook told nothing more."""
    return WebhookShown.model_validate(_webhooks(served).disable(caller, webhook_id))


@routes.add("POST", "/webhooks/{webhook_id}/enabling", needs=WEBHOOKS_WRITE, example=_WEBHOOK)
def enable_webhook(webhook_id: str, caller: Caller, served: Served) -> WebhookShown:
    """Has a webhook told again: what still waits for it, and what happens from now on."""
    return WebhookShown.model_validate(_webhooks(served).enable(caller, webhook_id))


@routes.add("POST", "/webhooks/{webhook_id}/secret", needs=WEBHOOKS_WRITE, secret_answer=True, example=_MADE)
def change_secret(webhook_id: str, caller: Caller, served: Served) -> WebhookMade:
    """Gives a webhook a new secret; for 24 hours messages are signed with the old one too."""
    made, secret = _webhooks(served).rotate(caller, webhook_id)
    return WebhookMade(**WebhookShown.model_validate(made).model_dump(), secret=secret)


@routes.add(
    "POST", "/webhooks/{webhook_id}/test", needs=WEBHOOKS_WRITE,
    example={"status": 200, "text": "ok", "took_it": True},
)  # fmt: skip
def test_webhook(webhook_id: str, caller: Caller, served: Served) -> Tried:
    """Sends a test message at once and says what the receiver answered."""
    own = served.workspace
    courier = Courier(own.warehouse, log_to_stderr(), private=own.settings.webhook_private)
    try:
        reply = courier.ping(webhook_id)
    finally:
        courier.close()
    with served.state.writing() as connection:
        audit.record(connection, served.now(), caller, "webhook.tested", webhook_id)
    return Tried.model_validate(reply)


@routes.add(
    "GET", "/webhooks/{webhook_id}/deliveries", needs=WEBHOOKS_READ,
    example={"items": [_DELIVERY], "next_cursor": None},
)  # fmt: skip
def list_deliveries(
    webhook_id: str,
    served: Served,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[Literal["", "waiting", "delivered", "failed"], Query(description="of one status only")] = "",
) -> Page[DeliveryShown]:
    """Lists messages to a webhook, the latest first, each with the receiver's last answer."""
    _webhooks(served).get(webhook_id)
    before = None
    if cursor:
        moment, name = key_of(_SENT, cursor, str, str)
        before = (moment_of(moment), name)
    found = _deliveries(served).all(webhook_id, status=status, before=before, limit=limit + 1)
    shown, following = page(_SENT, found, limit, lambda one: (one.created_at.isoformat(), one.delivery_id))
    return Page(items=[DeliveryShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add("POST", "/webhooks/{webhook_id}/replay", needs=WEBHOOKS_WRITE, example={"messages": 12})
def replay(webhook_id: str, given: Replay, caller: Caller, served: Served) -> Replayed:
    """Sends messages once more, under their own ids: a receiver that has them can tell."""
    _webhooks(served).get(webhook_id)
    count = _deliveries(served).replay(
        caller, webhook_id, delivery_id=given.delivery_id, since=given.since, until=given.until
    )
    return Replayed(messages=count)


def _webhooks(served: Services) -> Webhooks:
    own = served.workspace
    return Webhooks(served.state, own.warehouse.clock, private=own.settings.webhook_private)


def _deliveries(served: Services) -> Deliveries:
    return Deliveries(served.state, served.workspace.warehouse.clock)
