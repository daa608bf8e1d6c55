"""Two processes import, refresh and compact at the same moment, on both databases: every effect once, nothing lost."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import pytest

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import BusyError
from jingzhe.simulate import Business, orders_csv
from tests.app.conftest import NOW
from tests.postgres import postgres_server, postgres_url
from tests.store.worker import processes

__all__ = ["postgres_server", "postgres_url"]


class Project(NamedTuple):
    home: Path
    state_url: str
    wait_seconds: float = 200.0

    def open(self) -> Workspace:
        settings: dict[str, Any] = {"state_url": self.state_url, "wait_seconds": self.wait_seconds}
        return open_workspace(self.home, clock=FixedClock(NOW), threads=1, memory_limit_mb=500, **settings)


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else ""
    return Project(tmp_path / "project", url)


@pytest.fixture(scope="module")
def context() -> Iterator[ForkServerContext]:
    with processes() as found:
        found.set_forkserver_preload(["tests.store.worker", "jingzhe.app.workspace"])
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The orders of 60 people in three files, each with every third order: one told in parts would be corrected."""
    folder = tmp_path_factory.mktemp("parts")
    orders_csv(Business(people=60, seed=3, events_per_person=100.0), folder / "all.csv")
    with (folder / "all.csv").open(encoding="utf-8", newline="") as source:
        header, *lines = csv.reader(source)
    place = header.index("order_id")
    numbers = {order: number for number, order in enumerate(dict.fromkeys(line[place] for line in lines))}
    paths = [folder / f"{number}.csv" for number in range(3)]
    for number, path in enumerate(paths):
        with path.open("w", encoding="utf-8", newline="") as target:
            csv.writer(target).writerows([header, *(line for line in lines if numbers[line[place]] % 3 == number)])
    return paths


def work(project: Project, acts: list[tuple[str, str]], barrier: Barrier, told: Queue[tuple[str, int]]) -> None:
    """Does each act at the moment at which the other process does its own; tells what changed."""
    with project.open() as workspace:
        for act, argument in acts:
            barrier.wait(180)
            try:
                if act == "import":
                    told.put((act, workspace.import_(argument).orders))
                elif act == "refresh":
                    told.put((act, workspace.refresh().people))
                else:
                    told.put((act, workspace.compact(keep_hours=0).files_removed))
            except BusyError:
                told.put((f"{act} busy", 0))


def side_by_side(
    context: ForkServerContext, project: Project, one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> list[tuple[str, int]]:
    """Runs two lists of acts in two processes; returns what they told."""
    barrier, told = context.Barrier(2), context.Queue()
    both = [context.Process(target=work, args=(project, acts, barrier, told)) for acts in (one, other)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
        assert process.exitcode == 0
    found = [told.get(timeout=60) for _ in (*one, *other)]
    return sorted(found)


def facts(workspace: Workspace) -> list[dict[str, Any]]:
    """Returns what must not depend on who came first: people are numbered as they come, so keys stand for them."""
    query = """
        SELECT value, sum(events) AS events, sum(purchases) AS purchases, round(sum(spend), 6) AS spend,
               (SELECT count(*) FROM events) AS all_events, (SELECT count(DISTINCT event_id) FROM events) AS once,
               (SELECT sum(events) FROM person_days) AS in_days, (SELECT count(*) FROM items) AS items
        FROM person_days JOIN identities USING (person_id) WHERE kind = 'customer' GROUP BY value ORDER BY value
    """
    rows: list[dict[str, Any]] = workspace.sql(query).to_pylist()
    return rows


def test_every_effect_is_there_once(
    project: Project, context: ForkServerContext, files: list[Path], tmp_path: Path
) -> None:
    first, second, third = map(str, files)
    told = side_by_side(
        context,
        project,
        [("import", first), ("import", third), ("refresh", ""), ("compact", "")],
        [("import", second), ("refresh", ""), ("refresh", ""), ("compact", "")],
    )
    assert [act for act, _ in told] == ["compact"] * 2 + ["import"] * 3 + ["refresh"] * 3
    with Project(tmp_path / "alone", "").open() as alone:
        orders = sorted(alone.import_(path).orders for path in files)
        alone.refresh()
        expected = facts(alone)
    assert sorted(number for act, number in told if act == "import") == orders
    with project.open() as workspace:
        found = facts(workspace)
        assert len(workspace.imports()) == 3
        workspace.refresh(full=True)
        assert facts(workspace) == found
    assert len(expected) > 40
    assert found == expected
    assert found[0]["in_days"] == found[0]["all_events"] == found[0]["once"]


def test_one_file_imported_by_two_is_there_once(
    project: Project, context: ForkServerContext, files: list[Path]
) -> None:
    told = side_by_side(context, project, [("import", str(files[0]))], [("import", str(files[0]))])
    counts = [number for _, number in told]
    assert counts[0] == 0 < counts[1]
    with project.open() as workspace:
        assert workspace.sql("SELECT count(DISTINCT order_id) AS n FROM events")["n"][0].as_py() == counts[1]
        assert len(workspace.imports()) in {1, 2}


def test_who_does_not_want_to_wait_is_told(project: Project, context: ForkServerContext, files: list[Path]) -> None:
    impatient = project._replace(wait_seconds=0)
    told = side_by_side(context, impatient, [("import", str(files[0]))], [("import", str(files[1]))])
    done = [number for act, number in told if act == "import"]
    with project.open() as workspace:
        orders = workspace.sql("SELECT count(DISTINCT order_id) AS n FROM events")["n"][0].as_py()
    assert done
    assert orders == sum(done)
    assert len(done) + len([act for act, _ in told if act == "import busy"]) == 2
