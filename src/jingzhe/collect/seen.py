"""Which messages are known already: the numbers of the last days' calls, in memory, read from the lake.

The lake is the truth; this is a copy that a worker keeps so that it need not read a week of calls every second. It
holds 8 bytes a call, sorted, in runs that are merged as they grow (a log-structured merge).

How long a call has been known is told by a clock that nobody sets: where the machine's clock jumps ahead by a year and
back, nothing is forgotten that a client may still send again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jingzhe.store.engine import Session
from jingzhe.store.query import one

NEWEST = one("newest_call", "SELECT max(received_at) AS newest FROM event_details")
OLDEST_BATCH = one("oldest_known_batch", "SELECT min(batch) AS batch FROM event_details WHERE received_at >= $since")
NUMBERS = one(
    "known_calls",
    "SELECT event_id, epoch_us(received_at) // 3600000000 AS hour FROM event_details "
    "WHERE batch > $through ORDER BY hour, event_id",
)
_HOUR_SECONDS = 3600
_RATIO = 2


class _Run(NamedTuple):
    """Numbers that are forgotten in one hour, counted by the clock that nobody sets."""

    until_hour: int
    numbers: NDArray[np.int64]


@dataclass
class Seen:
    """Numbers of calls that are in the lake.

    Args:
        days: how long a message is known.
        seconds: a clock that nobody sets.
    """

    days: float
    seconds: Callable[[], float] = time.monotonic
    _through: int | None = None
    _runs: list[_Run] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(run.numbers) for run in self._runs)

    def catch_up(self, session: Session, now: datetime, newest: int) -> None:
        """Reads what others have brought into the lake since, and forgets what is too old.

        Args:
            session: sees the newest publication.
            now: the moment.
            newest: number of that publication.
        """
        if self._through is None:
            self._through = self._before(session, now)
        if newest > self._through:
            found = session.run(NUMBERS, {"through": self._through})
            hours = found["hour"].to_numpy()
            numbers = found["event_id"].to_numpy()
            this_hour = int(now.timestamp()) // _HOUR_SECONDS
            for hour in np.unique(hours).tolist():
                low, high = np.searchsorted(hours, [hour, hour + 1])
                # What was received at another time than the clock shows now, by a clock that was wrong, is as good as
                # received just now.
                age = this_hour - int(hour)
                self._add(age if 0 <= age <= self.days * 24 else 0, np.sort(numbers[low:high]))
            self._through = newest
        this_hour = int(self.seconds()) // _HOUR_SECONDS
        self._runs = [run for run in self._runs if run.until_hour >= this_hour]

    def _before(self, session: Session, now: datetime) -> int:
        """Returns the publication after which everything is read: the one before the first that is young enough.

        Young by the clock or by the newest call, whichever is earlier, and with everything published later: the
        clock may stand wrong now, or may have stood wrong in between.
        """
        last = session.run(NEWEST)["newest"][0].as_py()
        if last is None:
            return 0
        since = min(now, last) - timedelta(days=self.days)
        oldest = session.run(OLDEST_BATCH, {"since": since})["batch"][0].as_py()
        return 0 if oldest is None else int(oldest) - 1

    def new(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tells which of ``numbers`` are met for the first time, in the lake and among themselves."""
        _, first = np.unique(numbers, return_index=True)
        fresh = np.zeros(len(numbers), bool)
        fresh[first] = True
        for run in self._runs:
            places = np.searchsorted(run.numbers, numbers)
            places[places == len(run.numbers)] = 0
            fresh &= run.numbers[places] != numbers
        return fresh

    def remember(self, numbers: NDArray[np.int64], batch: int) -> None:
        """Knows numbers from now on.

        Args:
            numbers: of calls that were published just now.
            batch: number of their publication; this copy has seen the one before it.
        """
        self._through = batch
        if len(numbers):
            self._add(0, np.sort(numbers))

    def _add(self, age_hours: int, numbers: NDArray[np.int64]) -> None:
        """Adds a run; runs of one hour are merged while they are of about one size, and hours of one day as well."""
        run = _Run(int(self.seconds() + self.days * 86_400) // _HOUR_SECONDS - age_hours, numbers)
        while self._runs and self._mergeable(self._runs[-1], run):
            last = self._runs.pop()
            run = _Run(
                max(last.until_hour, run.until_hour),
                np.sort(np.concatenate([last.numbers, run.numbers]), kind="stable"),
            )
        self._runs.append(run)

    def _mergeable(self, last: _Run, run: _Run) -> bool:
        near = last.until_hour // 24 == run.until_hour // 24
        return near and len(last.numbers) <= _RATIO * len(run.numbers)
