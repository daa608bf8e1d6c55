from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.collect.text_files import SAMPLE_BYTES, dialect_of, encoding_of, has_mixed_ends, rewrite, sample_of
from jingzhe.core.errors import ImportRefusedError

CHINESE = "订单号,客户,金额\n1,张三,12.5\n2,李四,30\n3,上官婉儿,100\n"


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("a,b\n1,2\n", "utf-8", "utf-8"), (CHINESE, "utf-8", "utf-8"), (CHINESE, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-16", "utf-16"), (CHINESE, "gb18030", "gb18030"), (CHINESE, "gbk", "gb18030"),
        ("id,name,price\n1,Müller,£5\n2,café crème,£6\n", "cp1252", "cp1252"),
        ("name\nMün\nJürgen\n", "latin-1", "cp1252"),
    ],
)  # fmt: skip
def test_encoding_is_recognised(text: str, written: str, expected: str) -> None:
    assert encoding_of(text.encode(written)) == expected


def test_one_broken_line_does_not_make_a_file_gbk() -> None:
    assert encoding_of((CHINESE * 5).encode() + "坏".encode("gbk") + b"\n") == "utf-8"


def test_sample_of_a_long_file_sees_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * (SAMPLE_BYTES // 2) + "3,中\n".encode("gbk") * 50_000)
    assert encoding_of(sample_of(path)) == "gb18030"


@pytest.mark.parametrize(
    ("text", "delimiter", "header"),
    [
        ("a,b,c\n1,2,3\n", ",", ("a", "b", "c")),
        ("a;b;c\n1,5;2,5;3\n4,5;1;2\n", ";", ("a", "b", "c")),
        ("a\tb\n1\t2\n", "\t", ("a", "b")),
        ("a|b\n1,1|2\n", "|", ("a", "b")),
        ('a,"b;c",d\n1,"2;3",4\n', ",", ("a", "b;c", "d")),
        ('"a\nb",c\n"1\n2",3\n', ",", ("a\nb", "c")),
        ("alone\n1\n", ",", ("alone",)),
    ],
)  # fmt: skip
def test_dialect(text: str, delimiter: str, header: tuple[str, ...]) -> None:
    found = dialect_of(text, None, "x.csv")
    assert (found.delimiter, found.header) == (delimiter, header)


def test_a_text_without_rows_has_no_dialect() -> None:
    with pytest.raises(ImportRefusedError, match="empty"):
        dialect_of("\n\n", None, "x.csv")


def test_mixed_line_ends() -> None:
    assert [has_mixed_ends(text) for text in (b"a\nb\n", b"a\r\nb\r\n", b"a\rb\r", b"a\nb\r\n", b"a\rb\n")] == [
        False, False, False, True, True,
    ]  # fmt: skip


@given(st.text(alphabet='a,客户\n\r"😀é', max_size=200), st.sampled_from(["utf-8", "utf-16", "gb18030", "utf-8-sig"]))
def test_rewriting_keeps_text_and_lines(text: str, encoding: str) -> None:

    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "given", Path(folder) / "copy"
        path.write_bytes(text.encode(encoding))
        rewrite(path, copy, encoding)
        assert copy.read_bytes().decode() == text.replace("\r\n", "\n").replace("\r", "\n")


def test_rewriting_unpacks(tmp_path: Path) -> None:
    path, copy = tmp_path / "x.csv.gz", tmp_path / "copy"
    path.write_bytes(gzip.compress(CHINESE.encode("gbk")))
    rewrite(path, copy, "gb18030")
    assert copy.read_text("utf-8") == CHINESE


def test_an_undecodable_byte_is_located(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    good = "a,b\r\n1,中\r\n".encode("gb18030")
    path.write_bytes(good + b"2,\xff\n")
    with pytest.raises(ImportRefusedError) as refused:
        rewrite(path, tmp_path / "copy", "gb18030")
    assert refused.value.where == {"file": "x.csv", "line": 3, "byte": len(good) + 2}
    assert "0xFF" in refused.value.message
