"""Long work that fails for a reason nobody foresaw: log and record tell it, whatever the store does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jingzhe.app.exporting import Exports
from jingzhe.app.figures import Figures
from jingzhe.app.jobs import Jobs
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.errors import StateError
from jingzhe.store.state import State
from tests.server.asking import Heard

PERSONAL = "13800000000"


class Away:
    """A state store that takes no documents of some statuses while it is away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statuses: set[str] = set()
        real = State.put_document

        def put(state: State, kind: str, name: str, body: dict[str, Any]) -> Any:
            if body.get("status") in self.statuses:
                raise StateError("The state store cannot be used")
            return real(state, kind, name, body)

        monkeypatch.setattr(State, "put_document", put)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path, memory_limit_mb=300, threads=1) as opened:
        yield opened


def fails(*_given: object, **_more: object) -> None:
    raise RuntimeError(PERSONAL)


def test_a_job_that_nobody_foresaw_to_fail(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.app.privacy.Erasures.run", fails)
    heard = Heard()
    jobs = Jobs(workspace, heard)
    made = jobs.start("erasure", {"erasure_id": "ers_1"})
    jobs._pool.submit(int).result(60)
    ended = jobs.get(made.job_id)
    assert (ended.status, (ended.problem or {})["code"]) == ("failed", "internal")
    ((event, values),) = heard.lines
    assert (event, values["job"], values["kind"]) == ("a job failed", made.job_id, "erasure")
    assert values["error"].startswith("RuntimeError at test_failing_jobs.py:")
    assert PERSONAL not in str(heard.lines)
    jobs.close()


@pytest.mark.parametrize("statuses", [{"running"}, {"running", "failed", "interrupted"}])
def test_a_job_whose_beginning_cannot_be_written_is_failed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, statuses: set[str]
) -> None:
    away, heard = Away(monkeypatch), Heard()
    jobs = Jobs(workspace, heard)
    away.statuses = statuses
    made = jobs.start("update")
    jobs._pool.submit(int).result(60)
    assert jobs.get(made.job_id).status == "failed"
    away.statuses = set()
    jobs.close()
    after = Jobs(workspace, heard)
    assert after.get(made.job_id).status == "failed"
    after.close()


def test_an_export_that_nobody_foresaw_to_fail(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exports, "_exported", fails)
    heard, figures = Heard(), Figures(workspace)
    exports = Exports(workspace, figures, heard)
    made = exports.start("events", "csv", "test")
    exports._pool.submit(int).result(60)
    assert exports.get(made.export_id).status == "failed"
    ((event, values),) = heard.lines
    assert (event, values["export"]) == ("an export failed", made.export_id)
    assert PERSONAL not in str(heard.lines)
    exports.close()
    figures.close()


def test_an_export_whose_beginning_cannot_be_written_is_failed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, figures = Away(monkeypatch), Figures(workspace)
    exports = Exports(workspace, figures, Heard())
    away.statuses = {"running", "failed"}
    made = exports.start("events", "csv", "test")
    exports._pool.submit(int).result(60)
    assert exports.get(made.export_id).status == "failed"
    away.statuses = set()
    exports.close()
    after = Exports(workspace, figures, Heard())
    assert after.get(made.export_id).status == "failed"
    after.close()
    figures.close()
