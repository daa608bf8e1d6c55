"""Whatever a client sends is either taken or refused with a reason; nothing else ever comes out."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.collect.calls import COLUMNS, Normalised
from jingzhe.collect.isolating import UNFORESEEN
from jingzhe.collect.naming import Names
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.received import Received
from jingzhe.collect.refusals import EVENT_REASONS
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.write_keys import Source
from jingzhe.core.errors import RefusedBodyError
from tests.collect.wire.odd import SEGMENT_FIELDS, SENSORS_FIELDS, damaged, events, values

LIMIT = 10**6
NOON_US = 1_772_712_000_000_000
NORMALISER = Normaliser({1: Source(1, "shop", "any", (), datetime(2026, 3, 5, tzinfo=UTC))}, Names())


def checked(found: Normalised, count: int) -> None:
    """Makes sure that every event became a row or has a known reason, and that the columns can be made."""
    assert len(found) + len(found.refused) == count
    assert {one.reason for one in found.refused} <= set(EVENT_REASONS) - {UNFORESEEN}
    table = found.table(np.ones(len(found), np.int64))
    assert table.num_rows == len(found)
    assert set(COLUMNS) < set(table.column_names)
    for row in table.to_pylist():
        assert 0 <= row["ts_us"] <= NOON_US
        assert 0 <= row["event_id"] < 2**63
        json.loads(row["properties"])
    assert found.line_table().num_rows == sum(len(lines) for lines in found.lines)


def received(protocol: Any, call: str, body: bytes, count: int) -> Received:
    return Received(1, protocol, call, NOON_US, "", "agent", "loopback", count, body)


@settings(deadline=None)
@given(st.lists(events(SEGMENT_FIELDS), max_size=5))
def test_segment(batch: list[dict[str, Any]]) -> None:
    body = json.dumps({"batch": batch, "sentAt": "2026-03-05T12:00:00Z"}).encode()
    found = segment.check(gzip.compress(body), "batch", LIMIT)
    checked(NORMALISER.normalise([received("segment", "batch", found.body, found.events)]), len(batch))


@settings(deadline=None)
@given(st.lists(events(SENSORS_FIELDS), min_size=1, max_size=5))
def test_sensors(batch: list[dict[str, Any]]) -> None:
    armoured = base64.b64encode(json.dumps(batch).encode())
    found = sensors.check(b"data_list=" + armoured.replace(b"+", b"%2B"), b"", LIMIT)
    checked(NORMALISER.normalise([received("sensors", "", found.body, found.events)]), len(batch))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(events(SEGMENT_FIELDS), min_size=1, max_size=3),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("sentAt", "writeKey", "historical", "context"), values)),
    st.data(),
)
def test_damaged_bodies(batch: list[dict[str, Any]], envelope: dict[str, Any], data: st.DataObject) -> None:
    """A byte is changed or lost anywhere: the request is refused, or each of its events is a row or refused."""
    body = damaged(
        json.dumps({**envelope, "batch": batch}, ensure_ascii=data.draw(st.booleans())).encode(
            "utf-8", "surrogatepass"
        ),
        data,
    )
    for call in ("batch", "track"):
        with suppress(RefusedBodyError):
            found = segment.check(body, call, LIMIT)
            checked(NORMALISER.normalise([received("segment", call, found.body, found.events)]), found.events)


@settings(max_examples=200, deadline=None)
@given(st.lists(events(SENSORS_FIELDS), min_size=1, max_size=3), st.data())
def test_damaged_data_of_sensors(batch: list[dict[str, Any]], data: st.DataObject) -> None:
    inner = damaged(json.dumps(batch, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"), data)
    for body in (
        inner,
        b"data_list=" + base64.urlsafe_b64encode(inner),
        damaged(b"data=" + base64.b64encode(inner), data),
    ):
        with suppress(RefusedBodyError):
            found = sensors.check(body, b"", LIMIT)
            checked(NORMALISER.normalise([received("sensors", "", found.body, found.events)]), found.events)


@pytest.mark.parametrize("field", ["sentAt", "writeKey", "historical", "sentAt_", "context"])
@pytest.mark.parametrize("value", [b'"\x80"', b"1e999", b"9" * 6000, b'{"a\x80": 1}', b'"\\u0000"', b"[[[]]]"])
def test_what_is_wrong_with_the_envelope_fails_no_event(field: str, value: bytes) -> None:
    body = b'{"batch":[{"type":"track","event":"x","userId":"u"}],"' + field.encode() + b'":' + value + b"}"
    found = segment.check(body, "batch", LIMIT)
    done = NORMALISER.normalise([received("segment", "batch", found.body, found.events)])
    assert (len(done), done.refused) == (1, [])


@settings(deadline=None)
@given(st.integers(50, 900), st.sampled_from(["[", '{"a":']))
def test_deep_nesting(levels: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    deep = opening * levels + "1" + closing * levels
    body = f'{{"batch":[{{"type":"track","event":"x","userId":"u","properties":{{"a":{deep}}}}}]}}'.encode()
    found = segment.check(body, "batch", LIMIT)
    done = NORMALISER.normalise([received("segment", "batch", found.body, found.events)])
    checked(done, 1)
    if levels > 62:
        assert [one.reason for one in done.refused] == ["too-deep"]


def test_an_event_that_is_too_large_and_one_with_too_many_properties() -> None:
    large = {"type": "track", "event": "x", "userId": "u", "properties": {"a": "y" * 600_000}}
    many = {"type": "track", "event": "x", "userId": "u", "properties": {f"p{i}": i for i in range(2100)}}
    fine = {"type": "track", "event": "x", "userId": "u", "properties": {"a": ":" * 3000}}
    body = json.dumps({"batch": [large, many, fine]}).encode()
    done = NORMALISER.normalise([received("segment", "batch", body, 3)])
    assert [one.reason for one in done.refused] == ["too-large", "too-many-properties"]
    assert len(done) == 1


HUGE = [
    b"9" * 400,
    b"-" + b"9" * 4290,
    b"1" * 19,
    b"1e308",
    b"1e400",
    b'"' + b"9" * 400 + b'"',
    b'"nan"',
    b'"-inf"',
    b"1e-400",
]
OF_MONEY = ("revenue", "total", "quantity", "price", "discount", "tax", "order_id", "currency", "url", "products")


@pytest.mark.parametrize("value", HUGE, ids=lambda value: value[:6].decode() + str(len(value)))
@pytest.mark.parametrize("name", [*SEGMENT_FIELDS, *OF_MONEY])
def test_huge_numbers_of_segment(name: str, value: bytes) -> None:
    field = b'"' + name.encode() + b'":' + value
    inner = b',"properties":{' + field + b"}" if name in OF_MONEY else b"," + field
    event = b'{"type":"track","event":"Order Completed","userId":"u"' + inner + b"}"
    found = segment.check(b'{"batch":[' + event + b'],"sentAt":' + value + b"}", "batch", LIMIT)
    checked(NORMALISER.normalise([received("segment", "batch", found.body, found.events)]), 1)


@pytest.mark.parametrize("value", HUGE, ids=lambda value: value[:6].decode() + str(len(value)))
@pytest.mark.parametrize("name", [*SENSORS_FIELDS, *OF_MONEY])
def test_huge_numbers_of_sensors(name: str, value: bytes) -> None:
    field = b'"' + name.encode() + b'":' + value
    inner = b',"properties":{' + field + b"}" if name in OF_MONEY else b"," + field
    event = b'{"type":"track","event":"x","distinct_id":"u"' + inner + b"}"
    found = sensors.check(event, b"", LIMIT)
    checked(NORMALISER.normalise([received("sensors", "", found.body, found.events)]), 1)
