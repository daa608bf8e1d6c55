from __future__ import annotations

import base64
import gzip
import zlib
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.collect.wire import bodies
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
