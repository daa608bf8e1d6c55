from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jingzhe.core.errors import LakeError, SettingError
from jingzhe.store.catalogue import Column
from jingzhe.store.engine import WrittenFile
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.facts import EVENTS
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import Change, Lake, in_order
from jingzhe.store.query import one
from tests.store.small import SCORES


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture(scope="module")
def engine_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckSession]:
    with DuckEngine(tmp_path_factory.mktemp("work"), memory_limit_mb=300, threads=1).session() as session:
        yield session


def scored(session: DuckSession, lake: Lake, low: int, high: int, *, gone: bool = False) -> tuple[WrittenFile, ...]:
    sql = f"SELECT i AS person_id, i AS score, {gone} AS gone FROM range({low}, {high}) AS numbers(i)"
    return tuple(session.write(one("scored", sql), SCORES, lake.folder(SCORES), ordered=True))


def seen(session: DuckSession, lake: Lake, version: int | None) -> list[int]:
    session.attach(lake.source(SCORES, version))
    return [int(n) for n in session.run(one("q", "SELECT person_id AS n FROM scores ORDER BY n"))["n"].to_pylist()]


def test_append_replace_overlay_remove_and_restore(lake: Lake, engine_session: DuckSession) -> None:
    session = engine_session
    assert lake.head(SCORES) is None
    assert seen(session, lake, None) == []
    v0 = lake.create(SCORES)
    assert lake.create(SCORES) == v0 == 0
    v1 = lake.commit(Change(SCORES, scored(session, lake, 0, 3)), v0)
    v2 = lake.commit(Change(SCORES, scored(session, lake, 3, 5)), v1)
    v3 = lake.commit(Change(SCORES, scored(session, lake, 1, 2, gone=True), "overlay", replace=True), v2)
    v4 = lake.commit(Change(SCORES, scored(session, lake, 4, 7), "overlay", replace=True), v3)
    v5 = lake.commit(Change(SCORES, scored(session, lake, 10, 12), replace=True), v4)
    last = lake.files(SCORES, v2)[0]
    v6 = lake.restore(SCORES, v2)
    v7 = lake.commit(Change(SCORES, (), removed=(last,)), v6)
    assert [seen(session, lake, version) for version in (v0, v1, v2, v3, v4, v5)] == [
        [], [0, 1, 2], [0, 1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6], [10, 11],
    ]  # fmt: skip
    assert seen(session, lake, v6) == seen(session, lake, v2)
    assert lake.equal(SCORES, v6, v2)
    assert not lake.equal(SCORES, v6, v1)
    assert len(seen(session, lake, v7)) == 5 - last.rows
    assert lake.rows(SCORES, v4) == (5, 3)
    assert lake.rows(SCORES, v5) == (2, 0)
    assert lake.head(SCORES) == v7


def test_the_log_is_plain_delta_and_knows_the_range_of_people(lake: Lake, engine_session: DuckSession) -> None:
    version = lake.commit(Change(SCORES, scored(engine_session, lake, 5, 9)), lake.create(SCORES))
    delta = DeltaTable(lake.folder(SCORES))
    assert delta.metadata().name == "scores"
    (action,) = [
        json.loads(line)["add"]
        for line in (Path(lake.folder(SCORES)) / "_delta_log" / f"{version:020}.json").read_text().splitlines()
        if "add" in json.loads(line)
    ]
    known = json.loads(action["stats"])
    assert (known["minValues"]["person_id"], known["maxValues"]["person_id"], known["numRecords"]) == (5, 8, 4)
    (file,) = lake.files(SCORES, version)
    assert (file.low, file.high, file.rows, file.is_sorted) == (5, 8, 4, True)


def test_a_commit_that_comes_too_late_is_refused(lake: Lake, engine_session: DuckSession) -> None:
    v0 = lake.create(SCORES)
    lake.commit(Change(SCORES, scored(engine_session, lake, 0, 3)), v0)
    with pytest.raises(LakeError, match="cannot be written"):
        lake.commit(Change(SCORES, scored(engine_session, lake, 3, 5)), v0)
    assert lake.head(SCORES) == 1


def test_long_logs_are_summarised(lake: Lake) -> None:
    version = lake.create(SCORES)
    for number in range(45):
        file = WrittenFile(f"{lake.folder(SCORES)}/{number}.parquet", 1, 10)
        version = lake.commit(Change(SCORES, (file,)), version)
    assert len(list((Path(lake.folder(SCORES)) / "_delta_log").glob("*.checkpoint.parquet"))) == 2
    assert len(lake.files(SCORES, 45)) == 45
    assert len(Lake(lake.root).files(SCORES, 7)) == 7


@pytest.mark.parametrize("name", ["a b", "客户", "it's", "100%", "q?#x"])
def test_folders_of_any_name(tmp_path: Path, engine_session: DuckSession, name: str) -> None:
    lake = Lake(str(tmp_path / name / "lake"))
    version = lake.commit(Change(SCORES, scored(engine_session, lake, 0, 3)), lake.create(SCORES))
    assert seen(engine_session, lake, version) == [0, 1, 2]
    assert [name for name in lake.listed(SCORES) if name.endswith(".json")]


def test_a_folder_whose_name_delta_cannot_keep_apart(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="percent"):
        Lake(str(tmp_path / "a%20b"))


def test_errors_name_the_table(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="scores cannot be read at version 3"):
        lake.files(SCORES, 3)
    lake.create(SCORES)
    wider = SCORES.with_columns([Column("more", "BIGINT", "another")])
    with pytest.raises(LakeError, match=r"other columns: \['more'\]"):
        lake.create(wider)
    with pytest.raises(LakeError, match="folder"):
        lake.commit(Change(SCORES, (WrittenFile(f"{lake.root}/scores2/x.parquet", 1, 1),)), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="events"):
        Lake(str(tmp_path / "file")).create(EVENTS)


def test_in_order() -> None:
    def file(name: str, low: int | None, high: int | None) -> LiveFile:
        return LiveFile(f"/t/{name}", name, 1, 1, "base", low, high)

    assert in_order([])
    assert in_order([file("sorted-b", 5, 9), file("sorted-a", 0, 4)])
    assert not in_order([file("sorted-b", 4, 9), file("sorted-a", 0, 4)])
    assert not in_order([file("part-b", 5, 9)])
    assert not in_order([file("sorted-b", None, None)])
