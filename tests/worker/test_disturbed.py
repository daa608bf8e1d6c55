"""A full disk and a database that stops, once each; tests/faults does the same for longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.disturbing import fill_inbox_disk, fill_lake_disk, small_disk, stop_postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 64) as folder:
        yield folder


@pytest.mark.parametrize("free_mb", [24, 0])
def test_the_disk_of_the_inbox_fills_up(disk: Path, tmp_path: Path, free_mb: int) -> None:
    fill_inbox_disk(disk, tmp_path, free_mb=free_mb, times=1)


def test_the_disk_of_the_lake_fills_up(disk: Path, tmp_path: Path) -> None:
    fill_lake_disk(disk, tmp_path, times=1)


@pytest.mark.parametrize("sudden", [False, True])
def test_postgres_stops_and_comes_back(tmp_path: Path, sudden: bool) -> None:
    stop_postgres(tmp_path / "home", times=1, sudden=sudden)
