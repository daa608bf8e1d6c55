"""The lake in an object store: the same as in a folder, also when writers race, fail or are killed."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue

import pytest

from jingzhe.core.errors import EngineError, LakeError
from jingzhe.store.bucket import bucket_at
from jingzhe.store.engine import WrittenFile
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.erase import erase
from jingzhe.store.lake.tables import Change, Lake
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import Step, one
from jingzhe.store.warehouse import Warehouse
from tests.s3 import Place, bucket, s3_server
from tests.store.killing import kill_writers
from tests.store.small import (
    SCORES,
    Elsewhere,
    append,
    event,
    ids,
    live_in,
    opened,
    published,
    retracted,
    scores,
    stage_scores,
    stored_in,
    url_in,
)  # fmt: skip
from tests.store.worker import processes

__all__ = ["bucket", "s3_server"]
ROUNDS = 8


@pytest.fixture
def elsewhere(bucket: Place) -> Elsewhere:
    return Elsewhere(bucket.url, bucket.options)


@pytest.fixture
def afar(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Warehouse]:
    """An empty warehouse whose lake is in an object store."""
    with opened(tmp_path / "afar", elsewhere=elsewhere) as found:
        yield found


def history(warehouse: Warehouse) -> list[tuple[list[int], list[int], dict[int, int]]]:
    """Does everything that can be done to a lake; returns what readers see after each step."""
    seen = []

    def look() -> None:
        with warehouse.reading() as session:
            seen.append((ids(session), ids(session, "items"), scores(session)))

    published(warehouse, [event(1, 1), event(2, 2), event(3, 3)])
    look()
    retracted(warehouse, [(2, 2)])
    with warehouse.writing("scores") as writing:
        stage_scores(writing, {1: 10, 2: 20, 3: 30}, layer="base")
        stage_scores(writing, {2: None, 3: 31}, layer="overlay")
        writing.publish("scores")
    look()
    published(warehouse, [event(4, 1), event(5, 3)])
    look()
    assert compact(warehouse, keep_after_batch=None, file_bytes=1).folded == 1
    look()
    assert erase(warehouse, [3]).rows["events"] == 2
    look()
    vacuum(warehouse, keep_hours=0)
    look()
    return seen


def test_every_act_does_what_it_does_in_a_folder(afar: Warehouse, tmp_path: Path) -> None:
    with opened(tmp_path / "here") as here:
        assert history(afar) == history(here)
        assert len(stored_in(afar)) == len(stored_in(here))
    assert stored_in(afar) == live_in(afar)
    assert not (tmp_path / "afar" / "lake").exists()


def test_another_machine_sees_the_same(afar: Warehouse, elsewhere: Elsewhere, tmp_path: Path) -> None:
    published(afar, [event(1, 1), event(2, 2)])
    # Another folder, so nothing is at hand; only the state store is common.
    with opened(tmp_path / "other", url_in(tmp_path / "afar"), elsewhere=elsewhere) as other:
        with other.reading() as session:
            assert ids(session) == ids(session, "items") == [1, 2]
        published(other, [event(3, 3)])
    with afar.reading() as session:
        assert ids(session) == [1, 2, 3]
    with afar.reading(1) as session:
        assert ids(session) == [1, 2]


def test_a_lake_moves_by_being_copied(tmp_path: Path, elsewhere: Elsewhere) -> None:
    with opened(tmp_path) as here:
        published(here, [event(1, 1), event(2, 2)])
        root = Path(here.lake.root)
    store = bucket_at(elsewhere.url, elsewhere.options)
    for file in root.rglob("*.*"):
        store.put(file, f"{store.root}/{file.relative_to(root).as_posix()}")
    with opened(tmp_path, elsewhere=elsewhere) as there:
        published(there, [event(3, 3)])
        with there.reading() as session:
            assert ids(session) == ids(session, "items") == [1, 2, 3]


def test_a_sealed_reader_reads_the_lake_and_nothing_else(afar: Warehouse) -> None:
    published(afar, [event(1, 1), event(2, 2)])
    with afar.reading(sealed=True) as session:
        for sql in ("SELECT count(*) AS n FROM Events", "SELECT count(*) AS n FROM query_table('ite' || 'ms')"):
            assert session.run(one("q", sql))["n"][0].as_py() == 2
        with pytest.raises(EngineError, match="file system operations are disabled"):
            session.run(one("q", "SELECT * FROM read_text('/etc/passwd')"))


def test_only_the_tables_that_a_query_names_are_fetched(afar: Warehouse, elsewhere: Elsewhere, tmp_path: Path) -> None:
    published(afar, [event(1, 1)])
    with opened(tmp_path / "other", url_in(tmp_path / "afar"), elsewhere=elsewhere) as other:
        with other.reading() as session:
            assert ids(session) == [1]
        copies = (tmp_path / "other" / "cache").rglob("*.parquet")
        assert {path.parent.name for path in copies} == {"events"}


def test_a_table_attached_anew_is_read_anew_through_what_was_made_of_it(afar: Warehouse) -> None:
    first, second = published(afar, [event(1, 1)]), published(afar, [event(2, 2)])
    with afar.reading(first.seq) as session:
        session.show(Step("shown", "SELECT event_id FROM events"))
        assert session.run(one("q", "SELECT count(*) AS n FROM shown"))["n"][0].as_py() == 1
        session.attach(afar.lake.source(EVENTS, second.tables["events"]))
        assert session.run(one("q", "SELECT count(*) AS n FROM shown"))["n"][0].as_py() == 2


def test_a_write_that_fails_leaves_no_object(afar: Warehouse) -> None:
    published(afar, [event(1, 1)])
    before = stored_in(afar)

    def fails() -> None:
        with afar.writing("fails") as writing:
            append(writing, EVENTS, [event(2, 2)])
            assert len(stored_in(afar)) == len(before) + 1
            writing.append(ITEMS, one("fails", "SELECT * FROM nowhere"))

    with pytest.raises(EngineError, match="nowhere"):
        fails()
    assert stored_in(afar) == before
    with afar.writing("none") as writing:
        nothing = writing.write(SCORES, one("none", "SELECT 1 AS person_id, 1 AS score, false AS gone WHERE false"))
    assert nothing == ()
    assert stored_in(afar) == before


def race(elsewhere: Elsewhere, who: int, barrier: Barrier, results: Queue[tuple[int, int, bool]]) -> None:
    """Tries to be the one who makes each version."""
    lake = Lake(elsewhere.url, elsewhere.options)
    for onto in range(ROUNDS):
        file = WrittenFile(f"{lake.folder(SCORES)}/{who}-{onto}.parquet", 1, 10)
        barrier.wait(120)
        try:
            won = lake.commit(Change(SCORES, (file,)), onto) == onto + 1
        except LakeError:
            won = False
        results.put((onto, who, won))
        barrier.wait(120)


def test_exactly_one_of_two_processes_has_a_version(elsewhere: Elsewhere) -> None:
    lake = Lake(elsewhere.url, elsewhere.options)
    lake.create(SCORES)
    with processes() as context:
        barrier, results = context.Barrier(2), context.Queue()
        racers = [context.Process(target=race, args=(elsewhere, who, barrier, results)) for who in (1, 2)]
        for racer in racers:
            racer.start()
        told = [results.get(timeout=120) for _ in range(2 * ROUNDS)]
        for racer in racers:
            racer.join(120)
            assert racer.exitcode == 0
    winners = sorted((onto, who) for onto, who, won in told if won)
    assert [onto for onto, _ in winners] == list(range(ROUNDS))
    assert {file.name for file in lake.files(SCORES, ROUNDS)} == {f"{who}-{onto}.parquet" for onto, who in winners}


def test_killed_writers(tmp_path: Path, elsewhere: Elsewhere) -> None:
    kill_writers(tmp_path, url_in(tmp_path), times=5, seed=3, elsewhere=elsewhere)
