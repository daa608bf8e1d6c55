"""Whatever is asked of the collector over HTTP is answered, and what it acknowledges is kept and can be read."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.collect.isolating import UNFORESEEN
from jingzhe.collect.naming import Names
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.received import Received, unpacked
from jingzhe.collect.refusals import EVENT_REASONS
from jingzhe.collect.wire import segment
from jingzhe.collect.write_keys import list_sources
from jingzhe.server.admission import Limits
from tests.collect.wire.odd import ODD, SEGMENT_FIELDS, SENSORS_FIELDS, damaged, events
from tests.server.asking import Asked, asking

SINGLE = [f"/v1/{last}" for last in segment.CALLS]
OTHERS = [
    "/pixel/v1/track", "/pixel/v1/page", "/v1/pixel/identify", "/v1/m", "/health", "/healthz", "/readyz", "/metrics",
    "/sourceConfig", "/sourceConfig/", "/v1/projects/KEY/settings", "/v1/projects//settings", "/v1/projects/settings",
]  # fmt: skip
KEPT = {*SINGLE, "/beacon/v1/batch", "/v1/batch/", "/sa", "/sa.gif", "/debug"}
"""Routes of which a success says that something is kept; pictures are told apart by their path."""
IN_QUERY = ["token", "writeKey", "project"]
NAMES = st.sampled_from(
    [
        "writeKey", "token", "project", "data", "data_list", "gzip", "ext", "event", "userId", "anonymousId",
        "traits.email", "properties.a", "properties.a.b", "context.page.url", "context", "timestamp", "sentAt", ".",
        "properties.",
    ]
)  # fmt: skip
HEADERS = st.sampled_from(
    [
        b"authorization", b"content-length", b"content-type", b"content-encoding", b"origin", b"user-agent", b"sentat",
        b"host", b"access-control-request-headers", b"x-forwarded-proto", b"dry-run",
    ]
)  # fmt: skip
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "GET", "HEAD", "OPTIONS", "PUT", "DANCE"])
CLIENTS = st.sampled_from([("10.0.0.1", 1), ("::1", 1), None])
ODD_BYTES = (
    st.binary(max_size=20) | ODD | st.sampled_from([b"true", b"Basic ", b"Basic =", b"gzip", b"9" * 5000, b"-1"])
)


@dataclass
class Http:
    """The collector, asked as a server asks it, and what it keeps."""

    asked: Asked
    loop: asyncio.AbstractEventLoop
    normaliser: Normaliser
    last: int = 0

    def ask(self, scope: dict[str, Any], pieces: list[bytes]) -> tuple[int, bytes]:
        """Returns status and body of the answer."""
        said: list[Any] = []
        waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        waiting.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        self.loop.run_until_complete(self.asked.app(scope, receive, send))
        start, body = said
        assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in start["headers"])
        return start["status"], body["body"]

    def kept(self) -> list[Received]:
        """Returns what has come into the inbox since it was last asked."""
        rows = [row for row in self.asked.shop.inbox.take(events=10**9) if row.number > self.last]
        self.last = max((row.number for row in rows), default=self.last)
        return [request for row in rows for request in unpacked(row.payload)]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    loop = asyncio.new_event_loop()
    limits = Limits(body_bytes=20_000, inflated_bytes=40_000, free_bytes=0)
    context = asking(tmp_path_factory.mktemp("fuzzed"), limits)
    asked = loop.run_until_complete(context.__aenter__())
    try:
        sources = {one.source_id: one for one in list_sources(asked.shop.warehouse.state)}
        yield Http(asked, loop, Normaliser(sources, Names()))
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        loop.close()


@dataclass
class Request:
    """A request as an SDK would send it, before anything of it is changed."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: list[tuple[bytes, bytes]]
    body: bytes


def rarely(data: st.DataObject) -> bool:
    return data.draw(st.integers(0, 3)) == 0


