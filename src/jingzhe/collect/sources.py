"""Where rows come from: a file, a folder, a pattern, or a query of a SQL database."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from jingzhe.collect.databases import SqlSource, fetch
from jingzhe.collect.sheets import sheet_to_parquet
from jingzhe.collect.text_files import (
    dialect_of,
    encoding_of,
    has_mixed_ends,
    is_packed,
    open_bytes,
    rewrite,
    sample_of,
)
from jingzhe.core.errors import ImportRefusedError
from jingzhe.core.progress import Progress
from jingzhe.store.engine.raw import RawFile

KNOWN_ENDINGS = frozenset(
    {".csv", ".tsv", ".txt", ".gz", ".xlsx", ".xlsm", ".xls", ".parquet", ".json", ".jsonl", ".ndjson"}
)
_JSON_SAMPLE_LINES = 1_000
_A_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{4}年")


@dataclass(frozen=True)
class Input:
    """One file of rows, ready for the engine.

    Args:
        name: what people call it.
        raw: how the engine reads it.
        rows: about how many rows it has, for progress.
        origin: the file as it was given; None for a query.
        encoding: of a text.
        first_row: number of its first row, as people count, where it has no lines.
    """

    name: str
    raw: RawFile
    rows: int
    origin: Path | None = None
    encoding: str = ""
    first_row: int = 1


@dataclass(frozen=True)
class Options:
    """What people can say about files where guessing errs.

    Args:
        encoding: of texts, such as ``gb18030``.
        delimiter: between the columns of CSV files.
        sheet: name of the sheet of an Excel file; empty: the first.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


def find_files(source: str | Path) -> list[Path]:
    """Returns the files that ``source`` means, by name.

    Raises:
        ImportRefusedError: there are none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        every = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
        known = [one for one in every if one.suffix.lower() in KNOWN_ENDINGS]
        if known:
            return known
        raise ImportRefusedError(
            "The folder holds no file that can be imported",
            hint=f"Files end in {', '.join(sorted(KNOWN_ENDINGS))}; "
            f"found: {', '.join(one.name for one in every[:10]) or 'none'}.",
            folder=path,
        )
    found = sorted(Path(one) for one in glob.glob(str(source)) if Path(one).is_file())  # noqa: PTH207 - may be absolute
    if not found:
        raise ImportRefusedError(
            "There is no such file", hint="Give a file, a folder, or a pattern such as 'orders-*.csv'.", file=source
        )
    return found


def open_source(source: str | Path | SqlSource, folder: Path, options: Options, progress: Progress) -> list[Input]:
    """Makes every file of ``source`` readable by the engine.

    Args:
        source: a file, a folder, a pattern or a query.
        folder: where copies go.
        options: what people said about the files.
        progress: is told.

    Raises:
        ImportRefusedError: a file cannot be read; says which and why.
    """
    if isinstance(source, SqlSource):
        path = folder / "query.parquet"
        progress.stage("query", None)
        columns = fetch(source, path, progress)
        return [Input(source.name, RawFile(str(path), "parquet", columns), pq.read_metadata(path).num_rows)]
    inputs: list[Input] = []
    files = find_files(source)
    for number, path in enumerate(files):
        try:
            inputs.append(open_file(path, folder / f"copy-{number}", options))
        except OSError as error:
            raise ImportRefusedError(f"The file cannot be read: {error.strerror or error}", file=path) from error
        except ImportRefusedError:
            if len(files) > 1 and path.stat().st_size == 0:
                continue
            raise
    if not inputs:
        raise ImportRefusedError("All files are empty", file=source)
    return inputs


def open_file(path: Path, copy: Path, options: Options) -> Input:
    """Makes one file readable by the engine, whatever its name ends in.

    Raises:
        ImportRefusedError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ImportRefusedError("The file is empty", hint="A file of orders has a header and rows.", file=path.name)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.startswith(b"\xd0\xcf\x11\xe0") or (start.startswith(b"PK") and _is_workbook(path)):
        return _sheet(path, copy.with_suffix(".parquet"), options)
    if start.startswith(b"PK"):
        raise ImportRefusedError("The file is an archive", hint="Unpack it and import the folder.", file=path.name)
    return _text(path, copy.with_suffix(".txt"), options)


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _parquet(path: Path) -> Input:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, ValueError) as error:
        raise ImportRefusedError(f"The Parquet file is damaged: {error}", file=path.name) from error
    names = tuple(metadata.schema.to_arrow_schema().names)
    return Input(path.name, RawFile(str(path.absolute()), "parquet", names), metadata.num_rows, path)


