"""What other processes do in tests: write until they are killed, or a number of publications, keeping books."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from jingzhe.core.clock import SystemClock
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.tail import gather_tail
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse
from tests.store.small import Elsewhere, append, event, opened, stage_scores

BOOKS = ("test", "books")
_SUMS = one(
    "sums",
    "SELECT (SELECT count(*) FROM events) AS events, (SELECT coalesce(sum(event_id), 0) FROM events) AS event_sum, "
    "(SELECT count(*) FROM items) AS items, (SELECT coalesce(sum(event_id), 0) FROM items) AS item_sum, "
    "(SELECT coalesce(sum(score), 0) FROM scores) AS scores",
)


@contextmanager
def processes() -> Iterator[ForkServerContext]:
    """Gives processes that start at once: they are forked from one that has loaded everything and used nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.worker"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield context


def write_one(warehouse: Warehouse, number: int) -> None:
    """Publishes a few events, the same number of items, a score and what the books say of all."""
    books = warehouse.state.document(*BOOKS)
    known = books.body if books else {"count": 0, "sum": 0}
    with warehouse.writing(f"number {number}") as writing:
        first = known["count"]
        rows = [event(first + i, (first + i) * 7 % 50) for i in range(number % 5 + 1)]
        append(writing, EVENTS, rows)
        append(writing, ITEMS, rows)
        body = {"count": first + len(rows), "sum": known["sum"] + sum(row["event_id"] for row in rows)}
        stage_scores(writing, {1: body["sum"]}, layer="overlay")
        writing.also(lambda connection: warehouse.state.put_document(*BOOKS, body, connection=connection))
        writing.publish(f"number {number}")


def write_for_ever(folder: Path, url: str, begun: Event, seed: int, elsewhere: Elsewhere | None = None) -> None:
    """Writes, compacts and vacuums until killed; says when the first publication is out."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse:
        for number in range(10**6):
            write_one(warehouse, number)
            begun.set()
            if draw.random() < 0.15:
                compact(warehouse, keep_after_batch=None)
            if draw.random() < 0.1:
                vacuum(warehouse, keep_hours=1)


def rewrite_for_ever(folder: Path, url: str, begun: Event, seed: int, elsewhere: Elsewhere | None = None) -> None:
    """Compacts, gathers and vacuums until killed, whatever others write meanwhile; says when it begins."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse:
        begun.set()
        for _ in range(10**6):
            chosen = draw.random()
            if chosen < 0.5:
                compact(warehouse, keep_after_batch=None)
            elif chosen < 0.8:
                gather_tail(warehouse, (EVENTS, ITEMS), fan_in=2)
            else:
                vacuum(warehouse, keep_hours=draw.choice([0, 1]))


def write_some(folder: Path, url: str, count: int) -> None:
    """Writes ``count`` publications."""
    with opened(folder, url, clock=SystemClock()) as warehouse:
        for number in range(count):
            write_one(warehouse, number)


def hold(folder: Path, url: str, held: Event, enough: Event) -> None:
    """Holds the right to write until told."""
    with opened(folder, url, clock=SystemClock()) as warehouse, warehouse.writing("the other's import"):
        held.set()
        enough.wait(120)


def balance(warehouse: Warehouse, publication: int | None = None) -> tuple[int, int]:
    """Makes sure that both tables and the overlay agree; returns their count and sum."""
    with warehouse.reading(publication) as session:
        (row,) = session.run(_SUMS).to_pylist()
    assert (row["events"], row["event_sum"]) == (row["items"], row["item_sum"])
    assert row["scores"] == row["event_sum"]
    return int(row["events"]), int(row["event_sum"])


def audit(warehouse: Warehouse) -> int:
    """Makes sure that publications have no gap and the lake equals the books; returns the number of publications."""
    books = warehouse.state.document(*BOOKS)
    body = books.body if books else {"count": 0, "sum": 0}
    assert balance(warehouse) == (body["count"], body["sum"])
    numbers = [one.seq for one in warehouse.state.publications(limit=10**6)]
    assert numbers == list(range(len(numbers), 0, -1))
    return len(numbers)
