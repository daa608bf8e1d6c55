from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.store.catalogue import Catalogue
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import FACTS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.query import one
from jingzhe.store.state import State
from jingzhe.store.warehouse import Warehouse
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def open_warehouse(home: Path, *, wait_seconds: float = 60.0) -> Warehouse:
    clock = FixedClock(NOW)
    return Warehouse(
        Catalogue.of(*FACTS),
        State.open(f"sqlite:///{home / 'state.db'}", clock=clock),
        Lake(str(home / "lake")),
        DuckEngine(home / "work", memory_limit_mb=2_000, threads=2),
        clock,
        wait_seconds,
    )


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a project in which nothing has happened; migrating costs more than copying."""
    folder = tmp_path_factory.mktemp("empty") / "project"
    opened = open_warehouse(folder)
    with opened.state, opened.writing("nothing"):
        pass
    return folder


@pytest.fixture
def warehouse(tmp_path: Path, empty_project: Path) -> Iterator[Warehouse]:
    shutil.copytree(empty_project, tmp_path / "project")
    opened = open_warehouse(tmp_path / "project")
    with opened.state:
        yield opened


def rows_of(warehouse: Warehouse, sql: str) -> list[dict[str, Any]]:
    """Returns the rows of a query over the newest publication."""
    with warehouse.reading() as session:
        return list(session.run(one("asked", sql)).to_pylist())


def facts(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Returns what the tables say, without numbers that differ from import to import."""
    events = """
SELECT value AS customer, order_id, ts, day, source, name, activity, revenue, discount, quantity, currency
FROM events JOIN identities USING (person_id) ORDER BY ALL"""
    items = """
SELECT value AS customer, items.ts, items.day, product_id, category, items.quantity, price, items.discount, amount,
  order_id FROM items JOIN events USING (event_id, person_id) JOIN identities USING (person_id) ORDER BY ALL"""
    return {
        "events": [tuple(row.values()) for row in rows_of(warehouse, events)],
        "items": [tuple(row.values()) for row in rows_of(warehouse, items)],
    }