def _sheet(path: Path, copy: Path, options: Options) -> Input:
    columns, first_row = sheet_to_parquet(path, copy, options.sheet)
    rows = pq.read_metadata(copy).num_rows
    return Input(path.name, RawFile(str(copy), "parquet", columns), rows, path, first_row=first_row)


def _text(path: Path, copy: Path, options: Options) -> Input:
    try:
        sample = sample_of(path)
    except (OSError, EOFError) as error:
        raise ImportRefusedError(f"The file cannot be unpacked: {error}", file=path.name) from error
    encoding = options.encoding or encoding_of(sample)
    text = _decoded_sample(sample, encoding, path)
    if text.count("\0") > len(text) // 100:
        raise ImportRefusedError(
            "The file is no text: it is full of zero bytes",
            hint="Give its encoding if it is one (encoding=utf-16).",
            file=path.name,
        )
    packed = is_packed(path)
    plain = encoding in {"utf-8", "utf-8-sig", "ascii"} and not packed and not has_mixed_ends(sample)
    readable = path.absolute()
    if not plain:
        rewrite(path, copy, encoding)
        readable = copy
    raw = (
        _json(readable, text, path)
        if text.lstrip("\ufeff \t\r\n").startswith("{")
        else _csv(readable, text, path, options)
    )
    rows = readable.stat().st_size * max(1, text.count("\n")) // len(text.encode("utf-8", "replace"))
    return Input(path.name, raw, rows, path, encoding)


def _decoded_sample(sample: bytes, encoding: str, path: Path) -> str:
    try:
        return sample.decode(encoding, errors="replace")
    except LookupError as error:
        raise ImportRefusedError(
            f"There is no encoding {encoding!r}", hint="Such as utf-8, gb18030, utf-16.", file=path.name
        ) from error


def _csv(readable: Path, text: str, path: Path, options: Options) -> RawFile:
    dialect = dialect_of(text.lstrip("\ufeff"), options.delimiter, path.name)
    if any(_A_DATE.match(cell.strip()) for cell in dialect.header):
        raise ImportRefusedError(
            f"The first row looks like data, not like names of columns: {', '.join(dialect.header)[:100]}",
            hint="Put a row with the names of the columns before it.",
            file=path.name,
        )
    return RawFile(str(readable), "csv", distinct_names(dialect.header), dialect.delimiter)


def _json(readable: Path, text: str, path: Path) -> RawFile:
    keys: dict[str, None] = {}
    for line in text.lstrip("\ufeff").splitlines()[:_JSON_SAMPLE_LINES]:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the engine refuses it, with its line
        if isinstance(row, dict):
            keys |= dict.fromkeys(str(key) for key in row)
    if not keys:
        raise ImportRefusedError("No line is a JSON object", hint="JSON lines: one object per line.", file=path.name)
    return RawFile(str(readable), "json", tuple(keys))


def distinct_names(header: Sequence[str]) -> tuple[str, ...]:
    """Returns the header with names for empty columns and numbers behind names that stand twice."""
    names: list[str] = []
    for position, given in enumerate(header, 1):
        base = name = given.strip().replace("\0", "") or f"column {position}"
        number = 2
        while name in names:
            name, number = f"{base} ({number})", number + 1
        names.append(name)
    return tuple(names)


def with_one_line_end(given: Input, copy: Path) -> Input:
    """Returns the input with a copy in which all lines end alike."""
    rewrite(Path(given.raw.path), copy, "utf-8")
    return replace(given, raw=replace(given.raw, path=str(copy)))


def reencoded(given: Input, copy: Path) -> Input | None:
    """Returns the input read as GB18030, None where it is not that throughout.

    For files whose beginning gave no sign of their encoding.
    """
    if given.origin is None or given.encoding != "utf-8":
        return None
    with open_bytes(given.origin) as file:
        bad = [line for line in file if not _is_utf8(line)][:1_000]
    if encoding_of(b"".join(bad)) != "gb18030":
        return None
    try:
        rewrite(given.origin, copy, "gb18030")
    except ImportRefusedError:
        return None
    return replace(given, raw=replace(given.raw, path=str(copy)), encoding="gb18030")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def digest(inputs: Sequence[Input]) -> str:
    """Returns the SHA-256 of all files, by name; lets other threads work meanwhile."""
    total = hashlib.sha256()
    for given in inputs:
        if given.origin is not None:
            with given.origin.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
