"""The injected clock: production reads the machine's, tests set their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Anything that knows what time it is."""

    def now(self) -> datetime:
        """Returns the moment, aware and in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Returns the moment, aware and in UTC."""
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock that stands still until it is set.

    Args:
        moment: aware moment that ``now`` returns.
    """

    moment: datetime

    def now(self) -> datetime:
        """Returns the moment it was set to, in UTC."""
        return self.moment.astimezone(UTC)


def local_day(clock: Clock, zone: str) -> date:
    """Returns the calendar day that it is now in the time zone ``zone`` (IANA name)."""
    return clock.now().astimezone(ZoneInfo(zone)).date()
