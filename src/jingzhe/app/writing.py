"""Arrow tables into files that other programs read: CSV, JSON, Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

FORMATS = ("csv", "json", "parquet")


def text_of(table: pa.Table, file_format: str) -> str:
    """Returns a table as text.

    Args:
        table: any.
        file_format: csv (with a header, UTF-8) or json (an array of objects).
    """
    if file_format == "json":
        return json.dumps(table.to_pylist(), ensure_ascii=False, default=str) + "\n"
    out = io.BytesIO()
    pacsv.write_csv(table, out)
    return out.getvalue().decode("utf-8")


def write_table(table: pa.Table, path: Path, file_format: str) -> None:
    """Writes a table into a file, whole or not at all.

    CSV begins with a byte order mark, without which Excel takes Chinese text for Latin.

    Args:
        table: any.
        path: the file.
        file_format: csv, json or parquet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    if file_format == "parquet":
        pq.write_table(table, unfinished, compression="zstd")
    else:
        encoding = "utf-8-sig" if file_format == "csv" else "utf-8"
        unfinished.write_text(text_of(table, file_format), encoding=encoding, newline="")
    unfinished.replace(path)
