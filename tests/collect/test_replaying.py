"""An event that is replayed while the worker drains: it is never gone from both places."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jingzhe.collect.refused_events import count_quarantined, replay
from jingzhe.store.state.inbox import Group, Inbox
from tests.collect.live import Live, live, track
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with live(tmp_path, url) as found:
        yield found


def test_what_is_still_wrong_comes_back_however_quick_the_drain_is(
    project: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.segment(track(""))
    project.drain.run()
    append, drained = Inbox.append, threading.Thread(target=project.drain.run)

    def append_and_drain(inbox: Inbox, group: Group) -> None:
        append(inbox, group)
        drained.start()
        # It ends here where nothing holds it up; what holds it up ends when this is done.
        drained.join(2)

    monkeypatch.setattr(Inbox, "append", append_and_drain)
    replayed = replay(project.warehouse.state, project.inbox, clock=project.clock)
    drained.join()
    assert replayed == 1
    assert project.inbox.depth().rows == 0
    assert count_quarantined(project.warehouse.state) == {"missing-event": 1}
