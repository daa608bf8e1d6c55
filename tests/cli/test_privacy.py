"""Consents, suppressions and a person's own data on the command line."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from typer.testing import CliRunner, Result

from jingzhe.cli.main import app

ORDERS = "order_id,customer_id,order_date,amount\nA1,C1,2025-11-01,9.5\nA2,C2,2025-11-02,8\nA3,C1,2025-12-02,7\n"


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--home", str(home)])


def test_from_a_consent_to_the_certificate(tmp_path: Path) -> None:
    home, orders = tmp_path / "home", tmp_path / "orders.csv"
    orders.write_text(ORDERS, encoding="utf-8")
    assert run(home, "import", str(orders)).exit_code == 0
    check = ("consent", "check", "C1", "--channel", "email")
    assert "no 不可以" in run(home, *check).output
    assert run(home, "consent", "grant", "C1", "--channel", "email", "--source", "form").exit_code == 0
    asked = run(home, *check)
    assert (asked.exit_code, "yes 可以" in asked.output) == (0, True)
    added = run(home, "suppress", "add", "--person", "C1", "--source", "call")
    number = re.search(r"Suppressed: (\d+)", added.output)
    assert number is not None, added.output
    assert run(home, *check).exit_code == 1
    assert "by_hand" in run(home, "suppress", "list").output
    assert run(home, "suppress", "lift", number[1], "--why", "a mistake").exit_code == 0
    assert run(home, *check).exit_code == 0
    assert run(home, "consent", "withdraw", "C1", "--source", "call").exit_code == 0
    listed = run(home, "consent", "list", "C1").output
    assert ("granted" in listed, "withdrawn" in listed) == (True, True)

    out = tmp_path / "person.zip"
    assert "Written" in run(home, "person", "export", "C1", "--out", str(out)).output
    with zipfile.ZipFile(out) as packed:
        assert len(json.loads(packed.read("person.json"))["events"]) == 2
    assert run(home, "person", "erase", "C1", "--why", "request").exit_code == 1  # nobody said yes
    erased = run(home, "person", "erase", "C1", "--why", "request", "--yes", "--out", str(tmp_path / "c.json"))
    assert "Certificate of erasure 删除证明" in erased.output, erased.output
    said = json.loads((tmp_path / "c.json").read_text("utf-8"))
    assert said["lake_rows"]["events"] == 2
    assert "whole since" in run(home, "person", "erasures", "--resume").output
    assert said["erasure_id"] in run(home, "person", "certificate", said["erasure_id"]).output
    again = run(home, "import", str(orders), "--map", "amount=amount")
    assert "erased" in again.output or "已删除" in again.output, again.output
    assert "Nobody is known" in str(run(home, "person", "export", "C1", "--out", str(out)).exception)
    assert "1 tombstones" in run(home, "person", "readmit", "C1", "--kind", "customer", "--why", "is back").output


def test_an_address_belongs_to_a_channel_and_is_not_shown(tmp_path: Path) -> None:
    wrong = run(tmp_path, "suppress", "add", "--address", "li@example.com", "--source", "call")
    assert "belongs to a channel" in str(wrong.exception)
    added = ("suppress", "add", "--address", "li@example.com", "--channel", "email", "--source", "call")
    assert run(tmp_path, *added).exit_code == 0
    assert "li@example.com" not in run(tmp_path, "suppress", "list").output
    assert "by_hand" in run(tmp_path, "suppress", "check", "LI@example.com", "--channel", "email").output
    assert "Nothing stands" in run(tmp_path, "suppress", "check", "other@example.com", "--channel", "email").output
