from __future__ import annotations

import base64
import gzip
import json
import zlib
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.collect.wire import bodies, segment, sensors
from jingzhe.core.errors import RefusedBodyError


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}',
        b'\xef\xbb\xbf{"a":1}',
        b'  {"a":1}\n',
        gzip.compress(b'{"a":1}', mtime=0),
        gzip.compress(b'{"a"', mtime=0) + gzip.compress(b":1}"),
    ],
    ids=["plain", "byte order mark", "space", "gzip", "two gzip members"],
)
def test_forms_of_one_body(data: bytes) -> None:
    assert bodies.plain(data, 100) == b'{"a":1}'


def test_zlib_data_are_read_as_well() -> None:
    assert bodies.inflated(zlib.compress(b"[]"), 100) == b"[]"


def test_a_bomb_yields_no_more_than_it_may() -> None:
    bomb = gzip.compress(b"0" * 10_000_000, mtime=0)
    assert len(bomb) < 20_000
    with pytest.raises(RefusedBodyError, match="more than 1000 bytes") as refused:
        bodies.inflated(bomb, 1000)
    assert refused.value.status == 413


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8bnonsense", gzip.compress(b"[1,2,3]", mtime=0)[:-9]])
def test_broken_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedBodyError):
        bodies.plain(data, 1000)


@given(st.binary(max_size=200))
def test_base64_with_and_without_padding_and_in_either_alphabet(data: bytes) -> None:
    usual = base64.b64encode(data).decode()
    safe = base64.urlsafe_b64encode(data).decode()
    for text in (usual, usual.rstrip("="), safe, usual.replace("+", " "), f"{usual[:4]}\n{usual[4:]}"):
        assert bodies.unarmoured(text) == data


@pytest.mark.parametrize("text", ["a", "ab!d", "中文", "abcde"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(RefusedBodyError):
        bodies.unarmoured(text)


def test_a_form_keeps_the_last_of_each_name() -> None:
    data = f"data={quote('a+b=')}&gzip=1&empty=&gzip=0".encode()
    assert bodies.form(data) == {"data": "a+b=", "gzip": "0", "empty": ""}


def test_a_form_of_a_thousand_fields_is_refused() -> None:
    with pytest.raises(RefusedBodyError, match="100 fields"):
        bodies.form(b"&".join(b"a=1" for _ in range(1000)))


@given(st.binary(max_size=500))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(RefusedBodyError):
        assert len(bodies.plain(data, 1000)) <= 1000
        assert all(isinstance(value, str) for value in bodies.form(data).values())


def test_many_members_are_refused_before_they_are_read() -> None:
    with pytest.raises(RefusedBodyError, match="more than 100 members"):
        bodies.inflated(gzip.compress(b"", mtime=0) * 100_000, 2**24)


def test_millions_of_empty_events_are_refused() -> None:
    body = gzip.compress(b'{"batch":[' + b",".join([b"{}"] * 50_001) + b"]}", 1)
    with pytest.raises(RefusedBodyError, match="50001 events") as refused:
        segment.check(body, "batch", 2**24)
    assert refused.value.status == 413
    with pytest.raises(RefusedBodyError, match="50001 events"):
        sensors.check(b"[" + b",".join([b"{}"] * 50_001) + b"]", b"", 2**24)
    assert segment.check(b'{"batch":[' + b",".join([b"{}"] * 50_000) + b"]}", "batch", 2**24).events == 50_000


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d", "\ufffd"),
        (r"\ude00!", "\ufffd!"),
        (r"\uD83D\ud83d\uDE00", "\ufffd\U0001f600"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\\ud83d \udfff", "\\ud83d \ufffd"),
        (r"\n\ud83d\n", "\n\ufffd\n"),
        (r"\ud83d\u0041", "\ufffdA"),
    ],
)
def test_an_emoji_that_was_cut_loses_no_batch(sent: str, kept: str) -> None:
    """JSON.stringify escapes half a sign, which no decoder takes."""
    event = f'{{"type":"track","event":"x","userId":"u","properties":{{"title":"{sent}"}}}}'
    found = segment.check(f'{{"batch":[{event},{event}]}}'.encode(), "batch", 10**6)
    _, both = segment.events(found.body, "batch", "", "")
    assert [json.loads(one)["properties"]["title"] for one in both] == [kept, kept]
    sensed = sensors.check(f'[{{"distinct_id":"{sent}"}}]'.encode(), b"", 10**6)
    assert json.loads(sensed.body) == [{"distinct_id": kept}]
