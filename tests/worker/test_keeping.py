"""Keeping the lake in few files beside the drain: drains go on meanwhile, and the end does not wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import LakeError
from jingzhe.core.progress import Silent
from jingzhe.store.facts import EVENTS
from jingzhe.store.lake import beside
from jingzhe.store.lake.tail import FAN_IN
from jingzhe.store.warehouse import Warehouse
from jingzhe.worker import keeping
from jingzhe.worker.keeping import Keeper
from tests.collect.live import NOON
from tests.server.asking import Heard
from tests.store.small import event, ids, live_in, published, stored_in


@dataclass
class Project:
    workspace: Workspace
    keeper: Keeper
    heard: Heard
    moment: list[float]
    behind: list[bool]

    @property
    def warehouse(self) -> Warehouse:
        return self.workspace.warehouse

    @property
    def told(self) -> list[str]:
        return [event for event, _ in self.heard.lines]

    def files(self) -> int:
        latest = self.warehouse.state.latest()
        assert latest is not None
        return len(self.warehouse.lake.files(EVENTS, latest.tables["events"]))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    heard, moment, behind = Heard(), [0.0], [False]
    with open_workspace(tmp_path, clock=FixedClock(NOON), memory_limit_mb=300, threads=1) as workspace:
        keeper = Keeper(workspace, heard, 20.0, 3600.0, 0.1, lambda: behind[0], lambda: moment[0])
        yield Project(workspace, keeper, heard, moment, behind)


class Meanwhile(Silent):
    """Publishes an event whenever a table is compacted, and waits until it is told to go on."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse, self.begun, self.go_on, self.count = warehouse, threading.Event(), threading.Event(), 0

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        del total, unit
        if name.startswith("compacting"):
            self.count += 1
            published(self.warehouse, [event(1000 + self.count, 1)])
            self.begun.set()
            assert self.go_on.wait(120)


def test_small_files_are_put_together_and_later_all_is_compacted(project: Project) -> None:
    for number in range(FAN_IN):
        published(project.warehouse, [event(number, number)])
    project.keeper.round()
    assert project.files() == 1
    assert project.told == ["gathered small files"]
    published(project.warehouse, [event(100, 100)])
    project.moment[0] = 3600.0
    project.keeper.round()
    assert project.files() == 1
    (_, (done, values)) = project.heard.lines
    assert (done, values["tables"]) == ("compacted", ["events", "items"])
    project.keeper.round()
    assert len(project.told) == 2


def test_while_the_drain_is_behind_more_files_have_to_come_together(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jingzhe.worker.keeping.FAN_IN", 2)
    monkeypatch.setattr(keeping, "_BEHIND_FAN_IN", 17)
    project.behind[0] = True
    project.moment[0] = 3600.0
    for number in range(16):
        published(project.warehouse, [event(number, 1)])
    project.keeper.round()
    assert project.files() == 16
    published(project.warehouse, [event(16, 1)])
    project.moment[0] = 3620.0
    project.keeper.round()
    assert project.files() == 1
    assert project.told == ["gathered small files"]


def test_others_write_while_it_compacts(project: Project) -> None:
    published(project.warehouse, [event(1, 9)])
    published(project.warehouse, [event(2, 3)])
    meanwhile = project.workspace.progress = Meanwhile(project.warehouse)
    meanwhile.go_on.set()
    project.moment[0] = 3600.0
    project.keeper.round()
    assert meanwhile.count == 2
    with project.warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 2, 1001, 1002]


def test_the_end_does_not_wait_for_a_compaction(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_LOOK_SECONDS", 0.05)
    published(project.warehouse, [event(1, 9)])
    published(project.warehouse, [event(2, 3)])
    meanwhile = project.workspace.progress = Meanwhile(project.warehouse)
    project.moment[0] = 3600.0
    ending = threading.Event()
    thread = threading.Thread(target=project.keeper.run, args=(ending,))
    thread.start()
    assert meanwhile.begun.wait(120)
    ending.set()
    time.sleep(1.5)  # many looks whether it is to end
    meanwhile.go_on.set()
    thread.join(120)
    assert not thread.is_alive()
    assert project.told == ["stopped rewriting files"]
    assert stored_in(project.warehouse) == live_in(project.warehouse)


def test_a_failure_is_told_and_tried_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    left, real, ending = [1, 1], project.keeper.round, threading.Event()

    def sometimes(stopping: object) -> None:
        if left:
            left.pop()
            raise LakeError("the disk is full")
        ending.set()
        real()

    monkeypatch.setattr(keeping, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(project.keeper, "round", sometimes)
    thread = threading.Thread(target=project.keeper.run, args=(ending,))
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    assert project.told == ["files could not be rewritten"] * 2
