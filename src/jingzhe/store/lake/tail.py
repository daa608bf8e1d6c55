"""The tail of a table: the many small files that a stream of small writes leaves, put together into one.

Compaction sorts a whole table; this rewrites only what is small, so that its cost follows what came in and not what
is there. Rows stay as they are stored, those that a correction hides included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jingzhe.store.catalogue import Table
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse, Writing

SMALL_BYTES = 32 * 2**20
"""Files below this are put together."""
AT_LEAST = 32
"""How many small files a table has to have."""


@dataclass(frozen=True)
class Gathered:
    """What was put together.

    Args:
        files: small files that went.
        rows: rows that were written again.
        publication: its number; None where nothing was to be done.
    """

    files: int
    rows: int
    publication: int | None


def gather_tail(
    warehouse: Warehouse, tables: Iterable[Table], *, small_bytes: int = SMALL_BYTES, at_least: int = AT_LEAST
) -> Gathered:
    """Puts small files together, in all tables that have enough of them.

    Args:
        warehouse: the stores.
        tables: which tables; none that is layered.
        small_bytes: files below this size count as small.
        at_least: how many there have to be.

    Raises:
        BusyError: another process is writing and did not finish in time.
        LakeError: a file cannot be read or written.
    """
    chosen = list(tables)
    if not any(_small(warehouse, table, _published(warehouse, table), small_bytes, at_least) for table in chosen):
        return Gathered(0, 0, None)
    files = rows = 0
    with warehouse.writing("gathering small files") as writing:
        for table in chosen:
            small = _small(warehouse, table, writing.before.get(table.name), small_bytes, at_least)
            if small:
                files += len(small)
                rows += _gather(writing, table, small)
        publication = writing.publish("gathering small files") if writing.has_changes else None
    return Gathered(files, rows, publication.seq if publication else None)


def _published(warehouse: Warehouse, table: Table) -> int | None:
    latest = warehouse.state.latest()
    return latest.tables.get(table.name) if latest else None


def _small(
    warehouse: Warehouse, table: Table, version: int | None, small_bytes: int, at_least: int
) -> tuple[LiveFile, ...]:
    """Returns the small files of a table, none where they are too few."""
    live = warehouse.lake.files(table, version) if version is not None else ()
    small = tuple(file for file in live if file.size_bytes < small_bytes)
    return small if len(small) >= at_least else ()


def _gather(writing: Writing, table: Table, small: tuple[LiveFile, ...]) -> int:
    name = f"{table.name}_tail"
    writing.session.attach_stored(name, table, [file.path for file in small])
    rows = one(name, f"SELECT {', '.join(table.column_names)} FROM {name}")
    written = writing.write(table, rows, ordered=True)
    writing.stage(table, written, removed=small)
    return sum(file.rows for file in written)
