"""Which write keys hold: read from the state store once for all who ask, and soon again for a key not known yet.

A key may have been made this moment, by the API or by another process, and SDKs drop their events when they are told
that nobody has it. So whoever shows an unknown key waits for a look that began after they came. Those who guess cannot
make it slow: all wait for the same look, there is one in a quarter of a second at most, and few may wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jingzhe.collect.write_keys import Source, key_hash
from jingzhe.core.errors import BusyError

LOOK_SECONDS = 0.25
"""From the end of one look at the keys to the beginning of the next at least."""
MOST_WAITING = 256
"""So many requests with unknown keys wait at most; each of them may hold a whole body in memory."""
_WAIT_SECONDS = 5.0
_REMEMBERED = 10_000
_LONGEST_KEY = 200


@dataclass
class KnownKeys:
    """The write keys that hold; to be used from one event loop.

    Args:
        read: gives the sources by the hash of their write keys; is called in a thread.
        seconds: a clock that nobody sets.
    """

    read: Callable[[], Mapping[str, Source]]
    seconds: Callable[[], float] = time.monotonic
    read_at: float = float("-inf")
    """When the last look ended, also one that failed."""
    _by_hash: Mapping[str, Source] = field(default_factory=dict)
    _by_key: dict[str, Source] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)
    _begun: int = 0
    _done: int = 0
    _waiting: int = 0
    _look: asyncio.Task[None] | None = None

    def used(self, key: str) -> Source | None:
        """Returns the source of a write key that was used lately, None for others."""
        return self._by_key.get(key)

    async def source(self, *keys: str) -> Source | None:
        """Returns the source that has one of several keys, the first where there are more, None where none has.

        Raises:
            BusyError: too many wait for keys that are not known.
            StateError: the keys cannot be read.
        """
        hashes = {key: key_hash(key) for key in keys if 0 < len(key) <= _LONGEST_KEY}
        if not self._holds(hashes) and not self._unknown.issuperset(hashes.values()):
            await self._looked_up(hashes)
        for key, hashed in hashes.items():
            found = self._by_hash.get(hashed)
            if found is not None:
                if len(self._by_key) < _REMEMBERED:
                    self._by_key[key] = found
                return found
        return None

    def read_now(self) -> None:
        """Reads the keys anew in this thread, before or beside the loop; one that was revoked holds no longer."""
        self._take(self.read())

    async def read_anew(self) -> None:
        """Reads the keys anew; one that was revoked holds no longer, one that was not known may be asked for again.

        Raises:
            StateError: they cannot be read; those that were known hold until they can.
        """
        self._unknown.clear()
        await asyncio.shield(self._next())

    async def end(self) -> None:
        """Waits for a look that is under way."""
        if self._look is not None:
            await asyncio.wait({self._look})

    def _holds(self, hashes: Mapping[str, str]) -> bool:
        return any(hashed in self._by_hash for hashed in hashes.values())

    async def _looked_up(self, hashes: Mapping[str, str]) -> None:
        """Waits until one of the keys is known, or a look has ended that began after this was asked."""
        if self._waiting >= MOST_WAITING:
            raise BusyError("Too many requests with write keys that are not known", hint="Send the request again.")
        self._waiting += 1
        # One that is under way may have read before the key was made.
        wanted = self._begun + 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while self._done < wanted and not self._holds(hashes):
                    await asyncio.shield(self._next())
        except TimeoutError as error:
            raise BusyError("The write keys cannot be looked up in time", hint="Send the request again.") from error
        finally:
            self._waiting -= 1
        if len(self._unknown) < _REMEMBERED:
            # A key is made by chance and shown afterwards: one that was not there when it came never will be.
            self._unknown.update(hashed for hashed in hashes.values() if hashed not in self._by_hash)

    def _next(self) -> asyncio.Task[None]:
        """Returns the look that is under way, or waits for its time."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._looked())
            self._look.add_done_callback(_heard)
        return self._look

    async def _looked(self) -> None:
        await asyncio.sleep(max(0.0, self.read_at + LOOK_SECONDS - self.seconds()))
        self._begun += 1
        number = self._begun
        try:
            found = await asyncio.to_thread(self.read)
        finally:
            self.read_at = self.seconds()
        self._take(found)
        self._done = number

    def _take(self, found: Mapping[str, Source]) -> None:
        self._by_hash, self._by_key, self.read_at = found, {}, self.seconds()


def _heard(look: asyncio.Task[None]) -> None:
    """Takes the failure of a look for which nobody waits any more."""
    if not look.cancelled():
        look.exception()
