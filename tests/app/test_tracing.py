"""Traces, as a collector gets them: a server on this machine that decodes OTLP's protobuf."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.tracing import start_tracing
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.received import Received, packed
from jingzhe.collect.write_keys import add_source
from jingzhe.core import tracing
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SettingError
from jingzhe.outgoing.courier import Courier
from jingzhe.outgoing.kinds import EVENTS
from jingzhe.outgoing.webhooks import NewWebhook
from jingzhe.server.api.application import create_api
from jingzhe.store.state.inbox import Group
from jingzhe.worker.loop import Cadence, Worker
from tests.collect.live import NOON, track
from tests.outgoing.receiver import Receiver
from tests.ports import free_port
from tests.server.api.client import Client
from tests.server.asking import Heard

protobuf = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LOGIN, EMAIL, PHONE, ORDER = "u-geheim-4711", "zhang.geheim@example.com", "13712345678", "GEHEIM-ORDER-9"


def spans_of(receiver: Receiver) -> list[Any]:
    """Returns the spans that a collector has got."""
    found: list[Any] = []
    for got in receiver.got:
        request = protobuf.ExportTraceServiceRequest.FromString(got.body)
        found += [one for resource in request.resource_spans for scope in resource.scope_spans for one in scope.spans]
    return found


def attributes(told: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in told.attributes}


@dataclass
class Traced:
    """A project whose spans go to a collector."""

    workspace: Workspace
    collector: Receiver
    log: Heard
    end: Callable[[], None]

    def spans(self) -> list[Any]:
        """Ends tracing; returns what the collector got."""
        self.end()
        return spans_of(self.collector)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    with ExitStack() as stack:
        collector, log = stack.enter_context(Receiver()), Heard()
        workspace = stack.enter_context(
            open_workspace(tmp_path / "home", clock=FixedClock(NOON), memory_limit_mb=300, threads=1)
        )
        end = start_tracing(f"http://127.0.0.1:{collector.port}", log, "test")
        stack.callback(tracing.listen, None)
        yield Traced(workspace, collector, log, end)


def story(traced: Traced, receiver: Receiver) -> None:
    """Lets everything happen that has a span, to somebody with values that nobody else has."""
    workspace, log = traced.workspace, Heard()
    state, clock = workspace.warehouse.state, workspace.warehouse.clock
    add_source(state, "shop", clock=clock)
    courier = Courier(workspace.warehouse, log, private=True)
    courier.webhooks.add(MACHINE, NewWebhook("CRM", receiver.url, (EVENTS,)))
    told = {"type": "identify", "userId": LOGIN, "messageId": "i1", "timestamp": "2026-03-05T11:00:00Z",
            "traits": {"email": EMAIL, "phone": PHONE}}  # fmt: skip
    events = [told, track(userId=LOGIN, properties={"order_id": ORDER, "revenue": 5})]
    body, us = json.dumps({"batch": events}).encode(), int(NOON.timestamp() * 1e6)
    with open_inbox(workspace.settings) as inbox:
        inbox.append(Group(1, len(events), us, packed([Received(1, "segment", "batch", us, "", "", "", 2, body)])))
        worker = Worker(workspace, drain_of(workspace, inbox), log, Cadence(compact_seconds=1e-6))
        worker.round()
        worker.round()
        worker.keeper.round()
    courier.step()
    courier.finish()
    courier.step()
    courier.finish()
    courier.close()
    app = create_api(workspace, log=log)
    client = Client(
        app, key=Keys(state, clock).make(MACHINE, "test", ["people.read", "people.find", "jobs.run", "jobs.read"])[1]
    )
    client.ask("GET", f"/api/v1/people?kind=email&value={EMAIL}", {"traceparent": CALLER})
    client.ask("GET", f"/api/v1/people/{LOGIN}")
    client.ask("GET", f"/api/v1/nothing/{PHONE}")
    job = client.ask("POST", "/api/v1/jobs", json={"kind": "update"}).json()
    while client.ask("GET", f"/api/v1/jobs/{job['job_id']}").json()["status"] not in {"done", "failed"}:
        time.sleep(0.05)
    app.state.services.close()


def test_what_is_done_is_told_and_nothing_of_anybody(traced: Traced) -> None:
    with Receiver() as receiver:
        story(traced, receiver)
    spans = traced.spans()
    by_name = {one.name: one for one in spans}
    assert {"jingzhe.drain", "jingzhe.refresh", "jingzhe.compaction", "jingzhe.webhook", "jingzhe.job update"} <= set(
        by_name
    )
    assert attributes(by_name["jingzhe.drain"]) == {"jingzhe.events": 2, "jingzhe.publication": 1}
    assert [one.name for one in spans].count("jingzhe.drain") == 1, "a look that finds nothing is not told"
    asked = by_name["GET /api/v1/people"]
    assert asked.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert asked.parent_span_id.hex() == "b7ad6b7169203331"
    assert attributes(asked) == {
        "http.request.method": "GET", "http.route": "/api/v1/people", "http.response.status_code": 200,
        "jingzhe.role": "key",
    }  # fmt: skip
    assert attributes(by_name["unknown"])["http.response.status_code"] == 404
    assert attributes(by_name["jingzhe.webhook"])["jingzhe.outcome"] == "delivered"
    everything = " ".join(
        str(got.body) + str(one) for got in traced.collector.got for one in spans_of(traced.collector)
    )
    person = "geheim", "zhang", PHONE, PHONE[3:], ORDER
    assert [value for value in person if value.lower() in everything.lower()] == []


def test_what_fails_says_its_code_and_not_its_words(traced: Traced) -> None:
    def tries() -> None:
        with tracing.span("jingzhe.trying") as outer, tracing.span("jingzhe.inner"):
            outer.set(jingzhe__rows=3)
            raise SettingError(f"{EMAIL} is no setting")

    with pytest.raises(SettingError):
        tries()
    inner, outer_told = sorted(traced.spans(), key=lambda one: one.name)
    assert inner.parent_span_id == outer_told.span_id
    assert (outer_told.status.code, outer_told.status.message) == (2, SettingError("x").code)
    assert not outer_told.events
    assert EMAIL not in str(outer_told)


def test_a_collector_that_is_away_stops_nothing_and_is_told_once() -> None:
    log = Heard()
    end = start_tracing(f"http://127.0.0.1:{free_port()}", log, "test")
    begun = time.process_time()
    for _ in range(5_000):
        with tracing.span("jingzhe.work") as told:
            told.set(jingzhe__rows=1)
    used = time.process_time() - begun
    end()
    warnings = [line for line in log.lines if "traces do not arrive" in str(line)]
    assert len(warnings) == 1
    assert used < 5.0, "a span takes well under a thousandth of a second"


def test_one_that_hangs_is_left_behind_within_seconds(traced: Traced) -> None:
    traced.collector.wait = threading.Event()
    with tracing.span("jingzhe.work"):
        pass
    begun = time.monotonic()
    traced.end()
    assert time.monotonic() - begun < 60, "the limit is three seconds for an answer; the machine may be slow"


def test_nothing_is_loaded_and_nobody_told_without_an_endpoint() -> None:
    code = """
import sys
from jingzhe.app.tracing import start_tracing
from jingzhe.core.tracing import span
start_tracing("", None, "api")()
assert span("a") is span("b")
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="no URL"):
        start_tracing("otel:4318", Heard(), "api")
    monkeypatch.setattr("jingzhe.app.tracing.find_spec", lambda _: None)
    with pytest.raises(SettingError, match="not installed") as told:
        start_tracing("http://127.0.0.1:4318", Heard(), "api")
    assert "jingzhe[trace]" in told.value.hint
