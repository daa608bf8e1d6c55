"""Load on a collector: requests of Segment's SDK over raw sockets, made beforehand, each with messages of its own."""

from __future__ import annotations

import asyncio
import json
import os
import time
from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvloop

_BODIES = 200
_MARK = b"@@@@@@@@@@@@"


def event(number: int) -> dict[str, Any]:
    """Returns an event as Segment's Python SDK writes it."""
    return {
        "type": "track", "event": "Product Viewed", "userId": f"u{number % 5000}", "anonymousId": None,
        "messageId": f"{_MARK.decode()}-{number:08}", "timestamp": "2026-03-05T12:00:00.000Z", "integrations": {},
        "properties": {"product_id": f"p{number % 100}", "price": 12.5, "category": f"c{number % 9}",
                       "url": f"https://shop.example/p/{number}"},
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
    }  # fmt: skip


def requests(key: str, batch: int) -> list[bytes]:
    """Returns requests in which a mark stands for what makes the messages new each time."""
    auth, listed = b64encode(f"{key}:".encode()).decode(), []
    for number in range(_BODIES):
        many = [event(number * batch + place) for place in range(batch)]
        said: Any = many[0] if batch == 1 else {"batch": many, "sentAt": "2026-03-05T12:00:00.500Z"}
        body = json.dumps(said).encode()
        head = (
            f"POST /v1/{'track' if batch == 1 else 'batch'} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {auth}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        listed.append(head.encode() + body)
    return listed


@dataclass
class Load:
    """One load on one port.

    Args:
        port: where.
        connections: each sends its next request when it has the answer.
        seconds: how long.
        bodies: what is sent, round and round.
        pace: requests a second of all connections together; 0 for as many as go.
    """

    port: int
    connections: int
    seconds: float
    bodies: list[bytes]
    pace: float = 0.0
    took: list[float] = field(default_factory=list)
    bad: int = 0
    end: float = 0.0
    sent: int = 0

    def run(self) -> Load:
        uvloop.run(self._run())
        return self

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self.end = loop.time() + self.seconds
        done = [loop.create_future() for _ in range(self.connections)]
        for number in range(self.connections):
            await loop.create_connection(partial(_Client, self, done[number]), "127.0.0.1", self.port)
        await asyncio.gather(*done)

    def percentile_ms(self, share: float) -> float:
        return sorted(self.took)[int(len(self.took) * share)] * 1000


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self._load, self._done = load, done
        self._loop = asyncio.get_running_loop()
        self._salt = os.urandom(3).hex().encode()
        self._count, self._buffer, self._begun = 0, b"", 0.0
        self._next_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def _send(self) -> None:
        load, now = self._load, self._loop.time()
        if now >= load.end:
            self._transport.close()
            self._done.set_result(None)
            return
        if load.pace and self._next_at > now:
            self._loop.call_at(self._next_at, self._send)
            return
        self._next_at += load.connections / load.pace if load.pace else 0.0
        body = load.bodies[load.sent % len(load.bodies)]
        load.sent += 1
        self._count += 1
        self._begun = time.perf_counter()
        self._transport.write(body.replace(_MARK, self._salt + b"%06x" % self._count))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        low = self._buffer[:head].lower()
        place = low.find(b"content-length:")
        size = int(low[place + 15 :].split(b"\r", 1)[0])
        if len(self._buffer) < head + 4 + size:
            return
        self._load.bad += not self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer = self._buffer[head + 4 + size :]
        self._load.took.append(time.perf_counter() - self._begun)
        self._send()
