"""A small shop: facts as they happen, the warehouse they are published to, and what holds of them at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from jingzhe.core.clock import FixedClock
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.profile.packs import StatePack
from jingzhe.profile.queries import all_person_days
from jingzhe.profile.refresh import Recipe, profiles_as_of
from jingzhe.profile.status import fixed_clock, states
from jingzhe.store.catalogue import Catalogue, Table
from jingzhe.store.engine import Session
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import EVENTS, FACTS, ITEMS, RETRACTIONS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.query import one
from jingzhe.store.state import State
from jingzhe.store.warehouse import Warehouse

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    category: str | None
    amount: float


@dataclass(frozen=True)
class Happening:
    """One event of one person, with the lines of the order."""

    event_id: int
    person_id: int
    ts: datetime
    activity: str = "purchase"
    revenue: float | None = None
    discount: float | None = None
    quantity: float | None = None
    lines: tuple[Line, ...] = ()

    def local(self, zone: str) -> datetime:
        """When it was on the clock of the zone."""
        return self.ts.astimezone(ZoneInfo(zone))

    def day(self, zone: str) -> date:
        """On which day of the zone it was."""
        return self.local(zone).date()


def purchase(event_id: int, person_id: int, day: date, revenue: float = 10.0, **given: Any) -> Happening:
    """An order at noon UTC."""
    return Happening(
        event_id, person_id, datetime(day.year, day.month, day.day, 12, tzinfo=UTC), **given, revenue=revenue
    )


def rows_of(table: Table, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows in the columns of a table; what is left out is null."""
    schema = table.arrow_schema
    return pa.table({name: [row.get(name) for row in rows] for name in schema.names}, schema=schema)


def event_rows(happenings: Sequence[Happening], zone: str, batch: int = 1) -> pa.Table:
    """Rows of ``events``."""
    rows = [
        {
            "event_id": one.event_id,
            "ts": one.ts,
            "day": one.day(zone),
            "received_at": one.ts,
            "source": "shop",
            "name": one.activity,
            "activity": one.activity,
            "person_id": one.person_id,
            "revenue": one.revenue,
            "discount": one.discount,
            "quantity": one.quantity,
            "batch": batch,
        }
        for one in happenings
    ]
    return rows_of(EVENTS, rows)


def item_rows(happenings: Sequence[Happening], zone: str, batch: int = 1) -> pa.Table:
    """Rows of ``items``."""
    rows = [
        {
            "event_id": one.event_id,
            "ts": one.ts,
            "day": one.day(zone),
            "person_id": one.person_id,
            "product_id": f"p{number}",
            "category": line.category,
            "quantity": 1.0,
            "amount": line.amount,
            "batch": batch,
        }
        for one in happenings
        for number, line in enumerate(one.lines)
    ]
    return rows_of(ITEMS, rows)


def retraction_rows(happenings: Sequence[Happening], zone: str, batch: int) -> pa.Table:
    """Rows of ``retractions``."""
    rows = [
        {"event_id": one.event_id, "person_id": one.person_id, "day": one.day(zone), "batch": batch}
        for one in happenings
    ]
    return rows_of(RETRACTIONS, rows)


def recipe_of(zone: str, pack: StatePack | None = None, window_days: int = 90) -> Recipe:
    """How profiles are computed where no rhythm is known."""
    chosen = pack or StatePack()
    return Recipe(zone, (fixed_clock(chosen), states(chosen)), window_days)


@contextmanager
def warehouse_in(folder: Path) -> Iterator[Warehouse]:
    """An empty warehouse on SQLite and local files."""
    clock = FixedClock(NOON)
    with State.open(f"sqlite:///{folder / 'state.db'}", clock=clock) as state:
        engine = DuckEngine(folder / "tmp", memory_limit_mb=500, threads=1)
        catalogue = Catalogue.of(*FACTS, PERSON_DAYS, PROFILES)
        yield Warehouse(catalogue, state, Lake(str(folder / "lake")), engine, clock, wait_seconds=5)


@dataclass
class Shop:
    """What happened, and the warehouse that was told of it."""

    warehouse: Warehouse
    zone: str = "UTC"
    live: dict[int, Happening] = field(default_factory=dict)

    def publish(self, new: Sequence[Happening] = (), gone: Sequence[Happening] = ()) -> None:
        """Tells the warehouse of new events and of events that no longer hold, in one publication."""
        with self.warehouse.writing("import") as writing:
            batch = writing.batch
            tables = {
                EVENTS: event_rows(new, self.zone, batch),
                ITEMS: item_rows(new, self.zone, batch),
                RETRACTIONS: retraction_rows(gone, self.zone, batch),
            }
            for table, rows in tables.items():
                if rows.num_rows:
                    writing.session.offer("new_rows", rows)
                    writing.append(table, one("new_rows", "SELECT * FROM new_rows"))
                    writing.session.drop("new_rows")
            writing.publish("import")
        for happening in gone:
            del self.live[happening.event_id]
        self.live |= {happening.event_id: happening for happening in new}

    def stored(self, table: Table) -> list[dict[str, Any]]:
        """The rows of a table, by key."""
        with self.warehouse.reading() as session:
            return sorted_rows(session.run(one("stored", f"SELECT * FROM {table.name}")), table)


def sorted_rows(rows: pa.Table, table: Table) -> list[dict[str, Any]]:
    """Rows in the columns of a table, by key."""
    given = rows.select(table.column_names).cast(table.arrow_schema).to_pylist()
    return sorted(given, key=lambda row: tuple(row[name] for name in table.key))


def told(session: Session, happenings: Sequence[Happening], zone: str = "UTC", *, packed: bool = True) -> pa.Table:
    """Makes a session's events, items and person-days those of a history; returns the person-days."""
    session.offer("events", event_rows(happenings, zone))
    session.offer("items", item_rows(happenings, zone))
    session.drop("dayparts")
    days = computed_days(session, zone, packed=packed)
    session.offer("person_days", days)
    return days


def computed_days(session: Session, zone: str, *, packed: bool = True) -> pa.Table:
    """Everybody's person-days, computed at once."""
    days = session.run(all_person_days(utc=zone == "UTC", packed=packed), {"zone": zone})
    return days.select(PERSON_DAYS.column_names).cast(PERSON_DAYS.arrow_schema)


def computed_profiles(session: Session, recipe: Recipe, as_of: date) -> list[dict[str, Any]]:
    """Everybody's profile from the session's ``person_days`` and ``items``, computed at once."""
    return sorted_rows(session.run(profiles_as_of(recipe), recipe.values(as_of)), PROFILES)


def everything_computed(
    session: Session, happenings: Sequence[Happening], recipe: Recipe, as_of: date
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Person-days and profiles, computed at once and by no warehouse."""
    days = told(session, happenings, recipe.zone)
    return sorted_rows(days, PERSON_DAYS), computed_profiles(session, recipe, as_of)


def assert_same(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Asserts that rows are equal: sums to 1e-9 of their size, everything else exactly."""
    assert len(got) == len(wanted), f"{len(got)} rows, {len(wanted)} were expected"
    for row, should in zip(got, wanted, strict=True):
        assert row.keys() == should.keys()
        for name, value in row.items():
            other = should[name]
            if isinstance(value, float) and isinstance(other, float):
                same = abs(value - other) <= 1e-9 * max(1.0, abs(other))
            else:
                same = value == other
            assert same, f"{name} of {[should[key] for key in list(should)[:2]]}: {value!r}, expected {other!r}"
