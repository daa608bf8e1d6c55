"""Collection: single events and batches, durable, against a bare handler; with the drain running; freshness.

Run: ``python -m bench.collecting [--seconds 10] [--batch-seconds 300] [--only single,batch,drain,fresh]``. Collector,
drain and load generator share the machine. Prints JSON lines. The bare handler is the yardstick: under the same HTTP
server it decodes the same JSON and commits the raw bytes to SQLite in groups (WAL, ``synchronous=FULL``), no more.
Processor seconds stand beside the rates, because other work on a machine disturbs them less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.http_load import Load, requests
from bench.lakes import line
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import open_workspace
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.core.log import log_to_stderr
from jingzhe.core.settings import load
from jingzhe.server.admission import Limits
from jingzhe.server.serving import Listen, collector, serve
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox
from jingzhe.store.state.seal_record import seal_with
from jingzhe.worker.loop import Worker

REACH = {"single_per_second": 4000, "single_p99_ms": 50, "batch_events_per_second": 30_000, "ratio": 0.6}
_UNLIMITED = Limits(requests_per_second=0, free_bytes=0, inbox_bytes=20 * 2**30)


def collect(home: Path, port: int) -> None:
    """Serves the project's collector."""
    clock = SystemClock()
    with (
        State.open(f"sqlite:///{home / 'state.db'}", clock=clock) as state,
        Inbox.open(f"sqlite:///{home / 'state-inbox.db'}", seal_with(state, load(home).key_file)) as inbox,
    ):
        serve(collector(state, inbox, clock=clock, limits=_UNLIMITED), Listen(port=port))


def work(home: Path) -> None:
    """Runs the project's worker."""
    with open_workspace(home) as workspace, open_inbox(workspace.settings) as inbox:
        Worker(workspace, drain_of(workspace, inbox), log_to_stderr()).run()


