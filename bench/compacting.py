"""A large lake compacted while events arrive: how long a drain waits, and how old profiles get meanwhile.

``python -m bench.compacting`` makes a lake of 20 M events first (minutes) in a temporary folder; ``--home`` takes a
copy of one that is there. Then a collector, a worker and an API run as processes; 1,000 events a second come in
batches of 100. After ``--before`` seconds the worker compacts, once. Prints JSON lines: the longest time from one
drain to the next and the freshness (from the answer to a purchase until its profile can be had), before and while the
lake is compacted. All processes share the machine; processor seconds stand beside what they disturb.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench.collecting import Asking, Bench, collect, cpu_seconds
from bench.http_load import Load, requests
from bench.lakes import line
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import open_workspace
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.worker.loop import Cadence, Worker

EVENTS_PER_PERSON = 20.0
BATCH = 100
LOG = "bench-worker.log"


@dataclass
class Timed:
    """A log that writes down when it was told what.

    Args:
        path: of its file.
    """

    path: Path

    def info(self, event: str, **values: object) -> None:
        """Writes a line."""
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"at": time.time(), "event": event, **values}, default=str) + "\n")

    warning = error = info


def work(home: Path, compact_seconds: float) -> None:
    """Runs the project's worker, which compacts once."""
    with open_workspace(home) as workspace, open_inbox(workspace.settings) as inbox:
        cadence = Cadence(compact_seconds=compact_seconds)
        log = Timed(home / LOG)
        log.info("started")
        Worker(workspace, drain_of(workspace, inbox), log, cadence).run()


def told(home: Path) -> list[dict[str, object]]:
    """Returns what the worker has told."""
    path = home / LOG
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()] if path.exists() else []


@dataclass
class Freshness:
    """Sends purchases one after the other, and waits for each to be in its profile.

    Args:
        collector_port: of the collector.
        asking: asks the API.
        key: write key.
        found: when each was acknowledged (UNIX seconds), and how many seconds later it was there.
    """

    collector_port: int
    asking: Asking
    key: str
    found: list[tuple[float, float]] = field(default_factory=list)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        ending = threading.Event()
        thread = threading.Thread(target=self._run, args=(ending,))
        thread.start()
        yield
        ending.set()
        thread.join()

    def _run(self, ending: threading.Event) -> None:
        auth = {"authorization": "Basic " + b64encode(f"{self.key}:".encode()).decode()}
        number = 0
        while not ending.is_set():
            number += 1
            who = f"fresh{number}"
            said = {"event": "Order Completed", "userId": who, "messageId": who, "properties": {"revenue": 1}}
            url = f"http://127.0.0.1:{self.collector_port}/v1/track"
            urllib.request.urlopen(urllib.request.Request(url, json.dumps(said).encode(), auth)).close()
            begun, at = time.monotonic(), time.time()
            while self.asking.spend(who) != 1.0 and not ending.is_set():
                time.sleep(0.1)
            self.found.append((at, time.monotonic() - begun))


@contextmanager
def api(bench: Bench, home: Path) -> Iterator[int]:
    """Runs the API alone; gives its port."""
    bench.port += 1
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--role", "api"]
    with subprocess.Popen(
        [*command, "--home", str(home), "--port", str(bench.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for left in reversed(range(5)):  # it loads more than the others, and beside them
                try:
                    bench.await_answer("/api/v1/openapi.json")
                except RuntimeError:
                    if not left:
                        raise
                else:
                    break
            yield bench.port
        finally:
            process.terminate()


def said(phase: str, since: float, until: float, lines: list[dict[str, object]], fresh: Freshness) -> None:
    """Prints what was measured in a span of time."""
    drained = [float(str(one["at"])) for one in lines if one["event"] == "drained"]
    gaps = [after - before for before, after in pairwise(drained) if before < until and after > since]
    waits = sorted(took for at, took in fresh.found if at < until and at + took > since)
    line(
        bench="compaction beside the drain", phase=phase, seconds=until - since, drains=len(gaps),
        between_drains_p50=statistics.median(gaps or [0.0]), between_drains_most=max(gaps, default=0.0),
        fresh=len(waits), fresh_p50=statistics.median(waits or [0.0]), fresh_most=max(waits, default=0.0),
    )  # fmt: skip


def measure(home: Path, before: float, most: float, pace: float) -> None:
    """Measures one compaction."""
    with open_workspace(home) as workspace:
        state = workspace.warehouse.state
        key = add_source(state, "bench", clock=SystemClock())
        _, api_key = Keys(state, SystemClock()).make(MACHINE, "bench", ["people.find", "people.read"])
        line(bench="compaction beside the drain", lake=dict(workspace.rows()))
    bench = Bench(home)
    server = bench.serving(collect, home)
    collector_port = bench.port
    started = [server]
    try:
        with api(bench, home) as port:
            worker = bench.started(work, home, before)
            started.append(worker)
            load = Load(collector_port, 4, most, requests(key, BATCH), pace / BATCH)
            threading.Thread(target=load.run, daemon=True).start()
            fresh = Freshness(collector_port, Asking(port, api_key), key)
            with fresh.measuring():
                compaction(home, before, most, fresh)
            line(bench="compaction beside the drain", worker_cpu_seconds=cpu_seconds(worker.pid))
    finally:
        for process in started:
            process.kill()
            process.join()


def compaction(home: Path, before: float, most: float, fresh: Freshness) -> None:
    """Waits for the compaction to be over, and says how it was."""
    give_up = time.time() + most
    while time.time() < give_up and not any(one["event"] == "compacted" for one in told(home)):
        time.sleep(1.0)
    time.sleep(5.0)
    lines = told(home)
    begun = float(str(lines[0]["at"]))
    ended = next((float(str(one["at"])) for one in lines if one["event"] == "compacted"), time.time())
    # It begins when the worker is not behind for the first time after that.
    said("before", begun + before / 2, begun + before, lines, fresh)
    said("compacting", begun + before, ended, lines, fresh)
    wanted = ("compacted", "gathered small files", "a table was not compacted", "files could not be rewritten")
    for one in lines:
        if one["event"] in wanted:
            line(**{**one, "at": float(str(one["at"])) - begun})
    line(bench="compaction beside the drain", load_average=os.getloadavg()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="a project whose lake is copied, instead of making one")
    parser.add_argument("--before", type=float, default=90.0, help="seconds until the compaction")
    parser.add_argument("--most", type=float, default=900.0, help="seconds at most")
    parser.add_argument("--pace", type=float, default=1000.0, help="events a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jingzhe-bench-", dir=os.environ.get("JINGZHE_BENCH_FOLDER")) as folder:
        home = Path(folder) / "project"
        if given.home:
            shutil.copytree(given.home, home)
        else:
            with open_workspace(home) as workspace:
                load_simulated(workspace, people=given.people, seed=1, events_per_person=EVENTS_PER_PERSON)
                workspace.refresh()
        measure(home, given.before, given.most, given.pace)


if __name__ == "__main__":
    main()
