"""Collection while the API is asked: one process for both, as by default, and the roles split.

Run: ``python -m bench.beside [--seconds 20] [--people 20000] [--pace 1000]``. Single durable events at a fixed pace
beside readers who ask for one profile after the other; generator, readers, server and worker share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.collecting import Bench, served, work
from bench.http_load import Load, requests
from bench.lakes import line
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import open_workspace
from jingzhe.core.clock import SystemClock


class Readers:
    """Asks for profiles, each reader for one after the other.

    Args:
        port: of the API.
        key: of the API.
        people: numbers from 1 to this are asked for.
        count: readers.
    """

    def __init__(self, port: int, key: str, people: int, count: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/people/"
        self._head = {"authorization": f"Bearer {key}"}
        self._people, self._count = people, count
        self.took: list[float] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Asks until the end."""
        ending = threading.Event()

        def read(seed: int) -> None:
            drawn = random.Random(seed)  # noqa: S311 - people, not secrets
            while not ending.is_set():
                url = f"{self._url}{drawn.randrange(1, self._people)}"
                asked = urllib.request.Request(url, headers=self._head)  # noqa: S310
                begun = time.perf_counter()
                with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own server
                    page = answer.read()
                took = time.perf_counter() - begun
                if json.loads(page)["profile"] is not None:
                    self.took.append(took)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(self._count)]
        for thread in threads:
            thread.start()
        yield
        ending.set()
        for thread in threads:
            thread.join()


def measure(collector: int, api: int, keys: tuple[str, str], given: argparse.Namespace, *, readers: int) -> None:
    """Prints how long events and profiles took."""
    write_key, api_key = keys
    bodies = requests(write_key, 1)
    Load(collector, 16, 3.0, bodies, given.pace).run()
    asking = Readers(api, api_key, given.people, readers)
    with asking.reading():
        load = Load(collector, 32, given.seconds, bodies, given.pace).run()
    took = sorted(asking.took)
    line(
        bench="collection beside the API", one_process=collector == api, readers=readers, asked_per_second=given.pace,
        events_per_second=len(load.took) / given.seconds, refused=load.bad, p50_ms=load.percentile_ms(0.5),
        p99_ms=load.percentile_ms(0.99), profiles_per_second=len(took) / given.seconds,
        profile_p95_ms=took[int(len(took) * 0.95)] * 1000 if took else None,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--pace", type=float, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jingzhe-bench-", dir=os.environ.get("JINGZHE_BENCH_FOLDER")) as folder:
        bench = Bench(Path(folder))
        home, write_key = bench.project()
        with open_workspace(home) as workspace:
            load_simulated(workspace, people=given.people, seed=1, events_per_person=20.0)
            workspace.update()
            workspace.compact(keep_hours=0)
            state = workspace.warehouse.state
            _, api_key = Keys(state, SystemClock()).make(MACHINE, "bench", ["people.read"])
        with served(bench, home):
            for readers in (0, 1, 4):
                measure(bench.port, bench.port, (write_key, api_key), given, readers=readers)
        worker = bench.started(work, home)
        with served(bench, home, "collect"):
            collector = bench.port
            with served(bench, home, "api"):
                measure(collector, bench.port, (write_key, api_key), given, readers=4)
        worker.kill()
        worker.join()


if __name__ == "__main__":
    main()
