"""What was published becomes messages: all of it, once, and no more than somebody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.draining import Drain
from jingzhe.collect.received import Received, packed
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.outgoing import gathering
from jingzhe.outgoing.deliveries import Deliveries
from jingzhe.outgoing.gathering import Gathering
from jingzhe.outgoing.webhooks import NewWebhook, Webhook, Webhooks
from jingzhe.store.state.inbox import Group, Inbox
from tests.collect.live import NOON, track
from tests.server.asking import Heard

EVERYTHING = (
    "event.received", "person.state_changed", "person.merged", "import.completed", "quarantine.added",
)  # fmt: skip


@dataclass
class Project:
    """A project that takes live events, and what it tells others."""

    workspace: Workspace
    inbox: Inbox
    drain: Drain
    clock: FixedClock
    heard: Heard
    gathering: Gathering
    moment: list[float]

    @property
    def hooks(self) -> Webhooks:
        return Webhooks(self.workspace.warehouse.state, self.clock)

    def hook(self, *kinds: str, **wish: Any) -> Webhook:
        return self.hooks.add(MACHINE, NewWebhook("CRM", "https://crm.example.com/", kinds, **wish))[0]

    def bring(self, *events: dict[str, Any]) -> None:
        """Collects and drains events."""
        body = json.dumps({"batch": events}).encode()
        us = int(self.clock.now().timestamp() * 1e6)
        request = Received(1, "segment", "batch", us, "", "", "private", len(events), body)
        self.inbox.append(Group(1, len(events), us, packed([request])))
        self.drain.run()

    def told(self, hook: Webhook) -> list[dict[str, Any]]:
        """Fills the outbox; returns the messages that are new in it."""
        out = Deliveries(self.workspace.warehouse.state, self.clock)
        before = {one.delivery_id for one in out.all(hook.webhook_id, limit=10_000)}
        self.gathering.fill(self.hooks.get(hook.webhook_id))
        found = [one for one in out.all(hook.webhook_id, limit=10_000) if one.delivery_id not in before]
        return [json.loads(one.payload) for one in found]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    clock, heard, moment = FixedClock(NOON), Heard(), [0.0]
    with (
        open_workspace(tmp_path, clock=clock, memory_limit_mb=300, threads=1) as workspace,
        open_inbox(workspace.settings) as inbox,
    ):
        state = workspace.warehouse.state
        add_source(state, "shop", clock=clock)
        filling = Gathering(workspace.warehouse, Deliveries(state, clock), heard, seconds=lambda: moment[0])
        yield Project(workspace, inbox, drain_of(workspace, inbox), clock, heard, filling, moment)


def bought(number: int, **fields: Any) -> dict[str, Any]:
    return track(messageId=f"m{number}", properties={"revenue": 10 + number, "order_id": f"A{number}"}, **fields)


def test_events_are_told_once_without_what_clients_said_of_people(project: Project) -> None:
    project.bring(bought(0))
    hook = project.hook("event.received")
    assert project.told(hook) == []  # it was there before
    project.bring(bought(1), bought(2, userId="u2"), track("Product Viewed", messageId="v"))
    (said,) = project.told(hook)
    assert (said["type"], said["version"], said["timestamp"]) == ("event.received", 1, NOON.isoformat())
    events = said["data"]["events"]
    assert sorted((one["activity"], one["order_id"], one["revenue"]) for one in events) == [
        ("purchase", "A1", 11.0), ("purchase", "A2", 12.0), ("view", None, None),
    ]  # fmt: skip
    assert {type(one["event_id"]) for one in events} == {str}
    assert "u2" not in json.dumps(said)
    assert not {"user_id", "properties", "url"} & set(events[0])
    assert project.told(hook) == []


def test_only_the_activities_that_were_asked_for(project: Project) -> None:
    hook = project.hook("event.received", activities=("view",))
    project.bring(bought(1), track("Product Viewed", messageId="v"))
    (said,) = project.told(hook)
    assert [one["name"] for one in said["data"]["events"]] == ["product_viewed"]


def test_who_may_be_told_of_people_is(project: Project) -> None:
    hook = project.hook("event.received", personal=True)
    project.bring(track("Product Viewed", userId="li.lei", properties={"colour": "red"}))
    (said,) = project.told(hook)
    (event,) = said["data"]["events"]
    assert event["user_id"] == "li.lei"
    assert json.loads(event["properties"]) == {"colour": "red"}
    # What is sealed in the lake is opened to them, and stands sealed again in the message that waits.
    project.bring(track("Lead", messageId="lead", userId="li.lei", properties={"email": "li@example.com"}))
    (said,) = project.told(hook)
    (event,) = said["data"]["events"]
    assert json.loads(event["properties"]) == {"email": "li@example.com"}
    files = [path for path in project.workspace.settings.home.rglob("*") if path.is_file()]
    assert not [path for path in files if b"li@example.com" in path.read_bytes()]


def test_many_events_come_in_pieces_and_none_is_left_out_or_repeated(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "EVENTS_AT_ONCE", 7)
    monkeypatch.setattr(gathering, "EVENTS_A_MESSAGE", 3)
    hook = project.hook("event.received")
    project.bring(*(bought(number) for number in range(9)))
    project.bring(*(bought(number) for number in range(9, 20)))
    orders: list[str] = []
    for _ in range(6):
        for said in project.told(hook):
            assert len(said["data"]["events"]) <= 3
            orders += [one["order_id"] for one in said["data"]["events"]]
    assert sorted(orders) == sorted(f"A{number}" for number in range(20))


def test_with_enough_waiting_nothing_more_is_put_in_and_nothing_is_lost(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MOST_WAITING", 1)
    hook = project.hook("event.received")
    out = Deliveries(project.workspace.warehouse.state, project.clock)
    project.bring(bought(1))
    assert len(project.told(hook)) == 1
    project.bring(bought(2))
    assert project.told(hook) == []
    (one,) = out.claim(hook.webhook_id, 1)
    out.mark(one, gathering_reply())
    (said,) = project.told(hook)
    assert [event["order_id"] for event in said["data"]["events"]] == ["A2"]


def gathering_reply() -> Any:
    from jingzhe.outgoing.sending import Reply  # noqa: PLC0415

    return Reply(200, "yes")


def test_two_that_fill_at_once_put_it_in_once(project: Project) -> None:
    hook = project.hook("event.received")
    project.bring(bought(1))
    # Both read the webhook before either has written.
    seen = project.hooks.get(hook.webhook_id)
    assert [project.gathering.fill(seen), project.gathering.fill(seen)] == [1, 0]


def test_a_disabled_one_gets_nothing_and_later_only_what_comes_then(project: Project) -> None:
    hook = project.hook("event.received")
    project.hooks.disable(MACHINE, hook.webhook_id)
    project.bring(bought(1))
    assert project.told(hook) == []
    project.hooks.enable(MACHINE, hook.webhook_id)
    project.bring(bought(2))
    (said,) = project.told(hook)
    assert [one["order_id"] for one in said["data"]["events"]] == ["A2"]


def test_states_are_told_when_they_change(project: Project) -> None:
    hook = project.hook("person.state_changed")
    project.bring(bought(1, timestamp="2026-03-05T12:00:00Z"))
    project.workspace.refresh()
    (said,) = project.told(hook)
    ((person, before, state),) = [
        (one["person_id"], one["state_before"], one["state"]) for one in said["data"]["people"]
    ]
    assert (before, state) == (None, "new")
    # Half a year later somebody else buys, and whoever was new has gone quiet.
    project.clock.moment += timedelta(days=180)
    project.bring(bought(2, userId="u2", timestamp=project.clock.now().isoformat()))
    project.workspace.refresh()
    assert project.told(hook) == []  # compared a moment ago
    project.moment[0] += 60
    (said,) = project.told(hook)
    changes = {one["person_id"]: (one["state_before"], one["state"]) for one in said["data"]["people"]}
    assert changes[person][0] == "new"
    assert changes[person][1] in {"dormant", "lost"}
    assert len(changes) == 2
    project.moment[0] += 60
    assert project.told(hook) == []


def test_only_the_states_that_were_asked_for(project: Project) -> None:
    hook = project.hook("person.state_changed", states=("dormant", "lost"))
    project.bring(bought(1))
    project.workspace.refresh()
    assert project.told(hook) == []


def test_two_people_who_turn_out_to_be_one(project: Project) -> None:
    hook = project.hook("person.merged")
    project.bring(
        track("Product Viewed", messageId="a", userId=None, anonymousId="browser-1"),
        track("Product Viewed", messageId="b", userId="li.lei"),
    )
    assert project.told(hook) == []
    project.clock.moment += timedelta(hours=1)
    project.bring({"type": "identify", "userId": "li.lei", "anonymousId": "browser-1", "messageId": "c"})
    (said,) = project.told(hook)
    assert said["data"]["person_id"] != said["data"]["merged_person_id"]
    assert project.told(hook) == []


def test_an_import_is_one_message_and_its_refused_rows_another(project: Project, tmp_path: Path) -> None:
    hook = project.hook(*EVERYTHING)
    orders = tmp_path / "orders.csv"
    orders.write_text("order_id,customer_id,ordered_at,amount\nA1,C1,2026-01-01,5\nA2,C2,gestern,6\n", encoding="utf-8")
    project.workspace.import_(orders)
    said = {one["type"]: one["data"] for one in project.told(hook)}
    assert set(said) == {"import.completed", "quarantine.added"}
    assert (said["import.completed"]["orders"], said["import.completed"]["rows"]) == (1, 2)
    assert said["quarantine.added"]["reasons"] == {"bad-time": 1}
    assert project.told(hook) == []


def test_refused_live_events_are_told_in_numbers(project: Project) -> None:
    hook = project.hook("quarantine.added")
    project.bring(bought(1), {"type": "track", "messageId": "x", "userId": "u1"})
    (said,) = project.told(hook)
    assert said["data"] == {"reasons": {"missing-event": 1}}
    assert project.told(hook) == []


def test_states_whose_profiles_are_gone_are_not_guessed(project: Project) -> None:
    hook = project.hook("person.state_changed")
    state = project.workspace.warehouse.state
    project.bring(bought(1))
    project.workspace.refresh()
    project.told(hook)
    project.clock.moment += timedelta(days=180)
    project.bring(bought(2, userId="u2", timestamp=project.clock.now().isoformat()))
    project.workspace.refresh()
    latest = state.latest()
    assert latest is not None
    state.put_document("lake", "vacuum", {"oldest": latest.seq})
    project.moment[0] += 60
    assert project.told(hook) == []
    assert "cannot be told" in project.heard.lines[-1][0]
    assert replace(project.hooks.get(hook.webhook_id).told, publication=0, event=None).profiles == latest.seq
