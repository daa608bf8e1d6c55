"""Random histories: what may happen in a small shop."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from jingzhe.store.facts import ACTIVITIES
from tests.profile.shop import Happening, Line

BEGIN = date(2025, 10, 20)
"""The days drawn from here include both changes of the clocks in New York."""
ZONES = ("UTC", "Asia/Shanghai", "America/New_York")
OFTEN = ("purchase", "purchase", "purchase", "refund", "view", "cart", "visit")

cents = st.integers(0, 20_000).map(lambda amount: amount / 100)
lines = st.builds(Line, st.sampled_from(["tea", "cups", "茶", None]), st.sampled_from([-5.0, 0.0, 2.5, 5.0, 7.5, 10.0]))


def moments(days: int) -> st.SearchStrategy[datetime]:
    """Moments of the first ``days`` days; whole hours and days crop up more often than by chance."""
    midnight = datetime(BEGIN.year, BEGIN.month, BEGIN.day, tzinfo=UTC)
    minute = st.integers(0, 24 * 60 - 1) | st.integers(0, 23).map(lambda hour: 60 * hour)
    return st.builds(lambda day, at: midnight + timedelta(days=day, minutes=at), st.integers(0, days - 1), minute)


@st.composite
def happenings(draw: st.DrawFn, event_id: int, people: int = 4, days: int = 200) -> Happening:
    """One event of one of a few people."""
    activity = draw(st.sampled_from(OFTEN) | st.sampled_from(ACTIVITIES))
    given: dict[str, Any] = {}
    if activity in ("purchase", "refund"):
        sign = 1 if activity == "purchase" else -1
        given = {
            "revenue": draw(st.none() | cents.map(lambda amount: sign * amount)),
            "discount": draw(st.none() | cents),
            "quantity": draw(st.none() | st.integers(0, 9).map(lambda units: float(sign * units))),
            "lines": tuple(draw(st.lists(lines, max_size=3))),
        }
    return Happening(event_id, draw(st.integers(1, people)), draw(moments(days)), activity, **given)


@st.composite
def histories(draw: st.DrawFn, most: int = 40, people: int = 4, days: int = 200) -> list[Happening]:
    """Some events, in any order."""
    count = draw(st.integers(1, most))
    return [draw(happenings(event_id, people, days)) for event_id in range(1, count + 1)]
