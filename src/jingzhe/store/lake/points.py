"""Rows of single people, read from the row groups in which they stand, without asking an engine.

An engine plans, opens and scans for a question about everybody; for one person that costs more than the answer. Here
the footers of the files are kept, the smallest and greatest value of each row group say where a person can stand, and
only those groups are read. After compaction, which sorts by person, that is one group a table; before it the column
that is asked for is read first, and of the others only the groups that hold the value.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import ARROW, Table
from jingzhe.store.facts import EVENTS, ITEMS, RETRACTIONS
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import Lake

_FOOTERS_KEPT = 512
_RETRACTED = frozenset({EVENTS.name, ITEMS.name})


@dataclass
class _Footer:
    """What is known of a file without reading its rows."""

    metadata: pq.FileMetaData
    spans: dict[str, list[tuple[Any, Any] | None]] = field(default_factory=dict)

    def groups(self, column: str, values: Sequence[Any]) -> list[int]:
        """Returns the row groups that can hold one of the values."""
        if column not in self.spans:
            names = self.metadata.schema.names
            place = names.index(column)
            self.spans[column] = [
                _span(self.metadata.row_group(number).column(place)) for number in range(self.metadata.num_row_groups)
            ]
        return [
            number
            for number, span in enumerate(self.spans[column])
            if span is None or any(span[0] <= value <= span[1] for value in values)
        ]


class Points:
    """Reads rows of a few people at a pinned version; may be used from several threads.

    Args:
        lake: whose tables.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._held = ExitStack()
        self._reach = self._held.enter_context(lake.near.session())
        self._footers: OrderedDict[str, _Footer] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Gives back copies of an object store's files."""
        self._held.close()

    def rows(
        self,
        table: Table,
        version: int | None,
        values: Sequence[Any],
        *,
        by: str = "person_id",
        retractions: int | None = None,
    ) -> pa.Table:
        """Returns the rows that have one of ``values``, as people mean the table: overlays and corrections applied.

        Args:
            table: the table.
            version: of its log; None: it was never published, so there are no rows.
            values: of the column ``by``.
            by: name of the column; of a layered table it is part of the key.
            retractions: version of the table of retractions, for events and items.

        Returns:
            the table's columns, in no order.

        Raises:
            LakeError: a file cannot be read.
        """
        files = () if version is None else self._lake.files(table, version)
        wanted = [file for file in files if _can_hold(file, table, by, values)]
        base = self._read(table, [file for file in wanted if file.layer == "base"], by, values)
        if table.layered:
            overlay = self._read(table, [file for file in wanted if file.layer == "overlay"], by, values)
            base = pa.concat_tables([_without(base, overlay, table.key), overlay.filter(pc.invert(overlay["gone"]))])
        elif table.name in _RETRACTED and retractions is not None and base.num_rows:
            people = base["person_id"].unique().to_pylist()
            base = _without(base, self.rows(RETRACTIONS, retractions, people), RETRACTIONS.key)
        return base.select(table.column_names)

    def _read(self, table: Table, files: Sequence[LiveFile], by: str, values: Sequence[Any]) -> pa.Table:
        names = [column.name for column in table.stored_columns]
        empty = pa.schema([pa.field(column.name, ARROW[column.type]) for column in table.stored_columns]).empty_table()
        self._reach.fetch(file.path for file in files)
        found = [self._read_file(file, names, by, values) for file in files]
        return pa.concat_tables([empty, *(one.cast(empty.schema) for one in found if one is not None)])

    def _read_file(self, file: LiveFile, names: list[str], by: str, values: Sequence[Any]) -> pa.Table | None:
        path = self._reach.local(file.path)
        try:
            footer = self._footer(path)
            groups = footer.groups(by, values)
            if not groups:
                return None
            with pq.ParquetFile(path, metadata=footer.metadata, pre_buffer=False) as opened:
                if len(groups) > 1:
                    groups = [number for number in groups if _holds(opened, number, by, values)]
                if not groups:
                    return None
                read = opened.read_row_groups(groups, columns=names, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise LakeError(f"A file of the lake cannot be read: {error}", file=file.path) from error
        return read.take(pa.array(np.flatnonzero(_mask(read[by], values))))

    def _footer(self, path: str) -> _Footer:
        with self._lock:
            known = self._footers.get(path)
            if known is not None:
                self._footers.move_to_end(path)
                return known
        footer = _Footer(pq.read_metadata(path))
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > _FOOTERS_KEPT:
                self._footers.popitem(last=False)
        return footer


def _span(chunk: Any) -> tuple[Any, Any] | None:
    statistics = chunk.statistics
    return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None


def _can_hold(file: LiveFile, table: Table, by: str, values: Sequence[Any]) -> bool:
    if not table.sort_by or table.sort_by[0] != by or file.low is None or file.high is None:
        return True
    return any(file.low <= value <= file.high for value in values)


def _holds(opened: pq.ParquetFile, group: int, by: str, values: Sequence[Any]) -> bool:
    column = opened.read_row_group(group, columns=[by], use_threads=False)[by]
    return bool(_mask(column, values).any())


def _mask(column: pa.ChunkedArray, values: Sequence[Any]) -> Any:
    if len(values) == 1:
        same = pc.equal(column, pa.scalar(values[0], column.type))
    else:
        same = pc.is_in(column, value_set=pa.array(values, column.type))
    return same.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)


def _without(rows: pa.Table, gone: pa.Table, key: Collection[str]) -> pa.Table:
    """Returns the rows whose key is not among those of ``gone``; both are small."""
    if not gone.num_rows or not rows.num_rows:
        return rows
    hidden = set(zip(*(gone[name].to_pylist() for name in key), strict=True))
    keys = zip(*(rows[name].to_pylist() for name in key), strict=True)
    return rows.filter(pa.array([one not in hidden for one in keys]))
