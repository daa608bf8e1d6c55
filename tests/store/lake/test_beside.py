"""Compaction beside writers: whatever others do in the middle of it, readers see all of that and nothing else.

What others do happens at a fixed moment, when the compaction tells that it begins with a table.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue

import pyarrow as pa
import pytest
import sqlalchemy as sa

from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import BusyError, JingzheError
from jingzhe.core.progress import Silent
from jingzhe.store.facts import EVENTS, OVERRIDES
from jingzhe.store.lake import beside
from jingzhe.store.lake.beside import TURN, WANTED
from jingzhe.store.lake.compact import Compacted, compact
from jingzhe.store.lake.erase import erase, erase_rows
from jingzhe.store.lake.tail import gather_tail
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import one
from jingzhe.store.state.identity_tables import identity_touched
from jingzhe.store.warehouse import Warehouse
from tests.store.small import (
    NOON,
    SCORES,
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
)
from tests.store.state.conftest import postgres_server, postgres_url, state_url
from tests.store.test_stalled_writers import LEASE_SECONDS, short_leases
from tests.store.worker import processes

__all__ = ["postgres_server", "postgres_url", "state_url"]


class Meanwhile(Silent):
    """Has others do something, once, when a compaction begins with a table."""

    def __init__(self, table: str, act: Callable[[], object]) -> None:
        self.table, self.act, self.times = table, act, 0

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        del total, unit
        if name == f"compacting {self.table}" and not self.times:
            self.times += 1
            self.act()


def compacted(warehouse: Warehouse, table: str, act: Callable[[], object], **how: object) -> Compacted:
    """Compacts all, while others do something when ``table`` is under way."""
    meanwhile = Meanwhile(table, act)
    done = compact(warehouse, **{"keep_after_batch": None, **how}, progress=meanwhile)  # type: ignore[arg-type]
    assert meanwhile.times == 1
    return done


def stored(warehouse: Warehouse, name: str = "events") -> list[int]:
    """Returns the people of the rows that stand in the files of a table, hidden ones included."""
    latest = warehouse.state.latest()
    assert latest is not None
    table = warehouse.catalogue[name]
    with warehouse.reading() as session:
        session.attach_stored(
            "all_rows", table, [file.path for file in warehouse.lake.files(table, latest.tables[name])]
        )
        people = session.run(one("p", "SELECT person_id FROM all_rows ORDER BY ALL"))["person_id"].to_pylist()
    return [int(person) for person in people]


def test_new_rows_stay_beside_what_was_compacted(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3)])
    published(warehouse, [event(3, 5)])
    done = compacted(warehouse, "items", lambda: published(warehouse, [event(4, 1)]))
    assert done.tables == ("events", "items")
    assert (done.publication, done.given_up) == (4, ())
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 2, 3, 4]
    latest = warehouse.state.latest()
    assert latest is not None
    assert sorted(file.rows for file in warehouse.lake.files(EVENTS, latest.tables["events"])) == [1, 3]


def test_a_correction_that_comes_meanwhile_holds(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3), event(3, 5)])
    retracted(warehouse, [(2, 3)])
    done = compacted(warehouse, "items", lambda: retracted(warehouse, [(3, 5)]))
    assert (done.folded, done.given_up) == (1, ())
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1]
        assert session.run(one("r", "SELECT event_id FROM retractions")).to_pylist() == [{"event_id": 3}]
    assert compact(warehouse, keep_after_batch=None).folded == 1
    assert stored(warehouse) == [9]


def test_a_row_that_a_folded_correction_hides_does_not_come_back(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9), event(2, 3)])
    retracted(warehouse, [(2, 3)])
    compacted(warehouse, "items", lambda: published(warehouse, [event(2, 3), event(4, 4)]))
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 4]


def test_somebody_erased_meanwhile_does_not_come_back(warehouse: Warehouse, tmp_path: Path) -> None:
    name = "Zhang Wei of Hangzhou"
    published(warehouse, [event(1, 9, order_id=name), event(2, 3)])
    published(warehouse, [event(3, 5)])
    done = compacted(warehouse, "items", lambda: erase_rows(warehouse, [9]))
    assert done.given_up == ()  # the second attempt
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [2, 3]
    vacuum(warehouse, keep_hours=0, urgent=True)
    assert stored_in(warehouse) == live_in(warehouse)
    assert not [path for path in (tmp_path / "lake").rglob("*.parquet") if name.encode() in path.read_bytes()]


def test_a_table_that_never_rests_is_given_up_and_others_are_not(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jingzhe.store.lake.compact._ATTEMPTS", 1)
    with warehouse.writing("base") as writing:
        stage_scores(writing, {3: 30, 1: 10}, layer="base")
        writing.publish("base")
    with warehouse.writing("overlay") as writing:
        stage_scores(writing, {2: 20}, layer="overlay")
        writing.publish("overlay")
    published(warehouse, [event(1, 9)])
    published(warehouse, [event(2, 3)])
    done = compacted(warehouse, "events", lambda: erase_rows(warehouse, [9]))
    assert done.tables == ("scores",)
    assert done.given_up[0].startswith("events: events was written anew")
    with warehouse.reading() as session:
        assert ids(session) == [2]
        assert scores(session) == {1: 10, 2: 20, 3: 30}
    assert stored_in(warehouse) > live_in(warehouse)
    vacuum(warehouse, keep_hours=0)
    assert stored_in(warehouse) == live_in(warehouse)


def layered(warehouse: Warehouse) -> None:
    with warehouse.writing("base") as writing:
        stage_scores(writing, {3: 30, 1: 10, 2: 20}, layer="base")
        writing.publish("base")
    with warehouse.writing("overlay") as writing:
        stage_scores(writing, {2: None, 3: 31}, layer="overlay")
        writing.publish("overlay")


def replaced(warehouse: Warehouse, rows: dict[int, int | None], layer: str) -> None:
    with warehouse.writing("other scores") as writing:
        stage_scores(writing, rows, layer=layer)
        writing.publish("other scores")


@pytest.mark.parametrize(
    ("rows", "layer", "expected"),
    [
        # An overlay that grew goes on top of the new base; one that was made otherwise, or a new base, is left alone.
        ({2: 22, 3: None, 4: 40}, "overlay", {1: 10, 2: 22, 4: 40}),
        ({4: 40}, "overlay", {1: 10, 2: 20, 3: 30, 4: 40}),
        ({7: 70}, "base", {7: 70}),
    ],
)
def test_a_layered_table_that_changes_meanwhile(
    warehouse: Warehouse, rows: dict[int, int | None], layer: str, expected: dict[int, int]
) -> None:
    layered(warehouse)
    done = compacted(warehouse, "scores", lambda: replaced(warehouse, rows, layer))
    assert done.given_up == ()
    with warehouse.reading() as session:
        assert scores(session) == expected
    compact(warehouse, keep_after_batch=None)
    with warehouse.reading() as session:
        assert scores(session) == expected
    latest = warehouse.state.latest()
    assert latest is not None
    assert warehouse.lake.rows(SCORES, latest.tables["scores"]) == (len(expected), 0)


def test_somebody_erased_from_an_overlay_meanwhile_does_not_come_back(warehouse: Warehouse) -> None:
    layered(warehouse)
    replaced(warehouse, {2: None, 3: 31, 4: 40}, "overlay")
    compacted(warehouse, "scores", lambda: erase_rows(warehouse, [4]))
    with warehouse.reading() as session:
        assert scores(session) == {1: 10, 3: 31}
    assert 4 not in stored(warehouse, "scores")


def stand(warehouse: Warehouse, pairs: dict[int, int]) -> None:
    """Publishes who stands for whom, long ago."""
    data = pa.table(
        {
            "old_person": pa.array(pairs, pa.int64()),
            "new_person": pa.array(pairs.values(), pa.int64()),
            "moved_at": pa.array([NOON - timedelta(days=90)] * len(pairs), pa.timestamp("us", tz="UTC")),
            "gone": pa.array([False] * len(pairs), pa.bool_()),
        }
    )
    with warehouse.writing("merges") as writing:
        writing.session.offer("pairs", data)
        files = writing.write(OVERRIDES, one("pairs_now", "SELECT * FROM pairs"))
        writing.stage(OVERRIDES, files, replace=True)
        writing.publish("merges")


def people(warehouse: Warehouse) -> list[int]:
    with warehouse.reading() as session:
        rows = session.run(one("who", "SELECT person_id FROM events ORDER BY ALL"))["person_id"].to_pylist()
    return [int(person) for person in rows]


def test_a_merge_that_is_undone_meanwhile_gives_everybody_their_own(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 5), event(2, 9)])
    published(warehouse, [event(3, 6)])
    stand(warehouse, {5: 9, 6: 9})
    assert people(warehouse) == [9, 9, 9]
    done = compacted(warehouse, "items", lambda: stand(warehouse, {6: 9}), moved_before=NOON)
    assert people(warehouse) == [5, 9, 9]
    assert done.people == 1
    assert stored(warehouse) == [5, 9, 9]


def test_an_undone_merge_of_which_the_lake_has_not_heard_is_left_alone(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 5), event(2, 9)])
    published(warehouse, [event(3, 6)])
    stand(warehouse, {5: 9, 6: 9})

    def undo() -> None:
        with warehouse.state.writing() as connection:
            connection.execute(sa.insert(identity_touched).values(change=1, person_id=5))

    compacted(warehouse, "items", undo, moved_before=NOON)
    assert stored(warehouse) == [5, 9, 9]
    stand(warehouse, {6: 9})
    assert people(warehouse) == [5, 9, 9]


def test_a_correction_of_somebody_who_is_folded_in_meanwhile_holds(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 5), event(2, 9)])
    published(warehouse, [event(3, 6)])
    stand(warehouse, {5: 9})
    # Under the person as the event is filed at that moment.
    compacted(warehouse, "items", lambda: retracted(warehouse, [(1, 5)]), moved_before=NOON, keep_after_batch=0)
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [2, 3]
    assert stored(warehouse) == [6, 9, 9]


def test_small_files_wait_for_the_end_of_a_compaction(warehouse: Warehouse) -> None:
    for number in range(4):
        published(warehouse, [event(number, 1)])
    gathered: list[int] = []
    compacted(warehouse, "events", lambda: gathered.append(gather_tail(warehouse, [EVENTS], fan_in=2).files))
    assert gathered == [0]


def test_vacuum_waits_for_a_compaction_and_its_files_stay(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9)])
    published(warehouse, [event(2, 3)])

    def try_to() -> None:
        with pytest.raises(BusyError, match="compaction"):
            vacuum(replace(warehouse, wait_seconds=0), keep_hours=0)
        published(warehouse, [event(3, 5)])

    compacted(warehouse, "items", try_to)
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1, 2, 3]


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a compaction look many times, in a pause of a second, whether it is to end."""
    monkeypatch.setattr(beside, "_LOOK_SECONDS", 0.05)


