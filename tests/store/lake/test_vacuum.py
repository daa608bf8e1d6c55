from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import EngineError, LakeError
from jingzhe.store.facts import EVENTS
from jingzhe.store.lake import tables
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.warehouse import Warehouse
from tests.store.small import (
    CATALOGUE,
    NOON,
    append,
    event,
    files_in,
    ids,
    live_in,
    opened,
    published,
    stored_in,
)


def test_publications_are_kept_for_a_while_after_they_were_replaced(
    warehouse: Warehouse, clock: FixedClock, tmp_path: Path
) -> None:
    published(warehouse, [event(1, 1)])
    clock.moment = NOON + timedelta(hours=30)
    published(warehouse, [event(2, 2)])
    clock.moment = NOON + timedelta(hours=31)
    compact(warehouse, keep_after_batch=None)
    # The first publication is 31 hours old, but somebody may have opened it an hour ago.
    assert vacuum(warehouse, keep_hours=24) == []
    with warehouse.reading(1) as session:
        assert ids(session) == [1]
        clock.moment = NOON + timedelta(hours=54, minutes=30)
        assert vacuum(warehouse, keep_hours=24) == []
        assert ids(session) == [1]
    with pytest.raises(LakeError, match="publication 1 was vacuumed") as caught, warehouse.reading(1):
        pass
    assert "oldest that can be read is 2" in str(caught.value)
    with warehouse.reading(2) as session:
        assert ids(session) == [1, 2]
    removed = vacuum(warehouse, keep_hours=0)
    assert len(removed) == 4
    assert {name.split("/")[0] for name in removed} == {"events", "items"}
    assert len(files_in(tmp_path / "lake")) == 2
    with warehouse.reading() as session:
        assert ids(session) == [1, 2]


def test_litter_of_killed_writers_goes_at_once(warehouse: Warehouse, tmp_path: Path) -> None:
    published(warehouse, [event(1, 1)])
    folder = tmp_path / "lake" / "events"
    (folder / "part-0.parquet").write_bytes(b"half")
    (folder / "tmp_part-1.parquet").write_bytes(b"half")
    (folder / "_delta_log" / "_commit_1.json.tmp").write_bytes(b"half")
    assert len(vacuum(warehouse, keep_hours=1000)) == 3
    assert len(files_in(tmp_path / "lake")) == 2
    with warehouse.reading() as session:
        assert ids(session) == [1]


def test_what_was_committed_and_never_published_goes_at_once(warehouse: Warehouse) -> None:
    published(warehouse, [event(1, 1)])

    def die(connection: object) -> None:
        raise EngineError("the writer dies between its commits and its publication")

    with warehouse.writing("dies") as writing:
        append(writing, EVENTS, [event(2, 2)])
        writing.also(die)
        with pytest.raises(EngineError):
            writing.publish("dies")
    assert len(stored_in(warehouse)) == 3
    vacuum(warehouse, keep_hours=0)
    assert stored_in(warehouse) == live_in(warehouse)
    with warehouse.reading() as session:
        assert ids(session) == ids(session, "items") == [1]


@pytest.fixture
def short_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tables._CONFIGURATION, "delta.checkpointInterval", "4")
    monkeypatch.setattr("jingzhe.store.lake.vacuum._LONG_LOG", 4)


@pytest.mark.usefixtures("short_logs")
def test_logs_do_not_grow_for_ever(warehouse: Warehouse, tmp_path: Path) -> None:
    logs = tmp_path / "lake" / "events" / "_delta_log"
    for number in range(6):
        published(warehouse, [event(number, number)])
    assert len(list(logs.glob("*.json"))) == 7
    vacuum(warehouse, keep_hours=0)
    assert len(list(logs.glob("*.json"))) == 1
    with opened(tmp_path) as other:
        published(other, [event(100, 1)])
        with other.reading() as session:
            assert len(ids(session)) == 7


@pytest.mark.usefixtures("short_logs")
def test_old_versions_are_read_when_the_log_has_lost_its_beginning(
    warehouse: Warehouse, clock: FixedClock, tmp_path: Path
) -> None:
    for number in range(13):
        clock.moment = NOON + timedelta(hours=number)
        published(warehouse, [event(number, number)])
    vacuum(warehouse, keep_hours=6.5)
    logs = tmp_path / "lake" / "events" / "_delta_log"
    assert len(list(logs.glob("*.json"))) < 12
    with opened(tmp_path) as other:
        for seq in range(6, 14):
            with other.reading(seq) as session:
                assert len(ids(session)) == seq


def test_an_empty_lake(warehouse: Warehouse) -> None:
    assert vacuum(warehouse, keep_hours=0) == []
    with warehouse.writing("nothing") as writing:
        assert set(writing.before) == set(CATALOGUE.tables)
