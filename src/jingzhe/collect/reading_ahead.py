"""Reads what the next drain will take while this one writes.

Nothing is claimed by it. If the next drain takes other rows, or names and sources have changed since, what was read is
thrown away and read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.reading_process import Contents, Reader
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
        contents: what they hold.
    """

    numbers: tuple[int, ...]
    normaliser: Normaliser
    contents: Contents

    @classmethod
    def of(cls, rows: Sequence[Row], normaliser: Normaliser) -> Read:
        """Reads rows."""
        contents = Contents.of([row.payload for row in rows], normaliser)
        return cls(tuple(row.number for row in rows), normaliser, contents)

    def is_of(self, rows: Sequence[Row], normaliser: Normaliser) -> bool:
        """Tells whether these rows, read like that, are what was read."""
        return self.numbers == tuple(row.number for row in rows) and self.normaliser == normaliser


class Ahead:
    """Reads from when it is made, in a thread that waits for the reader's process.

    Args:
        take: returns the rows.
        normaliser: reads their events.
        reader: the process.
    """

    def __init__(self, take: Callable[[], Sequence[Row]], normaliser: Normaliser, reader: Reader) -> None:
        self._read: Read | None = None
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(take, normaliser, reader), name="drain ahead")
        self._thread.start()

    def _run(self, take: Callable[[], Sequence[Row]], normaliser: Normaliser, reader: Reader) -> None:
        try:
            rows = take()
            contents = reader.read([row.payload for row in rows], normaliser)
            if contents is not None:
                self._read = Read(tuple(row.number for row in rows), normaliser, contents)
        except BaseException as error:  # noqa: BLE001 - told where it is waited for
            self._failed = error

    def wait(self) -> Read | None:
        """Returns what was read; None where inbox or reader could not be reached, as whoever drains next will find.

        Raises:
            Exception: the thread failed in a way that would happen again.
        """
        self._thread.join()
        if self._failed is not None and not isinstance(self._failed, StateError):
            raise self._failed
        return self._read