@pytest.mark.usefixtures("looking_often")
def test_an_erasure_does_not_wait_for_a_compaction(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9)])
    published(warehouse, [event(2, 3)])
    erasing = threading.Thread(target=erase, args=(warehouse, [3]))

    def begin() -> None:
        erasing.start()
        give_up = time.monotonic() + 20
        while not warehouse.state.is_leased(WANTED) and time.monotonic() < give_up:
            time.sleep(0.05)
        time.sleep(1.5)

    with pytest.raises(BusyError, match="somebody was erased"):
        compacted(warehouse, "items", begin)
    erasing.join(120)
    assert stored_in(warehouse) == live_in(warehouse)
    assert stored(warehouse) == [9]


@pytest.mark.usefixtures("looking_often")
def test_a_compaction_stops_when_it_is_told(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 9)])
    published(warehouse, [event(2, 3)])
    with pytest.raises(BusyError, match="the process is ending"):
        compacted(warehouse, "events", lambda: time.sleep(1.5), stopping=lambda: True)
    assert stored_in(warehouse) == live_in(warehouse)
    assert not warehouse.state.is_leased(TURN)


def compact_late(folder: Path, url: str, held: Event, awake: Event, told: Queue[str]) -> None:
    """Compacts, is stopped when the first table is written, and tells how that ended."""

    def wait() -> None:
        held.set()
        awake.wait(120)

    with short_leases(), opened(folder, url, clock=SystemClock()) as warehouse:
        try:
            compacted(warehouse, "items", wait)
            told.put("compacted")
        except JingzheError as error:
            told.put(error.code)


