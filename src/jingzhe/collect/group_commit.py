"""Group commit: requests that arrive while one transaction is written go into the next one, together.

One commit to the disk takes milliseconds however little it holds; a thread commits what waits, and every request
learns when its own commit is done.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from jingzhe.collect.received import Received, packed
from jingzhe.core import failures
from jingzhe.core.clock import Clock
from jingzhe.core.errors import JingzheError, StateError
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.store.state.inbox import Group, Inbox

_GROUP_BYTES = 8 * 2**20
_LOG_BYTES = 64 * 2**20
_CHECKPOINT_SECONDS = 0.5
_EPOCH_US = 1_000_000

Told = Callable[[int, int, float], object]
"""Is told of each commit: requests, events, seconds."""


class _Waiting(NamedTuple):
    request: Received
    answer: asyncio.Future[None]


class GroupCommit:
    """Commits requests to the inbox.

    To be used from one event loop; it begins with :meth:`start` and ends with :meth:`stop`.

    Args:
        inbox: where to.
        clock: what time it is.
        told: is told of each commit, in the thread that commits.
        log: is told what fails beside the commits; None: JSON lines on standard error.
    """

    def __init__(self, inbox: Inbox, clock: Clock, told: Told | None = None, log: Log | None = None) -> None:
        self._inbox = inbox
        self._clock = clock
        self._told = told
        self._log = log or log_to_stderr()
        self._waiting: list[_Waiting] = []
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = threading.Thread(target=self._write, name="inbox writer", daemon=True)
        self._keeper = threading.Thread(target=self._checkpoint, name="inbox checkpoints", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to commit; answers come on ``loop``."""
        self._loop = loop
        self._writer.start()
        self._keeper.start()

    def stop(self) -> None:
        """Commits what still waits, then ends."""
        self._ending.set()
        self._wake.set()
        self._writer.join()
        self._keeper.join()

    def put(self, request: Received) -> asyncio.Future[None]:
        """Returns what is done when ``request`` is durable; it raises what kept it from being so.

        Raises:
            StateError: the collector is ending.
        """
        if self._ending.is_set():
            raise StateError("The collector is ending", hint="Send the request again.")
        if self._loop is None:
            raise StateError("The inbox is not open yet")
        answer = self._loop.create_future()
        self._waiting.append(_Waiting(request, answer))
        if not self._wake.is_set():
            self._wake.set()
        return answer

    def _write(self) -> None:
        while True:
            self._wake.wait()
            # Cleared before the list is taken: what is added from here on wakes the next round.
            self._wake.clear()
            while self._waiting:
                self._commit(self._taken())
            if self._ending.is_set() and not self._waiting:
                return

    def _taken(self) -> list[_Waiting]:
        """Takes what waits off the list, up to the size of a group."""
        listed, size, count = self._waiting, 0, 0
        for one in listed:
            size += len(one.request.body)
            count += 1
            if size > _GROUP_BYTES:
                break
        # One thread takes and one adds: slices of a list are atomic.
        taken = listed[:count]
        del listed[:count]
        return taken

    def _commit(self, group: list[_Waiting]) -> None:
        requests = [one.request for one in group]
        events = sum(one.events for one in requests)
        written_us = int(self._clock.now().timestamp() * _EPOCH_US)
        begun = time.perf_counter()
        error: JingzheError | None = None
        try:
            self._inbox.append(Group(len(requests), events, written_us, packed(requests)))
        except JingzheError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            error = StateError(f"The inbox cannot be written: {failure}")
        took = time.perf_counter() - begun
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits for an answer any more
                self._loop.call_soon_threadsafe(_settle, group, error)
        if self._told is not None and error is None:
            try:
                self._told(len(requests), events, took)
            except Exception as failure:  # noqa: BLE001 - whoever counts must not end the commits
                self._log.error("a commit could not be counted", error=failures.told(failure))

    def _checkpoint(self) -> None:
        """Moves SQLite's log into its file, beside the commits."""
        while not self._ending.wait(_CHECKPOINT_SECONDS):
            try:
                # With the log written, little is left for the moment in which writers wait.
                self._inbox.checkpoint()
                if self._inbox.log_bytes() > _LOG_BYTES:
                    self._inbox.checkpoint(restart=True)
            except (JingzheError, SQLAlchemyError, sqlite3.Error, OSError):
                continue  # somebody reads or writes, or the disk is full, which commits tell: tried again soon
            except Exception as error:  # noqa: BLE001 - whatever it is, a log that nobody moves would grow for ever
                self._log.error("the inbox's log could not be moved into its file", error=failures.told(error))


def _settle(group: list[_Waiting], error: JingzheError | None) -> None:
    for one in group:
        if one.answer.done():
            continue
        if error is None:
            one.answer.set_result(None)
        else:
            one.answer.set_exception(StateError(error.message, hint=error.hint))
