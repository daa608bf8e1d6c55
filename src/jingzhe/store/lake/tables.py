"""Delta tables through delta-rs: create, append, replace, remove files, restore, read at a version.

Engines write Parquet files into a table's folder; nothing is visible before :meth:`Lake.commit` names them in the
Delta log. See the Delta protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import ARROW, Table
from jingzhe.store.engine import Source, WrittenFile
from jingzhe.store.lake.files import LAYER, Layer, LiveFile, live_files, statistics
from jingzhe.store.near import Direct, Near
from jingzhe.store.places import Place, folder_of, place_of

_SNAPSHOTS_KEPT = 256
_UNSEEN = "Nothing was made visible."
_CONFIGURATION = {
    # Reading a version replays at most this many commits.
    "delta.checkpointInterval": "20",
    # Old log entries go with the publications that need them (store/lake/vacuum.py), not by their age.
    "delta.enableExpiredLogCleanup": "false",
}


@dataclass(frozen=True)
class Change:
    """What one commit does to one table.

    Args:
        table: the table.
        files: what was written for it.
        layer: of a layered table, the layer the files belong to.
        replace: True to take the files in place of what stands there (of a layered table, in that layer; with the
            base also the overlay is emptied, for it has been folded in).
        removed: files that go, where not all of them are replaced.
    """

    table: Table
    files: tuple[WrittenFile, ...]
    layer: Layer = "base"
    replace: bool = False
    removed: tuple[LiveFile, ...] = ()


@dataclass(frozen=True)
class Lake:
    """Delta tables side by side.

    Args:
        root: folder (or URL) in which each table has its own; a folder is made absolute.
        storage_options: how to reach an object store; see :class:`jingzhe.store.bucket.Bucket`.
        near: the copies that an engine keeps of the files.
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    near: Near = field(default_factory=Direct)
    place: Place = field(init=False, repr=False, compare=False)
    _snapshots: dict[tuple[str, int], tuple[LiveFile, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _heads: dict[str, DeltaTable] = field(default_factory=dict, init=False, repr=False, compare=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        place = place_of(self.root, self.storage_options)
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "root", place.root)
        object.__setattr__(self, "storage_options", dict(place.options))

    def folder(self, table: Table) -> str:
        """Returns the folder of a table."""
        return folder_of(self.root, table.name)

    def head(self, table: Table) -> int | None:
        """Returns the newest version in the Delta log, published or not; None where the table does not exist."""
        with self._explained(table, "read"):
            if not DeltaTable.is_deltatable(self.folder(table), dict(self.storage_options)):
                return None
        return self._open(table, None).version()

    def ended(self, versions: Mapping[str, int]) -> frozenset[str]:
        """Returns the tables whose version is the newest in the Delta log; far quicker than to read the logs.

        Args:
            versions: by name of the table.
        """
        entries = [
            f"{folder_of(self.root, name)}/_delta_log/{number:020}.json"
            for name, version in versions.items()
            for number in (version, version + 1)
        ]
        with self._explained(None, "read"):
            found = iter(self.place.present(entries))
        return frozenset(name for name in versions if (next(found), next(found)) == (True, False))

    def create(self, table: Table) -> int:
        """Creates a table if it is not there; returns its newest version.

        Raises:
            LakeError: it cannot be created, or was created with other columns.
        """
        version = self.head(table)
        if version is not None:
            return version
        fields = [(column.name, ARROW[column.type]) for column in table.stored_columns]
        if table.layered:
            fields.append((LAYER, pa.string()))
        with self._explained(table, "created"):
            self.place.prepare()
            created = DeltaTable.create(
                self.folder(table),
                schema=Schema.from_arrow(pa.schema(fields)),
                partition_by=[LAYER] if table.layered else None,
                name=table.name,
                description=table.doc or None,
                configuration=_CONFIGURATION,
                storage_options=dict(self.storage_options),
                mode="ignore",
            )
            return created.version()

    def files(self, table: Table, version: int) -> tuple[LiveFile, ...]:
        """Returns the files that make up a table at a version."""
        found = self._snapshots.get((table.name, version))
        if found is None:
            found = self._remembered(table, version, self._open(table, version))
        return found

    def _remembered(self, table: Table, version: int, delta: DeltaTable) -> tuple[LiveFile, ...]:
        with self._explained(table, "read"):
            found = live_files(table, self.folder(table), pa.table(delta.get_add_actions(flatten=True)))
        with self._turn:
            while len(self._snapshots) >= _SNAPSHOTS_KEPT:
                self._snapshots.pop(next(iter(self._snapshots)), None)
            self._snapshots[table.name, version] = found
        return found

    def source(self, table: Table, version: int | None, *, without: str | None = None) -> Source:
        """Returns the live files of a table at a version (None: a table that has never been published)."""
        files = () if version is None else self.files(table, version)
        base, overlay = (tuple(file.path for file in files if file.layer == layer) for layer in ("base", "overlay"))
        return Source(table, base, overlay, without)

    def rows(self, table: Table, version: int | None) -> tuple[int, int]:
        """Returns how many rows stand in the base and in the overlay, from the log alone."""
        files = () if version is None else self.files(table, version)
        base, overlay = (sum(file.rows for file in files if file.layer == layer) for layer in ("base", "overlay"))
        return base, overlay

    def commit(self, change: Change, onto: int) -> int:
        """Makes one change in one Delta transaction; returns the new version.

        Args:
            change: what to do.
            onto: the version that it builds on. Where the log has gone on since, somebody writes who no longer
                holds the lease: that is an error, never a merge.

        Raises:
            LakeError: it cannot be written; nothing has changed.
        """
        table, now = change.table, int(time.time() * 1000)
        partition: dict[str, str | None] = {LAYER: change.layer} if table.layered else {}
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=_relative(self.folder(table), file.path),
                size=file.size_bytes,
                partition_values=dict(partition),
                modification_time=now,
                data_change=True,
                stats=statistics(table, file),
            )
            for file in change.files
        ]
        for gone in change.removed:
            inside: dict[str, str | None] = {LAYER: gone.layer} if table.layered else {}
            actions.append(RemoveAction(gone.name, True, now, gone.size_bytes, inside))
        only_overlay = change.replace and table.layered and change.layer == "overlay"
        # A stream of small writes reads its own log once: what it wrote last is what the next one builds on.
        delta = self._heads.pop(table.name, None)
        if delta is None or delta.version() != onto:
            delta = self._open(table, onto)
        with self._explained(table, "written"):
            delta.create_write_transaction(
                actions,
                mode="overwrite" if change.replace else "append",
                schema=delta.schema(),
                partition_by=[LAYER] if table.layered else None,
                partition_filters=[(LAYER, "=", "overlay")] if only_overlay else None,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        self._follow(table, delta, onto + 1)
        return onto + 1

    def _follow(self, table: Table, delta: DeltaTable, version: int) -> None:
        """Reads what was just committed, in place of opening the table anew."""
        # The commit stands whether or not this works: who needs the table next opens it, and hears what is wrong.
        with suppress(LakeError), self._explained(table, "read"):
            delta.update_incremental()
            if delta.version() == version:
                self._remembered(table, version, delta)
                self._heads[table.name] = delta

    def restore(self, table: Table, version: int) -> int:
        """Takes a table back to an earlier version, as a new version; returns that."""
        delta = self._open(table, None)
        with self._explained(table, "restored"):
            delta.restore(version)
            delta.update_incremental()
        return delta.version()

    def checkpoint(self, table: Table, version: int) -> None:
        """Writes a summary of the log up to a version, so that what is before it can go."""
        delta = self._open(table, version)
        with self._explained(table, "summarised"):
            delta.create_checkpoint()

    def added(self, table: Table, after: int, through: int) -> set[str]:
        """Returns the files that the versions after one and up to another brought, by path within the folder.

        From the log's entries alone: to read each version would cost as much as there are files, for each version.
        """
        log = f"{self.folder(table)}/_delta_log"
        with self._explained(table, "read"):
            entries = self.place.read([f"{log}/{version:020}.json" for version in range(after + 1, through + 1)])
        actions = (json.loads(text) for entry in entries for text in entry.splitlines() if b'"add"' in text)
        return {unquote(action["add"]["path"]) for action in actions if "add" in action}

    def equal(self, table: Table, one: int, other: int) -> bool:
        """Tells whether two versions of a table are made up of the same files."""
        return {file.path for file in self.files(table, one)} == {file.path for file in self.files(table, other)}

    def load(self, versions: Mapping[Table, int]) -> None:
        """Reads the logs of tables at versions for :meth:`files` to know, several at once where that is quicker."""
        unknown = [one for one in versions.items() if (one[0].name, one[1]) not in self._snapshots]
        if len(unknown) < 2 or self.place.workers == 1:
            return
        with ThreadPoolExecutor(self.place.workers) as pool:
            for _ in pool.map(lambda one: self.files(*one), unknown):
                pass

    def listed(self, table: Table) -> list[str]:
        """Returns everything that stands in a table's folder, its log included, by path within it."""
        with self._explained(table, "listed"):
            return self.place.listed(self.folder(table))

    def remove(self, table: Table, names: Iterable[str]) -> None:
        """Removes files from a table's folder, by path within it; those that are not there are passed over."""
        with self._explained(table, "cleaned"):
            self.place.remove(f"{self.folder(table)}/{name}" for name in names)

    def discard(self, table: Table, files: Iterable[WrittenFile]) -> None:
        """Removes files that were written and never committed."""
        self.remove(table, [_relative(self.folder(table), file.path) for file in files])

    def _open(self, table: Table, version: int | None) -> DeltaTable:
        at = "" if version is None else f" at version {version}"
        with self._explained(table, "read", at, hint="If its files were removed by hand, restore them from a backup."):
            delta = DeltaTable(self.folder(table), version=version, storage_options=dict(self.storage_options))
            stored = [column.name for column in delta.schema().fields]
        declared = [*(column.name for column in table.stored_columns), *([LAYER] if table.layered else [])]
        if stored != declared:
            raise LakeError(
                f"The table {table.name} was made with other columns: {sorted(set(stored) ^ set(declared)) or stored}",
                hint="Another version of this software made it. Import into a new project, or use that version.",
                table=table.name,
            )
        return delta

    @contextmanager
    def _explained(self, table: Table | None, what: str, at: str = "", *, hint: str = "") -> Iterator[None]:
        name = f"table {table.name}" if table else "lake"
        try:
            yield
        except (DeltaError, OSError, ValueError) as error:
            meaning, place_hint = self.place.reason(error)
            raise LakeError(
                f"The {name} cannot be {what}{at}: {meaning}",
                hint=" ".join(filter(None, (hint if what == "read" else _UNSEEN, place_hint))),
                table=table.name if table else None,
            ) from (error if meaning == str(error) else None)


def _relative(folder: str, path: str) -> str:
    inside = folder + "/"
    if not path.startswith(inside):
        raise LakeError("A file does not stand in its table's folder", file=path, folder=folder)
    return path[len(inside) :]


def in_order(files: Sequence[LiveFile]) -> bool:
    """Tells whether every file is sorted and no two overlap in the first column of the order."""
    spans = sorted((file.low, file.high) for file in files if file.low is not None and file.high is not None)
    apart = all(left[1] < right[0] for left, right in pairwise(spans))
    return apart and len(spans) == len(files) and all(file.is_sorted for file in files)
