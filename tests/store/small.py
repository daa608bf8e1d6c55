"""A small warehouse for tests: the tables of facts, and one with an overlay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from jingzhe.core.clock import Clock, FixedClock
from jingzhe.store.catalogue import Catalogue, Column, Table
from jingzhe.store.engine import Session
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import EVENTS, FACTS, ITEMS, RETRACTIONS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.places import place_of
from jingzhe.store.query import one
from jingzhe.store.state import Publication, State
from jingzhe.store.warehouse import Warehouse, Writing

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)

SCORES = Table(
    "scores",
    (Column("person_id", "BIGINT", "the person"), Column("score", "BIGINT", "a number")),
    key=("person_id",),
    sort_by=("person_id",),
    layered=True,
    derived=True,
    doc="one person",
)
CATALOGUE = Catalogue.of(*FACTS, SCORES)


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.db'}"


class Elsewhere(NamedTuple):
    """A lake in an object store."""

    url: str
    options: Mapping[str, str]
    cache_bytes: int = 10**9


@contextmanager
def opened(
    folder: Path,
    url: str | None = None,
    *,
    clock: Clock | None = None,
    elsewhere: Elsewhere | None = None,
    **engine: Any,
) -> Iterator[Warehouse]:
    """Opens the warehouse in ``folder``, its lake there or elsewhere."""
    when = clock or FixedClock(NOON)
    limits = {"memory_limit_mb": 300, "threads": 1} | engine
    where = elsewhere or Elsewhere(str(folder / "lake"), {})
    place = place_of(where.url, where.options)
    near = place.near(folder / "cache", where.cache_bytes)
    with State.open(url or url_in(folder), clock=when) as state:
        lake = Lake(place.root, place.options, near)
        yield Warehouse(CATALOGUE, state, lake, DuckEngine(folder / "work", near=near, **limits), when, wait_seconds=60)


def rows_of(table: Table, given: Iterable[dict[str, Any]]) -> pa.Table:
    """Returns rows of ``table``; what is not given is null."""
    columns = [(column.name, table.arrow_schema.field(column.name).type) for column in table.columns]
    listed = list(given)
    return pa.table({name: pa.array([row.get(name) for row in listed], kind) for name, kind in columns})


def event(event_id: int, person_id: int, revenue: float = 1.0, batch: int = 0, **more: Any) -> dict[str, Any]:
    ts = NOON + timedelta(minutes=event_id)
    known = {"event_id": event_id, "person_id": person_id, "revenue": revenue, "amount": revenue, "batch": batch}
    return {**known, "ts": ts, "day": ts.date(), "activity": "purchase", **more}


def append(writing: Writing, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    data = rows_of(table, ({**row, "batch": writing.batch} for row in rows))
    writing.session.offer("given", data)
    writing.append(table, one("given_rows", "SELECT * FROM given"))
    writing.session.drop("given")


def published(warehouse: Warehouse, events: Iterable[dict[str, Any]], purpose: str = "test") -> Publication:
    """Publishes events and, one for each, items."""
    listed = list(events)
    with warehouse.writing(purpose) as writing:
        append(writing, EVENTS, listed)
        append(writing, ITEMS, listed)
        publication = writing.publish(purpose)
    assert publication is not None
    return publication


def retracted(warehouse: Warehouse, pairs: Iterable[tuple[int, int]]) -> Publication:
    """Publishes retractions of (event, person)."""
    with warehouse.writing("correction") as writing:
        rows = [
            {"event_id": event_id, "person_id": person_id, "day": date(2026, 3, 5)} for event_id, person_id in pairs
        ]
        append(writing, RETRACTIONS, rows)
        publication = writing.publish("correction")
    assert publication is not None
    return publication


def stage_scores(writing: Writing, scores: dict[int, int | None], *, layer: Any) -> None:
    """Stages scores in place of a layer; None marks a person as gone."""
    ids, numbers = list(scores), list(scores.values())
    data = {
        "person_id": pa.array(ids, pa.int64()),
        "score": pa.array(numbers, pa.int64()),
        "gone": pa.array([number is None for number in numbers], pa.bool_()),
    }
    writing.session.offer("given", pa.table(data))
    files = writing.write(SCORES, one("given_scores", "SELECT * FROM given"), ordered=layer == "base")
    writing.session.drop("given")
    writing.stage(SCORES, files, layer=layer, replace=True)


def ids(session: Session, table: str = "events") -> list[int]:
    found = session.run(one("ids", f"SELECT event_id FROM {table} ORDER BY ALL"))["event_id"].to_pylist()
    return [int(number) for number in found]


def scores(session: Session) -> dict[int, int]:
    rows = session.run(one("scores_now", "SELECT person_id, score FROM scores")).to_pylist()
    return {int(row["person_id"]): int(row["score"]) for row in rows}


def live_in(warehouse: Warehouse) -> set[str]:
    """Returns the data files of the newest publication."""
    latest = warehouse.state.latest()
    tables = latest.tables if latest else {}
    return {
        file.path
        for table in warehouse.catalogue
        if table.name in tables
        for file in warehouse.lake.files(table, tables[table.name])
    }


def stored_in(warehouse: Warehouse) -> set[str]:
    """Returns the data files that stand in the lake."""
    lake = warehouse.lake
    return {
        f"{lake.folder(table)}/{name}"
        for table in warehouse.catalogue
        for name in lake.listed(table)
        if not name.startswith("_")
    }


def files_in(folder: Path) -> set[str]:
    """Returns the data files on the disk, by path."""
    return {str(path) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}
