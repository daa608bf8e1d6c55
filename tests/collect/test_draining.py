"""From the inbox to the tables: each acknowledged event once, whatever is sent twice, badly or late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jingzhe.collect.draining import Drain
from jingzhe.collect.naming import set_meaning
from jingzhe.collect.received import packed, unpacked
from jingzhe.collect.refused_events import correct, count_quarantined, drop, list_quarantined, replay
from jingzhe.collect.seen import Seen
from jingzhe.core.errors import LakeError, NoDataError, SettingError
from jingzhe.store.lake.tables import Lake
from jingzhe.store.state.collect_tables import inbox_drained
from jingzhe.store.state.inbox import Group, inbox
from tests.collect.live import NOON, FirstKey, Live, live, track
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with live(tmp_path, url, zone="Asia/Shanghai") as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path, zone="Asia/Shanghai", currency="CNY") as found:
        yield found


def test_an_order_becomes_an_event_its_items_and_its_details(project: Live) -> None:
    products = [{"product_id": "p1", "category": "shoes", "price": 100, "quantity": 2}, {"sku": "p2", "price": 50}]
    project.segment(
        track(properties={"order_id": "o1", "revenue": 225, "discount": 25, "products": products}),
        sentAt="2026-03-05T12:00:00Z",
    )
    assert project.drain.run().calls == 1
    (event,) = project.rows("SELECT * EXCLUDE (ts, received_at, event_id), epoch_us(ts) AS us FROM events")
    assert event == {
        "day": project.clock.moment.date(), "source": "shop", "name": "order_completed", "activity": "purchase",
        "person_id": 1, "order_id": "o1", "revenue": 225.0, "discount": 25.0, "quantity": 3.0, "currency": "CNY",
        "batch": 1, "us": 1_772_712_000_000_000,
    }  # fmt: skip
    items = project.rows("SELECT product_id, category, quantity, price, amount FROM items ORDER BY product_id")
    assert [tuple(item.values()) for item in items] == [
        ("p1", "shoes", 2.0, 100.0, 200.0), ("p2", None, 1.0, 50.0, 50.0),
    ]  # fmt: skip
    (details,) = project.rows("SELECT call, sent_name, user_id, client FROM event_details JOIN events USING (event_id)")
    assert tuple(details.values()) == ("track", "Order Completed", "u1", "loopback")
    assert project.rows("SELECT kind, value, person_id FROM identities") == [
        {"kind": "login", "value": "u1", "person_id": 1}
    ]


def test_a_refund_is_negative_and_a_view_moves_no_money(project: Live) -> None:
    project.segment(
        track("Order Refunded", properties={"order_id": "o1", "revenue": 40, "products": [{"id": "p", "price": 40}]}),
        track("Product Viewed", properties={"product_id": "p", "price": 40, "category": "c"}),
    )
    project.drain.run()
    rows = project.rows("SELECT name, activity, revenue, quantity FROM events ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("order_refunded", "refund", -40.0, -1.0), ("product_viewed", "view", None, None),
    ]  # fmt: skip
    amounts = project.rows("SELECT amount, quantity FROM items ORDER BY amount NULLS LAST")
    assert [tuple(row.values()) for row in amounts] == [(-40.0, -1.0), (None, None)]


@pytest.mark.parametrize(
    ("fields", "batch", "happened"),
    [
        ({"timestamp": "2026-03-05T12:00:00Z"}, {"sentAt": "2026-03-05T12:00:10Z"}, -10),
        ({"timestamp": "2026-03-05T14:59:30Z"}, {"sentAt": "2026-03-05T15:00:00Z"}, -30),
        ({"timestamp": "2026-03-05T11:00:00Z"}, {}, -3600),
        ({"timestamp": "2020-01-01T00:00:00Z"}, {"sentAt": "2020-01-01T00:00:05Z"}, -5),
        ({"timestamp": "2026-03-05T11:00:00Z"}, {"sentAt": "2026-03-05T13:00:00Z", "historical": True}, -3600),
        ({"timestamp": "2026-03-05T12:00:30Z"}, {"sentAt": "2026-03-05T12:00:00Z"}, 0),
        ({"timestamp": None}, {"sentAt": "2026-03-05T12:00:10Z"}, 0),
        ({"timestamp": "2026-03-05T11:00:00Z"}, {"sentAt": "rubbish"}, -3600),
    ],
)
def test_clocks(project: Live, fields: dict[str, Any], batch: dict[str, Any], happened: int) -> None:
    project.segment(track(**fields), **batch)
    project.drain.run()
    (row,) = project.rows("SELECT epoch_us(ts) - epoch_us(received_at) AS us FROM events")
    assert row["us"] == happened * 1_000_000


def test_days_begin_in_the_projects_zone(project: Live) -> None:
    project.segment(track(timestamp="2026-03-04T15:59:59Z"), track("x", timestamp="2026-03-04T16:00:00Z"))
    project.drain.run()
    days = project.rows("SELECT CAST(day AS VARCHAR) AS day FROM events ORDER BY ts")
    assert [row["day"] for row in days] == ["2026-03-04", "2026-03-05"]


def test_the_same_message_again_changes_nothing(shop: Live) -> None:
    shop.segment(track(), track())
    shop.segment(track(properties={"revenue": 9}))
    first = shop.drain.run()
    shop.segment(track())
    again = shop.drain.run()
    assert (first.calls, first.duplicates, again.calls, again.duplicates) == (1, 2, 0, 1)
    assert shop.rows("SELECT count(*) AS n FROM events") == [{"n": 1}]
    # Another process, which has not seen it itself, knows it as well.
    shop.segment(track())
    assert Drain(shop.warehouse, shop.inbox, FirstKey()).run().duplicates == 1


def test_a_message_is_forgotten_after_seven_days(project: Live) -> None:
    project.segment(track())
    project.drain.run()
    project.clock.moment += timedelta(days=6, hours=22)
    project.segment(track())
    assert project.drain.run().duplicates == 1
    project.clock.moment += timedelta(hours=4)
    project.segment(track())
    assert project.drain.run().duplicates == 0


def test_products_of_a_repeated_order_stand_there_once(project: Live) -> None:
    order = track(properties={"revenue": 1, "products": [{"id": "p", "price": 1}]})
    project.segment(order, order)
    project.drain.run()
    assert project.rows("SELECT count(*) AS n FROM items") == [{"n": 1}]


def test_a_bad_event_goes_to_quarantine_and_its_batch_does_not(shop: Live) -> None:
    shop.segment(track(), {"type": "track", "userId": "u2"}, track("x", userId="0", messageId="junk"))
    done = shop.drain.run()
    assert (done.calls, done.quarantined) == (1, 2)
    assert dict(count_quarantined(shop.warehouse.state)) == {"missing-event": 1, "junk-customer": 1}
    (bad,) = list_quarantined(shop.warehouse.state, reason="missing-event")
    assert (bad.field, bad.body) == ("event", '{"type": "track", "userId": "u2"}')
    # The same again does not stand there twice.
    shop.segment({"type": "track", "userId": "u2"})
    shop.drain.run()
    assert count_quarantined(shop.warehouse.state)["missing-event"] == 1


def test_what_was_corrected_is_replayed_with_its_own_time(shop: Live) -> None:
    shop.segment({"type": "track", "userId": "u2", "timestamp": "2026-03-05T11:59:50Z"}, sentAt="2026-03-05T12:00:00Z")
    shop.drain.run()
    shop.clock.moment += timedelta(days=2)
    (bad,) = list_quarantined(shop.warehouse.state)
    assert replay(shop.warehouse.state, shop.inbox, clock=shop.clock) == 1
    assert shop.drain.run().quarantined == 1
    mended = bad.body.replace('"userId"', '"event": "Signed Up", "userId"')
    correct(shop.warehouse.state, bad.quarantine_id, mended)
    assert replay(shop.warehouse.state, shop.inbox, clock=shop.clock, numbers=[bad.quarantine_id]) == 1
    assert shop.drain.run().calls == 1
    assert list_quarantined(shop.warehouse.state) == []
    (event,) = shop.rows("SELECT name, epoch_us(ts) AS us FROM events")
    assert event == {"name": "signed_up", "us": 1_772_711_990_000_000}


def test_an_event_replayed_twice_is_one(project: Live) -> None:
    project.sensors({"type": "track", "event": "", "distinct_id": "d", "time": 1772711990000})
    project.drain.run()
    (bad,) = list_quarantined(project.warehouse.state)
    correct(project.warehouse.state, bad.quarantine_id, bad.body.replace('""', '"PayOrder"'))
    rows = project.inbox.take(events=10)
    assert rows == []
    replay(project.warehouse.state, project.inbox, clock=project.clock)
    # As if the process had died between the two steps, and somebody had replayed it again.
    (row,) = project.inbox.take(events=10)
    project.put(*unpacked(row.payload))
    assert project.drain.run().duplicates == 1
    assert project.rows("SELECT count(*) AS n FROM events") == [{"n": 1}]


def test_what_cannot_be_corrected(project: Live) -> None:
    with pytest.raises(NoDataError):
        correct(project.warehouse.state, 5, "{}")
    with pytest.raises(SettingError, match="no JSON object"):
        correct(project.warehouse.state, 5, "[]")
    with pytest.raises(SettingError, match="no reason"):
        list_quarantined(project.warehouse.state, reason="because")
    assert drop(project.warehouse.state, [5]) == 0


def test_events_of_a_source_that_is_gone_wait_in_quarantine(project: Live) -> None:
    project.segment(track(), source_id=99)
    assert project.drain.run().quarantined == 1
    assert count_quarantined(project.warehouse.state) == {"unknown-source": 1}


def test_names_are_data(project: Live) -> None:
    set_meaning(project.warehouse.state, "Till Receipt", "order_completed", "purchase")
    project.segment(track("till-receipt", properties={"total": 5}), track("Danced", messageId="m2"))
    project.drain.run()
    rows = project.rows("SELECT name, activity, revenue FROM events ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("danced", "interaction", None), ("order_completed", "purchase", 5.0),
    ]  # fmt: skip
    with pytest.raises(SettingError, match="no activity"):
        set_meaning(project.warehouse.state, "x", "y", "dance")


def test_calls_that_are_no_behaviour_stand_in_the_details_only(project: Live) -> None:
    project.segment({"type": "identify", "userId": "u1", "traits": {"city": "杭州"}})
    project.sensors(
        {"type": "profile_set", "distinct_id": "d1", "time": 1772711990000, "properties": {"level": 3}},
        {"type": "item_set", "item_type": "shoe", "item_id": "p1", "properties": {}},
    )
    assert project.drain.run().calls == 3
    assert project.rows("SELECT count(*) AS n FROM events") == [{"n": 0}]
    rows = project.rows("SELECT call, person_id, properties FROM event_details ORDER BY call")
    assert [tuple(row.values()) for row in rows] == [
        ("identify", 1, '{"city": "\\u676d\\u5dde"}'), ("item", None, "{}"), ("profile", 2, '{"level": 3}'),
    ]  # fmt: skip


def test_a_drain_takes_no_more_than_it_should_and_goes_on(project: Live) -> None:
    for number in range(5):
        project.segment(*(track(messageId=f"{number}-{i}") for i in range(10)))
    project.drain.events_at_once = 25
    assert [project.drain.run().events for _ in range(4)] == [20, 20, 10, 0]
    assert project.inbox.depth().rows == 0


def test_rows_that_are_drained_and_still_there_are_not_drained_again(project: Live) -> None:
    """What is left when a drain dies after its publication and before it has tidied up."""
    project.segment(track())
    (row,) = project.inbox.take(events=10)
    project.drain.run()
    project.segment(track("x"))
    with project.warehouse.state.writing() as connection:
        connection.execute(inbox_drained.insert().values(number=row.number + 1))
    assert project.drain.run().rows == 0
    assert project.inbox.depth().rows == 0
    assert Seen(7.0).new(project.drain.seen._runs[0].numbers).all()


def test_a_drain_that_failed_shows_its_keys_when_it_is_tried_again(shop: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake's disk was full for a moment: nothing of what the first try knew may be missing after the second."""
    shop.segment(track(userId="u7"))
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit", _disk_full)
        with pytest.raises(LakeError, match="full"):
            shop.drain.run()
    assert shop.rows("SELECT * FROM events") == []
    done = shop.drain.run()
    assert (done.calls, done.duplicates) == (1, 0)
    assert shop.rows("SELECT kind, value FROM identities") == [{"kind": "login", "value": "u7"}]


