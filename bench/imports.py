"""Import of 10 M order lines from CSV, against DuckDB's own copy of the same file to Parquet.

Run: ``python bench/imports.py [--lines 10000000] [--runs 3] [--csv FILE]``. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from jingzhe.collect.importing import import_orders
from jingzhe.core.clock import SystemClock
from jingzhe.store.catalogue import Catalogue
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import FACTS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.state import State
from jingzhe.store.warehouse import Warehouse

THREADS = 2
REACH = 2.5


def write_lines(path: Path, lines: int) -> None:
    """Writes a CSV of about ``lines`` order lines: a third as many orders, a tenth as many customers."""
    orders, customers = lines // 3, lines // 10
    duckdb.connect(config={"threads": str(THREADS)}).execute(
        f"""
COPY (
  SELECT 'O' || lpad(CAST(o AS VARCHAR), 9, '0') AS order_id,
    'C' || lpad(CAST(hash(o) % {customers} AS VARCHAR), 7, '0') AS customer_id,
    strftime(TIMESTAMP '2023-01-01' + to_seconds(CAST(o * 94608000 // {orders} AS BIGINT)), '%Y-%m-%d %H:%M:%S')
      AS ordered_at,
    'P' || lpad(CAST(hash(o, l) % 20000 AS VARCHAR), 5, '0') AS product_id,
    'category ' || CAST(hash(o, l) % 20000 % 40 AS VARCHAR) AS category,
    1 + hash(o, l, 1) % 4 AS quantity, printf('%.2f', 1 + (hash(o, l, 2) % 10000) / 100.0) AS price,
    CASE WHEN hash(o, l, 3) % 4 = 0 THEN printf('%.2f', (hash(o, l, 4) % 99) / 100.0) ELSE '0' END AS discount
  FROM range({orders}) AS orders(o), range(5) AS many(l) WHERE l < 1 + hash(o * 3) % 5 ORDER BY o
) TO '{path}' (HEADER)"""
    )


def cpu_seconds() -> float:
    """Returns the processor time of this process, which other work on the machine disturbs less than the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def copy_seconds(csv: Path, folder: Path) -> tuple[float, float]:
    """Returns how long the engine itself takes from CSV to Parquet: by the clock, and of the processor."""
    target = folder / "copy.parquet"
    begun, used = time.perf_counter(), cpu_seconds()
    with duckdb.connect(config={"threads": str(THREADS), "memory_limit": "3000MB"}) as connection:
        connection.execute(f"COPY (SELECT * FROM read_csv('{csv}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    seconds = time.perf_counter() - begun, cpu_seconds() - used
    target.unlink()
    return seconds


def import_seconds(csv: Path, lines: int) -> tuple[float, float, int]:
    """Returns how long an import into an empty project takes, by the clock and of the processor, and its rows."""
    with tempfile.TemporaryDirectory(dir=csv.parent) as home:
        folder, clock = Path(home), SystemClock()
        with State.open(f"sqlite:///{folder / 'state.db'}", clock=clock) as state:
            warehouse = Warehouse(
                Catalogue.of(*FACTS), state, Lake(str(folder / "lake")),
                DuckEngine(folder / "work", memory_limit_mb=3000, threads=THREADS), clock,
            )  # fmt: skip
            begun, used = time.perf_counter(), cpu_seconds()
            summary = import_orders(warehouse, csv)
            seconds, cpu = time.perf_counter() - begun, cpu_seconds() - used
            assert summary.rows_accepted > 0.9 * lines, summary
            return seconds, cpu, summary.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--csv", type=Path, help="a file of order lines, instead of a generated one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jingzhe-bench-", dir=os.environ.get("JINGZHE_BENCH_FOLDER")) as folder:
        csv = given.csv or Path(folder) / "lines.csv"
        if given.csv is None:
            write_lines(csv, given.lines)
        copies = [copy_seconds(csv, Path(folder))]
        imports = [import_seconds(csv, 0 if given.csv else given.lines)]
        for _ in range(given.runs - 1):
            copies.append(copy_seconds(csv, Path(folder)))
            imports.append(import_seconds(csv, 0 if given.csv else given.lines))
    told = {
        "bench": "import 10 M order lines from CSV",
        "rows": imports[0][2],
        "copy_seconds": [round(one[0], 2) for one in copies],
        "import_seconds": [round(one[0], 2) for one in imports],
        "ratio": _ratio([one[0] for one in imports], [one[0] for one in copies]),
        "cpu_ratio": _ratio([one[1] for one in imports], [one[1] for one in copies]),
        "reach": REACH,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(told))


def _ratio(these: list[float], those: list[float]) -> float:
    return round(statistics.median(these) / statistics.median(those), 2)


if __name__ == "__main__":
    main()