def of_segment(data: st.DataObject, key: str) -> Request:
    path = data.draw(st.sampled_from([*SINGLE, "/beacon/v1/batch", "/v1/batch/"]))
    many = data.draw(st.lists(events(SEGMENT_FIELDS), min_size=1, max_size=3))
    is_batch = segment.CALLS.get(path.rstrip("/").rpartition("/")[2]) == "batch"
    written = {"batch": many, "sentAt": "2026-03-05T12:00:00Z"} if is_batch else many[0]
    body = json.dumps(written, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    body = damaged(body, data) if rarely(data) else body
    wrap = data.draw(st.sampled_from(["", "gzip", "form"]))
    if wrap == "form":
        body = b"data=" + quote(base64.b64encode(body)).encode()
    basic = (b"authorization", b"Basic " + base64.b64encode(f"{key}:".encode()))
    by_query = data.draw(st.booleans())
    return Request(
        "POST", path, [("writeKey", key)] if by_query else [], [] if by_query else [basic],
        gzip.compress(body, mtime=0) if wrap == "gzip" else body,
    )  # fmt: skip


def of_sensors(data: st.DataObject, key: str) -> Request:
    many = data.draw(st.lists(events(SENSORS_FIELDS), min_size=1, max_size=3))
    inner = json.dumps(many, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    inner = damaged(inner, data) if rarely(data) else inner
    wrap = data.draw(st.sampled_from(["", "data", "data_list", "packed"]))
    form = [("data" if wrap == "packed" else wrap, base64.b64encode(inner).decode())]
    if wrap == "packed":
        form = [("data", base64.b64encode(gzip.compress(inner, mtime=0)).decode()), ("gzip", "1")]
    path, named = (
        data.draw(st.sampled_from(["/sa", "/sa.gif", "/debug"])),
        [(data.draw(st.sampled_from(IN_QUERY)), key)],
    )
    dry = [(b"dry-run", b"true")] if rarely(data) else []
    if wrap and data.draw(st.booleans()):
        return Request("GET", path, [*named, *form], dry, b"")
    return Request("POST", path, named, dry, urlencode(form).encode() if wrap else inner)


def of_others(data: st.DataObject, key: str) -> Request:
    path = data.draw(st.sampled_from(OTHERS) | st.text(max_size=12).map(lambda rest: "/" + rest))
    query = data.draw(st.lists(st.tuples(NAMES, st.text(max_size=8)), max_size=5))
    return Request("GET", path.replace("KEY", key), [("writeKey", key), *query], [], b"")


def changed(request: Request, data: st.DataObject) -> Request:
    """Returns a request of which some parts are no longer what an SDK would send."""
    headers = [*request.headers, *data.draw(st.lists(st.tuples(HEADERS, ODD_BYTES), max_size=3))]
    method = data.draw(METHODS) if rarely(data) else request.method
    path = data.draw(st.sampled_from([*SINGLE, "/sa", "/debug", *OTHERS])) if rarely(data) else request.path
    query = [*request.query, (data.draw(NAMES), data.draw(st.text(max_size=8)))] if rarely(data) else request.query
    body = damaged(request.body, data) if request.body and rarely(data) else request.body
    return Request(method, path, query, headers, body)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_everything_is_answered_and_what_is_acknowledged_can_be_read(http: Http, data: st.DataObject) -> None:
    made = data.draw(st.sampled_from([of_segment, of_sensors, of_others]))(data, http.asked.shop.write_key)
    request = changed(made, data) if data.draw(st.booleans()) else made
    query = urlencode(request.query).encode()
    if query and rarely(data):
        query = damaged(query, data)
    scope = {
        "type": "http", "path": request.path, "method": request.method, "query_string": query,
        "headers": request.headers, "scheme": "http", "client": data.draw(CLIENTS),
    }  # fmt: skip
    cut = data.draw(st.integers(0, len(request.body)))
    status, answer = http.ask(scope, [request.body[:cut], request.body[cut:]])
    assert status in {200, 204, 400, 401, 403, 404, 413}
    kept = http.kept()
    keeps = (request.path in KEPT or "pixel" in request.path) and b"dry_run" not in answer
    assert len(kept) == (1 if status == 200 and keeps else 0)
    for one in kept:
        done = http.normaliser.normalise([one])
        assert len(done) + len(done.refused) == one.events
        assert {refused.reason for refused in done.refused} <= set(EVENT_REASONS) - {UNFORESEEN}


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"9" * 5000, 413), (b"20001", 413), (b"-1", 200), ("\u0663".encode(), 200), (b"", 200), (b"0", 200)],
)
def test_whatever_the_length_says(http: Http, said: bytes, status: int) -> None:
    headers = [(b"content-length", said)]
    query = f"writeKey={http.asked.shop.write_key}".encode()
    scope = {"type": "http", "path": "/v1/page", "method": "POST", "query_string": query, "headers": headers}
    assert http.ask(scope, [b'{"type":"page","userId":"u1"}'])[0] == status
    assert len(http.kept()) == (status == 200)
