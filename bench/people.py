"""One person through the API: profile, earlier day, timeline, look-up; 1 M people and 20 M events.

``python -m bench.people`` makes the lake first (about four minutes) in a temporary folder; ``--home`` keeps it in a
folder, where it is used again. Each line says the 50th and 95th percentile of the time until the answer, of the CPU
time of one request where they come one at a time, and the mean CPU time, which others on the machine disturb less.
People of whom nothing or only keys are known are asked for as well but counted in no percentile: they are answered
sooner. Requests go through the whole application (key, permission, log, JSON), in process: no network.

First compacted; then behind ``--writes`` small writes since (300), as a drain makes them, spread over everybody, with
the profiles refreshed once at their end. The next run on the same ``--home`` compacts them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from bench.lakes import line, peak_mb
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.server.api.application import create_api
from jingzhe.store.facts import EVENTS
from jingzhe.store.query import one

EVENTS_PER_PERSON = 20.0
EVENTS_A_WRITE = 200


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


def write_more(workspace: Workspace, people: int, writes: int) -> None:
    """Writes events of people drawn at random, a file each time, and refreshes the profiles."""
    warehouse = workspace.warehouse
    sql = (
        "SELECT * REPLACE (event_id + $shift AS event_id, CAST($batch AS BIGINT) AS batch, "
        "1 + CAST(hash(event_id + $shift) % $people AS BIGINT) AS person_id) FROM events LIMIT $rows"
    )
    for _ in range(writes):
        with warehouse.writing("bench") as writing:
            shift = writing.batch * 10**9
            values = {"shift": shift, "batch": writing.batch, "people": people, "rows": EVENTS_A_WRITE}
            writing.stage(EVENTS, writing.write(EVENTS, one("more", sql), values))
            writing.publish("bench")
    workspace.refresh()


@dataclass
class Answers:
    """Times in ms of the requests that found somebody with a history, and how many had which status."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)


async def ask(client: httpx.AsyncClient, paths: list[str], at_once: int) -> tuple[Answers, float]:
    """Asks for every path; returns the answers and the mean CPU time in ms."""
    answers = Answers()
    turn = asyncio.Semaphore(at_once)

    async def ask_one(path: str) -> None:
        async with turn:
            began, began_cpu = time.perf_counter(), time.process_time()
            answer = await client.get(path)
            wall_ms, cpu_ms = (time.perf_counter() - began) * 1000, (time.process_time() - began_cpu) * 1000
            answers.codes[answer.status_code] = answers.codes.get(answer.status_code, 0) + 1
            # Pages of people of whom only keys are known are quick: they would flatter.
            if answer.status_code == httpx.codes.OK and answer.json().get("profile", "none asked for") is not None:
                answers.wall_ms.append(wall_ms)
                answers.cpu_ms.append(cpu_ms)

    began = time.process_time()
    if at_once == 1:
        for path in paths:
            await ask_one(path)
    else:
        await asyncio.gather(*(ask_one(path) for path in paths))
    return answers, (time.process_time() - began) * 1000 / len(paths)


async def measure(app: FastAPI, key: str, people: int, requests: int, lake_is: str) -> None:
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
            await ask(client, [path(drawn.randrange(1, people)) for _ in range(10)], 2)
            for at_once in (1, 4, 8):
                paths = [path(drawn.randrange(1, people)) for _ in range(requests)]
                await ask(client, paths[:5], 1)
                found, cpu_ms = await ask(client, paths, at_once)
                one_by_one = {"cpu_p95_ms": share(found.cpu_ms, 0.95)} if at_once == 1 else {}
                line(
                    bench="people", lake=lake_is, what=name, at_once=at_once, requests=requests,
                    p50_ms=share(found.wall_ms, 0.5), p95_ms=share(found.wall_ms, 0.95), cpu_ms=cpu_ms, **one_by_one,
                    codes=found.codes, peak_mb=peak_mb(),
                )  # fmt: skip


def main() -> None:
    """Runs the bench."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, help="folder of the lake, kept")
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--requests", type=int, default=300)
    options.add_argument("--writes", type=int, default=300, help="small writes since the compaction; 0: none")
    given = options.parse_args()
    with lake(given.home, given.people) as workspace:
        keys = Keys(workspace.warehouse.state, workspace.warehouse.clock)
        _, key = keys.make(MACHINE, "bench", ["people.read", "people.find"])
        app = create_api(workspace, log=Quiet())
        try:
            asyncio.run(measure(app, key, given.people, given.requests, "compacted"))
            if given.writes:
                write_more(workspace, given.people, given.writes)
                after = f"{given.writes} writes later"
                asyncio.run(measure(app, key, given.people, given.requests, after))
        finally:
            app.state.services.close()


if __name__ == "__main__":
    main()
