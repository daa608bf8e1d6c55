from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from jingzhe.core.errors import BusyError, EngineError, LakeError, StateError
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.tables import Lake
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse
from tests.store.small import (
    append,
    event,
    files_in,
    ids,
    opened,
    published,
    retracted,
    scores,
    stage_scores,
    url_in,
)  # fmt: skip
from tests.store.worker import audit, balance, hold, processes, write_some


def heads(warehouse: Warehouse) -> dict[str, int | None]:
    return {table.name: warehouse.lake.head(table) for table in warehouse.catalogue}


def test_an_empty_project_has_empty_tables(warehouse: Warehouse) -> None:
    with warehouse.reading() as session:
        assert ids(session) == []
        assert scores(session) == {}
    with pytest.raises(StateError, match="no such publication"), warehouse.reading(1):
        pass


def test_readers_see_one_publication(warehouse: Warehouse) -> None:
    assert published(warehouse, [event(1, 1)]).seq == 1
    with warehouse.reading() as session:
        published(warehouse, [event(2, 2)])
        assert ids(session) == ids(session, "items") == [1]
    with warehouse.reading() as session:
        assert ids(session) == [1, 2]
    with warehouse.reading(1) as session:
        assert ids(session) == [1]


def test_retracted_rows_and_replaced_rows_are_left_out(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 1), event(2, 1), event(1, 2)])
    retracted(warehouse, [(1, 1)])
    with warehouse.writing("scores") as writing:
        stage_scores(writing, {1: 10, 2: 20}, layer="base")
        stage_scores(writing, {2: None, 3: 30}, layer="overlay")
        assert writing.has_changes
        writing.publish("scores")
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 2]
        assert scores(session) == {1: 10, 3: 30}


def test_nothing_staged_publishes_nothing_and_adds_nothing_to_the_logs(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 1)])
    before = heads(warehouse)
    with warehouse.writing("nothing") as writing:
        assert writing.publish("nothing") is None
    assert heads(warehouse) == before


def test_rows_of_the_state_store_alone_are_a_publication(warehouse: Warehouse) -> None:
    first = published(warehouse, [event(1, 1)])
    with warehouse.writing("a definition") as writing:
        writing.also(lambda connection: warehouse.state.put_document("test", "d", {"a": 1}, connection=connection))
        second = writing.publish("a definition")
    assert second is not None
    assert (second.seq, second.tables) == (2, first.tables)
    assert warehouse.state.document("test", "d") is not None


def test_a_write_that_fails_leaves_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    published(warehouse, [event(1, 1)])
    before, files = heads(warehouse), files_in(tmp_path / "lake")

    def fails() -> None:
        with warehouse.writing("fails") as writing:
            append(writing, EVENTS, [event(2, 2)])
            writing.append(ITEMS, one("fails", "SELECT * FROM nowhere"))

    with pytest.raises(EngineError, match="nowhere"):
        fails()
    assert (heads(warehouse), files_in(tmp_path / "lake")) == (before, files)
    assert published(warehouse, [event(3, 3)]).seq == 2
    with warehouse.reading() as session:
        assert ids(session) == [1, 3]


def test_a_failure_between_two_commits_is_taken_back_once(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(warehouse, [event(1, 1)])
    commit, files = Lake.commit, files_in(tmp_path / "lake")

    def lost(self: Lake, change: object, onto: int) -> int:
        if change.table is ITEMS:  # type: ignore[attr-defined]
            raise BusyError("the lease was lost")
        return commit(self, change, onto)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "commit", lost)
    with warehouse.writing("loses the lease") as writing:
        append(writing, EVENTS, [event(2, 2)])
        append(writing, ITEMS, [event(2, 2)])
        with pytest.raises(BusyError):
            writing.publish("loses the lease")
        with pytest.raises(LakeError, match="failed, before"):
            writing.publish("again")
    monkeypatch.undo()
    assert files_in(tmp_path / "lake") == files
    assert warehouse.lake.head(EVENTS) == 2
    with warehouse.reading() as session:
        assert ids(session) == [1]
    for _ in range(3):
        with warehouse.writing("looks") as writing:
            assert ids(writing.session) == [1]
    assert warehouse.lake.head(EVENTS) == 3
    published(warehouse, [event(3, 3)])
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 3]


def test_a_failing_part_in_the_last_transaction_undoes_the_publication(warehouse: Warehouse) -> None:
    def fails(connection: Connection) -> None:
        raise RuntimeError("no")

    with warehouse.writing("fails") as writing:
        append(writing, EVENTS, [event(1, 1)])
        writing.also(fails)
        with pytest.raises(RuntimeError, match="no"):
            writing.publish("fails")
    with warehouse.reading() as session:
        assert ids(session) == []
    assert published(warehouse, [event(2, 2)]).seq == 1


def test_a_recovery_that_dies_is_recovered(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    published(warehouse, [event(1, 1)])
    published(warehouse, [event(2, 2)])
    known = warehouse.state.publication(2)
    for table in (EVENTS, ITEMS):
        warehouse.lake.restore(table, 0)
    restore = Lake.restore
    calls = []

    def dies(self: Lake, table: object, version: int) -> int:
        calls.append(restore(self, table, version))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Lake, "restore", dies)
    with pytest.raises(KeyboardInterrupt), warehouse.writing("dies"):
        pass
    monkeypatch.undo()
    with warehouse.writing("recovers") as writing:
        assert writing.before["events"] == calls[0] == known.tables["events"] + 2
        assert ids(writing.session) == ids(writing.session, "items") == [1, 2]


def test_lake_and_state_of_different_moments_are_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    published(warehouse, [event(1, 1)])
    (tmp_path / "lake" / "events" / "_delta_log" / f"{1:020}.json").unlink()
    with opened(tmp_path) as other:
        with pytest.raises(LakeError, match="ends before"), other.writing("refused"):
            pass
        with pytest.raises(LakeError, match="events cannot be read at version 1"), other.reading():
            pass


def test_a_sealed_reader(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 1)])
    retracted(warehouse, [(1, 1)])
    published(warehouse, [event(2, 1)])
    with warehouse.reading(sealed=True) as session:
        assert ids(session) == [2]
        with pytest.raises(Exception, match="file system operations are disabled"):
            session.run(one("q", "SELECT * FROM read_text('/etc/passwd')"))


def test_two_writers_exclude_each_other(warehouse: Warehouse, tmp_path: Path) -> None:
    quick = Warehouse(**{**vars(warehouse), "wait_seconds": 0.1})
    with processes() as context:
        held, enough = context.Event(), context.Event()
        other = context.Process(target=hold, args=(tmp_path, url_in(tmp_path), held, enough))
        other.start()
        assert held.wait(120)
        with pytest.raises(BusyError) as caught, quick.writing("mine"):
            pass
        assert f"process {other.pid}" in str(caught.value)
        assert "the other's import" in str(caught.value)
        with quick.reading() as session:
            assert ids(session) == []
        enough.set()
        other.join(120)
        assert other.exitcode == 0
    assert published(quick, [event(1, 1)]).seq == 1


@pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_a_reader_beside_a_writer_always_sees_one_moment(warehouse: Warehouse, tmp_path: Path, count: int) -> None:
    with processes() as context:
        writer = context.Process(target=write_some, args=(tmp_path, url_in(tmp_path), count))
        writer.start()
        seen = []
        while writer.is_alive():
            seen.append(balance(warehouse))
        writer.join()
        assert writer.exitcode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > count // 12
    assert audit(warehouse) == count
