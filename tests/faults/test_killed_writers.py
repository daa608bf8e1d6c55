from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.s3 import Place, bucket, s3_server
from tests.store.killing import kill_rewriters, kill_writers
from tests.store.small import Elsewhere, url_in

__all__ = ["bucket", "postgres_server", "postgres_url", "s3_server"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_on_sqlite(tmp_path: Path, seed: int) -> None:
    kill_writers(tmp_path, url_in(tmp_path), times=60, seed=100 + seed)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_writers(tmp_path, postgres_url, times=60, seed=200)


def test_with_the_lake_in_an_object_store(tmp_path: Path, postgres_url: str, bucket: Place) -> None:
    kill_writers(tmp_path, postgres_url, times=30, seed=300, elsewhere=Elsewhere(bucket.url, bucket.options))


@pytest.mark.parametrize("at_once", [1, 2])
def test_rewriters_on_sqlite(tmp_path: Path, at_once: int) -> None:
    kill_rewriters(tmp_path, url_in(tmp_path), times=40, seed=400 + at_once, at_once=at_once)


def test_rewriters_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_rewriters(tmp_path, postgres_url, times=40, seed=500, at_once=2)


def test_rewriters_with_the_lake_in_an_object_store(tmp_path: Path, postgres_url: str, bucket: Place) -> None:
    elsewhere = Elsewhere(bucket.url, bucket.options)
    kill_rewriters(tmp_path, postgres_url, times=15, seed=600, elsewhere=elsewhere)