def test_one_that_was_stopped_for_long_is_told_that_its_files_are_gone(tmp_path: Path, state_url: str) -> None:
    with short_leases(), opened(tmp_path, state_url, clock=SystemClock()) as warehouse, processes() as context:
        published(warehouse, [event(1, 9)])
        published(warehouse, [event(2, 3)])
        held, awake, told = context.Event(), context.Event(), context.Queue()
        late = context.Process(target=compact_late, args=(tmp_path, state_url, held, awake, told))
        late.start()
        assert held.wait(120)
        assert late.pid is not None
        assert stored_in(warehouse) > live_in(warehouse)
        begun = time.monotonic()
        os.kill(late.pid, signal.SIGSTOP)
        published(warehouse, [event(3, 5)])  # nobody who writes waits for it
        vacuum(warehouse, keep_hours=0)
        assert LEASE_SECONDS / 4 < time.monotonic() - begun < 8 * LEASE_SECONDS
        assert stored_in(warehouse) == live_in(warehouse)
        os.kill(late.pid, signal.SIGCONT)
        awake.set()
        assert told.get(timeout=120) == "busy"
        late.join(120)
        with warehouse.reading() as session:
            assert ids(session) == ids(session, "items") == [1, 2, 3]


def compact_for_ever(folder: Path, begun: Event) -> None:
    with opened(folder, url_in(folder), clock=SystemClock()) as warehouse:
        for _ in range(10**6):
            with warehouse.writing("something to do") as writing:
                append(writing, EVENTS, [event(1, 1)])
                writing.publish("something to do")
            begun.set()
            compact(warehouse, keep_after_batch=None)


def test_what_a_killed_compaction_leaves_is_removed_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, clock=SystemClock()) as warehouse, processes() as context:
        for number in range(3):
            begun = context.Event()
            other = context.Process(target=compact_for_ever, args=(tmp_path, begun))
            other.start()
            assert begun.wait(120)
            time.sleep(0.3 + 0.17 * number)
            other.kill()
            other.join()
            vacuum(warehouse, keep_hours=0)
            assert stored_in(warehouse) == live_in(warehouse)
            with warehouse.reading() as session:
                assert set(ids(session)) == {1}
