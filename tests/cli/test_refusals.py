"""``jingzhe quarantine``, ``source``, ``event-name``, ``collection``, ``quality`` over a project with live events."""

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
from jingzhe.core.errors import JingzheError
from jingzhe.store.state.inbox import Group


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--home", str(home)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return str(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with one good event and two that were refused."""
    folder = tmp_path / "home"
    run(folder, "source", "add", "web-shop")
    events = [
        {"type": "track", "event": name, "userId": "u1", "messageId": str(number), "properties": {"revenue": 4}}
        for number, name in enumerate(("Order Completed", "", ""))
    ]
    body, us = json.dumps({"batch": events}).encode(), int(SystemClock().now().timestamp() * 1e6)
    with open_workspace(folder) as workspace, open_inbox(workspace.settings) as inbox:
        request = Received(1, "segment", "batch", us, "", "", "private", 3, body)
        inbox.append(Group(1, 3, us, packed([request])))
        assert drain_of(workspace, inbox).run().quarantined == 2
    return folder


def test_refused_events_are_listed_corrected_replayed_and_discarded(home: Path) -> None:
    listed = run(home, "quarantine", "list", "--source", "web-shop", "--reason", "missing-event").splitlines()
    numbers = [line.split()[0] for line in listed]
    assert len(numbers) == 2
    assert '"userId":"u1"' in run(home, "quarantine", "show", numbers[0]).replace(" ", "")
    run(home, "quarantine", "correct", numbers[0], '{"event": "Order Completed"}')
    assert "1 events go through" in run(home, "quarantine", "replay", numbers[0])
    assert "1 events drained" in run(home, "drain")
    with pytest.raises(JingzheError, match="does not say which"):
        run(home, "quarantine", "discard")
    with pytest.raises(JingzheError, match="no JSON"):
        run(home, "quarantine", "correct", numbers[1], "{")
    assert "1 events are discarded" in run(home, "quarantine", "discard", "--all")
    assert "No live event" in run(home, "quarantine", "list")
    assert "No row is in quarantine" in run(home, "quarantine")
    actions = [line.split()[4] for line in run(home, "audit", "list").splitlines()]
    assert actions == ["quarantine.discarded", "quarantine.replayed", "quarantine.corrected", "source.made"]


def test_what_arrived_and_how_good_it_was(home: Path) -> None:
    shown = run(home, "collection")
    assert "0 events wait" in shown
    assert "3 received: 1 accepted, 0 historical, 0 duplicates, 2 refused" in shown
    assert "web-shop (live): 3 received, 33.33% valid, 0.00% duplicates" in run(home, "quality")


def test_names_and_kinds_are_changed(home: Path) -> None:
    assert "order_completed, a purchase" in run(home, "event-name", "set", "Bon", "order_completed", "purchase")
    assert "bon" in run(home, "event-name", "list", "--own")
    assert "an interaction" in run(home, "event-name", "forget", "Bon").replace("a interaction", "an interaction")
    assert "kind till" in run(home, "source", "kind", "web-shop", "till")
    with pytest.raises(JingzheError, match="is of the kind"):
        run(home, "source", "add", "web-shop", "--kind", "app")
    run(home, "source", "add", "web-shop")
    assert "till" in run(home, "source", "list")
