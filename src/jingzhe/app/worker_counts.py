"""What a worker counts of its own work, kept in the state store: whoever serves ``/metrics`` is another process.

Events are counted by the drain itself, in the transaction that publishes them (``collect/counting.py``). Here stand the
other figures: how often the drain failed, when it last succeeded, refreshes and compactions. They are written every few
seconds; what a worker that dies had not written yet is lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jingzhe.core.failures import told
from jingzhe.core.log import Log
from jingzhe.store.state import State, counting

DRAINS: Final = "worker: drains"
DRAIN_FAILURES: Final = "worker: failures of the drain"
DRAINED_AT: Final = "worker: drained at"
"""Whole seconds since 1970, as of every other moment here: of a drain that brought something."""
REFRESHES: Final = "worker: refreshes"
REFRESHED_AT: Final = "worker: refreshed at"
COMPACTIONS: Final = "worker: compactions"
COMPACTED_AT: Final = "worker: compacted at"
_WRITE_SECONDS = 5.0


@dataclass
class WorkerCounts:
    """Counts, and writes down what it counted; may be used from several threads.

    Args:
        state: where to.
        log: is told where it cannot be written; it is kept until it can.
    """

    state: State
    log: Log
    _more: Counter[str] = field(default_factory=Counter)
    _moments: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _due: float = float("-inf")

    def count(self, what: str, at: str = "") -> None:
        """Counts one more, and notes the moment under another name where there is one."""
        with self._lock:
            self._more[what] += 1
            if at:
                self._moments[at] = int(self.state.now().timestamp())

    def write(self, now: float) -> None:
        """Writes down what was counted, every few seconds.

        Args:
            now: seconds of a clock that nobody sets; infinity to write in any case.
        """
        if now < self._due:
            return
        self._due = now + _WRITE_SECONDS
        with self._lock:
            more, moments = dict(self._more), dict(self._moments)
        if not more:
            return
        try:
            with self.state.writing() as connection:
                for name, count in more.items():
                    counting.add(connection, name, count)
                for name, moment in moments.items():
                    counting.raise_to(connection, name, moment)
        except Exception as error:  # noqa: BLE001 - nobody's work may fail because it could not be counted
            self.log.warning("what was done could not be counted yet", error=told(error))
            return
        with self._lock:
            self._more.subtract(more)
            self._more = +self._more


def read_counts(state: State) -> Mapping[str, int]:
    """Returns what workers have counted, by name; what never happened is missing.

    Raises:
        StateError: the state store cannot be used.
    """
    with state.reading() as connection:
        return counting.starting_with(connection, "worker: ")
