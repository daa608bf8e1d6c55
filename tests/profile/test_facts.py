"""Person-days and facts against plain Python, over random histories."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jingzhe.profile import queries
from jingzhe.profile.columns import FACT_COLUMNS, PERSON_DAYS
from jingzhe.profile.queries import FACTS, FACTS_OF
from jingzhe.store.catalogue import Table
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.query import one
from tests.profile import oracle
from tests.profile.draws import BEGIN, ZONES, histories
from tests.profile.shop import (
    Happening,
    Line,
    assert_same,
    computed_days,
    event_rows,
    item_rows,
    purchase,
    sorted_rows,
    told,
)

KNOWN = tuple(column for column in FACT_COLUMNS if column.name != "facts_valid_until")
FACT_TABLE = Table("facts", KNOWN, key=("person_id",))
FAST = settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
SLOW = settings(FAST, max_examples=200)


def facts_of(session: DuckSession, as_of: date, window_days: int = 90) -> list[dict[str, Any]]:
    return sorted_rows(session.run(FACTS, {"as_of": as_of, "window_days": window_days}), FACT_TABLE)


def agrees(session: DuckSession, happenings: list[Happening], zone: str, as_of: date, window_days: int) -> None:
    days = told(session, happenings, zone)
    assert_same(sorted_rows(days, PERSON_DAYS), oracle.person_days(happenings, zone))
    plain = computed_days(session, zone, packed=False)
    assert_same(sorted_rows(plain, PERSON_DAYS), oracle.person_days(happenings, zone))
    wanted = oracle.facts(happenings, zone, as_of, window_days)
    assert all(set(row) == set(FACT_TABLE.column_names) for row in wanted)
    in_order = [{name: row[name] for name in FACT_TABLE.column_names} for row in wanted]
    assert_same(facts_of(session, as_of, window_days), in_order)


drawn = given(
    happenings=histories(),
    zone=st.sampled_from(ZONES),
    as_of=st.integers(0, 260).map(lambda days: BEGIN + timedelta(days=days)),
    window_days=st.sampled_from([1, 7, 90]),
)


@FAST
@drawn
def test_days_and_facts_are_those_of_the_oracle(
    session: DuckSession, happenings: list[Happening], zone: str, as_of: date, window_days: int
) -> None:
    agrees(session, happenings, zone, as_of, window_days)


@pytest.mark.slow
@SLOW
@drawn
def test_many_days_and_facts_are_those_of_the_oracle(
    session: DuckSession, happenings: list[Happening], zone: str, as_of: date, window_days: int
) -> None:
    agrees(session, happenings, zone, as_of, window_days)


def test_packed_counts_are_exact_up_to_the_limit_and_a_day_beyond_it_is_told(session: DuckSession) -> None:
    noon = datetime(2026, 3, 5, 12, tzinfo=UTC)
    one_day = [Happening(1, 1, noon, "view"), Happening(2, 2, noon, "cart")]
    events = event_rows(one_day, "UTC")
    count = queries.PACKED_LIMIT
    for times, exact in ((count, True), (count + 1, False)):
        session.offer("few", events)
        session.offer("items", item_rows(one_day, "UTC"))
        many = session.run(one("many", f"SELECT few.* FROM few CROSS JOIN range({times})"))
        session.offer("events", many)
        rows = sorted_rows(computed_days(session, "UTC"), PERSON_DAYS)
        assert [row["events"] for row in rows] == [times, times]
        assert ((rows[0]["views"], rows[1]["carts"]) == (times, times)) is exact


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Asia/Beirut", "Australia/Lord_Howe"])
def test_parts_of_the_day_follow_the_wall_clock_where_clocks_change(session: DuckSession, zone: str) -> None:
    begin = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    hourly = [Happening(hour, 1, begin + timedelta(hours=hour, minutes=30), "view") for hour in range(24 * 365)]
    assert_same(sorted_rows(told(session, hourly, zone), PERSON_DAYS), oracle.person_days(hourly, zone))


def test_parts_of_the_day_before_1970(session: DuckSession) -> None:
    begin = datetime(1969, 12, 30, tzinfo=UTC)
    hourly = [Happening(hour, 1, begin + timedelta(hours=hour, minutes=30), "view") for hour in range(24 * 4)]
    assert_same(sorted_rows(told(session, hourly, "UTC"), PERSON_DAYS), oracle.person_days(hourly, "UTC"))


def test_people_are_looked_at_one_by_one_as_all_together(session: DuckSession) -> None:
    happenings = [purchase(n, n % 3, BEGIN + timedelta(days=7 * n), lines=(Line("tea", 5.0),)) for n in range(1, 20)]
    told(session, happenings, "UTC")
    as_of = BEGIN + timedelta(days=100)
    session.offer("chosen", pa.table({"person_id": pa.array([0, 2], pa.int64())}))
    values = {"as_of": as_of, "window_days": 90}
    some = sorted_rows(session.run(FACTS_OF, values), FACT_TABLE)
    session.drop("chosen")
    assert some == [row for row in facts_of(session, as_of) if row["person_id"] != 1]


def test_ties(session: DuckSession) -> None:
    """Monday before Friday, night before evening, the first category of the alphabet."""
    friday, monday = datetime(2026, 3, 6, 20, tzinfo=UTC), datetime(2026, 3, 9, 3, tzinfo=UTC)
    happenings = [
        Happening(1, 1, friday, revenue=10.0, lines=(Line("tea", 10.0), Line(None, 99.0))),
        Happening(2, 1, monday, revenue=10.0, lines=(Line("cups", 10.0),)),
    ]
    told(session, happenings, "UTC")
    (row,) = facts_of(session, date(2026, 3, 9))
    assert (row["peak_weekday"], row["peak_daypart"], row["top_category"]) == (1, 0, "cups")
    assert (row["peak_daypart_share"], row["top_category_share"], row["categories"]) == (0.5, 0.5, 2)


def test_messages_are_no_activity_of_the_person(session: DuckSession) -> None:
    at = datetime(2026, 3, 5, 9, tzinfo=UTC)
    received = [
        Happening(2, 1, at + timedelta(days=days), f"message_{what}")
        for days, what in enumerate(("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed"))
    ]
    told(session, [Happening(1, 1, at, revenue=5.0), *received, Happening(9, 2, at, "message_delivered")], "UTC")
    (row,) = facts_of(session, date(2026, 4, 1))
    assert (row["person_id"], row["events"], row["last_day"]) == (1, 1, at.date())


def test_refunds_free_orders_and_several_orders_a_day(session: DuckSession) -> None:
    first, second = date(2026, 1, 1), date(2026, 1, 11)
    happenings = [
        purchase(1, 1, first, 30.0, discount=10.0),
        purchase(2, 1, first, 0.0),
        purchase(3, 1, second, 20.0),
        Happening(4, 1, datetime(2026, 2, 1, 8, tzinfo=UTC), "refund", revenue=-30.0),
        Happening(5, 2, datetime(2026, 2, 1, 8, tzinfo=UTC), "refund", revenue=-7.0),
        purchase(6, 3, first, 0.0),
    ]
    told(session, happenings, "UTC")
    buyer, returner, free = facts_of(session, date(2026, 2, 1))
    assert (buyer["purchases"], buyer["purchase_days"], buyer["gaps"], buyer["cycle_days"]) == (3, 2, 1, 10.0)
    assert (buyer["spend"], buyer["returned"], buyer["monetary"]) == (50.0, 30.0, 20.0)
    assert buyer["return_share"] == 0.6
    assert buyer["average_order"] == pytest.approx(50 / 3)
    assert (buyer["discount_share"], buyer["repeat_spend"]) == (pytest.approx(10 / 60), 20.0)
    assert (returner["purchases"], returner["monetary"], returner["return_share"]) == (0, -7.0, None)
    assert returner["last_purchase_day"] is None
    assert (free["purchases"], free["average_order"], free["discount_share"]) == (1, 0.0, None)


@pytest.mark.parametrize("zone", ZONES)
def test_without_events_there_are_no_days(session: DuckSession, zone: str) -> None:
    assert told(session, [], zone).num_rows == 0
