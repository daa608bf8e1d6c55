"""Files that other people wrote, as rows: what an engine is told about them and what it tells back.

Columns of such files have any name at all, twice the same included; here they are ``c0``, ``c1`` … by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jingzhe.store.engine.sql import literal, quoted

LONGEST_LINE_BYTES = 4_194_304
"""A longer line is refused, not read: one quote that is never closed would swallow the file."""


@dataclass(frozen=True)
class RawFile:
    """How to read one file of rows.

    Args:
        path: a UTF-8 text file with one kind of line ends, or Parquet, or JSON lines.
        kind: its format.
        columns: names of all its columns in order, as they stand in the file.
        delimiter: between columns (CSV).
        quote: around values, doubled within them (CSV).
    """

    path: str
    kind: Literal["csv", "parquet", "json"]
    columns: tuple[str, ...]
    delimiter: str = ","
    quote: str = '"'

    @property
    def aliases(self) -> tuple[str, ...]:
        """Returns the names under which the engine knows the columns."""
        return tuple(f"c{position}" for position in range(len(self.columns)))


@dataclass(frozen=True)
class Rejection:
    """A line that is no row.

    Args:
        offset: where it begins, bytes from the start of the file.
        reason: the engine's word for it, such as ``TOO MANY COLUMNS``.
        text: the line, undecodable bytes replaced.
    """

    offset: int
    reason: str
    text: str


REJECTIONS_SQL = """
SELECT min(line_byte_position) - 1, min(error_type::VARCHAR), coalesce(min(csv_line), '')
FROM reject_errors GROUP BY line_byte_position ORDER BY 1
"""


def scan_sql(file: RawFile) -> str:
    """Returns the SELECT that reads ``file`` in order.

    CSV and JSON give text; Parquet keeps its types. A line that is no JSON object gives a row of nulls with
    ``broken`` true; a line of a CSV file that is no row is left out and told by the session's rejections.
    """
    if file.kind == "csv":
        return f"SELECT {', '.join(file.aliases)}, false AS broken FROM {_csv(file)}"
    pairs = tuple(zip(file.columns, file.aliases, strict=True))
    if file.kind == "parquet":
        listed = ", ".join(f"{quoted(column)} AS {alias}" for column, alias in pairs)
        return f"SELECT {listed}, false AS broken FROM read_parquet({literal(file.path)})"
    listed = ", ".join(f"json_extract_string(json, {literal(_pointer(column))}) AS {alias}" for column, alias in pairs)
    return (
        f"SELECT {listed}, json IS NULL OR json_type(json) <> 'OBJECT' AS broken FROM read_ndjson_objects("
        f"{literal(file.path)}, ignore_errors = true, maximum_object_size = {LONGEST_LINE_BYTES})"
    )


def _csv(file: RawFile) -> str:
    columns = ", ".join(f"{literal(alias)}: 'VARCHAR'" for alias in file.aliases)
    return (
        f"read_csv({literal(file.path)}, columns = {{{columns}}}, auto_detect = false, header = true, "
        f"delim = {literal(file.delimiter)}, quote = {literal(file.quote)}, escape = {literal(file.quote)}, "
        f"store_rejects = true, rejects_limit = 0, max_line_size = {LONGEST_LINE_BYTES})"
    )


def _pointer(column: str) -> str:
    """Returns the JSON pointer (RFC 6901) of a member."""
    return "/" + column.replace("~", "~0").replace("/", "~1")
