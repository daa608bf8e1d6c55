"""One person through the API: profile, earlier day, timeline, look-up; 1 M people and 20 M events, compacted.

``python -m bench.people`` makes the lake first (about four minutes) in a temporary folder; ``--home`` keeps it in a
folder, where it is used again. Each line says the 50th and 95th percentile of the time until the answer and of the
process's own CPU time, which others on the machine disturb less. Requests go through the whole application (key,
permission, log, JSON), in process: no network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from fastapi import FastAPI

from bench.lakes import line, peak_mb
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.server.api.application import create_api

EVENTS_PER_PERSON = 20.0


class Quiet:
    """A log that nobody reads."""

    def info(self, event: str, **values: object) -> None:
        """Hears a line."""

    warning = error = info


@contextlib.contextmanager
def lake(home: Path | None, people: int) -> Iterator[Workspace]:
    """Opens the lake; makes it where it is not there."""
    with tempfile.TemporaryDirectory(prefix="jingzhe-bench-") as folder, open_workspace(home or folder) as workspace:
        load_simulated(workspace, people=people, seed=1, events_per_person=EVENTS_PER_PERSON)
        workspace.update()
        workspace.compact(keep_hours=0)
        yield workspace


def share(values: list[float], part: float) -> float:
    """Returns the value below which a part of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def ask(client: httpx.AsyncClient, paths: list[str], at_once: int) -> tuple[list[float], float, dict[int, int]]:
    """Asks for every path; returns the times in ms, the CPU time of one in ms, and how many had which status."""
    times: list[float] = []
    codes: dict[int, int] = {}
    turn = asyncio.Semaphore(at_once)

    async def one(path: str) -> None:
        async with turn:
            began = time.perf_counter()
            answer = await client.get(path)
            times.append((time.perf_counter() - began) * 1000)
            codes[answer.status_code] = codes.get(answer.status_code, 0) + 1

    began = time.process_time()
    if at_once == 1:
        for path in paths:
            await one(path)
    else:
        await asyncio.gather(*(one(path) for path in paths))
    return times, (time.process_time() - began) * 1000 / len(paths), codes


async def measure(app: FastAPI, key: str, people: int, requests: int) -> None:
    """Asks every route for people drawn at random and prints a line for each."""
    drawn = random.Random(7)  # noqa: S311 - people, not secrets
    base = "/api/v1/people"
    routes: dict[str, Callable[[int], str]] = {
        "profile": lambda person: f"{base}/{person}",
        "timeline": lambda person: f"{base}/{person}/timeline",
        "find": lambda person: f"{base}?kind=customer&value=C{person:08d}",
        "profile of an earlier day": lambda person: f"{base}/{person}?as_of=2025-06-01",
    }
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://bench", headers=headers) as client:
        for name, path in routes.items():
            for at_once in (1, 4):
                paths = [path(drawn.randrange(1, people)) for _ in range(requests)]
                await ask(client, paths[:5], 1)
                times, cpu_ms, codes = await ask(client, paths, at_once)
                line(
                    bench="people", what=name, at_once=at_once, requests=requests, p50_ms=share(times, 0.5),
                    p95_ms=share(times, 0.95), cpu_ms=cpu_ms, codes=codes, peak_mb=peak_mb(),
                )  # fmt: skip


def main() -> None:
    """Runs the bench."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, help="folder of the lake, kept")
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--requests", type=int, default=300)
    given = options.parse_args()
    with lake(given.home, given.people) as workspace:
        keys = Keys(workspace.warehouse.state, workspace.warehouse.clock)
        _, key = keys.make(MACHINE, "bench", ["people.read", "people.find"])
        app = create_api(workspace, log=Quiet())
        try:
            asyncio.run(measure(app, key, given.people, given.requests))
        finally:
            app.state.services.close()


if __name__ == "__main__":
    main()
