"""A shop of 400 simulated people, imported from a CSV file as a person would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.simulate import Business, orders_csv

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
BUSINESS = Business(people=400, seed=7, events_per_person=120.0)


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    orders_csv(BUSINESS, path)
    return path


@pytest.fixture(scope="module")
def shop(orders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("shop"), clock=FixedClock(NOW), threads=1) as workspace:
        workspace.import_(orders)
        yield workspace
