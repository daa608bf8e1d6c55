"""What goes on beside the drain lives on after a failure that nobody foresaw, and tells where it was, not what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jingzhe.app import privacy_jobs
from jingzhe.app.privacy import Erasures
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.outgoing.courier import Courier
from jingzhe.store.lake.tail import gather_tail
from jingzhe.worker import keeping
from jingzhe.worker.keeping import Keeper
from tests.collect.live import NOON
from tests.server.asking import Heard

PERSONAL = "13800000000"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path, clock=FixedClock(NOON), memory_limit_mb=300, threads=1) as opened:
        yield opened


@contextmanager
def running(work: Callable[[threading.Event], object]) -> Iterator[threading.Thread]:
    ending = threading.Event()
    thread = threading.Thread(target=work, args=(ending,))
    thread.start()
    try:
        yield thread
    finally:
        ending.set()
        thread.join(60)
    assert not thread.is_alive()


def fails_twice(real: Callable[..., Any]) -> tuple[Callable[..., Any], threading.Event]:
    """Returns what fails twice and then does what it should, and what is set when it did."""
    left, worked = [1, 1], threading.Event()

    def call(*given: Any, **more: Any) -> Any:
        if left:
            left.pop()
            raise RuntimeError(PERSONAL)
        done = real(*given, **more)
        worked.set()
        return done

    return call, worked


def told(heard: Heard) -> list[str]:
    assert PERSONAL not in str(heard.lines)
    assert "RuntimeError at test_surviving.py" in str(heard.lines)
    return [event for event, _ in heard.lines]


def test_files_are_kept_few_after_a_failure(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_LOOK_SECONDS", 0.01)
    call, worked = fails_twice(gather_tail)
    monkeypatch.setattr(keeping, "gather_tail", call)
    heard = Heard()
    with running(Keeper(workspace, heard, 0.0, 0.0, 0.01).run):
        assert worked.wait(60)
    assert told(heard)[:2] == ["files could not be rewritten"] * 2


def test_erasures_are_taken_up_after_a_failure(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy_jobs, "_TAKE_UP_SECONDS", 0.01)
    call, worked = fails_twice(Erasures.all)
    monkeypatch.setattr(Erasures, "all", call)
    heard = Heard()
    with running(lambda ending: privacy_jobs.take_up(workspace, heard, ending)):
        assert worked.wait(60)
    assert told(heard) == ["an erasure fails"] * 2


def test_webhooks_are_told_after_a_failure(workspace: Workspace) -> None:
    heard = Heard()
    courier = Courier(workspace.warehouse, heard, pause_seconds=0.01)
    call, worked = fails_twice(courier.webhooks.live)
    courier.webhooks.live = call  # type: ignore[method-assign]
    with running(courier.run):
        assert worked.wait(60)
    assert told(heard) == ["webhooks cannot be told"] * 2


def test_one_erasure_that_fails_holds_up_no_other(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class One:
        is_whole = False

        def __init__(self, erasure_id: str) -> None:
            self.erasure_id = erasure_id

    def run(_erasures: Erasures, erasure_id: str) -> One:
        if erasure_id == "first":
            raise RuntimeError(PERSONAL)
        return One(erasure_id)

    monkeypatch.setattr(Erasures, "all", lambda _: [One("second"), One("first")])
    monkeypatch.setattr(Erasures, "run", run)
    heard = Heard()
    with running(lambda ending: privacy_jobs.take_up(workspace, heard, ending)):
        give_up = time.monotonic() + 60
        while len(heard.lines) < 2 and time.monotonic() < give_up:
            time.sleep(0.01)
    assert told(heard) == ["an erasure fails", "erasure finished"]
    assert [values["erasure"] for _, values in heard.lines] == ["first", "second"]
