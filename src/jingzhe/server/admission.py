"""Who may send, and how much: write keys, rates, the depth of the inbox, room on the disk."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jingzhe.collect.write_keys import Source
from jingzhe.core.errors import JingzheError
from jingzhe.core.failures import told
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.server.known_keys import KnownKeys
from jingzhe.store.state.inbox import Inbox

_KEYS_SECONDS = 3.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    """What one collector takes.

    Args:
        body_bytes: of a request as it comes.
        inflated_bytes: of what a compressed one holds.
        requests_per_second: of one source; 0 for any number.
        inbox_bytes: that may wait for the drain.
        free_bytes: that have to stay free on the disk.
        retry_seconds: after which a client may try again.
    """

    body_bytes: int = 4 * 2**20
    inflated_bytes: int = 16 * 2**20
    requests_per_second: float = 20_000.0
    inbox_bytes: int = 4 * 2**30
    free_bytes: int = 512 * 2**20
    retry_seconds: int = 10


@dataclass
class _Bucket:
    """Tokens of one source; it holds a second's worth."""

    tokens: float
    at: float


@dataclass
class Admission:
    """Lets requests in.

    Args:
        inbox: whose depth counts.
        keys: gives the sources by the hash of their write keys.
        limits: what is taken.
        seconds: a clock that nobody sets, for rates.
        log: is told what cannot be looked at; None: JSON lines on standard error.
    """

    inbox: Inbox
    keys: Callable[[], Mapping[str, Source]]
    limits: Limits = field(default_factory=Limits)
    seconds: Callable[[], float] = time.monotonic
    log: Log = field(default_factory=log_to_stderr)
    closed: str = ""
    """Why nothing is taken at the moment; empty where it is."""
    waiting_bytes: int = 0
    waiting_events: int = 0
    oldest_us: int | None = None
    _known: KnownKeys = field(init=False)
    _buckets: dict[int, _Bucket] = field(default_factory=dict)
    _failing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = KnownKeys(self.keys, self.seconds)

    def known(self, key: str) -> Source | None:
        """Returns the source of a write key that was used lately, None for others."""
        return self._known.used(key)

    async def source(self, *keys: str) -> Source | None:
        """Returns the source that has one of several write keys, None where no source has any (any more).

        Raises:
            BusyError: too many wait for keys that are not known.
            StateError: the keys cannot be read.
        """
        return await self._known.source(*keys)

    def read_keys(self) -> None:
        """Reads the sources anew; a key that was revoked holds no longer."""
        self._known.read_now()

    def within_rate(self, source: Source) -> bool:
        """Tells whether a source may send now, and counts the request."""
        rate = self.limits.requests_per_second
        if not rate:
            return True
        now = self.seconds()
        bucket = self._buckets.get(source.source_id)
        if bucket is None:
            bucket = self._buckets[source.source_id] = _Bucket(rate, now)
        bucket.tokens = min(rate, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def took(self, size: int) -> None:
        """Counts what was taken since the inbox was looked at last."""
        self.waiting_bytes += size
        if self.waiting_bytes > self.limits.inbox_bytes and not self.closed:
            self.closed = "the inbox is full"

    def look(self) -> None:
        """Looks at inbox and disk, and says whether anything is taken until the next look."""
        try:
            depth = self.inbox.depth()
        except JingzheError as error:
            self.closed = f"the inbox cannot be used: {error.message}"
            return
        self.waiting_bytes, self.waiting_events = depth.size_bytes, depth.events
        self.oldest_us = depth.oldest_us
        folder = self.inbox.folder
        if depth.size_bytes > self.limits.inbox_bytes:
            self.closed = "the inbox is full"
        elif folder is not None and _free_bytes(folder) < self.limits.free_bytes:
            self.closed = "the disk is nearly full"
        else:
            self.closed = ""

    async def keep_looking(self) -> None:
        """Looks again and again, until it is cancelled; what fails is told, and looked at again."""
        while True:
            if not await self._tried("inbox and disk", asyncio.to_thread(self.look)):
                # What cannot be looked at may be full: whoever sends keeps the events until it can.
                self.closed = "inbox and disk cannot be looked at"
            if self.seconds() - self._known.read_at > _KEYS_SECONDS:
                # Where the store is away for a moment, the keys known hold until it is back.
                await self._tried("write keys", self._known.read_anew())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _tried(self, what: str, look: Awaitable[None]) -> bool:
        """Tells whether a look succeeds; a keeper hears of a failure when it begins, changes and ends."""
        try:
            await look
            failure = ""
        except JingzheError as error:
            failure = error.message
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
            failure = told(error)
        before, self._failing[what] = self._failing.get(what, ""), failure
        if failure and failure != before:
            self.log.error("cannot be looked at", what=what, reason=failure)
        elif before and not failure:
            self.log.info("can be looked at again", what=what)
        return not failure

    async def end(self) -> None:
        """Waits for a look at the keys that is under way."""
        await self._known.end()


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
