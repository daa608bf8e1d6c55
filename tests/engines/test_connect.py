"""Over Spark Connect, where Spark is a server of its own: the same refresh, scores and list as on one machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jingzhe.core.errors import EngineError
from jingzhe.store.query import one
from tests.engines import happenings
from tests.engines.cluster import answers, spark_environment, spark_home, stop
from tests.engines.comparing import differences
from tests.engines.conftest import QUICK
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]

PEOPLE = 300
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_SECONDS = 180.0


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


def visit(home: str, address: str, answers: str) -> None:
    """Lives a project's life over Spark Connect and writes down what it answers; in a process with no other Spark."""
    with happenings.opened(Path(home), address=address) as workspace:
        happenings.simulate(workspace, PEOPLE)
        workspace.update()
        for name, table in happenings.ask_shortly(workspace).items():
            pq.write_table(table, Path(answers) / f"{name}.parquet")
        try:
            with workspace.warehouse.reading() as session:
                session.run(one("ages", "SELECT CAST($phone AS INTEGER) AS age"), {"phone": "secret 13800138000"})
        except EngineError as error:
            (Path(answers) / "error.txt").write_text(f"{error} {error.where}", "utf-8")


@pytest.fixture(scope="module")
def visited(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that was computed over Spark Connect, with its answers beside it."""
    folder = tmp_path_factory.mktemp("visited")
    code = f"from tests.engines.test_connect import visit; visit({str(folder / 'far')!r}, {address!r}, {str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_answers_are_those_of_one_machine(visited: Path, tmp_path: Path) -> None:
    with happenings.opened(tmp_path / "duck") as here:
        happenings.simulate(here, PEOPLE)
        here.update()
        expected = happenings.ask_shortly(here)
    for name, table in expected.items():
        assert table.num_rows > 3, name
        assert differences(table, pq.read_table(visited / f"{name}.parquet"), ordered=name == "list") == [], name


def test_nothing_is_left_behind(visited: Path) -> None:
    lake = visited / "far" / "lake"
    assert list(lake.rglob("*.parquet"))
    assert not list((lake / "_sessions").iterdir())
    assert not list(lake.rglob("*.crc"))


def test_errors_carry_no_values(visited: Path) -> None:
    told = (visited / "error.txt").read_text("utf-8")
    assert "'step': 'ages'" in told
    assert "13800138000" not in told
