"""The worker's round: drain, refresh what changed, gather small files, compact now and then.

Each piece of work is short and publishes by itself, so the loop can be killed anywhere.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jingzhe.app.workspace import Workspace
from jingzhe.collect.draining import Drain, Drained
from jingzhe.core.errors import JingzheError, NoDataError
from jingzhe.core.log import Log
from jingzhe.store.facts import EVENT_DETAILS, EVENTS, IDENTITIES, ITEMS
from jingzhe.store.lake.tail import gather_tail

_GATHERED = (EVENTS, ITEMS, EVENT_DETAILS, IDENTITIES)


@dataclass(frozen=True)
class Cadence:
    """How often the worker does what.

    Args:
        drain_seconds: pause after a drain that found everything drained.
        refresh_seconds: profiles are refreshed at most this often; a refresh that takes long makes it seldomer.
        gather_seconds: small files are looked for at most this often.
        compact_seconds: the lake is compacted and vacuumed this often; 0 for never.
        retry_seconds: pause after a failure.
    """

    drain_seconds: float = 1.0
    refresh_seconds: float = 1.0
    gather_seconds: float = 20.0
    compact_seconds: float = 6 * 3600.0
    retry_seconds: float = 2.0


@dataclass
class Worker:
    """One worker.

    Args:
        workspace: the project.
        drain: of its inbox.
        log: is told what was done, without anything of people in it.
        cadence: how often.
        seconds: a clock that nobody sets.
        ending: set to end the loop after the piece of work under way.
    """

    workspace: Workspace
    drain: Drain
    log: Log
    cadence: Cadence = field(default_factory=Cadence)
    seconds: Callable[[], float] = time.monotonic
    ending: threading.Event = field(default_factory=threading.Event)
    _due: dict[str, float] = field(default_factory=dict)
    _changed: bool = True

    def __post_init__(self) -> None:
        begun = self.seconds()
        self._due = {"gather": begun, "compact": begun + self.cadence.compact_seconds, "refresh": begun}

    def run(self) -> None:
        """Works until :attr:`ending` is set; what fails is logged and tried again."""
        # A drain makes hundreds of thousands of tuples that hold no cycles; looking for some costs a tenth of its time.
        gc.set_threshold(200_000, 20, 100)
        while not self.ending.is_set():
            try:
                done = self.round()
            except JingzheError as error:
                self.log.error("work failed and will be tried again", code=error.code, reason=error.message)
                self.ending.wait(self.cadence.retry_seconds)
                continue
            if done.events < self.drain.events_at_once:
                self.ending.wait(max(0.0, self.cadence.drain_seconds - done.seconds))

    def round(self) -> Drained:
        """Drains once and does what is due; returns what the drain did."""
        done = self.drain.run()
        if done.rows:
            self._changed = self._changed or done.calls > 0
            self.log.info(
                "drained", events=done.events, duplicates=done.duplicates, quarantined=done.quarantined,
                publication=done.publication, seconds=round(done.seconds, 3),
            )  # fmt: skip
        behind = done.events >= self.drain.events_at_once
        if self._changed and not behind and self._is_due("refresh"):
            self._refresh()
        if self._is_due("gather"):
            self._gather()
        if self.cadence.compact_seconds and not behind and self._is_due("compact"):
            removed = self.workspace.compact()
            self.log.info("compacted", files_removed=removed)
            self._due["compact"] = self.seconds() + self.cadence.compact_seconds
        return done

    def _is_due(self, work: str) -> bool:
        return self.seconds() >= self._due[work]

    def _refresh(self) -> None:
        begun = self.seconds()
        try:
            done = self.workspace.refresh()
        except NoDataError:
            # Only calls that are no behaviour have come so far: there is nobody to have a profile.
            self._changed = False
            return
        took = self.seconds() - begun
        self._changed = False
        # At most half of the time goes into refreshing, however large the project.
        self._due["refresh"] = self.seconds() + max(self.cadence.refresh_seconds - took, took)
        if done.people:
            self.log.info("refreshed", profiles=done.people, full=done.full, seconds=round(done.seconds, 3))

    def _gather(self) -> None:
        done = gather_tail(self.workspace.warehouse, _GATHERED)
        self._due["gather"] = self.seconds() + self.cadence.gather_seconds
        if done.files:
            self.log.info("gathered small files", files=done.files, rows=done.rows)
