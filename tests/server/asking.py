"""A collector in this process, asked over ASGI: the same app as under a server, without sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.received import Received, unpacked
from jingzhe.collect.write_keys import live_keys
from jingzhe.server.admission import Admission, Limits
from jingzhe.server.collector import Collector
from jingzhe.server.metrics import Metrics
from tests.collect.live import Live, live


@dataclass
class Heard:
    """A log that remembers what it was told."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **values: Any) -> None:
        self.lines.append((event, values))

    warning = error = info


@dataclass
class Asked:
    """The collector under test."""

    shop: Live
    admission: Admission
    client: httpx.AsyncClient
    heard: Heard
    app: Collector

    async def post(self, path: str, body: bytes | str, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Posts with the shop's write key in Basic authorization; another key or ``""`` for none."""
        known = self.shop.write_key if key is None else key
        basic = {"authorization": "Basic " + base64.b64encode(f"{known}:".encode()).decode()} if known else {}
        return await self.client.post(path, content=body, headers={**basic, **headers})

    def kept(self) -> list[Received]:
        """Returns what stands in the inbox."""
        return [request for row in self.shop.inbox.take(events=10**6) for request in unpacked(row.payload)]


def ask(folder: Path, scenario: Callable[[Asked], Awaitable[None]], limits: Limits | None = None) -> None:
    """Runs a scenario against a collector that was started and is stopped afterwards."""
    asyncio.run(_ask(folder, scenario, limits or Limits(free_bytes=0)))


async def _ask(folder: Path, scenario: Callable[[Asked], Awaitable[None]], limits: Limits) -> None:
    async with asking(folder, limits) as asked:
        await scenario(asked)


@asynccontextmanager
async def asking(folder: Path, limits: Limits) -> AsyncIterator[Asked]:
    """Starts a collector, and stops it afterwards."""
    with live(folder) as shop:
        heard = Heard()
        admission = Admission(shop.inbox, lambda: live_keys(shop.warehouse.state), limits, log=heard)
        metrics = Metrics()
        commits = GroupCommit(shop.inbox, shop.clock, metrics.committed)
        app = Collector(admission, commits, shop.clock, metrics, heard)
        await app.start()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://collector") as client:
                yield Asked(shop, admission, client, heard, app)
        finally:
            await app.stop()
