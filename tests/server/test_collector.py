"""The collection routes: what is kept, and what each SDK is answered."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from jingzhe.collect.refused_events import count_quarantined
from jingzhe.collect.write_keys import add_source, revoke_keys
from jingzhe.server.admission import Limits
from tests.collect.live import track
from tests.server.asking import Asked, ask

PAGE = b'{"type":"page","userId":"u1"}'
SENSORS = base64.b64encode(b'{"type":"track","event":"x","distinct_id":"d","time":1}').decode()


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/track", "track"), ("/v1/t", "track"), ("/v1/identify", "identify"), ("/v1/i", "identify"),
        ("/v1/page", "page"), ("/v1/p", "page"), ("/v1/screen", "screen"), ("/v1/s", "screen"),
        ("/v1/group", "group"), ("/v1/g", "group"), ("/v1/alias", "alias"), ("/v1/a", "alias"),
        ("/v1/merge", "merge"), ("/v1/track/", "track"),
    ],
)  # fmt: skip
def test_single_events(tmp_path: Path, path: str, call: str) -> None:
    async def scenario(asked: Asked) -> None:
        answer = await asked.post(path, PAGE)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        (kept,) = asked.kept()
        assert (kept.call, kept.body, kept.source_id, kept.protocol) == (call, PAGE, 1, "segment")

    ask(tmp_path, scenario)


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"])
def test_batches_are_read_whatever_the_content_type_says(tmp_path: Path, path: str) -> None:
    body = json.dumps({"batch": [track(), track("x")], "sentAt": "2026-03-05T12:00:00Z"}).encode()

    async def scenario(asked: Asked) -> None:
        types = ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png"]
        for kind, data in zip(types, [body, body, gzip.compress(body), gzip.compress(body)], strict=True):
            answer = await asked.post(path, data, **{"content-type": kind})
            assert answer.status_code == 200
        assert [(one.events, one.body) for one in asked.kept()] == [(2, body)] * 4

    ask(tmp_path, scenario)


def test_where_a_write_key_may_stand(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        key = asked.shop.write_key
        in_body = json.dumps({"type": "page", "userId": "u1", "writeKey": key}).encode()
        assert (await asked.post("/v1/page", in_body, key="")).status_code == 200
        assert (await asked.post(f"/v1/page?writeKey={key}", PAGE, key="")).status_code == 200
        for wrong in ("", "wrong", "x" * 500):
            answer = await asked.post("/v1/page", PAGE, key=wrong)
            assert answer.status_code == 401
            assert answer.json()["code"] == "write-key"
        assert len(asked.kept()) == 2

    ask(tmp_path, scenario)


def test_a_key_holds_at_once_and_not_after_it_was_revoked(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        state, clock = asked.shop.warehouse.state, asked.shop.clock
        key = add_source(state, "till", clock=clock, kind="till")
        assert (await asked.post("/v1/page", PAGE, key=key)).status_code == 200
        revoke_keys(state, "till", clock=clock)
        asked.admission.read_keys()
        assert (await asked.post("/v1/page", PAGE, key=key)).status_code == 401
        assert (await asked.post("/v1/page", PAGE)).status_code == 200

    ask(tmp_path, scenario)


def test_sensors(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        key = asked.shop.write_key
        form = urlencode({"data": SENSORS, "ext": "crc=1"})
        answer = await asked.client.get(f"/sa.gif?project={key}&{form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.content.startswith(b"GIF89a")
        assert (await asked.client.post(f"/sa?token={key}", content=form)).status_code == 200
        assert (await asked.client.post("/sa?project=default", content=form)).status_code == 403
        assert (await asked.client.post(f"/sa?token={key}", content="data=x&gzip=9")).status_code == 403
        assert [(one.protocol, one.events) for one in asked.kept()] == [("sensors", 1)] * 2

    ask(tmp_path, scenario)


@pytest.mark.parametrize("name", ["token", "project"])
def test_the_first_event_of_a_request_may_name_the_write_key(tmp_path: Path, name: str) -> None:
    async def scenario(asked: Asked) -> None:
        named = {"type": "track", "event": "x", "distinct_id": "d", "project": "default", name: asked.shop.write_key}
        plain = {"type": "track", "event": "x", "distinct_id": "d"}
        taken: list[Any] = [named, [named, plain]]
        for events in [*taken, [plain, named], [7, named], []]:
            status = 200 if events in taken else 403
            form = urlencode({"data": base64.b64encode(json.dumps(events).encode())})
            assert (await asked.client.post("/sa", content=form)).status_code == status
            assert (await asked.client.get(f"/sa.gif?project=default&{form}")).status_code == status
        assert [one.source_id for one in asked.kept()] == [1] * 4

    ask(tmp_path, scenario)


def test_a_dry_run_keeps_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        events = [{"type": "track", "event": "x", "distinct_id": "d"}, {"type": "track", "distinct_id": "d"}]
        form = urlencode({"data_list": base64.b64encode(json.dumps(events).encode())})
        path = f"/debug?token={asked.shop.write_key}"
        answer = await asked.client.post(path, content=form, headers={"dry-run": "true"})
        assert [one["accepted"] for one in answer.json()["events"]] == [True, False]
        assert asked.kept() == []
        assert (await asked.client.post(path, content=form)).status_code == 200
        assert len(asked.kept()) == 1

    ask(tmp_path, scenario)


ODD_EVENTS: dict[str, tuple[bytes, str]] = {
    "no text": (b'{"type":"track","event":"\xff","distinct_id":"d"}', "bad-encoding"),
    "a huge number": (
        b'{"type":"track","event":"x","distinct_id":"d","properties":{"revenue":1e20}}',
        "number-out-of-range",
    ),
    "no object": (b"7", "bad-field"),
    "a list": (b"[7, 8]", "bad-field"),
    "nested too deeply": (
        b'{"type":"track","event":"x","distinct_id":"d","a":' + b"[" * 70 + b"]" * 70 + b"}",
        "too-deep",
    ),
    "next year": (b'{"type":"track","event":"x","distinct_id":"d","time":1804334400000}', "time-in-future"),
    "text deep inside": (b'{"type":"track","event":"x","distinct_id":"d","properties":{"a":["\x80"]}}', "bad-encoding"),
}


@pytest.mark.parametrize("name", ODD_EVENTS)
def test_a_dry_run_says_of_any_event_why_it_cannot_be_a_fact(tmp_path: Path, name: str) -> None:
    event, reason = ODD_EVENTS[name]

    async def scenario(asked: Asked) -> None:
        body = b'[{"type":"track","event":"fine","distinct_id":"d"},' + event + b"]"
        path = f"/debug?token={asked.shop.write_key}"
        answer = await asked.client.post(path, content=body, headers={"dry-run": "true"})
        assert answer.status_code == 200
        fine, odd = answer.json()["events"]
        assert (fine["accepted"], odd["accepted"]) == (True, False)
        # The drain says the same.
        assert (await asked.client.post(path, content=body)).status_code == 200
        assert asked.shop.drain.run().quarantined == 1
        assert odd["reason"] == reason
        assert count_quarantined(asked.shop.warehouse.state) == {reason: 1}

    ask(tmp_path, scenario)


def test_what_browsers_ask_before(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        wanted = {"origin": "https://s.example", "access-control-request-headers": "x-new"}
        answer = await asked.client.options("/v1/t", headers=wanted)
        assert answer.status_code == 204
        allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert {"authorization", "content-type", "x-retry-count", "anonymousid", "sentat", "x-new"} <= allowed
        for got in (answer, await asked.post("/v1/t", PAGE, origin="https://s.example")):
            assert got.headers["access-control-allow-origin"] == "https://s.example"
            assert got.headers["access-control-allow-credentials"] == "true"
        assert int(answer.headers["access-control-max-age"]) > 0

    ask(tmp_path, scenario)


def test_settings_of_the_browser_sdks(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        key = asked.shop.write_key
        segment = (await asked.client.get(f"/v1/projects/{key}/settings")).json()["integrations"]["Segment.io"]
        assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == (key, "collector/v1", "http")
        rudder = await asked.client.get(f"/sourceConfig/?p=npm&writeKey={key}")
        assert rudder.json()["source"]["writeKey"] == key
        assert (await asked.client.get("/sourceConfig?writeKey=wrong")).status_code == 401

    ask(tmp_path, scenario)


def test_pictures(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        key = asked.shop.write_key
        answer = await asked.client.get(f"/pixel/v1/track?writeKey={key}&anonymousId=a&event=Opened")
        assert answer.headers["content-type"] == "image/gif"
        armoured = base64.b64encode(json.dumps({"writeKey": key, "userId": "u"}).encode()).decode()
        assert (await asked.client.get(f"/v1/pixel/page?data={armoured}")).status_code == 200
        assert [one.call for one in asked.kept()] == ["track", "page"]

    ask(tmp_path, scenario)


def test_metrics_and_health_name_nobody(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        await asked.post("/v1/track", json.dumps(track(userId="somebody@example.cn")))
        assert (await asked.post("/v1/m", '{"series":[]}', key="")).status_code == 200
        said = (await asked.client.get("/metrics")).text
        assert 'jingzhe_collect_events_total{source="shop"} 1.0' in said
        assert "somebody" not in said
        assert "somebody" not in str(asked.heard.lines)
        assert (await asked.client.get("/health")).status_code == 200
        assert len(asked.kept()) == 1

    ask(tmp_path, scenario)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/dance", "/sa/x", "/v1/projects", "/../etc/passwd"])
def test_other_routes(tmp_path: Path, path: str) -> None:
    async def scenario(asked: Asked) -> None:
        assert (await asked.post(path, PAGE)).status_code == 404
        assert (await asked.client.get(path)).status_code == 404

    ask(tmp_path, scenario)


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"batch":[', b"\x1f\x8bnonsense", b"[" * 50_000])
def test_what_cannot_be_read_is_answered_so_that_it_is_not_sent_again(tmp_path: Path, body: bytes) -> None:
    async def scenario(asked: Asked) -> None:
        answer = await asked.post("/v1/batch", body)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {"type", "title", "status", "detail", "code", "message"}
        assert asked.kept() == []

    ask(tmp_path, scenario)


def test_limits(tmp_path: Path) -> None:
    limits = Limits(body_bytes=1000, inflated_bytes=2000, requests_per_second=3, free_bytes=0)

    async def scenario(asked: Asked) -> None:
        assert (await asked.post("/v1/page", b" " * 1001)).status_code == 413
        assert (await asked.post("/v1/page", gzip.compress(b" " * 5000))).status_code == 413
        # However long they take, they come within one second.
        moment = asked.admission.seconds()
        asked.admission.seconds = lambda: moment
        statuses = [(await asked.post("/v1/page", PAGE)).status_code for _ in range(6)]
        assert statuses == [200] * 3 + [429] * 3
        limited = await asked.client.get(f"/sa?token={asked.shop.write_key}&data={SENSORS}")
        # Sensors' clients delete what is answered with 429, and keep what is answered with 503.
        assert limited.status_code == 503
        assert limited.headers["retry-after"] == "1"

    ask(tmp_path, scenario, limits)


def test_a_body_in_pieces_that_grows_too_large_is_cut_off(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        read = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal read
            for _ in range(1000):
                read += 1
                yield b" " * 1000

        answer = await asked.client.post("/v1/page", content=pieces())
        assert answer.status_code == 413

    ask(tmp_path, scenario, Limits(body_bytes=5000, free_bytes=0))


def test_a_full_inbox_and_a_full_disk_close_the_door_before_anything_is_lost(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        body = json.dumps(track(properties={"note": "x" * 3000}))
        statuses = [(await asked.post("/v1/track", body)).status_code for _ in range(8)]
        assert statuses == sorted(statuses)
        assert {200, 503} == set(statuses)
        assert len(asked.kept()) == statuses.count(200)
        refused = await asked.post("/v1/track", body)
        assert int(refused.headers["retry-after"]) > 0
        assert (await asked.client.get("/health")).status_code == 503
        while asked.shop.drain.run().rows:
            pass
        asked.admission.look()
        assert (await asked.post("/v1/track", body)).status_code == 200

    ask(tmp_path, scenario, Limits(inbox_bytes=10_000, free_bytes=0))


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        for answer in (await asked.post("/v1/page", PAGE), await asked.client.get(f"/sa?data={SENSORS}")):
            assert answer.status_code == 503
            assert "disk" in answer.json()["message"]
        assert asked.kept() == []

    ask(tmp_path, scenario, Limits(free_bytes=2**60))


def test_requests_at_once_share_commits_and_all_are_kept(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        bodies = [json.dumps(track(messageId=f"m{number}")) for number in range(200)]
        answers = await asyncio.gather(*(asked.post("/v1/track", body) for body in bodies))
        assert {answer.status_code for answer in answers} == {200}
        assert sorted(one.body.decode() for one in asked.kept()) == sorted(bodies)
        assert asked.shop.inbox.depth().rows < 200
        assert asked.shop.drain.run().calls == 200

    ask(tmp_path, scenario)


def test_an_inbox_that_cannot_be_written_is_never_a_success(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        asked.shop.inbox.close()
        (tmp_path / "inbox.db").unlink()
        (tmp_path / "inbox.db-wal").unlink(missing_ok=True)
        (tmp_path / "inbox.db").mkdir()
        answer = await asked.post("/v1/page", PAGE)
        assert answer.status_code == 503
        (tmp_path / "inbox.db").rmdir()

    ask(tmp_path, scenario)
