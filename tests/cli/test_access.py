"""Accounts, keys and the trail on the command line."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

from typer.testing import CliRunner, Result

from jingzhe.access.accounts import Accounts
from jingzhe.access.keys import Keys
from jingzhe.app.workspace import open_workspace
from jingzhe.cli.main import app

PASSWORD = "plum rain over nine bridges"  # noqa: S105 - of nobody


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--home", str(home)])


def test_an_account_is_made_linked_and_disabled(tmp_path: Path) -> None:
    added = run(tmp_path, "account", "add", "Li@Example.com", "--role", "owner", "--base-url", "https://j.example/")
    assert added.exit_code == 0, added.output
    token = re.search(r"https://j\.example/#/set-password\?token=(\S+)", added.output)
    assert token is not None
    with open_workspace(tmp_path) as workspace:
        accounts = Accounts(workspace.warehouse.state, workspace.warehouse.clock)
        assert accounts.set_password(token[1], PASSWORD).email == "li@example.com"
    assert "li@example.com  owner" in run(tmp_path, "account", "list").output
    assert "http://127.0.0.1:8090/#/set-password?token=" in run(tmp_path, "account", "link", "li@example.com").output
    (tmp_path / "jingzhe.toml").write_text('public_url = "https://j.example/"\n', "utf-8")
    assert "https://j.example/#/set-password?token=" in run(tmp_path, "account", "link", "li@example.com").output
    last = run(tmp_path, "account", "disable", "li@example.com")
    assert "Nobody would be left" in str(last.exception)
    added = run(tmp_path, "account", "add", "han@example.com", "--role", "owner")
    assert "https://j.example/#/set-password?token=" in added.output
    assert "is disabled" in run(tmp_path, "account", "disable", "li@example.com").output
    assert "disabled" in run(tmp_path, "account", "list").output
    assert "is enabled" in run(tmp_path, "account", "disable", "li@example.com", "--enable").output


def test_a_key_works_until_it_is_revoked(tmp_path: Path) -> None:
    added = run(tmp_path, "key", "add", "export", "--scope", "lists.read", "--expires", "2999-12-31")
    secret = re.search(r"^jz_\S+$", added.output, re.MULTILINE)
    assert secret is not None, added.output
    with open_workspace(tmp_path) as workspace:
        keys = Keys(workspace.warehouse.state, workspace.warehouse.clock)
        actor = keys.actor(secret[0])
        assert actor.permissions == {"lists.read"}
    listed = run(tmp_path, "key", "list").output
    assert "until 3000-01-01 00:00 UTC" in listed
    assert secret[0] not in listed
    assert run(tmp_path, "key", "revoke", actor.actor_id).exit_code == 0
    assert "revoked" in run(tmp_path, "key", "list").output
    wrong = run(tmp_path, "key", "add", "export", "--scope", "accounts.write")
    assert "cannot have the scope" in str(wrong.exception)


def test_the_trail_is_shown_and_verified(tmp_path: Path) -> None:
    run(tmp_path, "key", "add", "export", "--scope", "lists.read")
    rows = [
        json.loads(line)
        for line in run(tmp_path, "audit", "list", "--json").output.splitlines()
        if line.startswith("{")
    ]
    assert [(row["number"], row["actor"], row["action"]) for row in rows] == [(1, "machine:cli", "key.made")]
    whole = run(tmp_path, "audit", "verify")
    noted = re.search(r"1:[0-9a-f]{64}", whole.output)
    assert (whole.exit_code, noted is not None) == (0, True)
    assert noted is not None
    assert run(tmp_path, "audit", "verify", "--noted", noted[0]).exit_code == 0
    assert run(tmp_path, "audit", "verify", "--noted", "1:" + "0" * 64).exit_code == 1
    assert "is no row" in str(run(tmp_path, "audit", "verify", "--noted", "first").exception)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE audit SET actor = 'nobody:-'")
    connection.close()
    broken = run(tmp_path, "audit", "verify")
    assert (broken.exit_code, "at row 1" in broken.output) == (1, True)
