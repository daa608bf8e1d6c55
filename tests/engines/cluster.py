"""A real standalone cluster on this machine: one master, two workers, each a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

from jingzhe.store.engine.spark_start import bundled_java
from tests.ports import free_port

_SECONDS = 180.0


@dataclass
class Cluster:
    """A running cluster.

    Args:
        url: of the master.
        environment: in which Spark's processes run.
        workers: their processes.
    """

    url: str
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def kill_a_worker(self) -> None:
        """Kills a worker that has an executor, and its executors, with SIGKILL."""
        busy = [worker for worker in self.workers if worker.poll() is None and children(worker.pid)]
        assert busy, "no worker is at work"
        for pid in (busy[0].pid, *children(busy[0].pid)):
            os.kill(pid, signal.SIGKILL)
        busy[0].wait()

    def executors(self) -> list[int]:
        """Returns the processes of the executors."""
        return [pid for worker in self.workers if worker.poll() is None for pid in children(worker.pid)]


def spark_home() -> Path:
    """Returns where Spark stands: in the package pyspark."""
    found = importlib.util.find_spec("pyspark")
    assert found is not None, "the extra spark is not installed"
    assert found.origin is not None
    return Path(found.origin).parent


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started and that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def spark_environment(folder: Path) -> dict[str, str]:
    """Returns the environment of Spark's own processes; what they spill goes below ``folder``."""
    return {
        **os.environ, "JAVA_HOME": str(bundled_java(folder)), "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "spill"), "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }  # fmt: skip


def answers(port: int) -> bool:
    """Tells whether somebody listens on a port of this machine."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(folder: Path, *, memory: str = "700m") -> Iterator[Cluster]:
    """Starts a cluster of two workers with one core each; stops it at the end."""
    environment = spark_environment(folder)
    port = free_port()
    cluster = Cluster(f"spark://127.0.0.1:{port}", environment)
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(spark_home() / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1"]
        with (folder / f"{kind}-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--webui-port", "0", *arguments], env=environment, stdout=log, stderr=log
            )
        started.append(process)
        return process

    try:
        start("master.Master", "--port", str(port))
        _wait_for(cluster.url)
        for number in range(2):
            work = str(folder / f"worker-{number}")
            cluster.workers.append(
                start("worker.Worker", "--cores", "1", "--memory", memory, "--work-dir", work, cluster.url)
            )
        _wait_for_workers(folder)
        yield cluster
    finally:
        for process in reversed(started):
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kills a process and those it started, and waits until it has ended."""
    for pid in (*children(process.pid), process.pid):
        _kill(pid)
    process.wait()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_for(url: str) -> None:
    address = urlparse(url)
    until = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection((str(address.hostname), int(address.port or 0)), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def _wait_for_workers(folder: Path) -> None:
    until = time.monotonic() + _SECONDS
    log = folder / "master.Master-0.log"
    while log.read_text("utf-8").count("Registering worker") < 2:
        assert time.monotonic() < until, "the workers did not register"
        time.sleep(0.2)
