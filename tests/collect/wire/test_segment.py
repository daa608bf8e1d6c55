"""Requests and events of Segment's and RudderStack's SDKs, as they were captured, and what is made of them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from jingzhe.collect.wire import pixel, segment
from jingzhe.collect.wire.call import CONTEXT, BadCallError, Call, Key
from jingzhe.core.errors import RefusedBodyError

LIMIT = 10**6
NOON_US = 1_772_712_000_000_000


def call(**event: Any) -> Call:
    """Returns an event of a batch as a call."""
    whole = {"userId": "u1", "messageId": "m1", "timestamp": "2026-03-05T12:00:00Z", **event}
    return segment.decode(json.dumps(whole).encode(), segment.Envelope("", "", "", False))


def where(found: Call) -> dict[str, str | None]:
    return {name: value for name, value in zip(CONTEXT, found.context, strict=True) if value is not None}


def test_what_the_python_sdk_sends() -> None:
    event: dict[str, Any] = {
        "integrations": {}, "anonymousId": None, "properties": {"revenue": 12.5}, "type": "track",
        "timestamp": "2026-03-05T12:00:00.5+00:00", "context": {"library": {"name": "analytics-python"}},
        "userId": "u1", "event": "Order Completed", "messageId": "m1",
    }  # fmt: skip
    body = json.dumps({"batch": [event], "sentAt": "2026-03-05T12:00:01+00:00", "writeKey": "key"}).encode()
    checked = segment.check(body, "batch", LIMIT)
    assert (checked.events, checked.write_key) == (1, "key")
    envelope, events = segment.events(checked.body, "batch", "", "")
    found = segment.decode(events[0], envelope)
    assert (found.kind, found.name, found.message_id) == ("track", "Order Completed", "m1")
    assert (found.at_us, found.sent_us) == (NOON_US + 500_000, NOON_US + 1_000_000)
    assert found.keys == (Key("login", "u1"),)
    assert found.money.revenue == 12.5
    assert where(found) == {"channel": "server", "library": "analytics-python"}
    assert json.loads(found.properties) == {"revenue": 12.5}


def test_what_the_browser_sdk_sends() -> None:
    event: dict[str, Any] = {
        "timestamp": "2026-03-05T12:00:00.000Z", "integrations": {}, "anonymousId": "a1", "type": "page",
        "properties": {"path": "/p", "url": "https://s.example/p"}, "messageId": "ajs-next-1-2",
        "context": {
            "page": {"path": "/p", "referrer": "https://r.example", "title": "Shoes", "url": "https://s.example/p"},
            "userAgent": "Mozilla/5.0 (iPhone) Mobile MicroMessenger/8", "locale": "zh-CN",
            "library": {"name": "analytics.js", "version": "next-1"}, "timezone": "Asia/Shanghai",
            "campaign": {"source": "douyin", "name": "spring"},
        },
        "writeKey": "key", "userId": None, "sentAt": "2026-03-05T12:00:00.100Z", "_metadata": {"bundled": []},
    }  # fmt: skip
    checked = segment.check(json.dumps(event).encode(), "page", LIMIT)
    envelope, (raw,) = segment.events(checked.body, "page", "", "Mozilla/5.0")
    found = segment.decode(raw, envelope)
    assert found.keys == (Key("cookie", "a1"),)
    assert found.sent_us == NOON_US + 100_000
    assert where(found) == {
        "channel": "official_account", "campaign_source": "douyin", "campaign_name": "spring", "path": "/p",
        "url": "https://s.example/p", "referrer": "https://r.example", "title": "Shoes", "library": "analytics.js",
        "locale": "zh-CN", "time_zone": "Asia/Shanghai",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ({"type": "identify", "traits": {"email": "a@b.cn"}}, [("login", "u1"), ("email", "a@b.cn")]),
        ({"type": "identify", "context": {"traits": {"phone": 139}}}, [("login", "u1"), ("phone", "139")]),
        ({"type": "alias", "previousId": "a9"}, [("login", "u1"), ("cookie", "a9")]),
        ({"type": "alias", "previousId": "u1"}, [("login", "u1")]),
        ({"type": "page", "userId": "", "anonymousId": "a1"}, [("cookie", "a1")]),
        ({"type": "page", "userId": 17}, [("login", "17")]),
        ({"type": "page", "userId": 17.0}, [("login", "17")]),
        (
            {"type": "screen", "anonymousId": "a1", "context": {"device": {"id": "d1"}}},
            [("login", "u1"), ("device", "a1"), ("device", "d1")],
        ),
        ({"type": "page", "userId": "a\x00b"}, [("login", "ab")]),
        (
            {"type": "merge", "anonymousId": "a1", "mergeProperties": [
                {"type": "email", "value": "a@b.cn"}, {"type": "mobile", "value": 139}]},
            [("login", "u1"), ("email", "a@b.cn"), ("phone", "139"), ("cookie", "a1")],
        ),
        (
            {"type": "merge", "userId": None, "mergeProperties": [
                {"type": "userId", "value": "u1"}, {"type": "anonymousId", "value": "a1"}]},
            [("login", "u1"), ("cookie", "a1")],
        ),
    ],
)  # fmt: skip
def test_keys(event: dict[str, Any], keys: list[tuple[str, str]]) -> None:
    assert [tuple(key) for key in call(**event).keys] == keys


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        ({"type": "track"}, "missing-event", "event"),
        ({"type": "track", "event": {}}, "missing-event", "event"),
        ({"type": "page", "userId": None}, "missing-customer", "userId"),
        ({"type": "page", "userId": {"id": 1}}, "missing-customer", "userId"),
        ({"type": "sing"}, "unknown-call", "type"),
        ({"type": None}, "unknown-call", "type"),
        ({"type": "page", "timestamp": "yesterday"}, "bad-time", "timestamp"),
        ({"type": "page", "timestamp": True}, "bad-time", "timestamp"),
        ({"type": "page", "timestamp": 1e30}, "time-out-of-range", "timestamp"),
        ({"type": "page", "context": "here"}, "bad-field", "context"),
        ({"type": "page", "context": {"page": 3}}, "bad-field", "context.page"),
        ({"type": "track", "event": "x", "properties": [1]}, "bad-field", "properties"),
        ({"type": "track", "event": "x", "properties": {"products": {}}}, "bad-field", "products"),
        ({"type": "track", "event": "x", "properties": {"products": [7]}}, "bad-field", "products[0]"),
        ({"type": "track", "event": "x", "properties": {"revenue": 1e300}}, "number-out-of-range", ""),
        ({"type": "identify", "traits": "x"}, "bad-field", "traits"),
        ({"type": "merge"}, "bad-field", "mergeProperties"),
        ({"type": "merge", "mergeProperties": "x"}, "bad-field", "mergeProperties"),
        (
            {
                "type": "merge",
                "mergeProperties": [{"type": "email", "value": "a@b.cn"}, {"type": "shoe", "value": "42"}],
            },
            "bad-field",
            "mergeProperties[1].type",
        ),
        (
            {"type": "merge", "mergeProperties": [{"type": "email", "value": {}}]},
            "bad-field",
            "mergeProperties[0].value",
        ),
    ],
)
def test_what_cannot_be_a_fact(event: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(BadCallError) as refused:
        call(**event)
    assert (refused.value.reason, refused.value.field) == (reason, field)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-05T12:00:00Z", "2026-03-05T20:00:00+08:00", "2026-03-05T12:00:00", 1772712000, 1772712000000,
        "1772712000000", 1772712000.0,
    ],
)  # fmt: skip
def test_moments(value: Any) -> None:
    assert call(type="page", timestamp=value).at_us == NOON_US


def test_the_original_timestamp_goes_before_the_timestamp() -> None:
    found = call(type="page", originalTimestamp="2026-03-05T12:00:00Z", timestamp="2026-03-06T12:00:00Z")
    assert found.at_us == NOON_US


@pytest.mark.parametrize(
    ("value", "meant"),
    [(True, True), (1, True), ("true", True), ("1", True), ("TRUE", True), (False, False), (0, False), ("false", False),
     ("False", False), ("0", False), ("", False), (None, False), ([], False)],
)  # fmt: skip
@pytest.mark.parametrize("where_it_stands", ["batch", "event", "context"])
def test_whether_times_are_left_alone(value: Any, meant: bool, where_it_stands: str) -> None:
    said = {"historical": value}
    event = {"type": "page", "userId": "u1", **(said if where_it_stands == "event" else {})}
    if where_it_stands == "context":
        event["context"] = said
    body = json.dumps({"batch": [event], **(said if where_it_stands == "batch" else {})}).encode()
    envelope, (raw,) = segment.events(body, "batch", "", "")
    assert segment.decode(raw, envelope).historical is meant


def test_an_event_without_an_id_has_that_of_its_bytes() -> None:
    first, again = call(type="page", messageId=None), call(type="page", messageId=None)
    other = call(type="page", messageId=None, anonymousId="x")
    assert first.message_id == again.message_id != other.message_id


@pytest.mark.parametrize(
    ("properties", "revenue", "quantity"),
    [
        ({"revenue": 90, "total": 120}, 90.0, None),
        ({"total": 120, "shipping": 20, "tax": 10}, 90.0, None),
        ({"revenue": "90.5"}, 90.5, None),
        ({"revenue": "much"}, None, None),
        ({"revenue": -90}, 90.0, None),
        ({"value": 7}, 7.0, None),
        (
            {"products": [{"product_id": "p", "price": 10, "quantity": 3}, {"sku": "q", "price": 5}], "discount": 5},
            30.0,
            4.0,
        ),
        ({"products": [{"product_id": "p", "price": 10}, {"product_id": "q"}]}, None, 2.0),
        ({"product_id": "p", "price": 4, "quantity": 2}, 8.0, 2.0),
        ({"colour": "red"}, None, None),
    ],
)
def test_money(properties: dict[str, Any], revenue: float | None, quantity: float | None) -> None:
    money = call(type="track", event="Order Completed", properties=properties).money
    assert (money.revenue, money.quantity) == (revenue, quantity)


def test_more_products_than_an_order_can_have() -> None:
    with pytest.raises(BadCallError) as refused:
        call(type="track", event="x", properties={"products": [{}] * 1001})
    assert refused.value.reason == "too-many-products"


def test_a_form_with_base64_is_a_body_as_well() -> None:
    armoured = quote(base64.b64encode(b'{"type":"page","userId":"u1"}'))
    assert segment.check(f"data={armoured}".encode(), "page", LIMIT).body == b'{"type":"page","userId":"u1"}'


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b'{"batch":1}', b'{"batch":[}', b'{"a":', b'{"batch":[{"a":"\x00"}]}',
             b'{"batch":[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"],
)  # fmt: skip
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedBodyError) as refused:
        segment.check(body, "batch", LIMIT)
    assert refused.value.status == 400


def test_a_bad_event_does_not_spoil_its_batch() -> None:
    body = b'{"batch":[{"type":"page","userId":"\xff"},{"type":"page","userId":"u1"},7,{"n":1e999}]}'
    checked = segment.check(body, "batch", LIMIT)
    assert checked.events == 4
    envelope, events = segment.events(checked.body, "batch", "", "")
    assert segment.decode(events[1], envelope).user_id == "u1"
    for raw in (events[0], events[2], events[3]):
        with pytest.raises(BadCallError):
            segment.decode(raw, envelope)


def test_the_pixel_of_rudderstack() -> None:
    query = b"writeKey=k&anonymousId=a1&event=Opened&properties.title=Hi&context.page.url=https://x&userId="
    raw = pixel.body(query, LIMIT)
    found = segment.decode(raw, segment.Envelope("track", "", "", False))
    assert (found.name, found.anonymous_id, found.user_id) == ("Opened", "a1", None)
    assert where(found)["title"] == "Hi"
    assert where(found)["url"] == "https://x"


def test_the_pixel_of_segment() -> None:
    armoured = base64.b64encode(b'{"writeKey":"k","userId":"u1","event":"Opened"}').decode().rstrip("=")
    assert segment.check(pixel.body(f"data={armoured}".encode(), LIMIT), "track", LIMIT).write_key == "k"
