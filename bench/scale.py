"""Ten times the events again and again: time, memory and bytes read of refresh, training and scores on every engine.

``python -m bench.scale`` runs 1 M, 10 M and 100 M events on DuckDB, and 10 M and 100 M on a local Spark and on a
standalone cluster of two workers on this machine. ``--engines`` and ``--millions`` choose fewer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.lakes import line, timed
from jingzhe.app import models as fitted
from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import open_workspace
from jingzhe.core.progress import Silent
from tests.engines.cluster import Cluster, children, running

EVENTS_PER_PERSON = 100
SIZES = {"duckdb": (1, 10, 100), "local": (10, 100), "cluster": (10, 100)}
OPTIONS = {"spark.sql.shuffle.partitions": "16"}
CLUSTER_OPTIONS = {**OPTIONS, "spark.driver.memory": "1g", "spark.executor.memory": "3g", "spark.executor.cores": "1"}
WORKER_MEMORY = "4g"


def prepare(home: Path, millions: int) -> None:
    """Draws the business; a process of its own does it, so that its memory is not counted."""
    with open_workspace(home) as workspace:
        people = millions * 1_000_000 // EVENTS_PER_PERSON
        load_simulated(workspace, people=people, seed=1, events_per_person=EVENTS_PER_PERSON)


def measure(home: Path, address: str, options: dict[str, str]) -> None:
    """Refreshes, trains and scores; prints seconds, and memory and bytes of this process and its JVM."""
    with open_workspace(home, engine=address, engine_options=options) as workspace, _watched(os.getpid()) as peaks:
        with workspace.warehouse.engine.session():
            pass
        began = time.perf_counter()
        refresh = timed(lambda: workspace.refresh(full=True))
        done = workspace.refresh()
        train = timed(workspace.train)
        known = fitted.latest(workspace.warehouse)
        assert known is not None
        score = timed(lambda: fitted.score_everybody(workspace.warehouse, known, workspace.pack, done.as_of, Silent()))
        print(
            json.dumps(
                {"refresh_s": refresh, "train_s": train, "score_s": score, "all_s": time.perf_counter() - began,
                 **peaks()}
            )
        )  # fmt: skip


def _family(pid: int) -> list[int]:
    found = [pid]
    for child in children(pid):
        found += _family(child)
    return found


def _of(pid: int, file: str, field: str) -> int:
    with contextlib.suppress(OSError):
        for said in Path(f"/proc/{pid}/{file}").read_text("utf-8").splitlines():
            if said.startswith(field):
                return int(said.split()[1])
    return 0


@contextlib.contextmanager
def _watched(root: int) -> Iterator[Any]:
    """Watches a process and those it started; gives their peak memory together (MB) and the bytes that they read."""
    peak: list[int] = [0]
    read: dict[int, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            family = _family(root)
            peak[0] = max(peak[0], sum(_of(pid, "status", "VmRSS:") for pid in family))
            read.update({pid: max(read.get(pid, 0), _of(pid, "io", "rchar:")) for pid in family})

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield lambda: {"peak_mb": peak[0] / 1024, "read_gb": sum(read.values()) / 1e9}
    over.set()
    thread.join()


def _process(*arguments: str, java: str | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.scale", *arguments]
    environment = {**os.environ, **({"JAVA_HOME": java} if java else {})}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    said = done.stdout.decode().strip().splitlines()
    return dict(json.loads(said[-1])) if said else {}


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    folder.mkdir()
    with running(folder, memory=WORKER_MEMORY) as cluster:
        yield cluster


def on(engine: str, home: Path, folder: Path) -> dict[str, Any]:
    """Runs one engine over one lake; returns what it measured."""
    if engine == "duckdb":
        return _process("measure", str(home), "duckdb", "{}")
    if engine == "local":
        return _process("measure", str(home), "local[2]", json.dumps(OPTIONS))
    with _cluster(folder / "cluster") as cluster, contextlib.ExitStack() as stack:
        executors = [stack.enter_context(_watched(worker.pid)) for worker in cluster.workers]
        java = cluster.environment["JAVA_HOME"]
        found = _process("measure", str(home), cluster.url, json.dumps(CLUSTER_OPTIONS), java=java)
        watched = [one() for one in executors]
        found["workers_peak_mb"] = [round(one["peak_mb"]) for one in watched]
        found["read_gb"] += sum(one["read_gb"] for one in watched)
        return found


def main(engines: list[str], sizes: list[int]) -> None:
    """Runs every size on every engine, each in processes of their own, and says how the cost grows."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for millions in sorted(sizes):
        wanted = [engine for engine in engines if millions in SIZES[engine]]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="jingzhe-scale-") as place:
            home = Path(place) / "project"
            _process("prepare", str(home), str(millions))
            for engine in wanted:
                figures = found[engine, millions] = on(engine, home, Path(place))
                line(bench="scale", engine=engine, events=millions * 1_000_000, **figures)
    for (engine, millions), large in found.items():
        small = found.get((engine, millions // 10))
        if small:
            line(
                bench=f"scale, {millions} M events against {millions // 10} M", engine=engine,
                **{f"{part}_ratio": large[f"{part}_s"] / (10 * small[f"{part}_s"])
                   for part in ("refresh", "train", "score", "all")},
                memory_ratio=large["peak_mb"] / small["peak_mb"], target=1.15,
            )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
    else:
        asked = argparse.ArgumentParser()
        asked.add_argument("--engines", nargs="+", choices=list(SIZES), default=list(SIZES))
        asked.add_argument("--millions", type=int, nargs="+", choices=(1, 10, 100), default=[1, 10, 100])
        given = asked.parse_args()
        main(given.engines, given.millions)
