"""An object store that refuses, hangs or is not there: one clear error within seconds, and no secret told."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from jingzhe.core.errors import LakeError, SettingError
from jingzhe.store.bucket import Bucket, bucket_at
from jingzhe.store.facts import EVENTS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.places import place_of
from tests.s3 import KEY, SECRET, Place, bucket, s3_server, serving

__all__ = ["bucket", "s3_server"]
GIVEN = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}


@pytest.fixture(autouse=True)
def _no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a machine that takes connections and never says a word."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"http://127.0.0.1:{one.getsockname()[1]}"


def told(act: Callable[[], object]) -> str:
    """Returns what an act that must fail says; makes sure that it holds no secret, nor does what is logged of it."""
    begun = time.monotonic()
    with pytest.raises(LakeError) as caught:
        act()
    assert time.monotonic() - begun < 30
    logged = "".join(traceback.format_exception(caught.value))
    for secret in (KEY, SECRET):
        assert secret not in logged
    assert caught.value.hint
    return str(caught.value)


def both(url: str, options: dict[str, str]) -> Iterator[str]:
    """Gives what the first request says, and what the Delta log's client says."""
    yield told(place_of(url, options).check)
    yield told(lambda: Lake(url, options).create(EVENTS))


def test_no_such_bucket(bucket: Place) -> None:
    for said in both("s3://nobody-made-this/lake", bucket.options):
        assert "there is no such bucket" in said
        assert "Check lake_url" in said


def test_a_wrong_key(bucket: Place) -> None:
    Lake(bucket.url, bucket.options).create(EVENTS)
    before = place_of(bucket.url, bucket.options).listed(bucket.url)
    with bucket.server.guarded():
        for said in both(bucket.url, bucket.options):
            assert "the access key is not known there" in said
            assert "aws_secret_access_key" in said
    assert place_of(bucket.url, bucket.options).listed(bucket.url) == before


def test_nothing_listens_and_nobody_has_the_name(bucket: Place) -> None:
    for address, what in (
        ("http://127.0.0.1:1", "nothing listens"),
        ("http://store.invalid:9000", "no machine is known"),
        (bucket.server.address.replace("http", "https"), "cannot be reached"),
    ):
        for said in both(bucket.url, {**bucket.options, "aws_endpoint_url": address}):
            assert what in said
            assert "Check aws_endpoint_url" in said


def test_a_server_that_is_silent(silent: str) -> None:
    options = {**GIVEN, "aws_endpoint_url": silent, "aws_allow_http": "true"}
    assert "does not answer" in told(place_of("s3://bucket/lake", options).check)
    short = {**options, "timeout": "1s", "retry_timeout": "1s"}
    assert "does not answer" in told(lambda: Lake("s3://bucket/lake", short).head(EVENTS))


def test_a_clear_connection_must_be_wished_for(bucket: Place) -> None:
    for said in both(bucket.url, {**bucket.options, "aws_allow_http": "false"}):
        assert "not encrypted" in said
        assert 'aws_allow_http = "true"' in said


def test_a_store_that_takes_both_writers_is_refused() -> None:
    with serving("careless") as server:
        server.ask("bucket")
        lake = Lake("s3://bucket/lake", server.options)
        assert "does not refuse the second of two writers" in told(lambda: lake.create(EVENTS))
        assert lake.place.listed(lake.root) == []


def test_nothing_is_shown_of_the_keys(bucket: Place) -> None:
    lake = Lake(bucket.url, bucket.options)
    for shown in (repr(lake), repr(lake.place), str(lake.place)):
        assert KEY not in shown
        assert SECRET not in shown


def test_keys_may_stand_in_the_environment(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.options.items():
        monkeypatch.setenv(name.upper(), value)
    place_of(bucket.url).check()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SettingError, match="needs aws_secret_access_key"):
        place_of(bucket.url)


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("s3://", {}, "URL cannot be used"),
        (f"s3://{KEY}:{SECRET}@bucket/lake", {}, "URL cannot be used"),
        ("s3://bucket/a%20b", {}, "URL cannot be used"),
        ("s3://bucket/../lake", {}, "URL cannot be used"),
        ("s3://bucket/lake", {"aws_secret": SECRET}, "no lake option 'aws_secret'"),
        ("s3://bucket/lake", {"timeout": SECRET}, "'timeout' is no time"),
        ("s3://bucket/lake", {"max_retries": SECRET}, "'max_retries' is no whole number"),
        ("s3://bucket/lake", {"aws_access_key_id": ""}, "needs aws_access_key_id"),
    ],
)
def test_settings_that_cannot_be_used(url: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        bucket_at(url, {**GIVEN, **options})
    assert SECRET not in str(caught.value)


def test_requests_without_a_signature() -> None:
    assert isinstance(bucket_at("s3://bucket", {"aws_skip_signature": "true"}), Bucket)
