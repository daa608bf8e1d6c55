"""A writer that is stopped while it holds the lease, on both databases: another takes over, the late one is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue

import pytest

from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import JingzheError
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.vacuum import vacuum
from tests.store.small import append, event, ids, live_in, opened, published, stored_in
from tests.store.state.conftest import postgres_server, postgres_url, state_url
from tests.store.worker import processes

__all__ = ["postgres_server", "postgres_url", "state_url"]
LEASE_SECONDS = 3.0


@contextmanager
def short_leases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jingzhe.store.state.leases.LEASE_SECONDS", LEASE_SECONDS)
        patch.setattr("jingzhe.store.state.leases.RENEW_SECONDS", 0.5)
        yield


def write_late(folder: Path, url: str, held: Event, awake: Event, told: Queue[str]) -> None:
    """Writes, is stopped before it publishes, and tells how that ended."""
    with short_leases(), opened(folder, url, clock=SystemClock()) as warehouse:
        try:
            with warehouse.writing("stalls") as writing:
                append(writing, EVENTS, [event(1, 1)])
                append(writing, ITEMS, [event(1, 1)])
                held.set()
                awake.wait(120)
                writing.publish("stalls")
                told.put("published")
        except JingzheError as error:
            told.put(error.code)


def test_another_takes_over_when_the_lease_has_expired(tmp_path: Path, state_url: str) -> None:
    with short_leases(), opened(tmp_path, state_url, clock=SystemClock()) as warehouse, processes() as context:
        held, awake, told = context.Event(), context.Event(), context.Queue()
        late = context.Process(target=write_late, args=(tmp_path, state_url, held, awake, told))
        late.start()
        assert held.wait(120)
        assert late.pid is not None
        begun = time.monotonic()
        os.kill(late.pid, signal.SIGSTOP)
        published(warehouse, [event(2, 2)])
        # It lives as far as anybody can tell, so only time lets others in.
        assert LEASE_SECONDS / 4 < time.monotonic() - begun < 8 * LEASE_SECONDS
        os.kill(late.pid, signal.SIGCONT)
        awake.set()
        assert told.get(timeout=120) == "busy"
        late.join(120)
        assert late.exitcode == 0
        with warehouse.reading() as session:
            assert ids(session) == ids(session, "items") == [2]
        assert published(warehouse, [event(3, 3)]).seq == 2
        vacuum(warehouse, keep_hours=0)
        assert stored_in(warehouse) == live_in(warehouse)
