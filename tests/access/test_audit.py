from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jingzhe.access import audit
from jingzhe.access.actor import MACHINE, NOBODY
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import audit as rows
from jingzhe.store.state.access_tables import audit_end
from tests.access.conftest import NOON


def write(state: State, count: int, at: datetime = NOON) -> None:
    for number in range(count):
        with state.writing() as connection:
            audit.record(connection, at, MACHINE, "test.done", f"subject {number}", details={"n": number, "字": "雷"})


def test_an_empty_trail_is_whole(state: State) -> None:
    assert audit.verify(state) == audit.Verdict(True, 0, audit.BEGINNING)


def test_a_trail_is_whole_and_ends_where_it_was_noted(state: State) -> None:
    write(state, 3)
    half = audit.verify(state)
    write(state, 2)
    found = audit.verify(state, noted=(half.rows, half.end))
    assert (found.whole, found.rows) == (True, 5)
    assert [row.number for row in audit.rows(state, limit=2)] == [5, 4]
    assert [row.number for row in audit.rows(state, before=3)] == [2, 1]
    assert audit.rows(state, actor=NOBODY.label) == []


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize(
    "changed",
    [
        {"actor": "account:acc_other"}, {"action": "test.undone"}, {"subject": "subject 9"}, {"details": "{}"},
        {"at": NOON + timedelta(microseconds=1)}, {"previous": "f" * 64}, {"hash": "f" * 64},
    ],
)  # fmt: skip
def test_a_row_that_was_changed_is_named(state: State, number: int, changed: dict[str, Any]) -> None:
    write(state, 5)
    with state.writing() as connection:
        connection.execute(sa.update(rows).where(rows.c.number == number).values(changed))
    found = audit.verify(state)
    assert (found.whole, found.broken_at, found.rows) == (False, number, number - 1)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_row_that_is_gone_is_missed(state: State, number: int) -> None:
    write(state, 5)
    with state.writing() as connection:
        connection.execute(sa.delete(rows).where(rows.c.number == number))
    assert audit.verify(state).broken_at == number


def test_rows_that_were_cut_off_with_a_forged_end_are_missed_by_what_was_noted(state: State) -> None:
    write(state, 5)
    end = audit.verify(state)
    with state.writing() as connection:
        connection.execute(sa.delete(rows).where(rows.c.number > 3))
        last = connection.scalar(sa.select(rows.c.hash).where(rows.c.number == 3))
        connection.execute(sa.update(audit_end).values(number=3, hash=last))
    assert audit.verify(state).whole
    found = audit.verify(state, noted=(end.rows, end.end))
    assert (found.whole, found.broken_at) == (False, 4)


def test_a_chain_that_was_forged_from_the_middle_is_missed_by_what_was_noted(state: State) -> None:
    write(state, 4)
    noted = audit.verify(state)
    with state.writing() as connection:
        connection.execute(sa.delete(rows).where(rows.c.number > 2))
        last = connection.scalar(sa.select(rows.c.hash).where(rows.c.number == 2))
        connection.execute(sa.update(audit_end).values(number=2, hash=last))
    write(state, 4, NOON + timedelta(days=1))
    assert audit.verify(state).whole
    assert audit.verify(state, noted=(noted.rows, noted.end)).broken_at == 4


def test_what_is_undone_leaves_no_row(state: State) -> None:
    def fail() -> None:
        with state.writing() as connection:
            audit.record(connection, NOON, MACHINE, "test.done")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    write(state, 1)
    assert audit.verify(state) == audit.Verdict(True, 1, audit.rows(state)[0].hash)


def test_many_writers_make_one_chain(state_url: str, clock: FixedClock) -> None:
    State.open(state_url, clock=clock).close()

    def write_some(_: int) -> None:
        with State.open(state_url, clock=clock) as state:
            write(state, 15)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_some, range(4)))
    with State.open(state_url, clock=clock) as state:
        found = audit.verify(state)
    assert (found.whole, found.rows) == (True, 60)
