"""States: at this moment these purchases, at that moment this state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jingzhe.profile.columns import CLOCK_COLUMNS, PERSON_DAYS
from jingzhe.profile.columnsets import ColumnSet
from jingzhe.profile.packs import PACKS, STATES, StatePack
from jingzhe.profile.refresh import Recipe
from jingzhe.profile.status import fixed_clock, states
from jingzhe.store.engine.duck import DuckSession
from tests.profile.draws import BEGIN, ZONES, histories
from tests.profile.shop import Happening, computed_profiles, item_rows, purchase, rows_of, told

DAY_0 = date(2025, 1, 1)
GENERAL = PACKS["general"]
WEEKLY = ColumnSet(
    "clock",
    CLOCK_COLUMNS,
    {
        "cooling_after_days": "CASE WHEN gaps >= 3 THEN 10 ELSE 90 END",
        "dormant_after_days": "CASE WHEN gaps >= 3 THEN 20 ELSE 180 END",
        "lost_after_days": "365",
        "dormant_before_days": "CASE WHEN gaps - 1 >= 3 THEN 20 ELSE 180 END",
        "rhythm_known": "gaps >= 3",
    },
)
"""A clock by which whoever has bought on four days is slow after 10 days and dormant after 20."""
FAST = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
SLOW = settings(FAST, max_examples=200)
BRISK = StatePack("brisk", 20, 45, new_days=10, returned_days=15, dormant_min_days=5, dormant_max_days=30)


def day(number: int) -> date:
    """Day ``number`` after the first."""
    return DAY_0 + timedelta(days=number)


def orders(*days: int, amount: float = 10.0) -> list[Happening]:
    """One order on each of these days."""
    return [purchase(100 + number, 1, day(at), amount) for number, at in enumerate(days)]


def browsing(*days: int) -> list[Happening]:
    """One view on each of these days."""
    at = datetime(2025, 1, 1, 15, tzinfo=UTC)
    return [Happening(500 + number, 1, at + timedelta(days=n), "view") for number, n in enumerate(days)]


def person(
    session: DuckSession,
    happenings: Sequence[Happening],
    at: int,
    pack: StatePack = GENERAL,
    clock: ColumnSet | None = None,
) -> dict[str, Any]:
    """The profile of the one person of a history at the end of day ``at``."""
    told(session, happenings)
    recipe = Recipe("UTC", (clock or fixed_clock(pack), states(pack)))
    (row,) = computed_profiles(session, recipe, day(at))
    return row


WITHOUT_RHYTHM = [
    # purchases on these days; at the end of this day; state; since; until without news
    ((0,), 0, "new", 0, 29),
    ((0,), 29, "new", 0, 29),
    ((0,), 30, "active", None, 89),
    ((0,), 89, "active", None, 89),
    ((0,), 90, "declining", 90, 179),
    ((0,), 179, "declining", 90, 179),
    ((0,), 180, "dormant", 180, 364),
    ((0,), 364, "dormant", 180, 364),
    ((0,), 365, "lost", 365, None),
    ((0,), 5000, "lost", 365, None),
    # a dormancy ended: returned for 60 days, or until the next order
    ((0, 181), 181, "returned", 181, 240),
    ((0, 181), 240, "returned", 181, 240),
    ((0, 181), 241, "active", None, 270),
    ((0, 181), 271, "declining", 271, 360),
    ((0, 181, 200), 200, "active", None, 270),
    ((0, 181), 361, "dormant", 361, 545),
    ((0, 400), 400, "returned", 400, 459),
    # it had been no dormancy at the end of any day
    ((0, 180), 180, "active", None, 269),
    # the last order of a long line
    ((0, 40, 80, 120), 120, "active", None, 129),
    ((0, 40, 80, 120), 300, "dormant", 300, 484),
]


@pytest.mark.parametrize(("bought", "at", "state", "since", "until"), WITHOUT_RHYTHM)
def test_general_pack_without_a_rhythm(  # noqa: PLR0917 - the columns of the table
    session: DuckSession, bought: tuple[int, ...], at: int, state: str, since: int | None, until: int | None
) -> None:
    row = person(session, orders(*bought), at)
    assert row["rhythm_known"] is False
    assert row["state"] == state
    assert row["state_since"] == (None if since is None else day(since))
    ends = [one for one in (row["facts_valid_until"], None if until is None else day(until)) if one is not None]
    assert row["valid_until"] == min(ends, default=None)


WITH_RHYTHM = [
    ((0, 7, 14, 21), 21, "new", 0),
    ((0, 7, 14, 21), 29, "new", 0),
    ((0, 7, 14, 21), 35, "declining", 31),
    ((0, 7, 14, 21), 41, "dormant", 41),
    ((0, 7, 14, 21), 385, "dormant", 41),
    ((0, 7, 14, 21), 386, "lost", 386),
    ((0, 7, 14, 21, 28, 35), 44, "active", None),
    ((0, 7, 14, 21, 28, 35), 45, "declining", 45),
    # back after 21 days of silence, which for this person was a dormancy; the slow days afterwards are no decline
    ((0, 7, 14, 21, 42), 42, "returned", 42),
    ((0, 7, 14, 21, 42), 55, "returned", 42),
    ((0, 7, 14, 21, 42), 62, "dormant", 62),
    ((0, 7, 14, 21, 41), 41, "active", None),
    # a new customer may fall silent by the own rhythm before the days of being new are over
    ((0, 1, 2, 3), 22, "new", 0),
    ((0, 1, 2, 3), 23, "dormant", 23),
    ((0, 1, 2, 3), 24, "dormant", 23),
]


@pytest.mark.parametrize(("bought", "at", "state", "since"), WITH_RHYTHM)
def test_general_pack_with_a_rhythm(
    session: DuckSession, bought: tuple[int, ...], at: int, state: str, since: int | None
) -> None:
    row = person(session, orders(*bought), at, clock=WEEKLY)
    assert row["rhythm_known"] is True
    assert (row["state"], row["state_since"]) == (state, None if since is None else day(since))


@pytest.mark.parametrize("name", list(PACKS))
def test_thresholds_of_every_pack(session: DuckSession, name: str) -> None:
    pack = PACKS[name]
    last_new, dormant, lost = pack.new_days - 1, pack.dormant_after_days, pack.lost_after_days
    expected = {
        0: "new",
        last_new: "new",
        dormant // 2: "declining",
        dormant - 1: "declining",
        dormant: "dormant",
        lost - 1: "dormant",
        lost: "lost",
    }
    assert {at: person(session, orders(0), at, pack)["state"] for at in expected} == expected
    back = {0: "returned", pack.returned_days - 1: "returned"}
    ended = [*orders(0, dormant + 1)]
    found = {at: person(session, ended, dormant + 1 + at, pack)["state"] for at in back if at < dormant}
    assert found == {at: state for at, state in back.items() if at < dormant}


def test_prospects_have_never_bought(session: DuckSession) -> None:
    looked = person(session, browsing(0, 5, 9), 400)
    assert (looked["state"], looked["state_since"], looked["valid_until"]) == ("prospect", DAY_0, None)
    refund = Happening(1, 1, datetime(2025, 1, 3, 9, tzinfo=UTC), "refund", revenue=-5.0)
    assert person(session, [refund], 400)["state"] == "prospect"
    bought = person(session, [*browsing(0, 5, 9), *orders(10)], 10)
    assert (bought["state"], bought["state_since"]) == ("new", day(10))


def test_a_refund_wakes_nobody(session: DuckSession) -> None:
    refund = Happening(1, 1, datetime(2025, 6, 30, 9, tzinfo=UTC), "refund", revenue=-5.0)
    row = person(session, [*orders(0), refund], 180)
    assert (row["state"], row["last_day"]) == ("dormant", date(2025, 6, 30))


def test_free_orders_are_orders(session: DuckSession) -> None:
    assert person(session, orders(0, amount=0.0), 0)["state"] == "new"


def test_falling_activity_is_a_decline(session: DuckSession) -> None:
    assert person(session, orders(0, 30, 60, 90, 120, 150, 180), 185)["state"] == "active"
    fewer = [*orders(0, 10, 20, 95), *browsing(12, 14, 16)]
    row = person(session, fewer, 108)
    assert (row["active_days_before"], row["active_days_recent"]) == (5, 2)
    assert (row["state"], row["state_since"]) == ("declining", None)


def test_falling_spend_is_a_decline(session: DuckSession) -> None:
    before = orders(0, 10, 20, amount=100.0)
    for amount, state in ((60.0, "active"), (40.0, "declining")):
        now = [purchase(200 + at, 1, day(at), amount) for at in (91, 101, 111)]
        assert person(session, [*before, *now], 112)["state"] == state


def test_who_has_just_begun_does_not_decline(session: DuckSession) -> None:
    """Somebody looks around for weeks, buys once and looks around no more: that is no decline."""
    happenings = [*browsing(*range(0, 60, 3)), *orders(61)]
    row = person(session, happenings, 61 + 80)
    assert row["active_days_recent"] < 0.5 * row["active_days_before"]
    assert row["state"] == "active"
    assert person(session, happenings, 61 + 90)["state"] == "declining"


def test_every_state_has_a_name() -> None:
    assert list(STATES) == ["prospect", "new", "active", "declining", "dormant", "lost", "returned"]


UNDATED = {"person_id", "peak_weekday", "weekend_share"}
"""What shifting a history in time changes."""


def day_by_day(
    session: DuckSession, happenings: list[Happening], recipe: Recipe, days: int
) -> dict[int, list[dict[str, Any] | None]]:
    """Returns everybody's profile as of each of ``days`` days from BEGIN, by one query.

    The profile as of a later day is that of a copy of the person, whose history was moved as much earlier.
    """
    kept = told(session, happenings, recipe.zone).to_pylist()
    moved = [
        {**row, "person_id": row["person_id"] * 1000 + number, "day": row["day"] - timedelta(days=number)}
        for row in kept
        for number in range(days)
    ]
    session.offer("person_days", rows_of(PERSON_DAYS, moved))
    session.offer("items", item_rows([], recipe.zone))
    found: dict[int, list[dict[str, Any] | None]] = {row["person_id"]: [None] * days for row in kept}
    for row in computed_profiles(session, recipe, BEGIN):
        who, number = divmod(row["person_id"], 1000)
        found[who][number] = {
            name: value + timedelta(days=number) if isinstance(value, date) else value
            for name, value in row.items()
            if name not in UNDATED
        }
    return found


def honest(session: DuckSession, happenings: list[Happening], recipe: Recipe) -> None:
    """Asserts that no row changes before its ``valid_until`` has passed, and that every state began when it says."""
    for rows in day_by_day(session, happenings, recipe, days=140).values():
        for number, row in enumerate(rows):
            if row is None:
                continue
            as_of = BEGIN + timedelta(days=number)
            assert row["valid_until"] is None or row["valid_until"] >= as_of
            before = rows[number - 1] if number else None
            if before is not None and before["events"] == row["events"]:
                kept = before["valid_until"] is None or before["valid_until"] >= as_of
                assert not kept or row == before
            since = row["state_since"]
            if since is not None and row["state"] != "new":
                assert since <= as_of
                spell = rows[max((since - BEGIN).days, 0) : number]
                assert {one["state"] for one in spell if one is not None} <= {row["state"]}


drawn = given(
    happenings=histories(most=25, people=3, days=60),
    zone=st.sampled_from(ZONES),
    clock=st.sampled_from([fixed_clock(BRISK), WEEKLY]),
)


@FAST
@drawn
def test_valid_until_and_state_since_are_honest(
    session: DuckSession, happenings: list[Happening], zone: str, clock: ColumnSet
) -> None:
    honest(session, happenings, Recipe(zone, (clock, states(BRISK)), 14))


@pytest.mark.slow
@SLOW
@drawn
def test_valid_until_and_state_since_are_honest_in_many_histories(
    session: DuckSession, happenings: list[Happening], zone: str, clock: ColumnSet
) -> None:
    honest(session, happenings, Recipe(zone, (clock, states(BRISK)), 14))


def test_a_returned_person_had_been_dormant_the_day_before(session: DuckSession) -> None:
    for gap in range(178, 184):
        happenings = orders(0, gap)
        before, after = (person(session, happenings, at)["state"] for at in (gap - 1, gap))
        assert (after == "returned") is (before == "dormant")
