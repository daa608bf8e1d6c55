"""The canonical set of events: what each protocol's names mean, from the bytes of an event to its name and activity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jingzhe.collect.naming import Names
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.wire.call import Call

PAGE, SCREEN = {"type": "page", "name": "Start"}, {"type": "screen", "name": "Start"}
# canonical name, activity, what Segment and RudderStack send, what Sensors sends
TABLE: tuple[tuple[str, str, tuple[str | dict[str, str], ...], tuple[str, ...]], ...] = (
    ("page_viewed", "visit", (PAGE,), ("$pageview", "$MPViewScreen")),
    ("screen_viewed", "visit", (SCREEN,), ("$AppViewScreen",)),
    ("app_opened", "visit", ("Application Opened",), ("$AppStart", "$MPLaunch", "$MPShow")),
    ("element_clicked", "interaction", (), ("$WebClick", "$AppClick", "$MPClick")),
    ("product_viewed", "view", ("Product Viewed",), ()),
    ("product_searched", "search", ("Products Searched",), ()),
    ("cart_added", "cart", ("Product Added",), ()),
    ("cart_removed", "cart", ("Product Removed",), ()),
    ("checkout_started", "cart", ("Checkout Started",), ()),
    ("order_completed", "purchase", ("Order Completed",), ()),
    ("order_refunded", "refund", ("Order Refunded",), ()),
    ("order_cancelled", "refund", ("Order Cancelled",), ()),
    ("coupon_entered", "interaction", ("Coupon Entered",), ()),
    ("coupon_applied", "interaction", ("Coupon Applied",), ()),
    ("coupon_denied", "interaction", ("Coupon Denied",), ()),
    ("coupon_removed", "interaction", ("Coupon Removed",), ()),
    ("signed_up", "login", ("Signed Up",), ("$SignUp",)),
    ("message_delivered", "message_delivered", ("Email Delivered",), ()),
    ("message_opened", "message_opened", ("Email Opened",), ()),
    ("message_clicked", "message_clicked", ("Email Link Clicked", "Email Clicked"), ()),
    ("message_bounced", "message_bounced", ("Email Bounced",), ()),
    ("message_complained", "message_complained", ("Email Marked as Spam", "Email Complained"), ()),
    ("message_unsubscribed", "message_unsubscribed", ("Unsubscribed", "Email Unsubscribed"), ()),
    ("push_received", "message_delivered", ("Push Notification Received",), ()),
    ("push_tapped", "message_clicked", ("Push Notification Tapped",), ("$AppPushClick",)),
)  # fmt: skip


def by_segment(sent: str | dict[str, str]) -> Call:
    said: dict[str, Any] = {"type": "track", "event": sent} if isinstance(sent, str) else sent
    body = json.dumps({"batch": [{**said, "userId": "u1", "properties": {"product_id": "p", "revenue": 1}}]}).encode()
    envelope, (raw,) = segment.events(segment.check(body, "batch", 10**6).body, "batch", "", "")
    return segment.decode(raw, envelope)


def by_sensors(sent: str) -> Call:
    kind = "track_signup" if sent == "$SignUp" else "track"
    event = {"type": kind, "event": sent, "distinct_id": "d", "original_id": "a", "properties": {}}
    return sensors.decode(json.dumps(event).encode(), "")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_what_every_name_means(
    row: tuple[str, str, tuple[str | dict[str, str], ...], tuple[str, ...]],
) -> None:
    name, activity, of_segment, of_sensors = row
    calls = [*map(by_segment, of_segment), *map(by_sensors, of_sensors)]
    assert calls
    assert {Names().meaning(call.kind, call.name) for call in calls} == {(name, activity)}


def test_a_custom_event_of_either_protocol_means_the_same() -> None:
    for name, *_ in TABLE:
        found = [Names().meaning(call.kind, call.name) for call in (by_segment(name), by_sensors(name))]
        assert found[0] == found[1]
        assert found[0] is not None
        assert found[0].name == name, "a canonical name is itself"
