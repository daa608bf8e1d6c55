"""The worker's round: what came in is in the profiles, the lake stays in few files, failures are tried again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.repeats import Answer, Repeats
from jingzhe.access.sessions import Sessions
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.received import Received, packed
from jingzhe.collect.refused_events import count_quarantined
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import BusyError
from jingzhe.identity.merges import By, merge
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.worker.loop import Cadence, Worker
from tests.collect.live import NOON, track
from tests.server.asking import Heard


@dataclass
class Project:
    workspace: Workspace
    inbox: Inbox
    worker: Worker
    heard: Heard
    moment: list[float]

    @property
    def clock(self) -> FixedClock:
        clock = self.workspace.warehouse.clock
        assert isinstance(clock, FixedClock)
        return clock

    def pass_hours(self, hours: float) -> None:
        """Lets time pass for both clocks."""
        self.clock.moment += timedelta(hours=hours)
        self.moment[0] += hours * 3600

    def put(self, *events: dict[str, object]) -> None:
        body = json.dumps({"batch": events}).encode()
        us = int(NOON.timestamp() * 1e6)
        request = Received(1, "segment", "batch", us, "", "", "private", len(events), body)
        self.inbox.append(Group(1, len(events), us, packed([request])))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    clock, heard = FixedClock(NOON), Heard()
    with (
        open_workspace(tmp_path, clock=clock, memory_limit_mb=300, threads=1) as workspace,
        open_inbox(workspace.settings) as inbox,
    ):
        add_source(workspace.warehouse.state, "shop", clock=clock)
        moment = [0.0]
        cadence = Cadence(gather_seconds=1000)
        worker = Worker(workspace, drain_of(workspace, inbox), heard, cadence, lambda: moment[0])
        yield Project(workspace, inbox, worker, heard, moment)


def test_a_purchase_is_in_the_profile_after_one_round(project: Project) -> None:
    project.put(track(properties={"revenue": 20}))
    project.worker.round()
    (profile,) = project.workspace.sql("SELECT purchases, spend FROM profiles").to_pylist()
    assert (profile["purchases"], profile["spend"]) == (1, 20.0)


def test_a_login_joins_what_the_browser_did_before(project: Project) -> None:
    project.put(track("Product Viewed", userId=None, anonymousId="a1", messageId="1"))
    project.worker.round()
    project.put(track("Signed Up", userId="u1", anonymousId="a1", messageId="2"), track(userId="u1", messageId="3"))
    project.worker.round()
    people = project.workspace.sql("SELECT DISTINCT person_id FROM events").to_pylist()
    assert len(people) == 1


def test_an_import_and_live_events_never_share_a_number(project: Project, tmp_path: Path) -> None:
    project.put(track("Product Viewed", userId=None, anonymousId="a1"))
    project.worker.round()
    orders = tmp_path / "orders.csv"
    orders.write_text("customer_id,order_id,date,amount\nc1,o1,2026-03-01,5\nc2,o2,2026-03-02,6\n", "utf-8")
    project.workspace.import_(orders)
    project.put(track("Product Viewed", userId=None, anonymousId="a2", messageId="2"))
    project.worker.round()
    found = project.workspace.sql("SELECT count(DISTINCT person_id) AS people, count(*) AS events FROM events")
    assert found.to_pylist() == [{"people": 4, "events": 4}]


def test_profiles_are_refreshed_no_more_often_than_told(project: Project) -> None:
    for number in range(3):
        project.put(track(messageId=str(number)))
        project.worker.round()
    refreshed = [event for event, _ in project.heard.lines if event == "refreshed"]
    assert len(refreshed) == 1
    project.moment[0] = 10.0
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 3}]


def test_a_merge_by_hand_is_followed_without_an_event(project: Project) -> None:
    project.put(track(messageId="1"), track(userId="u2", messageId="2"))
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 1}] * 2
    merge(project.workspace.warehouse.state, 1, 2, By("ann", "a test"), clock=FixedClock(NOON))
    project.moment[0] = 10.0
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 2}]


def test_profiles_are_refreshed_now_and_then_where_the_drain_is_always_behind(project: Project) -> None:
    project.worker.drain.events_at_once = 1
    for number in range(3):
        project.put(track(messageId=str(number)))
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 1}]
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 1}]
    project.moment[0] = 10.0
    project.worker.round()
    assert project.workspace.sql("SELECT purchases FROM profiles").to_pylist() == [{"purchases": 3}]


def test_only_identities_and_no_events_is_no_failure(project: Project) -> None:
    project.put({"type": "identify", "userId": "u1"})
    assert project.worker.round().calls == 1
    assert [event for event, _ in project.heard.lines] == ["drained"]


@pytest.mark.parametrize("failure", [BusyError("somebody else is writing"), RuntimeError("13800000000")])
def test_a_failure_is_told_and_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    project.put(track())
    project.worker.cadence = Cadence(drain_seconds=0.0, retry_seconds=0.0)
    real, left = project.worker.drain.run, [1, 1]

    def sometimes() -> object:
        if left:
            left.pop()
            raise failure
        project.worker.ending.set()
        return real()

    monkeypatch.setattr(project.worker.drain, "run", sometimes)
    thread = threading.Thread(target=project.worker.run)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    told = [event for event, _ in project.heard.lines]
    assert told[:3] == ["work failed and will be tried again"] * 2 + ["drained"]
    assert "13800000000" not in str(project.heard.lines)


def test_what_has_ended_by_itself_is_removed(project: Project) -> None:
    clock, state = project.clock, project.workspace.warehouse.state
    accounts = Accounts(state, clock)
    _, link = accounts.invite(MACHINE, "a@example.com", name="A", role="owner")
    accounts.set_password(link.token, "nine bridges over plum rain")
    Sessions(state, clock).sign_in("a@example.com", "nine bridges over plum rain", network="-")
    repeats = Repeats(state, clock)
    name, _ = repeats.begin(MACHINE, "POST /x", "key", b"")
    repeats.end(name, Answer(200, "text/plain", b"done"))
    project.put(track(""))
    project.worker.round()
    assert [event for event, _ in project.heard.lines] == ["drained"]
    for _ in range(47):
        project.pass_hours(47)
        project.worker.round()
    told = [values for event, values in project.heard.lines if event == "tidied"]
    assert {name: sum(int(str(one[name])) for one in told) for name in told[0]} == {
        "sessions": 1, "answers": 1, "refused_events": 1,
    }  # fmt: skip


def test_a_clock_that_is_set_by_years_for_a_while_removes_nothing(project: Project) -> None:
    project.put(track(""))
    for _ in range(30):
        project.pass_hours(1)
        project.worker.round()
    for wrong in (timedelta(days=400), timedelta(days=-400)):
        project.clock.moment += wrong
        project.put(track("", messageId=str(wrong)))
        for _ in range(5):
            project.worker.round()
            project.pass_hours(1)
        project.clock.moment -= wrong
        project.worker.round()
    assert "tidied" not in [event for event, _ in project.heard.lines]
    assert count_quarantined(project.workspace.warehouse.state) == {"missing-event": 3}
    # Who leaves it so for a day has said what time it is.
    project.clock.moment += timedelta(days=400)
    for _ in range(26):
        project.worker.round()
        project.pass_hours(1)
    assert count_quarantined(project.workspace.warehouse.state) == {}
