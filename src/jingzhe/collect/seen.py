"""Which messages are known already: the numbers of the last days' calls, in memory, read from the lake.

The lake is the truth; this is a copy that a worker keeps so that it need not read a week of calls every second. It
holds 8 bytes a call, sorted, in runs that are merged as they grow (a log-structured merge).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jingzhe.store.engine import Session
from jingzhe.store.query import one

NUMBERS = one(
    "known_calls",
    "SELECT event_id, epoch_us(received_at) // 3600000000 AS hour FROM event_details "
    "WHERE batch > $through AND received_at >= $since ORDER BY hour",
)
_HOUR_US = 3_600_000_000
_RATIO = 2


class _Run(NamedTuple):
    hour: int
    numbers: NDArray[np.int64]


@dataclass
class Seen:
    """Numbers of calls that are in the lake.

    Args:
        days: how long a message is known.
    """

    days: float
    _through: int = 0
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
        since = now - timedelta(days=self.days)
        if newest > self._through:
            found = session.run(NUMBERS, {"through": self._through, "since": since})
            hours = found["hour"].to_numpy()
            numbers = found["event_id"].to_numpy()
            for hour in np.unique(hours).tolist():
                low, high = np.searchsorted(hours, [hour, hour + 1])
                self._add(int(hour), np.sort(numbers[low:high]))
            self._through = newest
        oldest = int(since.timestamp() * 1e6) // _HOUR_US
        self._runs = [run for run in self._runs if run.hour >= oldest]

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

    def remember(self, numbers: NDArray[np.int64], at: datetime, batch: int) -> None:
        """Knows numbers from now on.

        Args:
            numbers: of calls that were published.
            at: when they were received, about.
            batch: number of their publication; this copy has seen the one before it.
        """
        self._through = batch
        if len(numbers):
            self._add(int(at.timestamp() * 1e6) // _HOUR_US, np.sort(numbers))

    def _add(self, hour: int, numbers: NDArray[np.int64]) -> None:
        """Adds a run; runs of one hour are merged while they are of about one size, and hours of one day as well."""
        run = _Run(hour, numbers)
        while self._runs and self._mergeable(self._runs[-1], run):
            last = self._runs.pop()
            run = _Run(max(last.hour, run.hour), np.sort(np.concatenate([last.numbers, run.numbers]), kind="stable"))
        self._runs.append(run)

    def _mergeable(self, last: _Run, run: _Run) -> bool:
        near = abs(last.hour - run.hour) < 24 and last.hour // 24 == run.hour // 24
        return near and len(last.numbers) <= _RATIO * len(run.numbers)
