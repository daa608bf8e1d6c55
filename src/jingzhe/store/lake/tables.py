"""Delta tables through delta-rs: create, append, replace, restore, read at a version, vacuum.

Engines write Parquet files into a table's folder; nothing is visible before :meth:`Lake.commit` names them in the
Delta log. See the Delta protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlparse

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import ARROW, Table
from jingzhe.store.engine import Source, WrittenFile

Layer = Literal["base", "overlay"]
_LAYER = "layer"
_INTEGERS = {"BIGINT", "INTEGER"}


@dataclass(frozen=True)
class Change:
    """What one commit does to one table.

    Args:
        table: the table.
        files: what was written for it.
        layer: of a layered table, the layer the files belong to.
        replace: True to take the files in place of what stands there (of a layered table, in that layer; with the
            base also the overlay is emptied, for it has been folded in).
    """

    table: Table
    files: tuple[WrittenFile, ...]
    layer: Layer = "base"
    replace: bool = False


@dataclass(frozen=True)
class Lake:
    """A folder of Delta tables.

    Args:
        root: folder (or URL) in which each table has its own.
        storage_options: what delta-rs needs to reach an object store.
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def folder(self, table: Table) -> str:
        """Returns the folder of a table."""
        return f"{self.root.rstrip('/')}/{table.name}"

    def head(self, table: Table) -> int | None:
        """Returns the newest version in the Delta log, published or not; None where the table does not exist."""
        if not DeltaTable.is_deltatable(self.folder(table), dict(self.storage_options)):
            return None
        return self._open(table, None).version()

    def create(self, table: Table) -> int:
        """Creates a table if it is not there; returns its newest version."""
        version = self.head(table)
        if version is not None:
            return version
        fields = [(column.name, ARROW[column.type]) for column in table.stored_columns]
        if table.layered:
            fields.append((_LAYER, pa.string()))
        created = DeltaTable.create(
            self.folder(table),
            schema=Schema.from_arrow(pa.schema(fields)),
            partition_by=[_LAYER] if table.layered else None,
            name=table.name,
            description=table.doc or None,
            storage_options=dict(self.storage_options),
            mode="ignore",
        )
        return created.version()

    def source(self, table: Table, version: int | None, *, without: str | None = None) -> Source:
        """Returns the live files of a table at a version (None: a table that has never been published)."""
        if version is None:
            return Source(table, without=without)
        base: list[str] = []
        overlay: list[str] = []
        actions = pa.table(self._open(table, version).get_add_actions(flatten=True))
        layers = actions[f"partition.{_LAYER}"].to_pylist() if table.layered else None
        for position, path in enumerate(actions["path"].to_pylist()):
            target = overlay if layers and layers[position] == "overlay" else base
            target.append(f"{self.folder(table)}/{unquote(path)}")
        return Source(table, tuple(sorted(base)), tuple(sorted(overlay)), without)

    def rows(self, table: Table, version: int | None) -> tuple[int, int]:
        """Returns how many rows stand in the base and in the overlay, from the log alone."""
        if version is None:
            return 0, 0
        actions = pa.table(self._open(table, version).get_add_actions(flatten=True))
        counts = actions["num_records"].to_pylist()
        layers = actions[f"partition.{_LAYER}"].to_pylist() if table.layered else ["base"] * len(counts)
        sums = {"base": 0, "overlay": 0}
        for layer, count in zip(layers, counts, strict=True):
            sums[layer] += count
        return sums["base"], sums["overlay"]

    def commit(self, change: Change) -> int:
        """Makes one change in one Delta transaction; returns the new version."""
        table = change.table
        delta = self._open(table, None)
        partition = {_LAYER: change.layer} if table.layered else {}
        actions: list[AddAction | RemoveAction] = [
            _add(self.folder(table), table, file, partition) for file in change.files
        ]
        only_overlay = change.replace and table.layered and change.layer == "overlay"
        try:
            delta.create_write_transaction(
                actions,
                mode="overwrite" if change.replace else "append",
                schema=delta.schema(),
                partition_by=[_LAYER] if table.layered else None,
                partition_filters=[(_LAYER, "=", "overlay")] if only_overlay else None,
            )
        except DeltaError as error:
            raise LakeError(f"The table {table.name} cannot be written: {error}", table=table.name) from error
        delta.update_incremental()
        return delta.version()

    def restore(self, table: Table, version: int) -> int:
        """Takes a table back to an earlier version, as a new version."""
        delta = self._open(table, None)
        delta.restore(version)
        delta.update_incremental()
        return delta.version()

    def vacuum(self, table: Table, *, keep_hours: int, dry_run: bool = False) -> list[str]:
        """Removes files that no version of the last ``keep_hours`` hours needs; returns their names."""
        delta = self._open(table, None)
        return delta.vacuum(retention_hours=keep_hours, dry_run=dry_run, enforce_retention_duration=False, full=True)

    def _open(self, table: Table, version: int | None) -> DeltaTable:
        try:
            return DeltaTable(self.folder(table), version=version, storage_options=dict(self.storage_options))
        except DeltaError as error:
            raise LakeError(
                f"The table {table.name} cannot be read at version {version}: {error}",
                hint="If its files were removed by hand, restore them from a backup.",
                table=table.name,
            ) from error


def _add(folder: str, table: Table, file: WrittenFile, partition: Mapping[str, str]) -> AddAction:
    path = file.path
    if path.startswith(folder):
        path = path[len(folder) :].lstrip("/")
    elif urlparse(path).scheme == "" and not path.startswith("/"):
        path = os.path.basename(path)  # noqa: PTH119 - may be a URL, not a path of this machine
    return AddAction(
        path=path,
        size=file.size_bytes,
        partition_values=dict(partition),
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(table, file)),
    )


def _statistics(table: Table, file: WrittenFile) -> dict[str, object]:
    """Returns the file's statistics as the Delta log writes them; whole numbers and days only, they need no care."""
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for column in table.stored_columns:
        least, most, missing = file.statistics.get(column.name, (None, None, 0))
        nulls[column.name] = missing
        if least is None or most is None:
            continue
        if column.type in _INTEGERS:
            low[column.name], high[column.name] = int(least), int(most)
        elif column.type == "DATE":
            low[column.name], high[column.name] = least, most
    return {"numRecords": file.rows, "minValues": low, "maxValues": high, "nullCount": nulls}
