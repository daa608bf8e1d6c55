"""A clock that jumps, and two drains at once: nothing lost, nothing twice, moments as far right as they can be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.tidying import tidy
from jingzhe.app.workspace import open_workspace
from jingzhe.collect.draining import Drain, Drained
from jingzhe.collect.received import Received, packed
from jingzhe.collect.refused_events import list_quarantined
from jingzhe.collect.seen import Seen
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import JingzheError
from jingzhe.store.state.inbox import Group
from tests.collect.live import NOON, FirstKey, Live, live, track
from tests.postgres import postgres_server, postgres_url
from tests.server.asking import Asked, ask

__all__ = ["postgres_server", "postgres_url"]

JUMPS = [
    pytest.param(timedelta(days=1), id="a day ahead"),
    pytest.param(timedelta(hours=-1), id="an hour back"),
    pytest.param(timedelta(days=-365), id="a year back"),
    pytest.param(timedelta(days=365), id="a year ahead"),
]


class Steady:
    """A clock that nobody sets; hours pass only when they are said to."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path, steady: Steady) -> Iterator[Live]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with live(tmp_path, url, seen=Seen(7.0, seconds=steady)) as found:
        yield found


def order(number: int, **fields: str) -> dict[str, object]:
    return track(messageId=f"m{number}", properties={"n": number, "revenue": 1}, **fields)


def send(project: Live, *orders: dict[str, object]) -> None:
    """Sends as SDKs do, which say when they send: so that our clock alone is wrong."""
    project.segment(*orders, sentAt="2026-03-05T12:00:00Z")


@pytest.mark.parametrize("jump", JUMPS)
def test_what_is_sent_again_across_a_jump_counts_once(project: Live, jump: timedelta) -> None:
    send(project, order(1))
    assert project.drain.run().calls == 1
    project.clock.moment += jump
    send(project, order(1), order(2))
    during = project.drain.run()
    assert (during.calls, during.duplicates) == (1, 1)
    project.clock.moment -= jump
    send(project, order(1), order(2), order(3))
    after = project.drain.run()
    assert (after.calls, after.duplicates) == (1, 2)
    assert project.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM events") == [{"n": 3, "d": 3}]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_worker_that_begins_after_a_jump_knows_what_was_before(project: Live, jump: timedelta) -> None:
    send(project, order(1))
    project.drain.run()
    project.clock.moment += jump
    again = Drain(project.warehouse, project.inbox, FirstKey())
    send(project, order(1))
    assert again.run().duplicates == 1
    send(project, order(2))
    assert again.run().calls == 1
    project.clock.moment -= jump
    back = Drain(project.warehouse, project.inbox, FirstKey())
    send(project, order(2), order(1))
    assert back.run().duplicates == 2


def test_a_message_is_forgotten_by_the_steady_clock_alone(project: Live, steady: Steady) -> None:
    project.segment(order(1))
    project.drain.run()
    steady.at += timedelta(days=6, hours=22).total_seconds()
    project.segment(order(1))
    assert project.drain.run().duplicates == 1
    steady.at += timedelta(hours=4).total_seconds()
    project.segment(order(1))
    assert project.drain.run().duplicates == 0


@pytest.mark.parametrize("jump", JUMPS)
def test_moments_are_those_of_the_clients_as_far_as_our_clock_lets_them(project: Live, jump: timedelta) -> None:
    """``received − (sent − happened)``: while our clock is wrong, so are moments; those before and after are not."""
    sent = "2026-03-05T12:00:00Z"
    project.segment(order(1, timestamp="2026-03-05T11:59:50Z"), sentAt=sent)
    project.clock.moment += jump
    project.segment(order(2, timestamp="2026-03-05T11:59:50Z"), sentAt=sent)
    project.clock.moment -= jump
    project.segment(order(3, timestamp="2026-03-05T11:59:50Z"), sentAt=sent)
    assert project.drain.run().calls == 3
    found = project.rows("SELECT epoch_us(ts) AS us FROM events ORDER BY ts")
    ten_seconds, noon_us = 10_000_000, int(NOON.timestamp() * 1e6)
    shown = sorted([0, 0, int(jump.total_seconds()) * 1_000_000])
    assert [row["us"] - noon_us + ten_seconds for row in found] == shown


