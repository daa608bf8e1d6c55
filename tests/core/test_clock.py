from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from jingzhe.core.clock import FixedClock, SystemClock, local_day


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", date(2026, 3, 5)), ("Asia/Shanghai", date(2026, 3, 6)), ("America/Los_Angeles", date(2026, 3, 5))],
)
def test_a_day_begins_in_the_projects_zone(zone: str, day: date) -> None:
    assert local_day(FixedClock(datetime(2026, 3, 5, 20, 30, tzinfo=UTC)), zone) == day


def test_the_machines_clock_is_aware() -> None:
    assert SystemClock().now().utcoffset() is not None
