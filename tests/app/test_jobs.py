"""Long work when the process ends: the job under way stops between its stages, those that wait are not begun."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jingzhe.app.jobs import Jobs
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.errors import BusyError


def test_the_job_under_way_ends_at_its_next_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    reached: list[str] = []

    def update(self: Workspace, *, horizon_days: int | None = None) -> None:
        del horizon_days
        self.progress.stage("first")
        reached.append("first")
        begun.set()
        assert go_on.wait(120)
        self.progress.stage("second")
        reached.append("second")

    monkeypatch.setattr(Workspace, "update", update)
    with open_workspace(tmp_path, memory_limit_mb=300, threads=1) as workspace:
        jobs = Jobs(workspace)
        running, waiting = jobs.start("update"), jobs.start("update")
        assert begun.wait(120)
        assert jobs.get(running.job_id).stage == "first"
        ending = threading.Thread(target=jobs.close)
        ending.start()
        while not jobs._ending.is_set():
            pass
        go_on.set()
        ending.join(120)
        assert not ending.is_alive()
        assert [jobs.get(one.job_id).status for one in (running, waiting)] == ["interrupted", "interrupted"]
        assert jobs.get(running.job_id).done_at is not None
        assert reached == ["first"]
        with pytest.raises(BusyError):
            jobs.start("update")


def test_a_job_that_has_no_further_stage_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "_report", lambda _self, _workspace: {"headlines": []})
    with open_workspace(tmp_path, memory_limit_mb=300, threads=1) as workspace:
        jobs = Jobs(workspace)
        made = jobs.start("report")
        jobs._pool.submit(lambda: None).result(30)
        jobs.close()
        assert jobs.get(made.job_id).status == "done"
