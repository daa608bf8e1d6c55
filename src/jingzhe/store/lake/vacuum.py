"""Removes files that no publication needs any more, what killed writers left behind, and old entries of the logs."""

from __future__ import annotations

import re
from datetime import timedelta

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.lake.beside import alone
from jingzhe.store.lake.tables import Lake
from jingzhe.store.warehouse import HORIZON, Warehouse, oldest_readable

KEEP_HOURS = 168.0
_LOG = "_delta_log/"
_LONG_LOG = 20
_NUMBERED = re.compile(r"_delta_log/(\d{20})\.(json|crc|checkpoint\.parquet)")


def vacuum(
    warehouse: Warehouse,
    *,
    keep_hours: float = KEEP_HOURS,
    urgent: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Removes what only older publications need; those can then no longer be read.

    A publication is kept for ``keep_hours`` after the next one took its place, so that a reader that opened the
    newest publication has at least that long. Writers wait only while the folders are listed.

    Args:
        warehouse: the stores.
        keep_hours: how long, hours; 0 leaves the newest publication alone.
        urgent: True to have a compaction that is under way stop; False to wait for its end.
        progress: told about the stages.

    Returns:
        the files removed, as table/file.

    Raises:
        BusyError: another process is writing or compacting and did not finish in time.
        LakeError: the files cannot be listed or removed.
    """
    heard = progress or Silent()
    removed: list[str] = []
    with alone(warehouse, "vacuum", urgent=urgent):
        # What stands there while nobody writes, and no version names, is nobody's: files that are being written look
        # the same. What comes later is not on the list, so all else can be done while others write.
        with warehouse.writing("vacuum") as writing:
            before, latest = writing.before, warehouse.state.latest()
            listed = {table.name: warehouse.lake.listed(table) for table in warehouse.catalogue}
            writing.lease.check()
        oldest = warehouse.state.newest_since(warehouse.clock.now() - timedelta(hours=keep_hours))
        horizon = oldest_readable(warehouse.state)
        if oldest is not None and oldest.seq < horizon:
            oldest = warehouse.state.publication(horizon)  # those before it have been removed
        if oldest is not None and oldest.seq > horizon:
            # Before anything is removed, so that nobody opens what is about to go.
            warehouse.state.put_document(*HORIZON, {"oldest": oldest.seq})
        heard.stage("removing files", len(warehouse.catalogue.tables), "tables")
        for number, table in enumerate(warehouse.catalogue, start=1):
            head = before[table.name]
            # A table that is younger than the oldest publication is needed from its beginning.
            first = min(oldest.tables.get(table.name, 0), head) if oldest is not None else head
            # What lies between the newest publication and the head was taken back: a writer died.
            last = min(latest.tables.get(table.name, head), head) if latest is not None else head
            names = _clean(warehouse.lake, table, listed[table.name], (first, last, head))
            removed += [f"{table.name}/{name}" for name in names]
            heard.advance(number)
    return removed


def _clean(lake: Lake, table: Table, names: list[str], versions: tuple[int, int, int]) -> list[str]:
    """Removes from one table's folder what no version needs; returns the names.

    Args:
        lake: whose table.
        table: which.
        names: what stood in the folder when nobody wrote.
        versions: the oldest and the newest that were published and are kept, and the newest of all, at that moment.
    """
    oldest, newest, head = versions
    needed = {file.name for version in (oldest, head) for file in lake.files(table, version)}
    needed |= lake.added(table, oldest, newest)
    if oldest == head and len([name for name in names if name.endswith(".json")]) > _LONG_LOG:
        lake.checkpoint(table, head)
        names = sorted({*names, f"{_LOG}{head:020}.checkpoint.parquet"})
    unneeded = [name for name in names if not name.startswith("_") and name not in needed]
    unneeded += _old_log(names, oldest)
    lake.remove(table, unneeded)
    return unneeded


def _old_log(names: list[str], oldest: int) -> list[str]:
    """Returns the entries of a log that reading the version ``oldest`` and later ones does not need."""
    numbered = [(name, int(match[1]), match[2]) for name in names if (match := _NUMBERED.fullmatch(name))]
    summaries = [version for _, version, kind in numbered if kind == "checkpoint.parquet" and version <= oldest]
    first = max(summaries, default=0)
    unfinished = [name for name in names if name.startswith(_LOG) and name.endswith(".tmp")]
    return [name for name, version, _ in numbered if version < first] + unfinished