def test_a_collector_whose_clock_jumps_loses_nothing(tmp_path: Path) -> None:
    """The real collector: every request is answered, and every event is a fact once, whichever way the clock goes."""

    async def scenario(asked: Asked) -> None:
        number = 0
        for jump in [timedelta(0), *(param.values[0] for param in JUMPS)]:
            assert isinstance(jump, timedelta)
            asked.shop.clock.moment += jump
            for _ in range(3):
                number += 1
                # The first of them comes a second time after each jump.
                body = json.dumps({"batch": [order(number), order(1)], "sentAt": "2026-03-05T12:00:00Z"})
                assert (await asked.post("/v1/batch", body)).status_code == 200
            asked.shop.clock.moment -= jump
        done = asked.shop.drain.run()
        assert (done.calls, done.quarantined) == (number, 0)
        found = asked.shop.rows("SELECT count(DISTINCT json_extract_string(properties, '$.n')) AS n FROM event_details")
        assert found == [{"n": number}]

    ask(tmp_path, scenario)


# ---- two drains at once


def test_two_drains_at_the_same_moment(project: Live) -> None:
    """Both have claimed the same rows; one is first, the other finds them drained."""
    meeting = threading.Barrier(2, timeout=60)
    done: list[Drained | JingzheError] = []

    def together(drain: Drain) -> None:
        claimed = drain._claimed

        def meet() -> list[object]:
            rows: list[object] = list(claimed())
            meeting.wait()
            return rows

        patch.setattr(drain, "_claimed", meet)
        try:
            done.append(drain.run())
        except JingzheError as error:
            done.append(error)

    for number in range(40):
        project.segment(order(number))
    with pytest.MonkeyPatch.context() as patch:
        at_once([lambda drain=drain: together(drain) for drain in _two(project)])  # type: ignore[misc]
    assert sorted(one.calls for one in done if isinstance(one, Drained)) == [0, 40]
    assert project.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM events") == [{"n": 40, "d": 40}]
    assert project.inbox.depth().rows == 0


def test_two_workers_that_drain_again_and_again(project: Live) -> None:
    """Events keep coming while both drain; each is a fact once, and the inbox is empty in the end."""
    coming = iter(range(60))
    failed: list[JingzheError] = []

    def drain(one: Drain) -> None:
        try:
            for number in coming:
                project.segment(order(number), order(number + 1000))
                one.run()
        except JingzheError as error:
            failed.append(error)

    at_once([lambda one=one: drain(one) for one in _two(project)])  # type: ignore[misc]
    assert failed == []
    while project.drain.run().rows:
        pass
    assert project.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM events") == [{"n": 120, "d": 120}]
    assert project.inbox.depth().rows == 0


def _two(project: Live) -> list[Drain]:
    people = FirstKey()
    return [Drain(project.warehouse, project.inbox, people) for _ in range(2)]


def at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


@pytest.mark.parametrize("jump", JUMPS)
def test_refused_events_outlast_a_jump_and_go_when_they_are_old(tmp_path: Path, jump: timedelta) -> None:
    clock = FixedClock(NOON)
    with open_workspace(tmp_path / "home", clock=clock, threads=1) as workspace:
        state = workspace.warehouse.state
        add_source(state, "shop", clock=clock)
        with open_inbox(workspace.settings) as inbox:
            received = Received(1, "segment", "track", int(NOON.timestamp() * 1e6), "", "", "loopback", 1, b"{}")
            inbox.append(Group(1, 1, received.received_us, packed([received])))
            assert drain_of(workspace, inbox).run().quarantined == 1

        def after(passed: timedelta, *, times: int = 1) -> int:
            removed = 0
            for _ in range(times):
                clock.moment += passed
                removed += tidy(workspace).refused_events
            return removed

        assert after(timedelta(hours=1), times=50) == 0
        # The clock is wrong for some hours, and is set right.
        assert after(jump) == after(timedelta(hours=1), times=20) == after(-jump) == 0
        assert len(list_quarantined(state)) == 1
        # Ninety days and some, as they pass.
        assert after(timedelta(hours=24), times=86) == 0
        assert after(timedelta(hours=24), times=3) == 1
        assert list_quarantined(state) == []
