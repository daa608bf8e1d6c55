"""Refreshes on a real cluster, from the command line, with settings only; and when a worker is killed in between."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.settings import FILE_NAME
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import one
from tests.engines import happenings
from tests.engines.cluster import Cluster, running
from tests.engines.comparing import differences

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]

PEOPLE = 400
OPTIONS = {
    "spark.executor.memory": "512m", "spark.executor.cores": "1", "spark.driver.memory": "700m",
    "spark.sql.shuffle.partitions": "4", "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}  # fmt: skip
PROFILES = one("all_profiles", "SELECT * FROM profiles ORDER BY person_id")
CODE = "from jingzhe.cli.main import run; run()"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose settings name the options of the cluster; DuckDB has brought its profiles up to date."""
    home = tmp_path / "project"
    home.mkdir()
    listed = "".join(f'"{name}" = "{value}"\n' for name, value in OPTIONS.items())
    (home / FILE_NAME).write_text(f'timezone = "{happenings.ZONE}"\n[engine_options]\n{listed}', "utf-8")
    with happenings.opened(home) as workspace:
        happenings.simulate(workspace, PEOPLE)
        workspace.refresh()
    return home


def refreshing(cluster: Cluster, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE, "--engine", cluster.url, "refresh", "--full", "--home", str(home)]
    return subprocess.Popen(
        command, env=dict(cluster.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def profiles(workspace: Workspace) -> pa.Table:
    with workspace.warehouse.reading() as session:
        return session.run(PROFILES)


def shown(home: Path) -> tuple[int, pa.Table]:
    with happenings.opened(home) as workspace:
        publication = workspace.warehouse.state.latest()
        assert publication is not None
        return publication.seq, profiles(workspace)


def test_a_refresh_on_a_cluster_gives_what_one_machine_gives(cluster: Cluster, project: Path) -> None:
    before, expected = shown(project)
    process = refreshing(cluster, project)
    told, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert f"{expected.num_rows:,} all profiles" in told
    assert "WARN" not in errors
    after, found = shown(project)
    assert after == before + 1
    assert differences(expected, found) == []
    assert not list((project / "lake" / "_sessions").iterdir())
    assert not list((project / "lake").rglob("*.crc"))


def test_a_worker_killed_in_the_middle_leaves_the_published_version_whole(cluster: Cluster, project: Path) -> None:
    before, expected = shown(project)
    process = refreshing(cluster, project)
    assert process.stderr is not None
    while "computing profiles" not in (line := process.stderr.readline()):
        assert line, "the refresh ended before it computed profiles"
    time.sleep(1.0)
    cluster.kill_a_worker()
    assert shown(project)[0] == before
    told, errors = process.communicate(timeout=300)
    after, found = shown(project)
    if process.returncode == 0:
        assert "all profiles" in told
        assert after == before + 1
    else:
        assert process.returncode == 1
        assert errors.strip().startswith("engine"), errors
        assert after == before
    assert differences(expected, found) == []
    with open_workspace(project) as workspace:  # by the clock by which the command line published
        vacuum(workspace.warehouse, keep_hours=0)
        publication = workspace.warehouse.state.latest()
        assert publication is not None
        for table in workspace.warehouse.catalogue:
            live = {file.path for file in workspace.warehouse.lake.files(table, publication.tables[table.name])}
            there = {str(path) for path in Path(workspace.warehouse.lake.folder(table)).rglob("*.parquet")}
            assert {path for path in there if "_delta_log" not in path} == live
        assert differences(expected, profiles(workspace)) == []


def test_a_driver_that_is_killed_leaves_the_published_version_whole(cluster: Cluster, project: Path) -> None:
    before, expected = shown(project)
    process = refreshing(cluster, project)
    assert process.stderr is not None
    while "computing profiles" not in (line := process.stderr.readline()):
        assert line, "the refresh ended before it computed profiles"
    process.kill()
    process.communicate()
    assert shown(project)[0] == before
    assert differences(expected, shown(project)[1]) == []
    with happenings.opened(project) as workspace:
        done = workspace.refresh(full=True)
        assert done.people == expected.num_rows
        assert differences(expected, profiles(workspace)) == []
