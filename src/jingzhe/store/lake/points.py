"""Rows of single people, read from the row groups in which they stand, without asking an engine.

An engine plans, opens and scans for a question about everybody; for one person that costs more than the answer. Here
the footers of the files are kept, the smallest and greatest value of each row group say where a person can stand, and
only those groups are read. After compaction, which sorts by person, that is one group a table; before it the column
that is asked for is read first, once, and the others only of the groups that hold the value.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jingzhe.core.errors import LakeError
from jingzhe.store.catalogue import ARROW, Table
from jingzhe.store.facts import EVENTS, ITEMS, RETRACTIONS
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import Lake

_FOOTERS_KEPT = 4096
_VALUES_KEPT_BYTES = 64 * 2**20
"""Of the values of a column in row groups that many questions would read: files before compaction."""
_RETRACTED = frozenset({EVENTS.name, ITEMS.name})

Marks = NDArray[np.int64]


class _Spans:
    """Smallest and greatest value of a column in each row group of a file."""

    def __init__(self, spans: Sequence[tuple[Any, Any] | None]) -> None:
        self._unknown = [number for number, span in enumerate(spans) if span is None]
        known = [(number, span) for number, span in enumerate(spans) if span is not None]
        self._numbers = np.array([number for number, _ in known], dtype=np.int64)
        whole = all(type(span[0]) is int for _, span in known)
        kind = np.int64 if whole else np.object_
        self._low = np.array([span[0] for _, span in known], dtype=kind)
        self._high = np.array([span[1] for _, span in known], dtype=kind)

    def groups(self, values: Sequence[Any]) -> list[int]:
        """Returns the row groups that can hold one of the values."""
        can = np.zeros(len(self._numbers), dtype=bool)
        for value in values:
            can |= (self._low <= value) & (self._high >= value)
        found: list[int] = self._numbers[can].tolist()
        return sorted(found + self._unknown)


@dataclass
class _Footer:
    """What is known of a file without reading its rows."""

    metadata: pq.FileMetaData
    spans: dict[str, _Spans] = field(default_factory=dict)
    held: dict[tuple[str, int], Marks] = field(default_factory=dict)
    """The different values of a column in a row group."""

    def groups(self, column: str, values: Sequence[Any]) -> list[int]:
        """Returns the row groups that can hold one of the values."""
        if column not in self.spans:
            place = self.metadata.schema.names.index(column)
            chunks = (self.metadata.row_group(number).column(place) for number in range(self.metadata.num_row_groups))
            self.spans[column] = _Spans([_span(chunk) for chunk in chunks])
        return self.spans[column].groups(values)


class _Footers:
    """The footers of the files read last, and what is held of their values; used by several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Footer] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def of(self, path: str) -> _Footer:
        """Returns the footer of a file, which never changes."""
        with self._lock:
            known = self._known.get(path)
            if known is not None:
                self._known.move_to_end(path)
                return known
        footer = _Footer(pq.read_metadata(path))
        with self._lock:
            footer = self._known.setdefault(path, footer)
            while len(self._known) > _FOOTERS_KEPT:
                _, oldest = self._known.popitem(last=False)
                self._let_go(oldest)
        return footer

    def hold(self, footer: _Footer, place: tuple[str, int], values: Marks) -> None:
        """Keeps the values of a column in a row group, within a bound on all of them."""
        with self._lock:
            if place in footer.held:
                return
            footer.held[place] = values
            self._held_bytes += values.nbytes
            for other in self._known.values():
                if self._held_bytes <= _VALUES_KEPT_BYTES:
                    break
                self._let_go(other)

    def _let_go(self, footer: _Footer) -> None:
        self._held_bytes -= sum(values.nbytes for values in footer.held.values())
        footer.held.clear()


class Points:
    """Reads rows of a few people at a pinned version; may be used from several threads.

    Args:
        lake: whose tables.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._held = ExitStack()
        self._reach = self._held.enter_context(lake.near.session())
        self._footers = _Footers()
        self._empty: dict[str, pa.Table] = {}

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
        nothing = self._nothing(table)
        self._reach.fetch(file.path for file in files)
        can = []
        for file in files:
            with self._reading(file) as path:
                footer = self._footers.of(path)
                can.append((file, footer, footer.groups(by, values)))
        if sum(len(groups) for _, _, groups in can) > 1:
            can = [(file, footer, self._holding(file, footer, groups, by, values)) for file, footer, groups in can]
        found = []
        for file, footer, groups in can:
            if groups:
                with self._opened(file, footer) as opened:
                    read = opened.read_row_groups(groups, columns=nothing.column_names, use_threads=False)
                    rows = read.take(pa.array(np.flatnonzero(_mask(read[by], values))))
                    found.append(_as(rows, nothing.schema))
        return found[0] if len(found) == 1 else pa.concat_tables([nothing, *found])

    def _holding(
        self, file: LiveFile, footer: _Footer, groups: Sequence[int], by: str, values: Sequence[Any]
    ) -> list[int]:
        """Returns those of the row groups that hold one of the values; what a group holds is read once, and kept."""
        for number in groups:
            if (by, number) not in footer.held:
                with self._opened(file, footer) as opened:
                    column = opened.read_row_group(number, columns=[by], use_threads=False)[by]
                self._footers.hold(footer, (by, number), _marks(column))
        return [number for number in groups if _has(footer.held.get((by, number)), values)]

    @contextmanager
    def _opened(self, file: LiveFile, footer: _Footer) -> Iterator[pq.ParquetFile]:
        with (
            self._reading(file) as path,
            pq.ParquetFile(path, metadata=footer.metadata, pre_buffer=False) as opened,
        ):
            yield opened

    @contextmanager
    def _reading(self, file: LiveFile) -> Iterator[str]:
        try:
            yield self._reach.local(file.path)
        except (OSError, pa.ArrowException) as error:
            raise LakeError(f"A file of the lake cannot be read: {error}", file=file.path) from error

    def _nothing(self, table: Table) -> pa.Table:
        known = self._empty.get(table.name)
        if known is None:
            fields = [pa.field(column.name, ARROW[column.type]) for column in table.stored_columns]
            known = self._empty[table.name] = pa.schema(fields).empty_table()
        return known


def _span(chunk: Any) -> tuple[Any, Any] | None:
    statistics = chunk.statistics
    return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None


def _can_hold(file: LiveFile, table: Table, by: str, values: Sequence[Any]) -> bool:
    if not table.sort_by or table.sort_by[0] != by or file.low is None or file.high is None:
        return True
    return any(file.low <= value <= file.high for value in values)


def _as(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns rows as a table declares them; files know of columns that they are never null."""
    if rows.schema.types == schema.types:
        return pa.Table.from_arrays(rows.columns, schema=schema)
    return rows.cast(schema)  # looks at every column, which costs as much as reading them


def _marks(column: pa.ChunkedArray) -> Marks:
    """Returns the different values of a column, sorted; of texts, which may be somebody's keys, their hashes only."""
    if pa.types.is_integer(column.type):
        return np.unique(column.drop_null().to_numpy()).astype(np.int64)
    return np.unique(np.fromiter((hash(value) for value in column.drop_null().to_pylist()), np.int64))


def _has(held: Marks | None, values: Sequence[Any]) -> bool:
    if held is None:  # let go in the meantime
        return True
    # An int is its own hash up to 2 ** 61, further than numbers of people go; a wrong yes costs a read, no more.
    wanted = np.array([hash(value) for value in values], dtype=np.int64)
    return bool(np.isin(wanted, held).any())


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
