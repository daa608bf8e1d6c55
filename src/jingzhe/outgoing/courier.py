"""The courier: fills the outbox and delivers what is due, in threads beside the worker, so that no drain waits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from jingzhe.core import failures
from jingzhe.core.errors import JingzheError
from jingzhe.core.log import Log
from jingzhe.core.tracing import span
from jingzhe.outgoing import signing
from jingzhe.outgoing.deliveries import Deliveries, Delivery
from jingzhe.outgoing.gathering import Gathering
from jingzhe.outgoing.kinds import PING, Message
from jingzhe.outgoing.sending import Reply, post
from jingzhe.outgoing.webhooks import Webhook, Webhooks
from jingzhe.store.warehouse import Warehouse

AT_ONCE = 16
EACH_AT_ONCE = 4
"""So many requests are under way to one receiver at most: a slow one does not hold up the others."""
_CLEAN_SECONDS = 3600.0

Post = Callable[[str, dict[str, str], bytes], Reply]


@dataclass
class Courier:
    """One courier; close it.

    Args:
        warehouse: of the project.
        log: is told what was delivered, without anything of people in it.
        private: True where receivers in the own network are allowed.
        pause_seconds: between two rounds.
        send: how a message is sent; None: over the network.
        seconds: a clock that nobody sets.
        gathering: fills the outbox; None: the usual way.
    """

    warehouse: Warehouse
    log: Log
    private: bool = False
    pause_seconds: float = 1.0
    send: Post | None = None
    seconds: Callable[[], float] = time.monotonic
    gathering: Gathering | None = None
    _busy: dict[Future[None], str] = field(default_factory=dict)
    _clean_due: float = 0.0

    def __post_init__(self) -> None:
        state, clock = self.warehouse.state, self.warehouse.clock
        self.webhooks = Webhooks(state, clock, private=self.private)
        self.deliveries = Deliveries(state, clock)
        if self.gathering is None:
            self.gathering = Gathering(self.warehouse, self.deliveries, self.log, seconds=self.seconds)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")

    def close(self) -> None:
        """Waits for what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, ending: threading.Event) -> None:
        """Works until ``ending`` is set; what fails is logged and tried again."""
        try:
            while not ending.is_set():
                begun = 0
                try:
                    begun = self.step()
                except JingzheError as error:
                    self.log.error("webhooks cannot be told", code=error.code, reason=error.message)
                except Exception as error:  # noqa: BLE001 - the worker lives on, and its keeper is told
                    self.log.error("webhooks cannot be told", code="internal", reason=failures.told(error))
                if not begun:
                    ending.wait(self.pause_seconds)
        finally:
            self.close()

    def step(self) -> int:
        """Fills the outbox and begins to send what is due; returns how many messages were begun."""
        self._settle()
        live = self.webhooks.live()
        if self.seconds() >= self._clean_due:
            self.deliveries.clean()
            self._clean_due = self.seconds() + _CLEAN_SECONDS
        begun = 0
        for webhook in live:
            if self.gathering is not None:
                self.gathering.fill(webhook)
            begun += self._begin(webhook)
        return begun

    def finish(self, timeout_seconds: float = 60.0) -> None:
        """Waits until nothing is under way."""
        wait(list(self._busy), timeout_seconds)
        self._settle()

    def _begin(self, webhook: Webhook) -> int:
        mine = Counter(self._busy.values())[webhook.webhook_id]
        room = min(EACH_AT_ONCE - mine, AT_ONCE - len(self._busy))
        if room <= 0:
            return 0
        due = self.deliveries.claim(webhook.webhook_id, room)
        for delivery in due:
            self._busy[self._pool.submit(self._deliver, webhook, delivery)] = webhook.webhook_id
        return len(due)

    def _settle(self) -> None:
        """Forgets what is done; what went wrong in a thread is told here."""
        for future in [one for one in self._busy if one.done()]:
            del self._busy[future]
            error = future.exception()
            if error is not None and not isinstance(error, JingzheError):
                raise error
            if error is not None:
                self.log.error("a delivery could not be marked and will be tried again", reason=str(error)[:200])

    def _deliver(self, webhook: Webhook, delivery: Delivery) -> None:
        with span("jingzhe.webhook", "client") as told:
            reply = self._sent(webhook, delivery.delivery_id, delivery.payload)
            status = self.deliveries.mark(delivery, reply)
            told.set(jingzhe__kind=delivery.kind, jingzhe__tries=delivery.tries + 1, jingzhe__outcome=status)
            if not reply.took_it:
                told.failed(str(reply.status or "no answer"))
        self.log.info(
            "webhook tried", webhook=webhook.webhook_id, kind=delivery.kind, tries=delivery.tries + 1, status=status,
            answer=reply.status,
        )  # fmt: skip

    def _sent(self, webhook: Webhook, message_id: str, payload: bytes) -> Reply:
        # The time of this try, not of the first: receivers refuse what is minutes old, as a protection from replays.
        timestamp = int(self.warehouse.clock.now().timestamp())
        headers = signing.headers(webhook.secrets, message_id, timestamp, payload)
        send = self.send or partial(post, private=self.private)
        return send(webhook.url, headers, payload)

    def ping(self, webhook_id: str) -> Reply:
        """Sends a test message at once, once; it stands in no log.

        Raises:
            NotThereError: there is no such webhook.
        """
        webhook, now = self.webhooks.get(webhook_id), self.warehouse.clock.now()
        message = Message(PING, f"{now.isoformat()}", now, {"webhook_id": webhook_id})
        return self._sent(webhook, message.delivery_id(webhook_id), message.payload())
