from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jingzhe.report import Frame, ReportData, collect_data
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from tests.report.business import frame, offer, shop

Gather = Callable[..., ReportData]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    with DuckEngine(tmp_path / "work", memory_limit_mb=500, threads=1).session() as opened:
        yield opened


@pytest.fixture
def gather(session: DuckSession) -> Gather:
    """Computes the contents from rows of the relations."""

    def computed(given: Frame | None = None, *, written: Callable[[str], str] = str, **rows: Any) -> ReportData:
        offer(session, **rows)
        return collect_data(session, given or frame(before=None), written)

    return computed


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """Contents of a whole shop."""
    with DuckEngine(tmp_path_factory.mktemp("work"), memory_limit_mb=500, threads=1).session() as opened:
        offer(opened, **shop())
        return collect_data(opened, frame())
