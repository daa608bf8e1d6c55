"""The outbox against time: when a message is tried, when it is given up, and when it is sent once more."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.access.errors import NotThereError
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SettingError
from jingzhe.outgoing.deliveries import CLAIM, KEPT, Deliveries, put
from jingzhe.outgoing.kinds import PING, Message
from jingzhe.outgoing.sending import Reply
from jingzhe.outgoing.webhooks import NewWebhook, Webhooks
from jingzhe.store.state import State

BAD, GOOD, GONE = Reply(500, "no"), Reply(200, "yes"), Reply(410, "gone")


class Box:
    """An outbox with one webhook."""

    def __init__(self, state: State, clock: FixedClock, jitter: float = 0.0) -> None:
        self.state, self.clock = state, clock
        self.hooks = Webhooks(state, clock)
        self.hook = self.hooks.add(MACHINE, NewWebhook("CRM", "https://crm.example.com/", ("event.received",)))[0]
        self.out = Deliveries(state, clock, lambda: jitter)

    def put(self, *keys: str) -> int:
        with self.state.writing() as connection:
            messages = [Message(PING, key, self.clock.now(), {"key": key}) for key in keys]
            return put(connection, self.hook.webhook_id, messages, self.clock.now())

    def claim(self, most: int = 10) -> list[str]:
        return [one.delivery_id for one in self.out.claim(self.hook.webhook_id, most)]

    def tried(self, reply: Reply) -> str:
        (one,) = self.out.claim(self.hook.webhook_id, 1)
        return self.out.mark(one, reply)

    def disabled(self) -> str:
        return self.hooks.get(self.hook.webhook_id).disabled_why


@pytest.fixture
def box(state: State, clock: FixedClock) -> Box:
    return Box(state, clock)


def test_tries_and_pauses_are_those_of_standard_webhooks(box: Box, clock: FixedClock) -> None:
    box.put("a")
    begun, tried = clock.now(), []
    for _ in range(10):
        tried.append((clock.now() - begun).total_seconds())
        status = box.tried(BAD)
        (row,) = box.out.all(box.hook.webhook_id)
        if row.next_at is None:
            break
        clock.moment = row.next_at - timedelta(milliseconds=1)
        assert box.claim() == []
        clock.moment = row.next_at
    hour = 3600.0
    pauses = [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
    assert tried == [sum(pauses[:number]) for number in range(10)]
    assert (status, row.tries, row.answer_status, row.answer) == ("failed", 10, 500, "no")
    # It took nothing in three days: it is told nothing more.
    assert "ran out of 10 tries" in box.disabled()


def test_a_pause_is_longer_by_a_tenth_at_most(state: State, clock: FixedClock) -> None:
    box = Box(state, clock, jitter=1.0)
    box.put("a")
    box.tried(BAD)
    (row,) = box.out.all(box.hook.webhook_id)
    assert row.next_at == clock.now() + timedelta(seconds=5.5)


def test_a_receiver_that_takes_others_is_not_disabled_for_one_message(box: Box, clock: FixedClock) -> None:
    box.put("poison")
    for number in range(10):
        assert box.tried(BAD) == ("failed" if number == 9 else "waiting")
        if number == 4:
            box.put("good")
            clock.moment += timedelta(seconds=1)
            assert box.tried(GOOD) == "delivered"
        clock.moment += timedelta(days=2)
    assert box.disabled() == ""


def test_410_disables_at_once(box: Box) -> None:
    box.put("a", "b")
    assert box.tried(GONE) == "failed"
    assert "410" in box.disabled()


def test_what_is_claimed_nobody_else_sends_until_the_claim_runs_out(box: Box, clock: FixedClock) -> None:
    box.put("a", "b", "c")
    first, rest = box.claim(2), box.claim()
    assert len(first) == 2
    assert len(rest) == 1
    assert set(first).isdisjoint(rest)
    assert box.claim() == []
    clock.moment += CLAIM
    assert len(box.claim()) == 3


def test_the_same_message_stands_there_once(box: Box) -> None:
    assert box.put("a", "b", "a") == 2
    assert box.put("b", "c") == 1


def test_one_or_a_time_range_is_sent_once_more_under_its_own_id(box: Box, clock: FixedClock) -> None:
    moments: list[datetime] = []
    for key in "abc":
        moments.append(clock.now())
        box.put(key)
        box.tried(GOOD)
        clock.moment += timedelta(hours=1)
    ids = [one.delivery_id for one in box.out.all(box.hook.webhook_id)][::-1]
    hook = box.hook.webhook_id
    assert box.out.replay(MACHINE, hook, delivery_id=ids[2]) == 1
    assert box.claim() == [ids[2]]
    assert box.out.replay(MACHINE, hook, since=moments[0], until=moments[2]) == 2
    assert sorted(box.claim()) == sorted(ids[:2])
    with pytest.raises(NotThereError):
        box.out.replay(MACHINE, hook, delivery_id="msg_none")
    with pytest.raises(SettingError):
        box.out.replay(MACHINE, hook)


def test_what_is_done_is_kept_for_two_weeks_and_what_waits_longer(box: Box, clock: FixedClock) -> None:
    box.put("done")
    box.tried(GOOD)
    box.put("waits")
    clock.moment += KEPT + timedelta(seconds=1)
    assert box.out.clean() == 1
    assert [one.status for one in box.out.all(box.hook.webhook_id)] == ["waiting"]
    # What waits for a receiver that is off is not kept for ever.
    box.hooks.disable(MACHINE, box.hook.webhook_id)
    assert box.out.clean() == 1


def test_pages_go_on_behind_the_last_one(box: Box, clock: FixedClock) -> None:
    for key in "abcd":
        box.put(key)
        clock.moment += timedelta(seconds=key == "b")
    whole = box.out.all(box.hook.webhook_id)
    first = box.out.all(box.hook.webhook_id, limit=3)
    rest = box.out.all(box.hook.webhook_id, before=(first[-1].created_at, first[-1].delivery_id))
    assert [*first, *rest] == whole
