"""What the worker did is measured by whoever serves: read from the stores, without anything of people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest

from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.received import Received, packed
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import BusyError, StateError
from jingzhe.server.api.application import create_api
from jingzhe.server.worker_metrics import WorkerMetrics
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.worker.loop import Worker
from tests.collect.live import NOON, track
from tests.server.api.client import Client
from tests.server.asking import Heard

SOMEBODY = "somebody@example.cn"


class Project:
    """A project with a worker and an API, each over inboxes of their own, as in two processes."""

    def __init__(self, workspace: Workspace, inbox: Inbox, clock: FixedClock) -> None:
        self.workspace, self.inbox, self.clock = workspace, inbox, clock
        self.worker = Worker(workspace, drain_of(workspace, inbox), Heard())
        self.app: FastAPI = create_api(workspace, log=Heard(), works=True)
        self.key = Keys(workspace.warehouse.state, clock).make(MACHINE, "p", ["metrics.read"])[1]

    def put(self, *events: dict[str, object]) -> None:
        us = int(self.clock.now().timestamp() * 1e6)
        body = json.dumps({"batch": events}).encode()
        request = Received(1, "segment", "batch", us, "", "", "private", len(events), body)
        self.inbox.append(Group(1, len(events), us, packed([request])))

    def measured(self) -> str:
        answer = Client(self.app, key=self.key).ask("GET", "/metrics")
        assert answer.status_code == 200
        return answer.text

    def ready(self) -> tuple[int, bool | None]:
        answer = Client(self.app).ask("GET", "/readyz")
        return answer.status_code, answer.json()["draining"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    clock = FixedClock(NOON)
    with (
        open_workspace(tmp_path, clock=clock, memory_limit_mb=300, threads=1) as workspace,
        open_inbox(workspace.settings) as inbox,
    ):
        add_source(workspace.warehouse.state, "shop", clock=clock)
        made = Project(workspace, inbox, clock)
        yield made
        made.app.state.services.close()


def test_the_figures_of_the_worker(project: Project) -> None:
    before = project.measured()
    assert "jingzhe_drains_total 0.0" in before
    assert "jingzhe_refresh_age_seconds" not in before
    twice = track(userId=SOMEBODY, messageId="1")
    project.put(twice, twice, track("", messageId="2"), track(messageId="3", historical=True))
    assert "jingzhe_inbox_events 4.0" in project.measured()
    project.worker.round()
    project.worker.counts.write(0.0)
    project.clock.moment = NOON + timedelta(seconds=90)
    said = project.measured()
    for line in (
        'jingzhe_drained_events_total{outcome="duplicate",source="shop"} 1.0',
        'jingzhe_drained_events_total{outcome="quarantined",source="shop"} 1.0',
        'jingzhe_quarantined_events_total{reason="missing-event"} 1.0',
        "jingzhe_drains_total 1.0", "jingzhe_drain_failures_total 0.0", "jingzhe_refreshes_total 1.0",
        "jingzhe_refresh_age_seconds 90.0", "jingzhe_drain_age_seconds 90.0", "jingzhe_compactions_total 0.0",
        "jingzhe_inbox_events 0.0", "jingzhe_stores_up 1.0",
    ):  # fmt: skip
        assert line in said, line
    assert SOMEBODY not in said


def test_failures_are_counted_and_told_when_the_store_is_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise BusyError("somebody else is writing")

    monkeypatch.setattr(project.worker.drain, "run", fails)
    monkeypatch.setattr(project.worker.ending, "wait", lambda _seconds: False)
    project.worker._attempt()

    def away(_self: State) -> None:
        raise StateError("The state store cannot be used")

    with monkeypatch.context() as broken:
        broken.setattr(State, "writing", away)
        project.worker.counts.write(0.0)
    project.worker._attempt()
    project.worker.counts.write(4.9)
    assert "jingzhe_drain_failures_total 0.0" in project.measured()
    project.worker.counts.write(5.0)
    assert "jingzhe_drain_failures_total 2.0" in project.measured()
    project.worker.counts.write(10.0)
    assert "jingzhe_drain_failures_total 2.0" in project.measured()


def test_a_compaction_is_counted(project: Project) -> None:
    project.put(track(messageId="1"))
    project.worker.round()
    project.worker.keeper._compact_at = project.worker.keeper.seconds()
    project.worker.keeper.round()
    project.worker.counts.write(0.0)
    assert "jingzhe_compactions_total 1.0" in project.measured()
    assert "jingzhe_compaction_age_seconds 0.0" in project.measured()


def test_other_measurements_are_shown_although_a_store_is_away(project: Project) -> None:
    registry = CollectorRegistry()
    project.inbox.close()
    with State.open(project.workspace.settings.resolved_state_url, clock=project.clock) as state:
        registry.register(WorkerMetrics(state))
        assert b"jingzhe_stores_up 1.0" in generate_latest(registry)
        with state.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE collected RENAME TO gone")
        assert b"jingzhe_stores_up 0.0" in generate_latest(registry)


def test_a_server_whose_worker_drains_nothing_is_not_ready(project: Project) -> None:
    assert project.ready() == (200, True)
    project.put(track(messageId="1"))
    assert project.ready() == (200, True)
    project.clock.moment = NOON + timedelta(seconds=61)
    assert project.ready() == (503, False)
    # Others wait behind it, but something is drained all the time: it is behind, not dead.
    project.worker.counts.count("worker: drains", "worker: drained at")
    project.worker.counts.write(0.0)
    assert project.ready() == (200, True)
    project.clock.moment = NOON + timedelta(seconds=200)
    assert project.ready() == (503, False)
    project.worker.round()
    assert project.ready() == (200, True)
