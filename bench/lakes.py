"""Lakes of simulated business in temporary folders, for the benches."""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jingzhe.app.demo import load_simulated
from jingzhe.app.workspace import Workspace, open_workspace


@contextmanager
def simulated(people: int, events_per_person: float, *, memory_limit_mb: int = 3000) -> Iterator[Workspace]:
    """Opens a workspace whose lake holds a simulated business, in the order in which events arrive: by day."""
    with (
        tempfile.TemporaryDirectory(prefix="jingzhe-bench-") as folder,
        open_workspace(Path(folder), memory_limit_mb=memory_limit_mb) as workspace,
    ):
        load_simulated(workspace, people=people, seed=1, events_per_person=events_per_person)
        yield workspace


def timed(work: Callable[[], object]) -> float:
    """Returns how long ``work`` takes, seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mb() -> float:
    """Returns the largest memory this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(**values: object) -> None:
    """Prints one JSON line."""
    print(
        json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}),
        flush=True,
    )


median = statistics.median
