"""Reads the files of an import into one kept table of rows, and finds out where the refused ones stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from jingzhe.collect.line_numbers import lines_of_offsets, lines_of_rows
from jingzhe.collect.minding import Minding
from jingzhe.collect.queries import REFUSED_ORDINALS
from jingzhe.collect.reasons import ENGINE_REASONS
from jingzhe.collect.rows import REFUSALS, ROWS, RowPlan, field_column, rows_step
from jingzhe.collect.sources import Input, reencoded, with_one_line_end
from jingzhe.collect.understanding import Understood
from jingzhe.collect.watching import watched
from jingzhe.core.errors import EngineError, ImportRefusedError
from jingzhe.core.progress import Progress
from jingzhe.store.engine import LocalSession
from jingzhe.store.engine.raw import Rejection
from jingzhe.store.query import Step

_BROKEN_STATE = "reached an invalid state"


@dataclass
class FileRows:
    """The rows of one file within the import.

    Args:
        input: the file.
        understood: how it was read.
        first: ordinal of its first row in the import.
        count: how many rows it has.
        rejections: its lines that are no rows.
    """

    input: Input
    understood: Understood
    first: int
    count: int
    rejections: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True)
class ReadPlan:
    """How all files of an import are read.

    Args:
        wanted: columns that some file has.
        latest: rows later than this are refused.
        zone: IANA zone of times that carry none.
        folder: where copies go.
        keys: fields of further keys that some file has.
    """

    wanted: tuple[str, ...]
    latest: datetime
    zone: str
    folder: Path
    keys: tuple[str, ...] = ()


def read_files(
    session: LocalSession, inputs: Sequence[tuple[Input, Understood]], plan: ReadPlan, progress: Progress
) -> list[FileRows]:
    """Reads all files, each with how it was understood, into the kept step of rows, in order."""
    files: list[FileRows] = []
    for number, (given, understood) in enumerate(inputs):
        rows = RowPlan(given.raw.columns, understood.readings, plan.zone, plan.latest, plan.wanted, plan.keys)
        first = files[-1].first + files[-1].count if files else 0
        progress.stage(f"read {given.name}", given.rows)
        with watched(session, progress, given.rows):
            files.append(_read(session, FileRows(given, understood, first, 0), rows, plan.folder / f"again-{number}"))
    return files


def _read(session: LocalSession, file: FileRows, plan: RowPlan, copy: Path) -> FileRows:
    try:
        _fill(session, file, plan)
    except EngineError as error:
        if file.input.raw.kind != "csv" or _BROKEN_STATE not in error.message:
            raise ImportRefusedError(f"The file cannot be read: {error.message}", file=file.input.name) from error
        session.rejections()
        file.input = with_one_line_end(file.input, copy.with_suffix(".ends"))
        _fill(session, file, plan)
    broken = [one for one in file.rejections if ENGINE_REASONS.get(one.reason) == "bad-encoding"]
    if broken and (other := reencoded(file.input, copy.with_suffix(".utf8"))) is not None:
        # The beginning was plain ASCII, what came later was not UTF-8.
        if file.first:
            session.keep(Step(ROWS, f"SELECT * FROM {ROWS} WHERE rowid < $first"), {"first": file.first}, ordered=True)
        file.input = other
        _fill(session, file, plan)
    return file


def _fill(session: LocalSession, file: FileRows, plan: RowPlan) -> None:
    session.scan("scan", file.input.raw)
    step = rows_step(plan, "scan")
    values = {"latest": plan.latest}
    file.count = session.extend(step, values) if file.first else session.keep(step, values, ordered=True)
    file.rejections = session.rejections()


def offer_refused(session: LocalSession, files: Sequence[FileRows], minding: Minding | None = None) -> None:
    """Offers the engine what it needs to say which rows were refused, where and why.

    Lines that could not be taken apart and name somebody who was erased (``minding`` knows) are left out.
    """
    ordinals = session.run(REFUSED_ORDINALS)["ordinal"].to_numpy().astype("int64")
    lines: list[pa.Table] = []
    rejected: list[dict[str, object]] = []
    columns: list[dict[str, str]] = []
    for file in files:
        mine = ordinals[(ordinals >= file.first) & (ordinals < file.first + file.count)]
        raw, name = file.input.raw, file.input.name
        bad = lines_of_offsets(Path(raw.path), [one.offset for one in file.rejections]) if file.rejections else []
        if raw.kind == "csv":
            where = lines_of_rows(Path(raw.path), mine - file.first, bad, raw.delimiter, raw.quote)
        else:
            where = mine - file.first + file.input.first_row
        lines.append(pa.table({"ordinal": mine, "line": where, "file": pa.repeat(pa.scalar(name), len(mine))}))
        rejected += [
            _rejected(name, line, one)
            for line, one in zip(bad, file.rejections, strict=True)
            if minding is None or not minding.text_names_erased(one.text)
        ]
        for refusal in REFUSALS:
            column = field_column(file.understood.readings, raw.columns, refusal.field)
            columns.append({"file": name, "field": refusal.field, "pointer": _pointer(column)})
    session.offer("refused_lines", pa.concat_tables(lines))
    session.offer("refusal_columns", pa.Table.from_pylist(columns).group_by(["file", "field", "pointer"]).aggregate([]))
    session.offer("refusal_reasons", _reasons())
    names = ("file", "line", "field", "value", "reason", "row")
    schema = pa.schema([(one, pa.int64() if one == "line" else pa.string()) for one in names])
    session.offer("refused_by_engine", pa.Table.from_pylist(rejected, schema=schema))


def _rejected(file: str, line: int, one: Rejection) -> dict[str, object]:
    text = one.text.strip("\r\n")
    return {
        "file": file, "line": line, "field": "", "value": text[:1_000],
        "reason": ENGINE_REASONS.get(one.reason, "bad-quotes"), "row": text[:100_000],
    }  # fmt: skip


def _reasons() -> pa.Table:
    rows = [{"number": n, "reason": one.reason, "field": one.field} for n, one in enumerate(REFUSALS, 1)]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("number", pa.uint8()), ("reason", pa.string()), ("field", pa.string())])
    )


def _pointer(column: str) -> str:
    return "/" + column.replace("~", "~0").replace("/", "~1") if column else ""
