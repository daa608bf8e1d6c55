"""The files of a table as the Delta log describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import pyarrow as pa

from jingzhe.store.catalogue import Table
from jingzhe.store.engine import SORTED, WrittenFile

Layer = Literal["base", "overlay"]
LAYER = "layer"
"""Name of the partition that keeps base and overlay of a layered table apart."""
_WHOLE = {"BIGINT", "INTEGER"}


@dataclass(frozen=True)
class LiveFile:
    """One file of a table at one version.

    Args:
        path: where it stands.
        name: its path within the table's folder.
        rows: how many rows it has.
        size_bytes: its size.
        layer: of a layered table, the layer it belongs to.
        low: least value of the first column of the table's order, where that is a whole number and known.
        high: greatest value of that column.
    """

    path: str
    name: str
    rows: int
    size_bytes: int
    layer: Layer = "base"
    low: int | None = None
    high: int | None = None

    @property
    def is_sorted(self) -> bool:
        """Tells whether its rows stand in the table's order."""
        return self.name.startswith(SORTED)


def live_files(table: Table, folder: str, actions: pa.Table) -> tuple[LiveFile, ...]:
    """Returns the files that the log's add actions name, ordered by path."""
    missing = [None] * actions.num_rows
    first = table.sort_by[0] if table.sort_by and table[table.sort_by[0]].type in _WHOLE else None

    def column(name: str) -> list[object]:
        return actions[name].to_pylist() if name in actions.column_names else list(missing)

    names = [unquote(path) for path in actions["path"].to_pylist()]
    layers = column(f"partition.{LAYER}") if table.layered else ["base"] * len(names)
    rows = zip(
        names,
        actions["num_records"].to_pylist(),
        actions["size_bytes"].to_pylist(),
        layers,
        column(f"min.{first}"),
        column(f"max.{first}"),
        strict=True,
    )
    return tuple(sorted((LiveFile(f"{folder}/{row[0]}", *row) for row in rows), key=lambda file: file.path))


def statistics(table: Table, file: WrittenFile) -> str:
    """Returns the file's statistics as the Delta log writes them.

    Whole numbers and days only: they need no care in writing, and values of people's texts stay out of the log.
    """
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for column in table.stored_columns:
        least, most, missing = file.statistics.get(column.name, (None, None, 0))
        nulls[column.name] = missing
        if least is None or most is None:
            continue
        if column.type in _WHOLE:
            low[column.name], high[column.name] = int(least), int(most)
        elif column.type == "DATE":
            low[column.name], high[column.name] = least, most
    return json.dumps({"numRecords": file.rows, "minValues": low, "maxValues": high, "nullCount": nulls})
