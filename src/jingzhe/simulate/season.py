"""Season time: a clock that runs faster when the business is busy.

Rhythms are drawn in season time, in which a person's rate is constant, and read back as real time. Hours,
weekdays and months come out as the profiles say, the order of events is kept, and nothing has to be thinned
or sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from jingzhe.simulate.arrays import Floats
from jingzhe.simulate.business import Business

EPOCH = date(1970, 1, 1)
DAY_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class Season:
    """The two clocks of one business. Real time is in days since its first day.

    Args:
        real: shape (n,), ascending real times, one per hour.
        season: shape (n,), season time at each of them, strictly ascending, about a day per day.
        hours: shape (25,), cumulated share of a day at the end of each hour, from 0 to 1.
        end: real time at which the window ends.
    """

    real: Floats
    season: Floats
    hours: Floats
    end: float

    def to_season(self, real: Floats) -> Floats:
        """Returns season time at ``real`` (any shape); beyond the horizon it stands still."""
        return np.interp(real, self.real, self.season)

    def to_real(self, season: Floats) -> Floats:
        """Returns real time at ``season`` (any shape)."""
        return np.interp(season, self.season, self.real)

    def within_day(self, share: Floats) -> Floats:
        """Returns the fraction of a day at which ``share`` (any shape, 0 to 1) of its activity is over."""
        return np.interp(share, self.hours, np.arange(25) / 24)


@lru_cache(maxsize=16)
def season_of(business: Business) -> Season:
    """Returns the clocks of ``business``; the horizon is as far behind the window as a decline may begin."""
    horizon = business.days + 7 * business.decline_weeks[1] + 1
    days = np.datetime64(business.start, "D") + np.arange(horizon)
    months = days.astype("datetime64[M]").astype(np.int64) % 12
    # The epoch was a Thursday.
    weekdays = (days.astype(np.int64) + 3) % 7
    month, weekday, hour = (np.asarray(p) / np.mean(p) for p in (business.months, business.weekdays, business.hours))
    hourly = np.outer(month[months] * weekday[weekdays], hour).ravel() / 24
    return Season(
        real=np.arange(horizon * 24 + 1) / 24,
        season=np.concatenate([[0.0], np.cumsum(hourly)]),
        hours=np.concatenate([[0.0], np.cumsum(hour) / hour.sum()]),
        end=float(business.days),
    )


def first_second(business: Business) -> int:
    """Returns the first moment of the window, in seconds since 1970 (UTC)."""
    return (business.start - EPOCH).days * DAY_SECONDS
