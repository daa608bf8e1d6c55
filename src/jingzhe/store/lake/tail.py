"""The tail of a table: the many small files that a stream of small writes leaves, put together by size.

Compaction sorts a whole table; this rewrites only what is small, so that its cost follows what came in and not what
is there. Rows stay as they are stored, those that a correction hides included.

Files are put together with files of about their size only (a log-structured merge, O'Neil et al. 1996): class ``c``
holds files of ``FAN_IN`` to the power of ``c`` rows and more, ``FAN_IN`` of them make one of a higher class, because
rows add up exactly, whatever they compress to. So no row is written twice in one class, and a row that came in a file
of ``r`` rows is written log(R / r) / log(FAN_IN) times until its file of ``R`` rows is large enough to be left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from jingzhe.core.errors import BusyError
from jingzhe.store.catalogue import Table
from jingzhe.store.lake.beside import Rewriting, Swap, rewriting
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse

SMALL_BYTES = 32 * 2**20
"""Files below this are put together; larger ones are compaction's."""
FAN_IN = 16
"""How many files of one class make one of a higher class: a table then has less than so many of each class."""
MOST_BYTES = 256 * 2**20
"""How much is read for one new file, about."""


@dataclass(frozen=True)
class Gathered:
    """What was put together.

    Args:
        files: small files that went.
        rows: rows that were written again.
        publication: its number; None where nothing was to be done, or somebody else rewrites files.
    """

    files: int
    rows: int
    publication: int | None


def gather_tail(
    warehouse: Warehouse,
    tables: Iterable[Table],
    *,
    small_bytes: int = SMALL_BYTES,
    fan_in: int = FAN_IN,
    at_least: int | None = None,
    ordered: bool = True,
    stopping: Callable[[], bool] | None = None,
) -> Gathered:
    """Puts small files of about one size together, in all tables that have enough of them, beside the writers.

    Args:
        warehouse: the stores.
        tables: which tables; none that is layered.
        small_bytes: files below this size count as small.
        fan_in: by how much the classes of size differ.
        at_least: how many of one class there have to be; None: ``fan_in``, and never fewer.
        ordered: True to sort the rows, so that one person's are found by reading little; False to leave them as they
            come, which costs half as much.
        stopping: tells whether to stop; asked about once a second.

    Raises:
        BusyError: it was stopped.
        LakeError: a file cannot be read or written.
    """
    chosen, enough = list(tables), max(fan_in, at_least or 0)
    latest = warehouse.state.latest()
    known = latest.tables if latest else {}
    there = [warehouse.lake.files(table, known[table.name]) for table in chosen if table.name in known]
    if not any(next(_together(files, small_bytes, fan_in, enough), ()) for files in there):
        return Gathered(0, 0, None)
    try:
        with rewriting(warehouse, "gathering small files", wait_seconds=0.0, stopping=stopping) as under_way:
            swaps = [
                _put_together(under_way, table, files, ordered=ordered)
                for table in chosen
                for files in _together(under_way.files(table), small_bytes, fan_in, enough)
            ]
            publication = under_way.publish(swaps, "gathering small files") if swaps else None
    except BusyError:
        if stopping is not None and stopping():
            raise
        # Somebody compacts, or removes files. The small ones will still be there.
        return Gathered(0, 0, None)
    if publication is None:
        return Gathered(0, 0, None)
    rows = sum(file.rows for swap in swaps for file in swap.files)
    return Gathered(sum(len(swap.gone) for swap in swaps), rows, publication.seq)


def _together(files: Iterable[LiveFile], small_bytes: int, fan_in: int, enough: int) -> Iterator[tuple[LiveFile, ...]]:
    """Gives the files that are to become one, group by group; none is in two groups."""
    classes: dict[int, list[LiveFile]] = defaultdict(list)
    for file in files:
        if file.size_bytes < small_bytes:
            classes[_class(file.rows, fan_in)].append(file)
    for alike in classes.values():
        if len(alike) < enough:
            continue
        group: list[LiveFile] = []
        for left, file in zip(range(len(alike), 0, -1), alike, strict=True):
            group.append(file)
            # What is left has to be enough for a group of its own.
            if sum(one.size_bytes for one in group) >= MOST_BYTES and len(group) >= fan_in < left:
                yield tuple(group)
                group = []
        yield tuple(group)


def _class(rows: int, fan_in: int) -> int:
    number = 0
    while rows >= fan_in:
        rows //= fan_in
        number += 1
    return number


def _put_together(under_way: Rewriting, table: Table, small: tuple[LiveFile, ...], *, ordered: bool) -> Swap:
    name = f"{table.name}_tail"
    under_way.session.attach_stored(name, table, [file.path for file in small])
    rows = one(name, f"SELECT {', '.join(table.column_names)} FROM {name}")
    return Swap(table, under_way.write(table, rows, ordered=ordered), small)
