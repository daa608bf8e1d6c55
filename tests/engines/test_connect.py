"""Over Spark Connect, where Spark is a server of its own: the same refresh, scores and list as on one machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jingzhe.app.workspace import Workspace
from jingzhe.core.errors import EngineError
from jingzhe.store.query import one
from tests.engines import happenings
from tests.engines.cluster import answers, free_port, spark_environment, spark_home, stop
from tests.engines.comparing import differences
from tests.engines.conftest import QUICK

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]

PEOPLE = 300
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_SECONDS = 90.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on this machine, a process of its own."""
    folder = tmp_path_factory.mktemp("connect")
    port = free_port()
    settings = {
        **QUICK, "spark.connect.grpc.binding.port": str(port), "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "spill"),
        "spark.sql.catalogImplementation": "in-memory",
    }  # fmt: skip
    command = [str(spark_home() / "bin" / "spark-submit"), "--class", SERVER, "--master", "local[2]"]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    with (folder / "server.log").open("wb") as log:
        # The memory of the server, as Spark names it, and the Python of the server's workers.
        server_has = {"SPARK_DAEMON_MEMORY": "1g", "PYSPARK_PYTHON": sys.executable}
        environment = spark_environment(folder) | server_has
        server = subprocess.Popen([*command, "spark-internal"], env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + _SECONDS
        while not answers(port):
            assert server.poll() is None, (folder / "server.log").read_text("utf-8", errors="replace")[-2000:]
            assert time.monotonic() < until, "the server did not begin to listen"
            time.sleep(0.3)
        yield f"sc://127.0.0.1:{port}"
    finally:
        stop(server)


@pytest.fixture(scope="module")
def both(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Workspace]]:
    """Two projects with the same life, one of them over Spark Connect."""
    home = tmp_path_factory.mktemp("projects")
    with (
        happenings.opened(home / "duck") as here,
        happenings.opened(home / "far", address=address) as there,
    ):
        for workspace in (here, there):
            happenings.simulate(workspace, PEOPLE)
            workspace.update()
        yield here, there


def test_the_answers_are_those_of_one_machine(both: tuple[Workspace, Workspace]) -> None:
    left, right = (happenings.ask_shortly(workspace) for workspace in both)
    for name, table in left.items():
        assert table.num_rows > 3, name
        assert differences(table, right[name], ordered=name == "list") == [], name


def test_nothing_is_left_behind(both: tuple[Workspace, Workspace]) -> None:
    lake = Path(both[1].warehouse.lake.root)
    assert not list((lake / "_sessions").iterdir())
    assert not list(lake.rglob("*.crc"))


def test_errors_carry_no_values(both: tuple[Workspace, Workspace]) -> None:
    with both[1].warehouse.reading() as session, pytest.raises(EngineError) as caught:
        session.run(one("ages", "SELECT CAST($phone AS INTEGER) AS age"), {"phone": "secret 13800138000"})
    assert caught.value.where == {"step": "ages"}
    assert "13800138000" not in str(caught.value)
