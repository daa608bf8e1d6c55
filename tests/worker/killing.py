"""Kills collectors and workers at random moments under load, and balances the books after each."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import socket
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.server.serving import Listen, collector, serve
from jingzhe.worker.loop import Cadence, Worker
from tests.server.asking import Heard

_CLIENTS = 4
_QUICK = Cadence(drain_seconds=0.05, refresh_seconds=0.2, gather_seconds=0.5, compact_seconds=1.0, retry_seconds=0.05)


def opened(home: Path, url: str) -> Workspace:
    return open_workspace(home, state_url=url, memory_limit_mb=300, threads=1)


def collect(home: Path, url: str, port: int) -> None:
    with opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        app = collector(workspace.warehouse.state, inbox, clock=SystemClock(), log=Heard())
        serve(app, Listen(port=port))


def work(home: Path, url: str) -> None:
    with opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        Worker(workspace, drain_of(workspace, inbox), Heard(), _QUICK).run()


@contextmanager
def processes() -> Iterator[ForkServerContext]:
    """Gives processes that start at once: they are forked from one that has loaded everything and used nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.killing"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield context


@dataclass
class Clients:
    """Clients that send until they are told to stop, and remember what was acknowledged."""

    port: int
    write_key: str
    sent: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    unpaced: int = 0
    """Answers that send the client away without saying for how long."""
    _number: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def sending(self) -> Iterator[None]:
        stop = threading.Event()
        threads = [threading.Thread(target=self._send, args=(stop, seed)) for seed in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _send(self, stop: threading.Event, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
        head = {"authorization": "Basic " + b64encode(f"{self.write_key}:".encode()).decode()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            while not stop.is_set():
                with self._lock:
                    numbers = [next(self._number) for _ in range(draw.choice([1, 1, 3, 20]))]
                    self.sent.update(numbers)
                # A message whose fate is not known is sent again, as SDKs do, until the collector has answered.
                while not self._once(connection, numbers, head):
                    connection.close()
                    if stop.wait(0.02):
                        return

    def _once(self, connection: http.client.HTTPConnection, numbers: list[int], head: dict[str, str]) -> bool:
        events = [
            {"type": "track", "event": "Order Completed", "userId": f"u{number % 50}", "anonymousId": f"a{number % 70}",
             "messageId": f"m{number}", "properties": {"n": number, "revenue": 1}}
            for number in numbers
        ]  # fmt: skip
        try:
            connection.request("POST", "/v1/batch", json.dumps({"batch": events}), head)
            status = connection.getresponse()
            status.read()
        except (OSError, http.client.HTTPException):
            return False
        with self._lock:
            self.answers[status.status] += 1
            if status.status == 503:
                self.unpaced += not (status.getheader("retry-after") or "").isdigit()
            if status.status == 200:
                self.acknowledged.update(numbers)
        return status.status == 200

    def take(self) -> int:
        """Returns a number for an event that something else sends, as a client of its own."""
        with self._lock:
            number = next(self._number)
            self.sent.add(number)
        return number

    def hear(self, numbers: set[int]) -> None:
        """Counts events that something else sent as acknowledged."""
        with self._lock:
            self.acknowledged.update(numbers)


def balance(home: Path, url: str, clients: Clients) -> None:
    """Drains what waits, then makes sure that what was acknowledged is there, once, and nothing that was not sent."""
    with opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        drain = drain_of(workspace, inbox)
        while drain.run().rows:
            pass
        found = workspace.sql(
            "SELECT CAST(json_extract_string(properties, '$.n') AS BIGINT) AS n, event_id, person_id FROM event_details"
        )
        numbers = found["n"].to_pylist()
        assert len(numbers) == len(set(numbers)), "something is there twice"
        assert clients.acknowledged <= set(numbers), "something acknowledged is lost"
        assert set(numbers) <= clients.sent
        sums = workspace.sql("SELECT count(*) AS n, count(DISTINCT event_id) AS d, sum(revenue) AS r FROM events")
        assert [int(value) for value in sums.to_pylist()[0].values()] == [len(numbers)] * 3
        assert inbox.depth().rows == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_servers(home: Path, url: str, *, times: int, seed: int) -> None:
    """Kills collector, worker or both ``times`` times; after each the books balance."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(home, url) as workspace:
        key = add_source(workspace.warehouse.state, "shop", clock=SystemClock())
    clients = Clients(free_port(), key)
    with processes() as context:
        for number in range(times):
            before = len(clients.acknowledged)
            running = [
                context.Process(target=collect, args=(home, url, clients.port)),
                context.Process(target=work, args=(home, url)),
            ]
            for process in running:
                process.start()
            with clients.sending():
                give_up = time.monotonic() + 60
                while len(clients.acknowledged) < before + 20:
                    assert time.monotonic() < give_up, "nothing was acknowledged"
                    time.sleep(0.005)
                time.sleep(draw.uniform(0, 0.4))
                first = draw.choice([(0, 1), (1, 0), (0,), (1,)])
                for which in first:
                    running[which].kill()
                    time.sleep(draw.uniform(0, 0.05))
            for process in running:
                with suppress(ProcessLookupError):
                    process.kill()
                process.join()
            balance(home, url, clients)
            assert len(clients.acknowledged) > before, number
