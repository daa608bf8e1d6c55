"""Text files as people send them: their encoding, line ends, delimiter and header, and a UTF-8 copy where needed."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from jingzhe.core.errors import ImportRefusedError

SAMPLE_BYTES = 262_144
_CHUNK_BYTES = 4_194_304
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_COMMON_CHINESE_SHARE = 0.8


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Args:
        delimiter: between columns.
        header: the first row.
    """

    delimiter: str
    header: tuple[str, ...]


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file, unpacking it if it is gzip'ed."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


def is_packed(path: Path) -> bool:
    """Tells whether a file is gzip'ed."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def sample_of(path: Path) -> bytes:
    """Returns the first bytes of a file, and of a long one some from further on, all of whole lines."""
    with open_bytes(path) as file:
        parts = [file.read(SAMPLE_BYTES)]
        if is_packed(path) or len(parts[0]) < SAMPLE_BYTES:
            return parts[0]
        size = path.stat().st_size
        for eighth in range(1, 8):
            file.seek(max(SAMPLE_BYTES, size * eighth // 8))
            file.readline()
            parts.append(file.read(SAMPLE_BYTES // 8) + file.readline())
    return parts[0][: parts[0].rfind(b"\n") + 1 or None] + b"".join(parts[1:])


def encoding_of(sample: bytes) -> str:
    """Returns the encoding of a text, judged by a sample: UTF-8, UTF-16, GB18030 or Windows-1252."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    text = sample[:-4] if len(sample) >= SAMPLE_BYTES else sample
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(text)
    except UnicodeDecodeError:
        return _without_mark(text)
    return "utf-8"


def _without_mark(text: bytes) -> str:
    """Tells GB18030 from Windows-1252, and a UTF-8 file with a few broken bytes from both."""
    lines = [line for line in text.split(b"\n") if not line.isascii()]
    if 2 * sum(_decodes(line, "utf-8") for line in lines) > len(lines):
        return "utf-8"
    if sum(_decodes(line, "gb18030") for line in lines) > 0.9 * len(lines):
        pairs = Counter[bool]()
        for line in lines:
            for char in line.decode("gb18030", errors="ignore"):
                if ord(char) > 127:
                    code = char.encode("gb18030")
                    pairs[len(code) == 2 and code[0] <= 0xF7 and code[1] >= 0xA1] += 1
        if pairs[True] >= _COMMON_CHINESE_SHARE * max(1, pairs.total()):
            return "gb18030"
    return "cp1252"


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def dialect_of(text: str, delimiter: str | None, file: str) -> Dialect:
    """Returns how a CSV text is written.

    Args:
        text: its beginning.
        delimiter: what stands between columns, where it is known.
        file: its name, for the error.

    Raises:
        ImportRefusedError: there is no row in it.
    """
    whole = text[: text.rfind("\n")] if text.count("\n") > 20 else text
    best: tuple[float, Dialect] | None = None
    for candidate in (delimiter,) if delimiter else _DELIMITERS:
        rows = [row for row in _rows(whole, candidate) if row]
        if not rows:
            continue
        width = len(rows[0])
        agreeing = sum(len(row) == width for row in rows) / len(rows)
        score = 0.0 if width == 1 else agreeing + min(width, 20) / 100
        if best is None or score > best[0]:
            best = score, Dialect(candidate, tuple(rows[0]))
    if best is None:
        raise ImportRefusedError("The file is empty", hint="A file of orders has a header and rows.", file=file)
    return best[1]


def _rows(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == 200:
                break
    except csv.Error:  # a field beyond the reader's limit: what was read before it tells enough
        return rows
    return rows


def has_mixed_ends(sample: bytes) -> bool:
    """Tells whether lines end in more than one way; the engine reads only one way per file."""
    both = sample.count(b"\r\n")
    kinds = (both, sample.count(b"\n") - both, sample.count(b"\r") - both)
    return sum(kind > 0 for kind in kinds) > 1


def rewrite(path: Path, target: Path, encoding: str) -> None:
    """Writes a UTF-8 copy with one kind of line ends; lines keep their numbers.

    Raises:
        ImportRefusedError: a byte is no text in ``encoding``; says where it stands.
    """
    with open_bytes(path) as source, target.open("wb") as copy:
        for text in _decoded(source, encoding, path.name):
            # Bytes that are no UTF-8 stay as they are: the engine refuses their lines, one by one.
            copy.write(text.encode("utf-8", "surrogateescape"))


def _decoded(source: IO[bytes], encoding: str, name: str) -> Iterator[str]:
    strict = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding.startswith("utf-8") else "strict")
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    offset, lines = 0, 1
    with closing(source):
        while True:
            chunk = source.read(_CHUNK_BYTES)
            waiting = len(strict.getstate()[0])
            try:
                text = strict.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                good = _prefix(error, encoding)
                raise ImportRefusedError(
                    f"The file is not {encoding} throughout: byte 0x{error.object[error.start]:02X} is no text in it",
                    hint="Give its real encoding (encoding=…), or save it as UTF-8.",
                    file=name,
                    line=lines + good.count("\n"),
                    byte=offset - waiting + error.start,
                ) from error
            offset += len(chunk)
            plain = ends.decode(text, final=not chunk)
            lines += plain.count("\n")
            yield plain
            if not chunk:
                return


def _prefix(error: UnicodeDecodeError, encoding: str) -> str:
    """Returns the text before the byte that cannot be decoded."""
    return (
        bytes(error.object[: error.start]).decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    )