def _disk_full(*_: object) -> int:
    raise LakeError("The disk is full")


def test_an_event_refused_again_while_it_is_replayed_stands_in_quarantine(
    shop: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.segment({"type": "track", "userId": "u2", "messageId": "m2"})
    assert shop.drain.run().quarantined == 1
    append, done = shop.inbox.append, []
    other = threading.Thread(target=lambda: done.append(shop.drain.run()))

    def quick(group: Group) -> None:
        append(group)
        other.start()
        other.join(0.5)  # the drain takes it before it has left the quarantine, or waits

    with monkeypatch.context() as patched:
        patched.setattr(shop.inbox, "append", quick)
        assert replay(shop.warehouse.state, shop.inbox, clock=shop.clock) == 1
    other.join()
    assert [one.quarantined for one in done] == [1]
    assert len(list_quarantined(shop.warehouse.state)) == 1


def test_more_rows_than_a_statement_takes_values_are_drained(shop: Live) -> None:
    """A worker that was away for hours finds a row for each single event."""
    shop.drain.events_at_once = 100_000
    bodies = [{"type": "page", "userId": "u1", "messageId": f"m{one}", "timestamp": NOON} for one in range(1)]
    rows = [{"requests": 1, "events": 1, "size_bytes": 1, "written_us": 1} for _ in range(66_000)]
    payload = packed([shop.received({"batch": bodies})])
    with shop.inbox._database.writing() as connection:
        connection.execute(sa.insert(inbox), [{**row, "payload": payload} for row in rows])
    done = shop.drain.run()
    assert (done.rows, done.calls) == (66_000, 1)
    assert shop.inbox.depth().rows == 0
    assert shop.rows("SELECT count(*) AS n FROM events") == [{"n": 1}]


def test_large_events_are_taken_in_pieces(project: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.collect.draining._BYTES_AT_ONCE", 1)
    project.segment(track(messageId="1"))
    project.segment(track(messageId="2"))
    assert [project.drain.run().rows for _ in range(3)] == [1, 1, 0]
