"""Reads what the next drain will take while this one writes: reading is Python's work, writing mostly is not.

Nothing is claimed by it. If the next drain takes other rows, or names and sources have changed since, what was read is
thrown away and read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jingzhe.collect.calls import Normalised
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.received import Received, unpacked
from jingzhe.core.errors import StateError
from jingzhe.store.state.inbox import Row

WORTH_IT = 0.5
"""A drain that takes less than this share of what it may leaves nothing to read ahead."""


@dataclass(frozen=True)
class Read:
    """What rows of the inbox hold.

    Args:
        numbers: of the rows.
        normaliser: by which their events were read.
        requests: in order.
        found: their events.
    """

    numbers: tuple[int, ...]
    normaliser: Normaliser
    requests: list[Received]
    found: Normalised

    @classmethod
    def of(cls, rows: Sequence[Row], normaliser: Normaliser) -> Read:
        """Reads rows."""
        requests = [request for row in rows for request in unpacked(row.payload)]
        return cls(tuple(row.number for row in rows), normaliser, requests, normaliser.normalise(requests))

    def is_of(self, rows: Sequence[Row], normaliser: Normaliser) -> bool:
        """Tells whether these rows, read like that, are what was read."""
        return self.numbers == tuple(row.number for row in rows) and self.normaliser == normaliser


class Ahead:
    """Reads in a thread of its own, from when it is made.

    Args:
        take: returns the rows.
        normaliser: reads their events.
    """

    def __init__(self, take: Callable[[], Sequence[Row]], normaliser: Normaliser) -> None:
        self._read: Read | None = None
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(take, normaliser), name="drain ahead")
        self._thread.start()

    def _run(self, take: Callable[[], Sequence[Row]], normaliser: Normaliser) -> None:
        try:
            self._read = Read.of(take(), normaliser)
        except BaseException as error:  # noqa: BLE001 - told where it is waited for
            self._failed = error

    def wait(self) -> Read | None:
        """Returns what was read; None where the inbox could not be reached, as whoever drains next will be told.

        Raises:
            Exception: reading failed; the same rows would fail again.
        """
        self._thread.join()
        if self._failed is not None and not isinstance(self._failed, StateError):
            raise self._failed
        return self._read
