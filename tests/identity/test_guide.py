"""The guide's examples run, and print what stands beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/identity.md"


def test_the_guide_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    exec("\n".join(blocks), {})  # noqa: S102 - our own page
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["[1 2 1]", "[1 1 1]"]
    assert [line.split(" ", 2)[2] for line in printed[2:-2]] == [
        "login device same event-1",
        "phone till_card joined event-2",
        "login phone merged event-3",
    ]
    assert printed[-2:] == ["2", "1"]