class Bare:
    """The yardstick: an ASGI handler that decodes JSON and commits the bytes in groups."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS raw (n INTEGER PRIMARY KEY, body BLOB)")
        self._decode = msgspec.json.Decoder().decode
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wake = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, self._waiting = self._waiting, []
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT INTO raw (body) VALUES (?)", [(body,) for body, _ in group])
                self._connection.execute("COMMIT")
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(self._settle, [answer for _, answer in group])

    @staticmethod
    def _settle(answers: list[asyncio.Future[None]]) -> None:
        for answer in answers:
            if not answer.done():
                answer.set_result(None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self.write, daemon=True).start()
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if body:
            self._decode(body)
            answer = self._loop.create_future()
            self._waiting.append((body, answer))
            self._wake.set()
            await answer
        headers = [(b"content-type", b"application/json"), (b"content-length", b"16")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"success":true}'})


def serve_bare(home: Path, port: int) -> None:
    """Serves the yardstick."""
    serve(Bare(home / "bare.db"), Listen(port=port))


def cpu_seconds(pid: int | None) -> float:
    """Returns the processor time that a process and those it has started have used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    started = [file.read_text("utf-8").split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return own + sum(cpu_seconds(int(child)) for children in started for child in children)


@dataclass
class Bench:
    """A folder, a port and a project for each measurement."""

    folder: Path
    port: int = 18_090

    @staticmethod
    def started(target: Callable[..., None], *given: Any) -> BaseProcess:
        # Forked from one that has loaded everything and used nothing: to load it takes longer than a measurement.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench.collecting"])
        process = context.Process(target=target, args=given)
        process.start()
        return process

    def serving(self, target: Callable[[Path, int], None], home: Path) -> BaseProcess:
        self.port += 1
        process = self.started(target, home, self.port)
        self.await_answer("/health")
        return process

    def await_answer(self, path: str) -> None:
        """Waits until the server answers at ``path``."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def project(self) -> tuple[Path, str]:
        home = Path(tempfile.mkdtemp(dir=self.folder))
        with open_workspace(home) as workspace:
            return home, add_source(workspace.warehouse.state, "bench", clock=SystemClock())

    def loaded(
        self, target: Callable[[Path, int], None], connections: int, batch: int, seconds: float
    ) -> dict[str, float]:
        home, key = self.project()
        process = self.serving(target, home)
        try:
            Load(self.port, connections, 1.0, requests(key, batch)).run()
            used = cpu_seconds(process.pid)
            load = Load(self.port, connections, seconds, requests(key, batch)).run()
            used = cpu_seconds(process.pid) - used
        finally:
            process.terminate()
            process.join()
        assert load.bad == 0, f"{load.bad} requests were refused"
        count = len(load.took)
        return {
            "per_second": count * batch / seconds, "p50_ms": load.percentile_ms(0.5),
            "p99_ms": load.percentile_ms(0.99), "cpu_us_per_request": used / count * 1e6,
        }  # fmt: skip


def paired(bench: Bench, name: str, *, connections: int, batch: int, seconds: float, runs: int) -> None:
    """Measures collector and bare handler in turns, and prints their medians and the ratio."""
    ours, bare = [], []
    for _ in range(runs):
        ours.append(bench.loaded(collect, connections, batch, seconds))
        bare.append(bench.loaded(serve_bare, connections, batch, seconds))
    ratio = statistics.median(mine["per_second"] / other["per_second"] for mine, other in zip(ours, bare, strict=True))
    cpu = statistics.median(
        other["cpu_us_per_request"] / mine["cpu_us_per_request"] for mine, other in zip(ours, bare, strict=True)
    )
    middle = {key: statistics.median(one[key] for one in ours) for key in ours[0]}
    line(bench=name, batch=batch, **middle, bare_per_second=statistics.median(one["per_second"] for one in bare),
         ratio=ratio, cpu_ratio=cpu, reach=REACH["ratio"])  # fmt: skip


@dataclass
class Watched:
    """How much waited in an inbox, once a second.

    Args:
        inbox: that is looked at.
        depths: events that waited.
    """

    inbox: Inbox
    depths: list[int] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(1.0):
                self.depths.append(self.inbox.depth().events)

        watcher = threading.Thread(target=look)
        watcher.start()
        yield
        stop.set()
        watcher.join()

    @property
    def growth_per_second(self) -> float:
        """Returns the slope of the straight line through the depths, events a second."""
        if len(self.depths) < 2:
            return 0.0
        return float(np.polyfit(range(len(self.depths)), self.depths, 1)[0])

    def said(self, per_second: float) -> dict[str, Any]:
        """Returns what is printed: depths over time, and whether they grew.

        They did where the last quarter's mean lies more than a second of load above the second quarter's, or the line
        through them rises by more than 2 % of the load.
        """
        quarter = max(1, len(self.depths) // 4)
        early = statistics.mean(self.depths[quarter : 2 * quarter] or [0])
        late = statistics.mean(self.depths[-quarter:] or [0])
        every = max(1, len(self.depths) // 30)
        return {
            "inbox_events": self.depths[::every], "inbox_events_most": max(self.depths, default=0),
            "inbox_events_second_quarter": early, "inbox_events_last_quarter": late,
            "inbox_growth_per_second": self.growth_per_second,
            "inbox_grew": late > early + per_second or self.growth_per_second > 0.02 * per_second,
        }  # fmt: skip


def with_drain(bench: Bench, batch: int, pace: float, seconds: float) -> None:
    """Measures collection at a pace with the worker running, what it costs each, and whether the inbox grows."""
    home, key = bench.project()
    server = bench.serving(collect, home)
    worker = bench.started(work, home)
    try:
        bodies = requests(key, batch)
        Load(bench.port, 16, 8.0, bodies, pace / 4).run()
        with Inbox.open(f"sqlite:///{home / 'state-inbox.db'}") as inbox:
            watched, before = Watched(inbox), inbox.depth().events
            used, own = [cpu_seconds(server.pid), cpu_seconds(worker.pid)], time.process_time()
            with watched.watching():
                load = Load(bench.port, 32, seconds, bodies, pace).run()
            left = inbox.depth().events
            own = time.process_time() - own
            used = [cpu_seconds(process.pid) - then for process, then in zip((server, worker), used, strict=True)]
            taken = (len(load.took) - load.bad) * batch
            drained = max(1, taken + before - left)
            line(
                bench="with the drain running", batch=batch, seconds=seconds, asked_per_second=pace * batch,
                per_second=taken / seconds, drained_per_second=drained / seconds, p99_ms=load.percentile_ms(0.99),
                refused=load.bad, **watched.said(taken / seconds),
                collector_cpu_us_per_event=used[0] / taken * 1e6, generator_cpu_us_per_event=own / taken * 1e6,
                worker_cpu_us_per_event=used[1] / drained * 1e6, collector_cores=used[0] / seconds,
                generator_cores=own / seconds, worker_cores=used[1] / seconds,
                reach=REACH["batch_events_per_second"],
            )  # fmt: skip
    finally:
        for process in (server, worker):
            process.kill()
            process.join()


@dataclass(frozen=True)
class Asking:
    """Asks a project's API for people."""

    port: int
    api_key: str

    def spend(self, login: str) -> float | None:
        """Returns what a person spent; None where the person has no profile yet."""
        found = self._got(f"/people?kind=login&value={login}")
        if not found or not found["items"]:
            return None
        person = self._got(f"/people/{found['items'][0]}")
        return float(person["profile"]["spend"]) if person and person["profile"] else None

    def _got(self, path: str) -> Any:
        head = {"authorization": f"Bearer {self.api_key}"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1{path}", headers=head)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


@contextmanager
def served(bench: Bench, home: Path, role: str = "all") -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``jingzhe serve`` as people do: API, collector and worker, or one of them."""
    bench.port += 1
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", str(home), "--port", str(bench.port),
               "--role", role]  # fmt: skip
    environment = {**os.environ, "JINGZHE_COLLECT_FREE_MB": "0"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            bench.await_answer("/healthz")
            if role != "collect":
                bench.await_answer("/api/v1/openapi.json")
            yield process
        finally:
            process.terminate()


def freshness(bench: Bench, pace: float, seconds: float) -> None:
    """Measures from the acknowledgement of a purchase to its profile in the API, beside a load of single events."""
    home, key = bench.project()
    with open_workspace(home) as workspace:
        state = workspace.warehouse.state
        _, api_key = Keys(state, SystemClock()).make(MACHINE, "bench", ["people.find", "people.read"])
    auth = {"authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
    waits: list[float] = []
    with served(bench, home):
        load = Load(bench.port, 32, seconds + 10, requests(key, 1), pace)
        thread = threading.Thread(target=load.run)
        thread.start()
        time.sleep(10)
        asking, end, number = Asking(bench.port, api_key), time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            # Every second time a person who is known already: what is asked for is the changed profile.
            who, spent = f"fresh{(number + 1) // 2}", 2.0 - number % 2
            said = {"event": "Order Completed", "userId": who, "messageId": f"fresh-{number}"}
            body = json.dumps({**said, "properties": {"revenue": 1}}).encode()
            asked = urllib.request.Request(f"http://127.0.0.1:{bench.port}/v1/track", body, auth)
            urllib.request.urlopen(asked).close()  # noqa: S310
            begun = time.monotonic()
            while asking.spend(who) != spent:
                time.sleep(0.05)
            waits.append(time.monotonic() - begun)
        thread.join()
    waits.sort()
    line(bench="freshness", load_per_second=len(load.took) / (seconds + 10), refused=load.bad, measured=len(waits),
         p50_seconds=statistics.median(waits), p95_seconds=waits[min(len(waits) - 1, int(len(waits) * 0.95))],
         most_seconds=waits[-1], reach_seconds=3.0)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch-seconds", type=float, default=300, help="with the drain running")
    parser.add_argument("--fresh-seconds", type=float, default=60, help="of freshness")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pace", type=float, default=330, help="batches of 100 a second with the drain running")
    parser.add_argument("--only", default="single,batch,drain,fresh")
    given = parser.parse_args()
    chosen = given.only.split(",")
    with tempfile.TemporaryDirectory(prefix="jingzhe-bench-", dir=os.environ.get("JINGZHE_BENCH_FOLDER")) as folder:
        bench = Bench(Path(folder))
        if "single" in chosen:
            paired(
                bench, "single events, one a request", connections=64, batch=1, seconds=given.seconds, runs=given.runs
            )
        if "batch" in chosen:
            paired(bench, "batches of 100", connections=16, batch=100, seconds=given.seconds, runs=given.runs)
        if "drain" in chosen:
            with_drain(bench, 100, given.pace, given.batch_seconds)
        if "fresh" in chosen:
            freshness(bench, 1000, given.fresh_seconds)


if __name__ == "__main__":
    main()
