"""Excel workbooks: one sheet becomes a Parquet file."""

from __future__ import annotations

from pathlib import Path

import fastexcel
import pyarrow as pa
import pyarrow.parquet as pq

from jingzhe.core.errors import ImportRefusedError


def sheet_to_parquet(path: Path, copy: Path, sheet: str | None) -> tuple[tuple[str, ...], int]:
    """Writes a sheet as Parquet.

    Args:
        path: the workbook (.xlsx, .xls).
        copy: the file to write.
        sheet: the sheet's name; None: the first that has rows.

    Returns:
        the names of its columns, and the number of the row below the header, as Excel counts.

    Raises:
        ImportRefusedError: it cannot be read, or has no such sheet, or no rows.
    """
    try:
        reader = fastexcel.read_excel(path)
        names = reader.sheet_names
        if sheet is not None and sheet not in names:
            raise ImportRefusedError(
                f"The workbook has no sheet {sheet!r}", hint=f"Its sheets: {', '.join(names)}.", file=path.name
            )
        for name in [sheet] if sheet is not None else names:
            table = _rows(reader, name)
            if table is not None:
                header_row, rows = table
                pq.write_table(rows, copy)
                return tuple(rows.column_names), header_row + 2
    except fastexcel.FastExcelError as error:
        raise ImportRefusedError(f"The workbook cannot be read: {_first_line(error)}", file=path.name) from error
    raise ImportRefusedError("The workbook has no rows", file=path.name)


def _rows(reader: fastexcel.ExcelReader, name: str) -> tuple[int, pa.Table] | None:
    """Returns the header's row, from 0, and the rows below it; None for an empty sheet."""
    top = reader.load_sheet(name, header_row=None, n_rows=20, dtypes="string").to_arrow()
    if top.num_rows == 0:
        return None
    header = _header_row(top)
    sheet = reader.load_sheet(name, header_row=header, schema_sample_rows=None)
    rows = pa.Table.from_batches([sheet.to_arrow()])
    return header, rows


def _header_row(top: pa.RecordBatch) -> int:
    """Returns the first row that fills as many cells as any: titles above a table fill fewer."""
    filled = [sum(top.column(place)[row].is_valid for place in range(top.num_columns)) for row in range(top.num_rows)]
    return next(row for row, count in enumerate(filled) if count == max(filled))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
