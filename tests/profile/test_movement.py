"""Who moved between two days: states and classes, both days seen with the eyes of the later one."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jingzhe.profile import rfm
from jingzhe.profile.columns import PEOPLE, PROFILES
from jingzhe.profile.movement import keep_people, movement
from jingzhe.profile.rfm import Thresholds
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.query import one
from tests.profile.shop import computed_profiles, purchase, recipe_of, rows_of, told

BEFORE, NOW = date(2025, 9, 1), date(2026, 3, 1)
CUTS = (1.0, 2.0, 3.0, 4.0)
FOUND = Thresholds(60, 2, 25, (30.0, 60.0, 90.0, 120.0), CUTS, (10.0, 20.0, 30.0, 40.0))
RECIPE = recipe_of("UTC")


@pytest.fixture
def two_days(session: DuckSession) -> DuckSession:
    """A session with ``people`` and ``people_before`` of four people."""
    bought = {
        1: (BEFORE, NOW),  # 181 days between: dormant in the meantime, back now
        2: (BEFORE,),
        3: (NOW,),  # nobody knew of this one before
        4: tuple(BEFORE + timedelta(days=30 * number) for number in range(-3, 7)),
    }
    happenings = [
        purchase(100 * who + number, who, day) for who, days in bought.items() for number, day in enumerate(days)
    ]
    told(session, happenings)
    session.offer("profiles", rows_of(PROFILES, computed_profiles(session, RECIPE, NOW)))
    assert keep_people(session, RECIPE, NOW, FOUND, name="people") == 4
    assert keep_people(session, RECIPE, BEFORE, FOUND) == 3
    return session


def test_states(two_days: DuckSession) -> None:
    assert movement(two_days).to_pylist() == [
        {"state_before": "absent", "state_now": "new", "people": 1, "monetary": 10.0},
        {"state_before": "active", "state_now": "active", "people": 1, "monetary": 100.0},
        {"state_before": "new", "state_now": "dormant", "people": 1, "monetary": 10.0},
        {"state_before": "new", "state_now": "returned", "people": 1, "monetary": 20.0},
    ]


def test_classes(two_days: DuckSession) -> None:
    moved = {(row["class_before"], row["class_now"]): row["people"] for row in rfm.migration(two_days).to_pylist()}
    assert moved == {
        (None, "general_develop"): 1,
        ("general_develop", "general_develop"): 1,
        ("general_develop", "general_retain"): 1,
        ("important_value", "important_value"): 1,
    }


def test_people_as_of_the_day_of_the_profiles_are_those_of_the_profiles(two_days: DuckSession) -> None:
    kept = two_days.run(one("kept", "SELECT * FROM people ORDER BY person_id"))
    stored = two_days.run(rfm.PEOPLE, rfm.people_values(FOUND, NOW)).sort_by("person_id")
    assert kept.select(PEOPLE.column_names).to_pylist() == stored.to_pylist()


def test_a_relation_is_replaced(two_days: DuckSession) -> None:
    assert keep_people(two_days, RECIPE, BEFORE - timedelta(days=1), FOUND) == 1
