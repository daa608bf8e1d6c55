"""Keeping the lake in few files, beside the drain: small files are put together, now and then all is compacted.

It goes on in a thread of its own. The drain waits for it only while new files are named in place of old ones
(store/lake/beside.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jingzhe.app.worker_counts import COMPACTED_AT, COMPACTIONS, WorkerCounts
from jingzhe.app.workspace import Workspace
from jingzhe.core.errors import JingzheError
from jingzhe.core.failures import told
from jingzhe.core.log import Log
from jingzhe.core.tracing import span
from jingzhe.store.facts import EVENT_DETAILS, EVENTS, IDENTITIES, ITEMS
from jingzhe.store.lake.tail import FAN_IN, gather_tail

_GATHERED = (EVENTS, ITEMS, EVENT_DETAILS, IDENTITIES)
_BEHIND_FAN_IN = 4 * FAN_IN
"""How many files of one size have to have come together while the drain is behind: processor time is what it lacks
then. Its files are large, so that few come; and each one more costs every session a little, so not endlessly many.
They are not sorted then either: that is half of what putting them together costs."""
_LOOK_SECONDS = 1.0


@dataclass
class Keeper:
    """Looks after the files of one project's lake.

    Args:
        workspace: the project.
        log: is told what was done.
        gather_seconds: small files are looked for at most this often.
        compact_seconds: the lake is compacted and vacuumed this often; 0 for never.
        retry_seconds: pause after a failure.
        is_behind: tells whether the drain is behind; there is no compaction then.
        seconds: a clock that nobody sets.
        counts: counts compactions; None: nobody does.
    """

    workspace: Workspace
    log: Log
    gather_seconds: float
    compact_seconds: float
    retry_seconds: float
    is_behind: Callable[[], bool] = lambda: False
    seconds: Callable[[], float] = time.monotonic
    counts: WorkerCounts | None = None
    _gather_at: float = field(init=False)
    _compact_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._gather_at = self.seconds()
        self._compact_at = self._gather_at + self.compact_seconds

    def run(self, ending: threading.Event) -> None:
        """Works until ``ending`` is set; what fails is logged and tried again.

        Args:
            ending: ends it, within seconds also in the middle of a compaction, which changes nothing then.
        """
        while not ending.wait(_LOOK_SECONDS):
            try:
                self.round(ending.is_set)
            except JingzheError as error:
                if ending.is_set():
                    self.log.info("stopped rewriting files", reason=error.message)
                    return
                self.log.error("files could not be rewritten", code=error.code, reason=error.message)
                ending.wait(self.retry_seconds)
            except Exception as error:  # noqa: BLE001 - whatever it is, files go on coming
                self.log.error("files could not be rewritten", code="internal", reason=told(error))
                ending.wait(self.retry_seconds)

    def round(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Does what is due.

        Args:
            stopping: tells whether to stop.

        Raises:
            BusyError: it was stopped, or others wrote for too long.
            LakeError: a table cannot be read or written.
        """
        self._gather(stopping)
        if self.compact_seconds and not self.is_behind() and self.seconds() >= self._compact_at:
            begun = self.seconds()
            # First the next time: a compaction that fails is not to be tried again at once, for hours of work.
            self._compact_at = begun + self.compact_seconds
            with span("jingzhe.compaction") as noted:
                done = self.workspace.compact(between=lambda: self._gather(stopping), stopping=stopping)
                noted.set(jingzhe__rows=done.rows, jingzhe__files_removed=done.files_removed)
            if self.counts is not None:
                self.counts.count(COMPACTIONS, COMPACTED_AT)
            self.log.info(
                "compacted", tables=list(done.tables), rows=done.rows, files_removed=done.files_removed,
                seconds=round(self.seconds() - begun, 3),
            )  # fmt: skip
            for reason in done.given_up:
                self.log.warning("a table was not compacted", reason=reason)

    def _gather(self, stopping: Callable[[], bool]) -> None:
        begun = self.seconds()
        if begun < self._gather_at:
            return
        self._gather_at = begun + self.gather_seconds
        behind = self.is_behind()
        done = gather_tail(
            self.workspace.warehouse, _GATHERED, at_least=_BEHIND_FAN_IN if behind else FAN_IN, ordered=not behind,
            stopping=stopping,
        )  # fmt: skip
        if done.files:
            took = round(self.seconds() - begun, 3)
            self.log.info("gathered small files", files=done.files, rows=done.rows, seconds=took)
