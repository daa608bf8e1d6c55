"""A project whose Spark cannot be reached: one clear error, and nothing has changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jingzhe.app.workspace import open_workspace
from jingzhe.cli import main
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import EngineError
from tests.engines.happenings import NOW
from tests.ports import free_port

ORDERS = "order_id,customer_id,ordered_at,amount\n1,a,2025-03-01,10\n2,b,2025-03-04,20\n3,a,2025-05-01,12\n"


@pytest.mark.spark
def test_no_table_is_touched(tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(ORDERS, "utf-8")
    home = tmp_path / "project"
    with open_workspace(home, clock=FixedClock(NOW)) as workspace:
        workspace.import_(orders)
        before = workspace.warehouse.state.latest()
    files = sorted((home / "lake").rglob("*"))
    with open_workspace(home, clock=FixedClock(NOW), engine=f"spark://127.0.0.1:{free_port()}") as far:
        began = time.monotonic()
        for work in (far.refresh, lambda: far.import_(orders), far.people):
            with pytest.raises(EngineError, match="does not answer"):
                work()
        assert time.monotonic() - began < 30
        assert far.warehouse.state.latest() == before
    assert sorted((home / "lake").rglob("*")) == files
    with open_workspace(home, clock=FixedClock(NOW), wait_seconds=1.0) as workspace:
        assert workspace.refresh().people == 2


@pytest.mark.spark
def test_the_command_line_names_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(ORDERS, "utf-8")
    asked = [
        "jingzhe",
        "--engine",
        f"sc://127.0.0.1:{free_port()}",
        "import",
        str(orders),
        "--home",
        str(tmp_path / "p"),
    ]
    monkeypatch.setattr("sys.argv", asked)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "engine Spark does not answer at sc://127.0.0.1" in " ".join(said.split())
    monkeypatch.setattr("sys.argv", ["jingzhe", "--engine", "oracle", "info", "--home", str(tmp_path / "p")])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 1
    assert "no engine" in capsys.readouterr().err
