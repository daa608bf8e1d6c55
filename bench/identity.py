"""ONE-ID: a million identities in random pairs, incrementally and at once, against scipy and against bare SQLite.

Every identity in one pair, so that all keys are new, is the dearest case; the same pairs again are what live traffic
is; pairs drawn at random merge people into one giant.
What is to be reached is reached by the wall's time; the processor's stands beside it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.lakes import line
from jingzhe.core.clock import FixedClock
from jingzhe.identity.checking import recomputed
from jingzhe.identity.components import components
from jingzhe.identity.keys import Kind
from jingzhe.identity.known import Numbers
from jingzhe.identity.observations import KeyColumn, Observations
from jingzhe.identity.resolving import resolve
from jingzhe.identity.rules import Rules
from jingzhe.store.state import State

IDENTITIES, BATCH = 1_000_000, 100_000
CLOCK = FixedClock(datetime(2026, 3, 5, tzinfo=UTC))
FREE = Rules(kinds={"key": Kind("key", "plain", 50, shared_after=None)})
TARGET = 100_000
MOMENT_US = 1_772_712_000_000_000


def batch(names: pa.Array, pairs: Numbers, first: int, kinds: Sequence[str]) -> Observations:
    """Returns some pairs as observations."""
    columns = tuple(KeyColumn(kind, names.take(pa.array(pairs[:, side]))) for side, kind in enumerate(kinds))
    return Observations(columns, np.full(len(pairs), MOMENT_US), [f"event-{first + n}" for n in range(len(pairs))])


def incremental(state: State, name: str, pairs: Numbers, kinds: Sequence[str], rules: Rules) -> None:
    """Measures edges a second, batch after batch."""
    names = pa.array([f"identity-{n:08d}" for n in range(IDENTITIES)])
    processor = wall = 0.0
    for first in range(0, len(pairs), BATCH):
        observations = batch(names, pairs[first : first + BATCH], first, kinds)
        began, began_wall = time.process_time(), time.perf_counter()
        resolve(state, observations, batch_id=f"{name} {first}", clock=CLOCK, rules=rules)
        processor += time.process_time() - began
        wall += time.perf_counter() - began_wall
    rate = len(pairs) / wall
    line(
        bench=f"identity: {name}", edges=len(pairs), batch=BATCH, edges_per_s=round(rate),
        edges_per_cpu_s=round(len(pairs) / processor), target=TARGET, reached=rate >= TARGET,
    )  # fmt: skip


def bare(folder: Path) -> None:
    """Measures what SQLite alone costs: the rows of a pair of new keys, written in order by one prepared statement."""
    with sqlite3.connect(folder / "bare.db", isolation_level=None) as database:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
            database.execute(f"PRAGMA {setting}")
        database.execute("CREATE TABLE k (id INTEGER PRIMARY KEY, kind, value, person, via, n, shared, at, event)")
        database.execute("CREATE INDEX by_person ON k (person)")
        numbers = np.random.default_rng(1).integers(0, 2**62, IDENTITIES).tolist()
        processor = 0.0
        for first in range(0, IDENTITIES, 2 * BATCH):
            some = sorted(numbers[first : first + 2 * BATCH])
            rows = [
                (
                    number,
                    "key",
                    f"identity-{n:08d}",
                    first + n // 2,
                    number,
                    0,
                    None,
                    1_772_712_000_000_000,
                    f"event-{n}",
                )
                for n, number in enumerate(some)
            ]
            began = time.process_time()
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO k VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            database.execute("COMMIT")
            processor += time.process_time() - began
    database.close()
    line(bench="identity: bare SQLite, two rows a pair", pairs_per_cpu_s=round(IDENTITIES / 2 / processor))


def at_once(state: State, pairs: Numbers) -> None:
    """Measures the batch computation against scipy's, and with reading everything from the store."""
    began = time.process_time()
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(IDENTITIES, IDENTITIES))
    connected_components(graph, directed=False)
    scipy_s = time.process_time() - began
    began = time.process_time()
    components(IDENTITIES, pairs[:, 0], pairs[:, 1])
    ours_s = time.process_time() - began
    began = time.process_time()
    found = recomputed(state, rules=FREE)
    with_store_s = time.process_time() - began
    wrong = int((found["person_id"].to_numpy() != found["kept_id"].to_numpy()).sum())
    line(
        bench="identity: at once", edges=len(pairs), scipy_s=scipy_s, ours_s=ours_s, ratio=ours_s / scipy_s, target=3.0,
        with_store_s=with_store_s, keys_unlike_the_incremental=wrong,
    )  # fmt: skip


def main() -> None:
    """Measures everything."""
    rng = np.random.default_rng(1)
    matching = rng.permutation(IDENTITIES).reshape(-1, 2)
    drawn = rng.integers(0, IDENTITIES, (IDENTITIES, 2))
    with tempfile.TemporaryDirectory() as folder:
        bare(Path(folder))
        with State.open(f"sqlite:///{folder}/pairs.db", clock=CLOCK) as state:
            incremental(state, "pairs of new keys", matching, ("login", "member"), Rules())
            incremental(state, "the same pairs again", matching[::-1], ("login", "member"), Rules())
        with State.open(f"sqlite:///{folder}/graph.db", clock=CLOCK) as state:
            incremental(state, "random graph", drawn, ("key", "key"), FREE)
            at_once(state, drawn)


if __name__ == "__main__":
    main()
