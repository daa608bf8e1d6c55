"""``jingzhe seal``, and what a project does whose key file is another one, is lost, or is given up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import open_workspace
from jingzhe.cli.main import app
from jingzhe.collect.received import Received, packed
from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import JingzheError, SealError
from jingzhe.core.sealing import TEXT
from jingzhe.store.state.inbox import Group

MAIL = "li@example.com"
ORDERS = f"order_id,customer_id,order_date,amount,note\nA1,C1,2025-11-01,9.5,\nA2,C2,no day,8,{MAIL}\n"


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--home", str(home)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def put(home: Path, *marks: str, drain: bool = True) -> None:
    """Sends a person's fields, and for each one event that is refused."""
    said = [{"type": "identify", "userId": "u1", "messageId": mark, "traits": {"email": MAIL}} for mark in marks]
    bad = [{"type": "track", "event": "", "userId": "u1", "messageId": f"bad {mark}", "note": MAIL} for mark in marks]
    body, us = json.dumps({"batch": [*said, *bad]}).encode(), int(SystemClock().now().timestamp() * 1e6)
    with open_workspace(home) as workspace, open_inbox(workspace.settings) as inbox:
        inbox.append(
            Group(1, len(said) * 2, us, packed([Received(1, "segment", "batch", us, "", "", "private", 2, body)]))
        )
        if drain:
            assert drain_of(workspace, inbox).run().quarantined == len(bad)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with an event that was taken, one that was refused, and one refused row of a file."""
    folder, orders = tmp_path / "home", tmp_path / "orders.csv"
    orders.write_text(ORDERS, encoding="utf-8")
    run(folder, "import", str(orders))
    run(folder, "source", "add", "shop")
    put(folder, "one")
    return folder


def test_keys_are_shown_and_rotated(home: Path) -> None:
    before = run(home, "seal", "show")
    assert str(home.absolute() / "seal.keys") in before
    assert before.count("seals and opens") == 1
    assert "*email" in before
    made = run(home, "seal", "rotate").split()[0]
    put(home, "two")
    shown = run(home, "seal", "show").splitlines()
    assert [line.strip().split("  ")[-1] for line in shown[1:3]] == ["opens", "seals and opens"]
    assert shown[2].strip().startswith(made)
    # Both the event from before and the one from after open.
    assert run(home, "quarantine", "show", *_refused(home)[:1]).count(MAIL) == 1
    assert run(home, "quarantine", "show", *_refused(home)[1:]).count(MAIL) == 1
    assert "seal.rotated" in run(home, "audit", "list")
    assert not _in_files(home)


def test_what_is_personal_is_said_by_name(home: Path) -> None:
    assert "loyaltyno: anywhere" in run(home, "seal", "name", "Loyalty_No", "anywhere")
    assert "loyaltyno" in run(home, "seal", "show")
    with pytest.raises(JingzheError, match="is no place"):
        run(home, "seal", "name", "x", "elsewhere")
    assert "seal.name-set" in run(home, "audit", "list")


def test_the_key_file_may_stand_elsewhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = tmp_path / "secret" / "keys"
    mounted.parent.mkdir()
    (home / "seal.keys").rename(mounted)
    with pytest.raises(SealError, match="is missing"):
        run(home, "info")
    assert not (home / "seal.keys").exists()
    monkeypatch.setenv("JINGZHE_SEAL_KEY_FILE", str(mounted))
    mounted.chmod(0o444)  # whoever mounts it minds who may read it
    assert run(home, "quarantine", "show", *_refused(home)).count(MAIL) == 1


def test_refused_rows_are_sealed_and_not_refused_twice(home: Path, tmp_path: Path) -> None:
    with open_workspace(home) as workspace:
        assert not _in_files(home)
        (tmp_path / "orders.csv").write_text(ORDERS + "A3,C3,2025-11-03,4,\n", encoding="utf-8")
        assert workspace.import_(tmp_path / "orders.csv").rejected == {"bad-time": 1}
        (row,) = workspace.quarantine().to_pylist()
        assert json.loads(row["row"])["note"] == MAIL
        assert workspace.sql("SELECT count(*) AS n FROM quarantine WHERE contains(row, 'C2')")["n"].to_pylist() == [0]
        assert workspace.export_quarantine(tmp_path / "mend.csv") == 1
    assert MAIL in (tmp_path / "mend.csv").read_text("utf-8")


def test_a_lost_key_is_given_up_and_the_project_goes_on(home: Path) -> None:
    put(home, "waits", drain=False)
    (home / "seal.keys").unlink()
    with pytest.raises(JingzheError, match="cannot be undone"):
        run(home, "seal", "give-up")
    said = run(home, "seal", "give-up", "--for-good")
    assert "1 requests that waited are lost" in said
    assert "quarantined_event.body" in said
    assert _refused(home) == []
    put(home, "after")
    assert run(home, "quarantine", "show", *_refused(home)).count(MAIL) == 1
    assert MAIL not in run(home, "quarantine")
    assert "given up" in run(home, "seal", "show")
    with open_workspace(home) as workspace:
        assert workspace.rows()["events"] == 1
        (row,) = workspace.quarantine().to_pylist()
        assert row["row"].startswith(TEXT)  # not invented, not hidden
        found = workspace.sql("SELECT count(*) AS n FROM event_details WHERE contains(properties, 'sealed:1:')")
    assert found["n"].to_pylist() == [2]
    with pytest.raises(SealError, match="No key is missing"):
        run(home, "seal", "give-up", "--for-good")


def _refused(home: Path) -> list[str]:
    listed = run(home, "quarantine", "list", "--reason", "missing-event")
    return [line.split()[0] for line in listed.splitlines() if line[:1].isdigit()]


def _in_files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and MAIL.encode() in path.read_bytes()]
