"""What shops send later: orders and members of tills, with cards, by ``/v1/batch`` and its flag ``historical``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jingzhe.app.collecting import People
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.counting import counted, last_seen
from jingzhe.collect.draining import Drain
from jingzhe.collect.refused_events import amend, list_quarantined, replay
from jingzhe.collect.write_keys import KINDS, add_source
from jingzhe.core.clock import FixedClock
from jingzhe.identity import people as identity
from jingzhe.identity.keys import Key
from jingzhe.store.state.inbox import Inbox
from tests.collect.live import NOON, Live, live, track

WRONG_CLOCK = "2026-03-05T15:00:00Z"
"""When a till whose clock is three hours ahead says that it sent its batch."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Live]:
    clock = FixedClock(NOON)
    with (
        open_workspace(tmp_path / "home", clock=clock, memory_limit_mb=300, threads=1) as workspace,
        Inbox.open(workspace.settings.resolved_inbox_url) as inbox,
    ):
        yield _live(workspace, inbox, clock)


def _live(workspace: Workspace, inbox: Inbox, clock: FixedClock) -> Live:
    people = People(workspace.warehouse)
    people.begin()
    key = add_source(workspace.warehouse.state, "till 3", clock=clock, kind="till")
    return Live(workspace.warehouse, inbox, Drain(workspace.warehouse, inbox, people.resolve), clock, key)


def member(number: str, **traits: str) -> dict[str, object]:
    return {"type": "identify", "messageId": f"member {number}", "traits": {"member_id": number, **traits}}


def order(number: str, at: str, revenue: float, **traits: str) -> dict[str, object]:
    return {
        "type": "track", "event": "Order Completed", "messageId": number, "timestamp": at,
        "context": {"traits": traits}, "properties": {
            "order_id": number, "revenue": revenue, "currency": "CNY",
            "products": [{"product_id": "tea", "price": revenue, "quantity": 1}],
        },
    }  # fmt: skip


def test_orders_and_members_of_tills_become_purchases_of_the_right_people(shop: Live) -> None:
    shop.segment(
        member("M1", till_card="card-1", phone="13812345678"),
        member("M2", till_card="card-2"),
        order("o1", "2025-11-01T09:00:00Z", 30.0, till_card="card-1"),
        order("o2", "2025-12-24T18:30:00Z", 12.5, member_id="M1"),
        order("o3", "2025-12-25T18:30:00Z", 7.0, till_card="card-2"),
        historical=True, sentAt=WRONG_CLOCK,
    )  # fmt: skip
    assert shop.drain.run().calls == 5
    events = shop.rows("SELECT order_id, ts, activity, revenue, person_id FROM events ORDER BY order_id")
    assert [(one["order_id"], one["activity"], one["revenue"]) for one in events] == [
        ("o1", "purchase", 30.0), ("o2", "purchase", 12.5), ("o3", "purchase", 7.0),
    ]  # fmt: skip
    assert [one["ts"] for one in events] == [
        datetime(2025, 11, 1, 9, tzinfo=UTC), datetime(2025, 12, 24, 18, 30, tzinfo=UTC),
        datetime(2025, 12, 25, 18, 30, tzinfo=UTC),
    ]  # fmt: skip
    state = shop.warehouse.state
    one = identity.find(state, Key("till_card", "card-1"))
    assert one is not None
    assert one == identity.find(state, Key("member", "M1")) == identity.find(state, Key("phone", "13812345678"))
    assert identity.find(state, Key("login", "M1")) is None
    assert [event["person_id"] == one for event in events] == [True, True, False]
    assert shop.rows("SELECT DISTINCT channel FROM event_details") == [{"channel": "till"}]
    assert shop.rows("SELECT product_id, amount FROM items ORDER BY amount") == [
        {"product_id": "tea", "amount": amount} for amount in (7.0, 12.5, 30.0)
    ]


def test_what_is_historical_is_counted_apart_and_says_nothing_of_freshness(shop: Live) -> None:
    shop.segment(order("o1", "2025-11-01T09:00:00Z", 30.0, till_card="c"), historical=True)
    shop.drain.run()
    today = NOON.date()
    with shop.warehouse.state.reading() as connection:
        (row,) = counted(connection, since=today, until=today)
        assert last_seen(connection)[1][1] is None
    assert (row.outcome, row.events) == ("historical", 1)
    late = NOON - timedelta(minutes=5)
    event = track(timestamp=late.isoformat(), messageId="live")
    shop.segment(event, event)
    shop.drain.run()
    with shop.warehouse.state.reading() as connection:
        found = {one.outcome: one.events for one in counted(connection, since=today, until=today)}
        assert last_seen(connection)[1][1] == int(late.timestamp() * 1e6)
    assert found == {"historical": 1, "accepted": 1, "duplicate": 1}


def test_a_refused_event_of_a_historical_batch_keeps_its_time_when_it_is_replayed(shop: Live) -> None:
    bad = {**order("o1", "2025-11-01T09:00:00Z", 30.0, till_card="c"), "sentAt": WRONG_CLOCK, "event": ""}
    shop.segment(bad, historical=True, sentAt=WRONG_CLOCK)
    assert shop.drain.run().quarantined == 1
    (one,) = list_quarantined(shop.warehouse.state)
    amend(shop.warehouse.state, one.quarantine_id, {"event": "Order Completed"})
    assert replay(shop.warehouse.state, shop.inbox, clock=shop.clock) == 1
    assert shop.drain.run().calls == 1
    (event,) = shop.rows("SELECT ts FROM events")
    assert event["ts"] == datetime(2025, 11, 1, 9, tzinfo=UTC)


def test_an_order_of_nobody_waits_in_quarantine(shop: Live) -> None:
    shop.segment(order("o1", "2025-11-01T09:00:00Z", 30.0), historical=True)
    assert shop.drain.run().quarantined == 1
    assert [one.reason for one in list_quarantined(shop.warehouse.state)] == ["missing-customer"]


def test_traits_of_somebody_who_signed_in_are_no_keys_of_other_calls(shop: Live) -> None:
    shop.segment(track(context={"traits": {"till_card": "card-of-another"}}))
    shop.drain.run()
    assert identity.find(shop.warehouse.state, Key("till_card", "card-of-another")) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "any"])
def test_a_source_that_says_its_kind_has_that_channel(tmp_path: Path, kind: str) -> None:
    with live(tmp_path) as shop:
        add_source(shop.warehouse.state, f"of {kind}", clock=shop.clock, kind=kind)
        shop.segment(track(), source_id=2)
        shop.drain.run()
        assert shop.rows("SELECT source, channel FROM event_details") == [{"source": f"of {kind}", "channel": kind}]
