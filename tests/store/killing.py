"""Kills writers at random moments and audits what they leave."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

from jingzhe.core.clock import SystemClock
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.warehouse import Warehouse
from tests.store.small import Elsewhere, live_in, opened, stored_in
from tests.store.worker import audit, processes, rewrite_for_ever, write_for_ever, write_one


def _pace(warehouse: Warehouse, numbers: Sequence[int] = range(3)) -> float:
    """Returns how long a publication takes here and now, seconds."""
    begun = time.monotonic()
    for number in numbers:
        write_one(warehouse, number)
    return (time.monotonic() - begun) / len(numbers)


def kill_writers(folder: Path, url: str, *, times: int, seed: int, elsewhere: Elsewhere | None = None) -> None:
    """Kills ``times`` writers; after each, nothing half-written is visible and the next one works."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse, processes() as context:
        published, pace = 0, _pace(warehouse)
        for number in range(times):
            begun = context.Event()
            writer = context.Process(target=write_for_ever, args=(folder, url, begun, seed + number, elsewhere))
            writer.start()
            assert begun.wait(120)
            time.sleep(draw.uniform(0, 2 * pace))
            writer.kill()
            writer.join()
            now = audit(warehouse)
            assert now >= published
            published = now
        write_one(warehouse, 0)
        assert audit(warehouse) == published + 1
        assert published > times / 4, "the writers were killed before they did anything"
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse:
        vacuum(warehouse, keep_hours=0)
        audit(warehouse)
        assert stored_in(warehouse) == live_in(warehouse)
        assert not list(folder.glob("*/spill-*"))


def kill_rewriters(
    folder: Path, url: str, *, times: int, seed: int, at_once: int = 1, elsewhere: Elsewhere | None = None
) -> None:
    """Kills processes that compact, gather and vacuum beside a writer, who never notices."""
    draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse, processes() as context:
        for number in range(3):
            write_one(warehouse, number)
        for number in range(times):
            others = []
            for place in range(at_once):
                begun = context.Event()
                given = (folder, url, begun, seed + 100 * number + place, elsewhere)
                others.append(context.Process(target=rewrite_for_ever, args=given))
                others[-1].start()
                assert begun.wait(120)
            # Not so many seconds: with others at work, and on a busy machine, they would do less in them.
            for _ in range(draw.randint(1, 6)):
                pace = _pace(warehouse, [number])
                time.sleep(0.05)
            time.sleep(draw.uniform(0, pace))
            for other in others:
                other.kill()
                other.join()
            audit(warehouse)
        done = [one.purpose for one in warehouse.state.publications(limit=10**6)]
        assert done.count("compaction") + done.count("gathering small files") > times / 2, "they did nothing"
    with opened(folder, url, clock=SystemClock(), elsewhere=elsewhere) as warehouse:
        vacuum(warehouse, keep_hours=0)
        audit(warehouse)
        assert stored_in(warehouse) == live_in(warehouse)
        assert not list(folder.glob("*/spill-*"))
