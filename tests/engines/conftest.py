"""One Spark on this machine for all these tests: to start one takes ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jingzhe.store.engine.spark import SparkEngine
from jingzhe.store.places import place_of

MEMORY_MB = 1200
QUICK = {
    # Small data: what a query costs is Spark's own work, and compiling code for it is the largest part.
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}

Spark = Callable[[Path], SparkEngine]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Gives engines on one Spark, each over the lake in a project's folder."""
    home = tmp_path_factory.mktemp("spark")

    def engine(folder: Path) -> SparkEngine:
        return SparkEngine("local[2]", place_of(str(folder / "lake")), folder / "tmp", QUICK, MEMORY_MB)

    first = engine(home)
    with first.session():
        pass
    yield engine
    first.close()
