"""Which line of a CSV file a row stands on: asked for refused rows only, after the engine has read the file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

_CHUNK_BYTES = 16_777_216
_NEWLINE, _RETURN = 10, 13

Numbers = npt.NDArray[np.int64]


def lines_of_offsets(path: Path, offsets: Sequence[int]) -> list[int]:
    """Returns the numbers, from 1, of the lines that begin at ``offsets`` (bytes, ascending) or right behind.

    An offset at an empty line means the first line after it that is not empty.
    """
    lines: list[int] = []
    line, place = 1, 0
    wanted = iter(offsets)
    offset = next(wanted, None)
    with path.open("rb") as file:
        while offset is not None and (chunk := file.read(_CHUNK_BYTES)):
            begin = place
            while offset is not None and offset < begin + len(chunk):
                line += _ends(chunk, place - begin, offset - begin)
                place = offset
                file_place = file.tell()
                lines.append(line + _empty_before(file, offset))
                file.seek(file_place)
                offset = next(wanted, None)
            line += _ends(chunk, place - begin, len(chunk))
            place = begin + len(chunk)
    return lines


def _ends(chunk: bytes, start: int, stop: int) -> int:
    newlines = chunk.count(b"\n", start, stop)
    return newlines or chunk.count(b"\r", start, stop)


def _empty_before(file: object, offset: int) -> int:
    file.seek(offset)  # type: ignore[attr-defined]
    head: bytes = file.read(65_536)  # type: ignore[attr-defined]
    blank = head[: len(head) - len(head.lstrip(b"\r\n"))]
    return blank.count(b"\n") or blank.count(b"\r")


def lines_of_rows(path: Path, ordinals: Numbers, rejected: Sequence[int], delimiter: str, quote: str) -> Numbers:
    """Returns the lines, from 1, on which rows begin.

    Args:
        path: a CSV file with a header.
        ordinals: numbers of the rows below the header, from 0 and ascending; empty lines are no rows, and neither
            are the lines in ``rejected``.
        rejected: lines that the engine could not read as rows.
        delimiter: between columns.
        quote: around values.
    """
    if ordinals.size == 0:
        return ordinals
    starts = _quoted_starts(path, delimiter, quote) if _contains(path, quote.encode()) else _plain_starts(path)
    skipped = np.asarray(sorted(rejected), dtype=np.int64)
    found: list[Numbers] = []
    before, header = 0, True
    for block in starts:
        rows = block[1:] if header and block.size else block
        header = header and not block.size
        rows = rows[~np.isin(rows, skipped)]
        here = ordinals[(ordinals >= before) & (ordinals < before + rows.size)] - before
        found.append(rows[here])
        before += rows.size
        if before > ordinals[-1]:
            break
    return np.concatenate(found)


def _contains(path: Path, sought: bytes) -> bool:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if sought in chunk:
                return True
    return False


def _plain_starts(path: Path) -> Iterator[Numbers]:
    """Yields the lines that are not empty, for a file without quotes, where each is a row."""
    line, rest = 1, b""
    with path.open("rb") as file:
        end = _NEWLINE if b"\n" in file.read(_CHUNK_BYTES) else _RETURN
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            data = rest + chunk
            buffer = np.frombuffer(data, np.uint8)
            ends = np.flatnonzero(buffer == end)
            begins = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
            lengths = ends - begins
            only_return = (lengths == 1) & (buffer[begins] == _RETURN)
            yield (np.flatnonzero((lengths > 0) & ~only_return) + line).astype(np.int64)
            line += ends.size
            rest = data[int(ends[-1]) + 1 :] if ends.size else data
    if rest.strip(b"\r\n"):
        yield np.asarray([line], np.int64)


def _quoted_starts(path: Path, delimiter: str, quote: str) -> Iterator[Numbers]:
    """Yields the lines on which rows begin, for a file in which a quoted value may hold line ends."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        # Latin-1 makes one character of every byte: delimiters and quotes are ASCII in UTF-8.
        with path.open("r", encoding="latin-1", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, quotechar=quote)
            begins: list[int] = []
            line = 1
            for row in reader:
                if row:
                    begins.append(line)
                line = reader.line_num + 1
                if len(begins) >= 1_000_000:
                    yield np.asarray(begins, np.int64)
                    begins = []
            yield np.asarray(begins, np.int64)
    finally:
        csv.field_size_limit(before)
