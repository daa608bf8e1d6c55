from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.collect import line_numbers
from jingzhe.collect.line_numbers import lines_of_offsets, lines_of_rows


def lines(tmp_path: Path, text: str, ordinals: list[int], rejected: list[int] | None = None) -> list[int]:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    found = lines_of_rows(path, np.asarray(ordinals, np.int64), rejected or [], ",", '"')
    return [int(line) for line in found]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_without_quotes(tmp_path: Path, end: str) -> None:
    text = end.join(["a,b", "", "1,2", "3,4", "", "", "5,6", "7,8"])
    assert lines(tmp_path, text, [0, 1, 2, 3]) == [3, 4, 7, 8]
    assert lines(tmp_path, text, [1, 2], rejected=[3]) == [7, 8]
    assert lines(tmp_path, text, []) == []


def test_rows_with_line_ends_in_quotes(tmp_path: Path) -> None:
    text = 'a,b\n1,"x\ny\n"\n\n2,z\n"3\n",""\n4,w\n'
    assert lines(tmp_path, text, [0, 1, 2, 3]) == [2, 6, 7, 9]


@given(st.lists(st.sampled_from(["1,2", "", "x,y z", "é,中"]), max_size=60), st.integers(8, 40))
def test_chunks_do_not_matter(rows: list[str], size: int) -> None:

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_numbers, "_CHUNK_BYTES", size)
        expected = [number for number, row in enumerate(["a,b", *rows], 1) if row][1:]
        assert lines(Path(folder), "\n".join(["a,b", *rows]), list(range(len(expected)))) == expected


@given(st.lists(st.lists(st.text(alphabet='a,"\n', max_size=4), min_size=2, max_size=2), min_size=1, max_size=20))
def test_quoted_rows_are_where_they_were_written(rows: list[list[str]]) -> None:

    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["a", "b"])
    expected = []
    for row in rows:
        expected.append(buffer.getvalue().count("\n") + 1)
        writer.writerow(row)
    with tempfile.TemporaryDirectory() as folder:
        assert lines(Path(folder), buffer.getvalue(), list(range(len(rows)))) == expected


def test_offsets(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\r\n1,2\r\n\r\n3\r\n4,5\r\n")
    assert lines_of_offsets(path, [0, 5, 10, 15]) == [1, 2, 4, 5]
    path.write_bytes(b"a,b\n" * 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_numbers, "_CHUNK_BYTES", 7)
        assert lines_of_offsets(path, [0, 4, 8, 36]) == [1, 2, 3, 10]
