"""Requests and events of Sensors Data's SDKs, as they were captured, and what is made of them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from jingzhe.collect.naming import Names
from jingzhe.collect.wire import sensors
from jingzhe.collect.wire.call import CONTEXT, BadCallError, Call
from jingzhe.core.errors import RefusedBodyError

LIMIT = 10**6
NOON_US = 1_772_712_000_000_000
EVENT = {"type": "track", "event": "PayOrder", "distinct_id": "d1", "time": 1772712000000, "properties": {}}


def armoured(events: Any, *, packed: bool = False) -> str:
    raw = json.dumps(events).encode()
    return base64.b64encode(gzip.compress(raw) if packed else raw).decode()


def call(**event: Any) -> Call:
    return sensors.decode(json.dumps({**EVENT, **event}).encode(), "")


REQUESTS = {
    "python": (urlencode({"data_list": armoured([EVENT, EVENT], packed=True), "gzip": 1}).encode(), b"", 2),
    "python, one": (urlencode({"data": armoured(EVENT, packed=True), "gzip": 1}).encode(), b"", 1),
    "web": (b"", urlencode({"project": "p", "data": armoured(EVENT), "ext": "crc=-1"}).encode(), 1),
    "web, beacon": (urlencode({"data": armoured(EVENT), "ext": "crc=1"}).encode(), b"", 1),
    "web, batch": (urlencode({"data_list": armoured([EVENT])}).encode(), b"", 1),
    "mini-program, not escaped": (f"data_list={armoured([EVENT] * 3)}".encode(), b"", 3),
    "android": (urlencode({"crc": 5, "gzip": 1, "data_list": armoured([EVENT], packed=True)}).encode(), b"", 1),
    "plain JSON": (json.dumps([EVENT]).encode(), b"", 1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(name: str) -> None:
    body, query, events = REQUESTS[name]
    checked = sensors.check(body, query, LIMIT)
    assert checked.events == events
    assert [json.loads(raw) for raw in sensors.events(checked.body)] == [EVENT] * events


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"data=", 400), (b"data=!!!!", 400), (b"data=" + base64.b64encode(b"hello"), 400),
        (b"data=aGVsbG8=&gzip=9", 403), (b"data=aGVsbG8=&gzip=13", 403), (b"data=aGVsbG8=&gzip=1", 400),
        (urlencode({"data": base64.b64encode(gzip.compress(b" " * 2 * LIMIT))}).encode(), 413),
        (b"data=" + base64.b64encode(b"[1,"), 400), (b"[" * 100_000, 400),
    ],
)  # fmt: skip
def test_what_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(RefusedBodyError) as refused:
        sensors.check(body, b"", LIMIT)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ({}, [("cookie", "d1")]),
        ({"lib": {"$lib": "Android"}}, [("device", "d1")]),
        ({"properties": {"$is_login_id": True}}, [("login", "d1")]),
        ({"login_id": "u1", "anonymous_id": "a1", "distinct_id": "u1"}, [("login", "u1"), ("cookie", "a1")]),
        ({"type": "track_signup", "original_id": "a1", "distinct_id": "u1"}, [("login", "u1"), ("cookie", "a1")]),
        (
            {"identities": {"$identity_login_id": "u1", "$identity_cookie_id": "c1", "$identity_mobile": "139"},
             "distinct_id": "u1"},
            [("login", "u1"), ("phone", "139"), ("cookie", "c1")],
        ),
        (
            {"identities": {"$identity_mp_wx12_openid": "o1", "$identity_mp_unionid": "n1"}, "distinct_id": "o1"},
            [("unionid", "n1"), ("openid/wx12", "o1")],
        ),
        ({"identities": {"$identity_other": "x"}}, [("cookie", "d1")]),
        (
            {"identities": {"$identity_email": "a@b.cn"}, "distinct_id": "$identity_email+a@b.cn"},
            [("email", "a@b.cn")],
        ),
        ({"distinct_id": "$identity_mobile+139"}, [("phone", "139")]),
        (
            {"identities": {"$identity_email": "a@b.cn", "$identity_cookie_id": "c1"},
             "distinct_id": "$identity_email+a@b.cn", "login_id": "$identity_email+a@b.cn", "anonymous_id": "c1"},
            [("email", "a@b.cn"), ("cookie", "c1")],
        ),
        (
            {"type": "track_signup", "distinct_id": "$identity_mobile+139", "original_id": "$identity_email+a@b.cn",
             "identities": {"$identity_mobile": "139"}},
            [("phone", "139"), ("email", "a@b.cn")],
        ),
        (
            {"identities": {"$identity_mp_wx12_openid": "o1"}, "distinct_id": "$identity_mp_wx12_openid+o1"},
            [("openid/wx12", "o1")],
        ),
        (
            {"identities": {"shop_id": "7"}, "distinct_id": "shop_id+7", "login_id": "shop_id+7"},
            [("login", "shop_id+7")],
        ),
        ({"distinct_id": "a+b"}, [("cookie", "a+b")]),
        (
            {"type": "track_id_unbind", "identities": {"$identity_mobile": "139"}, "login_id": "u1"},
            [("phone", "139")],
        ),
    ],
)  # fmt: skip
def test_keys(event: dict[str, Any], keys: list[tuple[str, str]]) -> None:
    assert [tuple(key) for key in call(**event).keys] == keys


@pytest.mark.parametrize("event", ["$SignUp", None])
def test_signing_up_is_an_event_that_joins(event: str | None) -> None:
    found = call(type="track_signup", event=event, original_id="a1", distinct_id="u1", properties={"plan": "x"})
    assert Names().meaning(found.kind, found.name) == ("signed_up", "login")
    assert [tuple(key) for key in found.keys] == [("login", "u1"), ("cookie", "a1")]
    assert json.loads(found.properties) == {"plan": "x"}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "dance"}, "unknown-call"), ({"type": ["track"]}, "unknown-call"), ({"event": ""}, "missing-event"),
        ({"distinct_id": ""}, "missing-customer"), ({"time": "soon"}, "bad-time"),
        ({"type": "track_id_unbind", "login_id": "u1"}, "missing-customer"),
        ({"properties": "x"}, "bad-field"), ({"identities": []}, "bad-field"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_fact(event: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadCallError) as refused:
        call(**event)
    assert refused.value.reason == reason


def test_the_random_number_alone_does_not_make_two_events_one() -> None:
    first = call(_track_id=5)
    assert first.message_id == call(_track_id=5).message_id
    assert first.message_id != call(_track_id=5, time=1772712000001).message_id
    assert first.message_id != call(_track_id=5, distinct_id="d2").message_id
    assert call().message_id == call().message_id


def test_moments_without_a_zone_are_the_projects() -> None:
    raw = json.dumps({**EVENT, "time": "2026-03-05 20:00:00.0"}).encode()
    assert sensors.decode(raw, "", ZoneInfo("Asia/Shanghai")).at_us == NOON_US


def test_where_and_what() -> None:
    found = call(
        _flush_time=1772712001000, time_free=True,
        properties={
            "$lib": "js", "$ip": "1.2.3.4", "$url": "https://s.example/p", "$title": "Shoes", "$utm_source": "douyin",
            "$os": "iOS", "$province": "浙江", "order_amount": 45, "$user_agent": "Mozilla/5.0 (iPhone) Mobile",
        },
    )  # fmt: skip
    said = {name: value for name, value in zip(CONTEXT, found.context, strict=True) if value is not None}
    assert said == {
        "channel": "mobile_web", "url": "https://s.example/p", "title": "Shoes", "campaign_source": "douyin",
        "os": "iOS", "region": "浙江", "library": "js",
    }  # fmt: skip
    assert found.historical
    assert found.sent_us == NOON_US + 1_000_000
    assert found.money.revenue == 45.0
    assert "1.2.3.4" not in found.properties


@pytest.mark.parametrize(("value", "meant"), [(True, True), (1, True), ("true", True), ("false", False), ("0", False)])
def test_whether_times_are_left_alone(value: Any, meant: bool) -> None:
    assert call(time_free=value).historical is meant


def test_the_checksum_is_javas() -> None:
    assert sensors.checksum("") == 0
    assert sensors.checksum("hello") == 99162322
    assert sensors.checksum("polygenelubricants") == -(2**31)
