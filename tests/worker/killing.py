"""Kills collectors and workers at random moments under load, and balances the books after each.

Processes that are forked from one that has loaded everything start at once, so many can be killed;
:mod:`tests.worker.killing_commands` does the same to the command that people start.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.server.serving import Listen, collector, serve
from jingzhe.worker.loop import Cadence, Worker
from tests.ports import free_port
from tests.server.asking import Heard
from tests.worker.books import SHOP, balance, opened
from tests.worker.sending import Clients

QUICK = Cadence(drain_seconds=0.05, refresh_seconds=0.2, gather_seconds=0.5, compact_seconds=1.0, retry_seconds=0.05)


def collect(home: Path, url: str, port: int) -> None:
    with opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        app = collector(workspace.warehouse.state, inbox, clock=SystemClock(), log=Heard())
        serve(app, Listen(port=port))


def work(home: Path, url: str) -> None:
    with opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        Worker(workspace, drain_of(workspace, inbox), Heard(), QUICK).run()


@contextmanager
def processes() -> Iterator[ForkServerContext]:
    """Gives processes that start at once: they are forked from one that has loaded everything and used nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.killing"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield context


def kill_servers(home: Path, url: str, *, times: int, seed: int) -> None:
    """Kills collector, worker or both ``times`` times; after each the books balance."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(home, url) as workspace:
        key = add_source(workspace.warehouse.state, SHOP, clock=SystemClock())
    clients = Clients(free_port(), key)
    with processes() as context, clients.sending():
        for _ in range(times):
            running = [
                context.Process(target=collect, args=(home, url, clients.port)),
                context.Process(target=work, args=(home, url)),
            ]
            for process in running:
                process.start()
            clients.more(20, "something is acknowledged")
            time.sleep(draw.uniform(0, 0.4))
            for which in draw.choice([(0, 1), (1, 0), (0,), (1,)]):
                running[which].kill()
                time.sleep(draw.uniform(0, 0.05))
            for process in running:
                process.kill()
                process.join()
            balance(home, url, clients)
    balance(home, url, clients, last=True)
    assert clients.mended, "nothing was mended and replayed"
    assert clients.repeated & clients.acknowledged, "nothing was sent again"
