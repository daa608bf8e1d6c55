"""The worker's round: drain, refresh what changed; and beside it the lake is kept in few files.

Each piece of work publishes by itself, so the worker can be killed anywhere.
"""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jingzhe.app.tidying import tidy
from jingzhe.app.worker_counts import DRAIN_FAILURES, DRAINED_AT, DRAINS, REFRESHED_AT, REFRESHES, WorkerCounts
from jingzhe.app.workspace import Workspace
from jingzhe.collect.draining import Drain, Drained
from jingzhe.core import failures
from jingzhe.core.errors import JingzheError, NoDataError
from jingzhe.core.log import Log
from jingzhe.core.tracing import span
from jingzhe.worker.keeping import Keeper

_BESIDE_SECONDS = 20.0
"""How long the end waits for what goes on beside."""
_TURN_SECONDS = 0.0005
_FULL = 0.9
_KEEPING_UP = 0.5
_BEHIND = 0.1
"""How much of the time goes into refreshing at most, however large the project: less where the drain is behind, but
never none, or the profiles of a project that is always behind would stand still."""


@dataclass(frozen=True)
class Cadence:
    """How often the worker does what.

    Args:
        drain_seconds: from the beginning of one round that found something to the next; where the inbox holds more
            than one drain takes, the next follows at once.
        look_seconds: pause after a look that found nothing.
        refresh_seconds: profiles are refreshed at most this often; a refresh that takes long makes it seldomer.
        gather_seconds: small files are looked for at most this often.
        compact_seconds: the lake is compacted and vacuumed this often; 0 for never.
        tidy_seconds: what has ended by itself (sessions, kept answers, old refused events) is removed this often,
            while the clock has not jumped for a day.
        retry_seconds: pause after a failure.
    """

    drain_seconds: float = 1.0
    look_seconds: float = 0.25
    refresh_seconds: float = 1.0
    gather_seconds: float = 20.0
    compact_seconds: float = 6 * 3600.0
    tidy_seconds: float = 3600.0
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
        beside: work that goes on in threads of its own and holds up no drain; each is given ``ending``.
    """

    workspace: Workspace
    drain: Drain
    log: Log
    cadence: Cadence = field(default_factory=Cadence)
    seconds: Callable[[], float] = time.monotonic
    ending: threading.Event = field(default_factory=threading.Event)
    beside: Sequence[Callable[[threading.Event], object]] = ()
    keeper: Keeper = field(init=False)
    counts: WorkerCounts = field(init=False)
    _due: dict[str, float] = field(default_factory=dict)
    _changed: bool = True
    _behind: bool = False

    def __post_init__(self) -> None:
        begun, cadence = self.seconds(), self.cadence
        self._due = {"refresh": begun, "tidy": begun, "moved": begun}
        self.counts = WorkerCounts(self.workspace.warehouse.state, self.log)
        self.keeper = Keeper(
            self.workspace, self.log, cadence.gather_seconds, cadence.compact_seconds, cadence.retry_seconds,
            lambda: self._behind, self.seconds, self.counts,
        )  # fmt: skip

    def run(self) -> None:
        """Works until :attr:`ending` is set; what fails is logged and tried again."""
        # A drain makes hundreds of thousands of tuples that hold no cycles; looking for some costs a tenth of its time.
        gc.set_threshold(200_000, 20, 100)
        # What is read ahead keeps Python busy; whoever comes back from the disk must not wait long for a turn.
        sys.setswitchinterval(_TURN_SECONDS)
        self.drain.ahead = True
        beside = (*self.beside, self.keeper.run)
        threads = [threading.Thread(target=one, args=(self.ending,), daemon=True) for one in beside]
        for thread in threads:
            thread.start()
        try:
            while not self.ending.is_set():
                self._attempt()
                self.counts.write(self.seconds())
        finally:
            self.ending.set()
            self.drain.close()
            for thread in threads:
                thread.join(_BESIDE_SECONDS)
            self.counts.write(math.inf)

    def _attempt(self) -> None:
        """Does a round and waits until the next."""
        begun = self.seconds()
        try:
            done = self.round()
        except JingzheError as error:
            self.counts.count(DRAIN_FAILURES)
            self.log.error("work failed and will be tried again", code=error.code, reason=error.message)
            self.ending.wait(self.cadence.retry_seconds)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the other work and the next round go on
            self.counts.count(DRAIN_FAILURES)
            self.log.error("work failed and will be tried again", code="internal", reason=failures.told(error))
            self.ending.wait(self.cadence.retry_seconds)
            return
        if not self._is_behind(done):
            took = self.seconds() - begun
            self.ending.wait(max(0.0, self.cadence.drain_seconds - took) if done.rows else self.cadence.look_seconds)

    def round(self) -> Drained:
        """Drains once and does what is due; returns what the drain did."""
        with span("jingzhe.drain", "consumer") as told:
            done = self.drain.run()
            told.set(jingzhe__events=done.events, jingzhe__publication=done.publication or 0)
            if not done.rows:
                told.drop()
        if done.rows:
            self.counts.count(DRAINS, DRAINED_AT)
            self._changed = self._changed or done.calls > 0
            self.log.info(
                "drained", events=done.events, duplicates=done.duplicates, quarantined=done.quarantined,
                erased=done.erased,
                publication=done.publication, seconds=round(done.seconds, 3),
            )  # fmt: skip
        if done.unforeseen:
            self.log.error("events were set aside at which the drain fails; tell the makers", failed=done.unforeseen)
        self._behind = behind = self._is_behind(done)
        if not self._changed and self._is_due("moved"):
            # People are merged and split by hand as well, without an event.
            self._changed = self.workspace.awaits_refresh()
            self._due["moved"] = self.seconds() + self.cadence.refresh_seconds
        if self._changed and self._is_due("refresh"):
            self._refresh(_BEHIND if behind else _KEEPING_UP)
        if not behind and self._is_due("tidy"):
            self._tidy()
        return done

    def _is_behind(self, done: Drained) -> bool:
        """Tells whether a drain left more than it took; its last group may not have fitted."""
        return done.events >= _FULL * self.drain.events_at_once

    def _is_due(self, work: str) -> bool:
        return self.seconds() >= self._due[work]

    def _refresh(self, share: float) -> None:
        begun = self.seconds()
        with span("jingzhe.refresh") as told:
            try:
                done = self.workspace.refresh()
            except NoDataError:
                # Only calls that are no behaviour have come so far: there is nobody to have a profile.
                self._changed = False
                told.drop()
                return
            told.set(jingzhe__profiles=done.people, jingzhe__full=done.full)
        took = self.seconds() - begun
        self.counts.count(REFRESHES, REFRESHED_AT)
        self._changed = False
        self._due["refresh"] = self.seconds() + max(self.cadence.refresh_seconds - took, took * (1 / share - 1))
        if done.people:
            self.log.info("refreshed", profiles=done.people, full=done.full, seconds=round(done.seconds, 3))

    def _tidy(self) -> None:
        done = tidy(self.workspace)
        self._due["tidy"] = self.seconds() + self.cadence.tidy_seconds
        if done.anything:
            self.log.info("tidied", sessions=done.sessions, answers=done.answers, refused_events=done.refused_events)
