"""A small project that takes live events: a warehouse, an inbox, a source, and people told apart by their first key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jingzhe.collect.draining import Drain
from jingzhe.collect.observing import Observed
from jingzhe.collect.received import Received, packed
from jingzhe.collect.seen import Seen
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.wire.segment import Checked
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.store.query import one
from jingzhe.store.state.inbox import Group, Inbox
from jingzhe.store.warehouse import Warehouse
from tests.store.small import opened

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
LIMIT = 2**24


@dataclass
class FirstKey:
    """Tells people apart by the first key of a call; enough to see whose calls are whose."""

    numbers: dict[str, int] = field(default_factory=dict)

    def __call__(self, seen: Observed) -> NDArray[np.int64]:
        homes = []
        for row in zip(*(values for _, values in seen.columns), strict=True):
            key = next((value for value in row if value is not None), None)
            junk = key is None or key == "0"
            homes.append(0 if junk else self.numbers.setdefault(str(key), len(self.numbers) + 1))
        return np.array(homes or [0] * len(seen.events), np.int64)


@dataclass
class Live:
    """The project, and what tests do with it."""

    warehouse: Warehouse
    inbox: Inbox
    drain: Drain
    clock: FixedClock
    write_key: str

    def put(self, *requests: Received) -> None:
        events = sum(one.events for one in requests)
        self.inbox.append(Group(len(requests), events, int(self.clock.now().timestamp() * 1e6), packed(requests)))

    def segment(self, *events: dict[str, Any], source_id: int = 1, **batch: Any) -> None:
        """Puts one batch into the inbox as the collector does."""
        self.put(self.received({"batch": list(events), **batch}, source_id))

    def received(self, batch: dict[str, Any], source_id: int = 1) -> Received:
        """Returns a batch as the collector hands it over."""
        checked = segment.check(json.dumps(batch, default=str).encode(), "batch", LIMIT)
        return self._received("segment", "batch", checked, source_id)

    def sensors(self, *events: dict[str, Any]) -> None:
        checked = sensors.check(json.dumps(list(events)).encode(), b"", LIMIT)
        self.put(self._received("sensors", "", checked, 1))

    def _received(self, protocol: Any, call: str, checked: Checked, source_id: int) -> Received:
        received_us = int(self.clock.now().timestamp() * 1e6)
        return Received(
            source_id, protocol, call, received_us, "", "test agent", "loopback", checked.events, checked.body
        )

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self.warehouse.reading() as session:
            found: list[dict[str, Any]] = session.run(one("asked", sql)).to_pylist()
        return found


@contextmanager
def live(folder: Path, url: str | None = None, **drain: Any) -> Iterator[Live]:
    """Opens the project in ``folder``, with one source that is called shop."""
    clock = FixedClock(NOON)
    with opened(folder, url, clock=clock) as warehouse, Inbox.open(url or f"sqlite:///{folder / 'inbox.db'}") as inbox:
        key = add_source(warehouse.state, "shop", clock=clock)
        # For these tests the clock that nobody sets goes as fast as the other one.
        seen = Seen(7.0, seconds=lambda: clock.now().timestamp())
        yield Live(warehouse, inbox, Drain(warehouse, inbox, FirstKey(), **{"seen": seen, **drain}), clock, key)


def track(name: str = "Order Completed", **fields: Any) -> dict[str, Any]:
    """Returns a track call of u1 at noon, with what is given in place of it."""
    return {
        "type": "track", "event": name, "userId": "u1", "messageId": f"m-{name}", "timestamp": "2026-03-05T12:00:00Z",
        "properties": {}, **fields,
    }  # fmt: skip
