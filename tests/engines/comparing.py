"""Whether two tables hold the same rows: exact for everything but fractions, 1e-9 relative for those."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RELATIVE = 1e-9


def differences(one: pa.Table, other: pa.Table, *, ordered: bool = False, without: Collection[str] = ()) -> list[str]:
    """Returns what differs between two tables, in words; empty where nothing does.

    Args:
        one: a table.
        other: another.
        ordered: whether the order of the rows counts.
        without: columns that are not compared.
    """
    names = [name for name in one.column_names if name not in without]
    if set(names) != {name for name in other.column_names if name not in without}:
        return [f"columns {one.column_names} and {other.column_names}"]
    if one.num_rows != other.num_rows:
        return [f"{one.num_rows} rows and {other.num_rows}"]
    left, right = (_plain(table.select(names)) for table in (one, other))
    if not ordered:
        left, right = (_sorted(table) for table in (left, right))
    found = []
    for name in left.column_names:
        apart = _apart(left[name], right[name])
        if apart.any():
            row = int(np.flatnonzero(apart)[0])
            pair = f"{left[name][row].as_py()!r} and {right[name][row].as_py()!r}"
            found.append(f"{name}: {int(apart.sum())} of {apart.size} rows, such as {pair}")
    return found


def _plain(table: pa.Table) -> pa.Table:
    """Returns the table with lists taken apart and numbers as 64 bits."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_list(column.type):
            longest = pc.max(pc.list_value_length(column)).as_py() or 0
            values = column.to_pylist()
            for place in range(longest):
                columns[f"{name}[{place}]"] = pa.array([value and value[place] for value in values])
            continue
        columns[name] = _number(column)
    return pa.table(columns)


def _number(column: Any) -> Any:
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_null(kind):
        return column.cast(pa.float64())
    return column.cast(pa.string()) if pa.types.is_large_string(kind) else column


def _sorted(table: pa.Table) -> pa.Table:
    """Sorts by everything exact first, then by fractions of which the last digits are left out."""
    whole = [name for name in table.column_names if not pa.types.is_floating(table[name].type)]
    rough = {f"~{name}": _rough(table[name]) for name in table.column_names if name not in whole}
    keyed = table
    for name, values in rough.items():
        keyed = keyed.append_column(name, values)
    order = pc.sort_indices(keyed, [(name, "ascending") for name in (*whole, *rough)])
    return table.take(order)


def _rough(column: Any) -> pa.Array:
    return pa.array([None if value is None else float(f"{value:.6g}") for value in column.to_pylist()], pa.float64())


def _apart(one: Any, other: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    nulls = [np.asarray(pc.is_null(column)) for column in (one, other)]
    if pa.types.is_floating(one.type) or pa.types.is_floating(other.type):
        left, right = (np.asarray(column.cast(pa.float64()).fill_null(0.0)) for column in (one, other))
        largest = float(np.abs(left).max(initial=0.0))
        near = np.isclose(left, right, rtol=RELATIVE, atol=1e-12 * largest if math.isfinite(largest) else 0.0)
        same = near | (left == right)
    else:
        same = np.asarray([a == b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], dtype=np.bool_)
    apart: np.ndarray[Any, np.dtype[np.bool_]] = (nulls[0] != nulls[1]) | (~same & ~nulls[0])
    return apart
