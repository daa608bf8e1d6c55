"""The further keys of an import's customers, each with the place where it stands: what the identity graph is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from jingzhe.collect.line_numbers import lines_of_offsets, lines_of_rows
from jingzhe.collect.reading import FileRows
from jingzhe.collect.rows import ROWS, key_column
from jingzhe.store.engine import LocalSession
from jingzhe.store.query import one

_LONGEST = 512


@dataclass(frozen=True)
class MetKeys:
    """Customers with their further keys, each combination once, in the order of the rows.

    Args:
        customers: the customers' keys, as the file writes them.
        kinds: kinds of the further keys.
        columns: the further keys, one column for each of ``kinds``; null where a row has none.
        places: where each first stands, such as ``members.csv, line 17``.
        too_long: how many keys of each kind were left out because nothing so long is a key.
        batch_id: of the import; never the same for two.
    """

    customers: pa.Array
    kinds: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    places: pa.Array
    too_long: tuple[int, ...]
    batch_id: str

    def __len__(self) -> int:
        return len(self.customers)


def met_keys(session: LocalSession, files: Sequence[FileRows], kinds: Sequence[str], batch_id: str) -> MetKeys:
    """Returns the keys that the good rows of an import show together.

    Args:
        session: has the rows, in order.
        files: the files that they come from.
        kinds: kinds of the further keys, in the order of their columns.
        batch_id: of the import.
    """
    names = ", ".join(["customer", *(key_column(place) for place in range(len(kinds)))])
    asked = f"SELECT {names}, min(rowid) AS ordinal FROM {ROWS} WHERE refused IS NULL GROUP BY {names} ORDER BY ordinal"
    found = session.run(one("keys_met", asked)).combine_chunks()
    columns, too_long = [], []
    for place in range(len(kinds)):
        column = _whole(found[key_column(place)])
        long = pc.greater(pc.utf8_length(column), _LONGEST).fill_null(False)
        columns.append(pc.if_else(long, pa.scalar(None, pa.string()), column))
        too_long.append(pc.sum(long).as_py() or 0)
    return MetKeys(
        _whole(found["customer"]), tuple(kinds), tuple(columns), _places(files, _whole(found["ordinal"])),
        tuple(too_long), batch_id,
    )  # fmt: skip


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _places(files: Sequence[FileRows], ordinals: pa.Array) -> pa.Array:
    """Returns where rows stand; ``ordinals`` ascend, and so do the files'."""
    numbers = ordinals.to_numpy().astype("int64")
    parts = [pa.array([], pa.string())]
    for file in files:
        mine = numbers[(numbers >= file.first) & (numbers < file.first + file.count)] - file.first
        raw = file.input.raw
        if raw.kind == "csv":
            bad = lines_of_offsets(Path(raw.path), [one.offset for one in file.rejections]) if file.rejections else []
            where, word = lines_of_rows(Path(raw.path), mine, bad, raw.delimiter, raw.quote), "line"
        else:
            where, word = mine + file.input.first_row, "row"
        named = pa.scalar(f"{file.input.name}, {word} ")
        parts.append(pc.binary_join_element_wise(named, pa.array(where).cast(pa.string()), ""))
    return pa.concat_arrays(parts)
