"""From the outbox to a receiver that really listens: taken, refused, slow, gone, and killed in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Checker

from jingzhe.access.actor import MACHINE
from jingzhe.core.clock import FixedClock, SystemClock
from jingzhe.outgoing.courier import Courier
from jingzhe.outgoing.deliveries import Deliveries, Delivery, put
from jingzhe.outgoing.kinds import EVENTS, Message
from jingzhe.outgoing.webhooks import NewWebhook, Webhook
from jingzhe.store.warehouse import Warehouse
from tests.outgoing.receiver import Receiver
from tests.server.asking import Heard
from tests.store.small import opened


@dataclass
class Office:
    """A courier and its outbox."""

    warehouse: Warehouse
    clock: FixedClock
    courier: Courier

    def hook(self, url: str) -> tuple[Webhook, str]:
        return self.courier.webhooks.add(MACHINE, NewWebhook("CRM", url, (EVENTS,)))

    def put(self, hook: Webhook, *keys: str) -> None:
        with self.warehouse.state.writing() as connection:
            now = self.clock.now()
            put(connection, hook.webhook_id, [Message(EVENTS, key, now, {"key": key}) for key in keys], now)

    def work(self) -> int:
        begun = self.courier.step()
        self.courier.finish()
        return begun

    def sent(self, hook: Webhook) -> list[Delivery]:
        return self.courier.deliveries.all(hook.webhook_id)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    clock = FixedClock(SystemClock().now())
    with opened(tmp_path, clock=clock) as warehouse:
        courier = Courier(warehouse, Heard(), private=True)
        yield Office(warehouse, clock, courier)
        courier.close()


def test_a_receiver_gets_every_message_and_can_check_it(office: Office, receiver: Receiver) -> None:
    hook, secret = office.hook(receiver.url)
    office.put(hook, "a", "b", "c", "d", "e", "f")
    assert office.work() == 4  # at once to one receiver
    assert office.work() == 2
    assert office.work() == 0
    said = sorted(Checker(secret).verify(got.body, got.headers)["data"]["key"] for got in receiver.got)
    assert said == ["a", "b", "c", "d", "e", "f"]
    assert {one.delivery_id for one in office.sent(hook)} == {got.message_id for got in receiver.got}
    assert {(one.status, one.answer_status, one.answer) for one in office.sent(hook)} == {("delivered", 200, "as told")}
    assert office.courier.webhooks.get(hook.webhook_id).delivered_at == office.clock.now()


def test_what_failed_is_tried_again_with_the_same_id_and_a_new_time(office: Office, receiver: Receiver) -> None:
    hook, secret = office.hook(receiver.url)
    office.put(hook, "a")
    receiver.status = 503
    office.work()
    assert office.work() == 0
    office.clock.moment += timedelta(seconds=6)
    receiver.status = 204
    assert office.work() == 1
    first, second = receiver.got
    assert first.message_id == second.message_id
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 6
    Checker(secret).verify(second.body, second.headers)
    assert [(one.status, one.tries) for one in office.sent(hook)] == [("delivered", 2)]


def test_410_ends_it(office: Office, receiver: Receiver) -> None:
    hook, _ = office.hook(receiver.url)
    office.put(hook, "a")
    receiver.status = 410
    office.work()
    office.put(hook, "b")
    assert office.work() == 0
    assert office.courier.webhooks.get(hook.webhook_id).disabled_at is not None
    assert len(receiver.got) == 1


def test_a_slow_receiver_holds_up_nobody_else(office: Office, receiver: Receiver) -> None:
    with Receiver(wait=threading.Event()) as slow:
        stuck, _ = office.hook(slow.url)
        quick, _ = office.hook(receiver.url)
        office.put(stuck, *"abcdefgh")
        office.put(quick, "x")
        office.courier.step()
        until(lambda: len(receiver.got) == 1 and len(slow.got) == 4)
        office.put(quick, "y")
        office.courier.step()
        until(lambda: len(receiver.got) == 2)
        assert len(slow.got) == 4
        assert slow.wait is not None
        slow.wait.set()
        office.courier.finish()


def test_a_test_message_goes_out_at_once_and_says_what_came_back(office: Office, receiver: Receiver) -> None:
    hook, secret = office.hook(receiver.url)
    receiver.status = 418
    reply = office.courier.ping(hook.webhook_id)
    assert (reply.status, reply.took_it) == (418, False)
    (got,) = receiver.got
    assert Checker(secret).verify(got.body, got.headers)["type"] == "webhook.ping"
    assert office.sent(hook) == []


def test_it_works_in_a_thread_until_it_is_told_to_end(office: Office, receiver: Receiver) -> None:
    hook, _ = office.hook(receiver.url)
    office.put(hook, "a")
    office.courier.pause_seconds = 0.05
    ending = threading.Event()
    thread = threading.Thread(target=office.courier.run, args=(ending,))
    thread.start()
    until(lambda: len(receiver.got) == 1)
    ending.set()
    thread.join(120)
    assert not thread.is_alive()
    assert [one.status for one in office.sent(hook)] == ["delivered"]


def test_killed_between_sending_and_marking_it_is_sent_again_under_the_same_id(tmp_path: Path) -> None:
    with opened(tmp_path, clock=SystemClock()) as warehouse, Receiver(wait=threading.Event()) as receiver:
        courier = Courier(warehouse, Heard(), private=True)
        hook, _ = courier.webhooks.add(MACHINE, NewWebhook("CRM", receiver.url, (EVENTS,)))
        now = SystemClock().now()
        with warehouse.state.writing() as connection:
            put(connection, hook.webhook_id, [Message(EVENTS, "a", now, {})], now)
        process = subprocess.Popen([sys.executable, "-c", _SENDER, str(tmp_path)], env={**os.environ})
        try:
            # The receiver has it, and the answer is not there yet.
            until(lambda: len(receiver.got) == 1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert receiver.wait is not None
        receiver.wait.set()
        (row,) = Deliveries(warehouse.state, SystemClock()).all(hook.webhook_id)
        assert (row.status, row.tries) == ("waiting", 0)
        later = FixedClock(SystemClock().now())
        assert Deliveries(warehouse.state, later).claim(hook.webhook_id, 1) == []
        later.moment += timedelta(seconds=61)
        courier.deliveries = Deliveries(warehouse.state, later)
        courier.step()
        courier.finish()
        courier.close()
        first, second = receiver.got
        assert first.message_id == second.message_id
        assert [one.status for one in courier.deliveries.all(hook.webhook_id)] == ["delivered"]


_SENDER = """
import sys
from pathlib import Path
from jingzhe.core.clock import SystemClock
from jingzhe.outgoing.courier import Courier
from tests.server.asking import Heard
from tests.store.small import opened

with opened(Path(sys.argv[1]), clock=SystemClock()) as warehouse:
    courier = Courier(warehouse, Heard(), private=True)
    courier.step()
    courier.finish()
"""


def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.02)
