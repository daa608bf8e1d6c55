"""Rows packed into sorted runs: what the identity graph has by the million (a log-structured merge tree).

A row each costs several microseconds in a B-tree, and rows whose keys are spread evenly touch every page of it. Here a
batch adds one sorted run, written as blocks of rows; runs of about one size are merged, so there are few of them. The
keys stand apart from the rest, so that whoever looks for a key that is new reads eight bytes a row. A run is never
changed but for rows that are blanked: what was erased is gone from its block at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.store.state import bulk, counting
from jingzhe.store.state.identity_tables import identity_block, identity_run, identity_span
from jingzhe.store.state.ordering import among, distinct, order_of

Numbers = NDArray[np.int64]
Records = NDArray[np.void]

_ROWS = 60
"""Rows of a block: what one look-up reads. Part of how runs are stored: another number needs a migration."""
_BLOCKS = 8
"""Blocks of a span: their keys stand together, so that they fit on one page of SQLite. As above."""
_SPAN = _ROWS * _BLOCKS
_SMALL = 16_384
"""Runs that hold fewer rows together are one run."""
_LARGE = 2_097_152
"""Rows of a run that is merged no further: bounds the memory that merging takes."""

_RUNS = sa.text("SELECT run, row_count, first_span, fences FROM identity_run WHERE shelf = :shelf ORDER BY run DESC")
_READ = "SELECT {columns} FROM "
# CROSS JOIN keeps SQLite from reading the whole table and looking the numbers up.
_SOME = "({{numbers}}) q CROSS JOIN {table} WHERE {number} = q.n"
_RANGE = "{table} WHERE {number} BETWEEN {{low}} AND {{high}}"


@dataclass(frozen=True)
class Shelf:
    """One sort of rows.

    Args:
        name: what it is called in the table of runs.
        fields: names and NumPy types of the columns beside ``key``, by which the rows are sorted.
        texts: how many texts each row has, two at most.
        unique: True where a newer row takes the place of an older one of its key; False where all count.
    """

    name: str
    fields: tuple[tuple[str, str], ...]
    texts: int = 0
    unique: bool = False

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """One row without its texts; ``gone`` marks a blanked one, ``size_…`` are the bytes of each text."""
        sizes = [(f"size_{n}", "<u4") for n in range(self.texts)]
        return np.dtype([("key", "<i8"), *self.fields, ("gone", "u1"), *sizes])

    def rows(self, columns: dict[str, Any], texts: tuple[pa.Array, ...] = ()) -> Rows:
        """Returns columns as rows.

        Args:
            columns: ``key`` and the fields, numbers or one number for all.
            texts: strings without nulls.
        """
        records = np.zeros(len(columns["key"]), self.dtype)
        for name, column in columns.items():
            records[name] = column
        return Rows(records, tuple(text.cast(pa.large_string()) for text in texts))


class Rows(NamedTuple):
    """Rows of a shelf; the texts stand beside the records."""

    records: Records
    texts: tuple[pa.Array, ...]

    def take(self, places: Numbers) -> Rows:
        """Returns the rows at ``places``."""
        chosen = pa.array(places)
        # Several times as fast as an index, which goes through the fields one by one.
        return Rows(self.records.take(places), tuple(text.take(chosen) for text in self.texts))


class _Run(NamedTuple):
    run: int
    rows: int
    first_span: int
    fences: Numbers


def add(connection: Connection, shelf: Shelf, rows: Rows) -> None:
    """Adds rows, in the caller's transaction; those of a unique shelf take the place of older ones.

    Args:
        connection: a transaction that writes, and has its turn.
        shelf: where to.
        rows: in any order; keys of a unique shelf stand once.
    """
    total = len(rows.records)
    if not total:
        return
    parts, merged = [rows], []
    for run in _runs(connection, shelf):
        if total + run.rows > _LARGE or (run.rows > total and run.rows + total > _SMALL):
            break
        merged.append(run)
        parts.append(_read_blocks(connection, shelf, _all_blocks(run), shelf.texts))
        total += run.rows
    # The newest stand first, so that of equal keys the newest is kept.
    together = _sorted(shelf, _together(shelf, parts))
    for run in merged:
        _drop(connection, run)
    _write(connection, shelf, together)


def read(connection: Connection, shelf: Shelf, keys: Numbers, *, texts: int = 2) -> Rows:
    """Returns all rows of some keys, the newest runs first.

    Args:
        connection: a transaction.
        shelf: where from.
        keys: which; in any order.
        texts: how many texts to read, the first ones.
    """
    wanted = distinct(keys)
    parts = []
    for run in _runs(connection, shelf):
        places = _places(connection, run, wanted)
        if not len(places):
            continue
        found = _read_places(connection, shelf, run, places, texts)
        parts.append(found)
        if shelf.unique:
            wanted = wanted[~among(wanted, found.records["key"])]
    return _together(shelf, parts, texts)


def read_all(connection: Connection, shelf: Shelf, *, texts: int = 2) -> Rows:
    """Returns all rows by key."""
    parts = [_read_blocks(connection, shelf, _all_blocks(run), texts) for run in _runs(connection, shelf)]
    return _sorted(shelf, _together(shelf, parts, texts))


def blank(
    connection: Connection, shelf: Shelf, keys: Numbers, which: Callable[[Records], NDArray[np.bool_]] | None = None
) -> None:
    """Removes rows for good: nothing of them but their keys is left in any run.

    Args:
        connection: a transaction that writes, and has its turn.
        shelf: where from.
        keys: of the rows that may go.
        which: tells which of these do; None for all, as in a unique shelf, where an older row would come back.
    """
    wanted = distinct(keys)
    for run in _runs(connection, shelf):
        places = _places(connection, run, wanted)
        for block in distinct(places // _ROWS).tolist():
            number = run.first_span * _BLOCKS + block
            rows = _read_blocks(connection, shelf, np.array([number]), shelf.texts)
            gone = among(rows.records["key"], wanted) & (rows.records["gone"] == 0)
            if which is not None:
                gone &= which(rows.records)
            if not gone.any():
                continue
            for name in shelf.dtype.names or ():
                if name != "key":
                    rows.records[name][gone] = 0
            rows.records["gone"][gone] = 1
            texts = tuple(pa.compute.if_else(pa.array(gone), "", text) for text in rows.texts)
            ((_, *cells),) = _packed(shelf, Rows(rows.records, texts), number)
            values = dict(zip(("records", "texts_0", "texts_1"), cells, strict=True))
            connection.execute(sa.update(identity_block).where(identity_block.c.block == number).values(values))


def _runs(connection: Connection, shelf: Shelf) -> list[_Run]:
    """Returns the runs of a shelf, the newest first."""
    rows = connection.execute(_RUNS, {"shelf": shelf.name})
    return [_Run(run, count, first, np.frombuffer(fences, "<i8")) for run, count, first, fences in rows]


def _all_blocks(run: _Run) -> Numbers:
    first = run.first_span * _BLOCKS
    return np.arange(first, first + -(-run.rows // _ROWS))


def _places(connection: Connection, run: _Run, wanted: Numbers) -> Numbers:
    """Returns where in a run the rows of the wanted keys stand, in order; the keys are in order and distinct."""
    # Equal keys may begin in the span before the one that begins with them, so each span reaches to the next's first.
    begin = np.searchsorted(wanted, run.fences)
    end = np.append(np.searchsorted(wanted, run.fences[1:], "right"), len(wanted))
    spans = np.flatnonzero(begin < end)
    if not len(spans):
        return spans
    (cells,) = _select(connection, identity_span, ["span", "keys"], spans + run.first_span)
    keys = np.frombuffer(b"".join(cells), "<i8")
    if len(keys) <= len(wanted):
        within = np.flatnonzero(among(keys, wanted))
    else:
        first = np.searchsorted(keys, wanted)
        met = first < len(keys)
        met[met] = keys[first[met]] == wanted[met]
        within = first[met]
        if _has_equal(keys, within):
            count = np.searchsorted(keys, wanted[met], "right") - within
            within = np.arange(count.sum()) + np.repeat(within - (np.cumsum(count) - count), count)
    places: Numbers = spans[within // _SPAN] * _SPAN + within % _SPAN
    return places


def _has_equal(keys: Numbers, places: Numbers) -> bool:
    """Tells whether the key at any of some places stands at the next one as well."""
    next_ = np.minimum(places + 1, len(keys) - 1)
    return bool(((next_ > places) & (keys[next_] == keys[places])).any())


def _read_places(connection: Connection, shelf: Shelf, run: _Run, places: Numbers, texts: int) -> Rows:
    block = places // _ROWS
    # The places are in order.
    begins = np.concatenate([[True], block[1:] != block[:-1]])
    rows = _read_blocks(connection, shelf, block[begins] + run.first_span * _BLOCKS, texts)
    chosen = (np.cumsum(begins) - 1) * _ROWS + places % _ROWS
    gone = rows.records["gone"]
    return rows.take(chosen[gone[chosen] == 0] if gone.any() else chosen)


def _read_blocks(connection: Connection, shelf: Shelf, blocks: Numbers, texts: int) -> Rows:
    """Returns all rows of some blocks, blanked ones too."""
    named = [f"texts_{n}" for n in range(min(shelf.texts, texts))]
    packed, *found = _select(connection, identity_block, ["block", "records", *named], blocks)
    records = np.frombuffer(bytearray().join(packed), shelf.dtype)
    read_texts = []
    for n in range(len(named)):
        offsets = np.zeros(len(records) + 1, np.int64)
        np.cumsum(records[f"size_{n}"], out=offsets[1:])
        data = pa.py_buffer(b"".join(found[n]))
        read_texts.append(pa.LargeStringArray.from_buffers(len(records), pa.py_buffer(offsets), data))
    return Rows(records, tuple(read_texts))


def _select(connection: Connection, table: sa.Table, names: list[str], numbers: Numbers) -> list[list[bytes]]:
    """Returns the columns ``names``, but for the first, of the rows whose first one is in ``numbers``.

    The numbers are in order, and those between them are there as well.
    """
    if not len(numbers):
        return [[] for _ in names[1:]]
    low, high = int(numbers[0]), int(numbers[-1])
    sql, named = _READ.format(columns=", ".join(names)), {"table": table.name, "number": names[0]}
    if 2 * len(numbers) <= high - low:
        values = bulk.select_flat(connection, sql + _SOME.format(**named), numbers.tolist())
    else:
        # Nearly all: quicker read through than looked up.
        values = bulk.select_flat(connection, sql + _RANGE.format(**named), low=low, high=high)
    columns = [values[n :: len(names)] for n in range(1, len(names))]
    found = np.array(values[:: len(names)], np.int64)
    if np.array_equal(found, numbers):
        return columns
    # No database promises an order, and a range has more than was asked for.
    order = order_of(found)
    chosen = order[np.searchsorted(found[order], numbers)].tolist()
    return [[column[place] for place in chosen] for column in columns]


def _together(shelf: Shelf, parts: list[Rows], texts: int = 2) -> Rows:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        empty = pa.array([], pa.large_string())
        return Rows(np.empty(0, shelf.dtype), (empty,) * min(shelf.texts, texts))
    records = np.concatenate([part.records for part in parts])
    return Rows(records, tuple(pa.concat_arrays(columns) for columns in zip(*(p.texts for p in parts), strict=True)))


def _sorted(shelf: Shelf, rows: Rows) -> Rows:
    """Returns rows by key without those that are blanked or have a newer one before them."""
    keys = np.ascontiguousarray(rows.records["key"])
    order = order_of(keys)
    kept = rows.records["gone"].take(order) == 0
    if shelf.unique:
        keys = keys[order]
        kept[1:] &= keys[1:] != keys[:-1]
    return rows.take(order[kept])


def _write(connection: Connection, shelf: Shelf, rows: Rows) -> None:
    count = len(rows.records)
    if not count:
        return
    spans = -(-count // _SPAN)
    run = counting.last(connection, counting.RUNS) + 1
    first = counting.last(connection, counting.SPANS) + 1
    counting.raise_to(connection, counting.RUNS, run)
    counting.raise_to(connection, counting.SPANS, first + spans - 1)
    keys = np.ascontiguousarray(rows.records["key"])
    raw = keys.tobytes()
    width = 8 * _SPAN
    bulk.insert(
        connection, identity_span, ("span", "keys"),
        [(first + n, raw[n * width : (n + 1) * width]) for n in range(spans)],
    )  # fmt: skip
    bulk.insert(
        connection, identity_block, ("block", "records", "texts_0", "texts_1"), _packed(shelf, rows, first * _BLOCKS)
    )
    fences = keys[::_SPAN].tobytes()
    bulk.insert(
        connection, identity_run, ("run", "shelf", "row_count", "first_span", "fences"),
        [(run, shelf.name, count, first, fences)],
    )  # fmt: skip


def _packed(shelf: Shelf, rows: Rows, first_block: int) -> list[tuple[int, bytes, bytes, bytes]]:
    """Returns rows as blocks."""
    records = rows.records
    starts = range(0, len(records), _ROWS)
    columns: list[list[bytes]] = [[b""] * len(starts), [b""] * len(starts)]
    for n, text in enumerate(rows.texts):
        raw = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
        records[f"size_{n}"] = np.diff(raw)
        buffer = text.buffers()[2]
        data = buffer.to_pybytes() if buffer is not None else b""
        bounds = raw[np.minimum(np.arange(0, len(records) + _ROWS, _ROWS), len(records))].tolist()
        columns[n] = [data[bounds[at] : bounds[at + 1]] for at in range(len(starts))]
    width = shelf.dtype.itemsize * _ROWS
    content = records.tobytes()
    packed = [content[at * width : (at + 1) * width] for at in range(len(starts))]
    return list(zip(range(first_block, first_block + len(starts)), packed, *columns, strict=True))


def _drop(connection: Connection, run: _Run) -> None:
    last_span = run.first_span + len(run.fences) - 1
    first = run.first_span * _BLOCKS
    block, span = identity_block.c.block, identity_span.c.span
    connection.execute(sa.delete(identity_block).where(block.between(first, last_span * _BLOCKS + _BLOCKS - 1)))
    connection.execute(sa.delete(identity_span).where(span.between(run.first_span, last_span)))
    connection.execute(sa.delete(identity_run).where(identity_run.c.run == run.run))
