"""Removes files that no publication needs any more, what killed writers left behind, and old entries of the logs."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.state import Publication, State
from jingzhe.store.warehouse import HORIZON, Warehouse, Writing, oldest_readable

KEEP_HOURS = 168.0
_LOG = "_delta_log/"
_LONG_LOG = 20
_NUMBERED = re.compile(r"_delta_log/(\d{20})\.(json|crc|checkpoint\.parquet)")


def vacuum(warehouse: Warehouse, *, keep_hours: float = KEEP_HOURS, progress: Progress | None = None) -> list[str]:
    """Removes what only older publications need; those can then no longer be read.

    A publication is kept for ``keep_hours`` after the next one took its place, so that a reader that opened the
    newest publication has at least that long.

    Args:
        warehouse: the stores.
        keep_hours: how long, hours; 0 leaves the newest publication alone.
        progress: told about the stages.

    Returns:
        the files removed, as table/file.

    Raises:
        BusyError: another process is writing and did not finish in time.
        LakeError: the files cannot be listed or removed.
    """
    heard = progress or Silent()
    removed: list[str] = []
    # As a writer: files that are being written belong to no publication yet and look like litter.
    with warehouse.writing("vacuum") as writing:
        kept = _kept(warehouse.state, warehouse.clock.now() - timedelta(hours=keep_hours))
        if kept and kept[-1].seq > oldest_readable(warehouse.state):
            # Before anything is removed, so that nobody opens what is about to go.
            warehouse.state.put_document(*HORIZON, {"oldest": kept[-1].seq})
        heard.stage("removing files", len(warehouse.catalogue.tables), "tables")
        for number, table in enumerate(warehouse.catalogue, start=1):
            versions = {one.tables[table.name] for one in kept if table.name in one.tables}
            removed += [f"{table.name}/{name}" for name in _clean(writing, table, versions)]
            heard.advance(number)
    return removed


def _kept(state: State, since: datetime) -> list[Publication]:
    """Returns the publications that were the newest at some moment after ``since``, newest first."""
    limit = 64
    while True:
        found = state.publications(limit=limit)
        kept = [one for place, one in enumerate(found) if place == 0 or found[place - 1].published_at > since]
        if len(kept) < len(found) or len(found) < limit:
            return kept
        limit *= 4


def _clean(writing: Writing, table: Table, versions: Collection[int]) -> list[str]:
    """Removes from one table's folder what none of the versions needs; returns the names."""
    lake, head = writing.warehouse.lake, writing.before[table.name]
    needed = {file.name for version in {*versions, head} for file in lake.files(table, version)}
    names = lake.listed(table)
    if versions and min(versions) == head and len([name for name in names if name.endswith(".json")]) > _LONG_LOG:
        lake.checkpoint(table, head)
        names = lake.listed(table)
    unneeded = [name for name in names if not name.startswith("_") and name not in needed]
    unneeded += _old_log(names, min(versions, default=0))
    # The files were listed while the lease was held for certain: none of them is another writer's.
    writing.lease.check()
    lake.remove(table, unneeded)
    return unneeded


def _old_log(names: list[str], oldest: int) -> list[str]:
    """Returns the entries of a log that reading the version ``oldest`` and later ones does not need."""
    numbered = [(name, int(match[1]), match[2]) for name in names if (match := _NUMBERED.fullmatch(name))]
    summaries = [version for _, version, kind in numbered if kind == "checkpoint.parquet" and version <= oldest]
    first = max(summaries, default=0)
    unfinished = [name for name in names if name.startswith(_LOG) and name.endswith(".tmp")]
    return [name for name, version, _ in numbered if version < first] + unfinished
