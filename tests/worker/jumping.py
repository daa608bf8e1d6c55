"""Collector and worker at work while their clock is set, hours and years ahead and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.core.log import log_to_stderr
from jingzhe.server.serving import Listen, collector, serve
from jingzhe.worker.loop import Worker
from tests.ports import free_port
from tests.worker.books import SHOP, arrived, balance, opened
from tests.worker.killing import QUICK, processes
from tests.worker.sending import Clients

JUMPS = (timedelta(hours=1), timedelta(hours=-1), timedelta(days=400), timedelta(days=-400))
"""How wrong the clock stands; between them it is right."""
_EVENTS = 150
_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Wrong:
    """A clock that is wrong by as much as others say.

    Args:
        by: seconds, shared by processes.
    """

    by: Synchronized[float]

    def now(self) -> datetime:
        """Returns the moment it shows."""
        return datetime.now(UTC) + timedelta(seconds=self.by.value)


def collect(home: Path, url: str, port: int, by: Synchronized[float]) -> None:
    clock, log = Wrong(by), log_to_stderr()
    with opened(home, url, clock) as workspace, open_inbox(workspace.settings) as inbox:
        serve(collector(workspace.warehouse.state, inbox, clock=clock, log=log), Listen(port=port))


def work(home: Path, url: str, by: Synchronized[float]) -> None:
    with opened(home, url, Wrong(by)) as workspace, open_inbox(workspace.settings) as inbox:
        Worker(workspace, drain_of(workspace, inbox), log_to_stderr(), QUICK).run()


def jump(home: Path, url: str, *, times: int) -> None:
    """Sets the clock of a running server, ``times`` times as far as each of :data:`JUMPS`; then the books balance.

    No process dies, so everything that is counted is exactly what was sent.
    """
    with opened(home, url) as workspace:
        key = add_source(workspace.warehouse.state, SHOP, clock=SystemClock())
    clients = Clients(free_port(), key)
    with processes() as context:
        by: Synchronized[float] = context.Value("d", 0.0)
        with _running(context, home, url, clients, by), clients.sending(), opened(home, url) as workspace:
            for step in (timedelta(0), *(each for wrong in JUMPS * times for each in (wrong, timedelta(0)))):
                by.value = step.total_seconds()
                clients.more(_EVENTS, f"events are taken when the clock is wrong by {step}")
                goal, give_up = set(clients.acknowledged), time.monotonic() + _PATIENCE_SECONDS
                while not goal <= arrived(workspace):
                    assert time.monotonic() < give_up, f"nothing is drained when the clock is wrong by {step}"
                    time.sleep(0.3)
    # Facts that were received in years to come are in no profile of today.
    last = max(JUMPS) + timedelta(days=2)
    balance(home, url, clients, last=True, as_of=(SystemClock().now() + last).date())
    assert set(clients.answers) == {200}, clients.answers
    assert clients.doubtful == 0
    assert clients.repeated & clients.acknowledged, "nothing was sent again"


@contextmanager
def _running(
    context: ForkServerContext, home: Path, url: str, clients: Clients, by: Synchronized[float]
) -> Iterator[None]:
    with ExitStack() as held:
        worker = context.Process(target=work, args=(home, url, by))
        server = context.Process(target=collect, args=(home, url, clients.port, by))
        for process in (worker, server):
            process.start()
            held.callback(process.join)
            held.callback(process.kill)
        yield
        for process in (worker, server):
            assert process.is_alive(), "a process has ended"
        server.terminate()
        server.join(_PATIENCE_SECONDS)
        assert server.exitcode == 0
