"""The catalogue and the queries say the same: every declared column comes out, with its type, and is explained."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from jingzhe.profile.columns import (
    CLOCK_COLUMNS,
    COUNTED,
    FACT_COLUMNS,
    PEOPLE,
    PERSON_DAYS,
    PROFILES,
    STATE_COLUMNS,
)
from jingzhe.profile.columnsets import ColumnSet
from jingzhe.profile.packs import StatePack
from jingzhe.profile.queries import FACTS, SUMMED, all_person_days
from jingzhe.profile.refresh import profiles_as_of
from jingzhe.profile.status import fixed_clock, states
from jingzhe.store.catalogue import ARROW, Column, Table
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.facts import ACTIVITIES
from tests.profile.shop import purchase, recipe_of, told

TABLES = (PERSON_DAYS, PROFILES, PEOPLE)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_explained(table: Table) -> None:
    assert table.doc
    assert [column.name for column in table.columns if len(column.doc) < 8] == []


def test_profiles_are_facts_clock_and_state() -> None:
    assert PROFILES.columns == (*FACT_COLUMNS, *CLOCK_COLUMNS, *STATE_COLUMNS)
    assert set(COUNTED) <= set(ACTIVITIES)
    assert set(SUMMED) == set(PERSON_DAYS.column_names) - {"person_id", "day"}


def test_queries_give_the_declared_columns(session: DuckSession) -> None:
    recipe, as_of = recipe_of("UTC"), date(2026, 3, 5)
    told(session, [purchase(1, 1, as_of)])
    days = session.run(all_person_days(utc=True))
    assert set(days.schema.names) == {column.name for column in PERSON_DAYS.stored_columns}
    facts = session.run(FACTS, {"as_of": as_of, "window_days": 90})
    assert facts.schema == pa.schema([(column.name, ARROW[column.type]) for column in FACT_COLUMNS])
    profiles = session.run(profiles_as_of(recipe), recipe.values(as_of))
    assert profiles.schema.names == list(PROFILES.column_names)
    castable = profiles.cast(PROFILES.arrow_schema)
    assert castable.num_rows == 1


def test_column_sets_declare_what_they_compute() -> None:
    pack = StatePack()
    assert fixed_clock(pack).columns == CLOCK_COLUMNS
    assert states(pack).columns == STATE_COLUMNS
    with pytest.raises(ValueError, match="differ"):
        ColumnSet("broken", (Column("one", "BIGINT", "declared, but not computed"),), {"other": "1"})


def test_a_column_set_adds_to_every_row(session: DuckSession) -> None:
    doubled = ColumnSet("doubled", (Column("twice", "BIGINT", "two times n"),), {"twice": "$factor * n"}, {"factor": 2})
    session.offer("numbers", pa.table({"n": [1, 2, 3]}))
    assert doubled.select("numbers") == "SELECT *, $factor * n AS twice FROM numbers"
