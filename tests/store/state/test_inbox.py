from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jingzhe.core.errors import StateError
from jingzhe.store.state.inbox import Depth, Group, Inbox


@pytest.fixture
def inbox(state_url: str) -> Iterator[Inbox]:
    with Inbox.open(state_url) as opened:
        yield opened


def put(inbox: Inbox, *sizes: int) -> None:
    for size in sizes:
        inbox.append(Group(1, size, 1000 + size, b"\x00" * size))


def test_rows_come_out_in_order_and_once_deleted_never_again(inbox: Inbox) -> None:
    put(inbox, 3, 4, 5)
    rows = inbox.take(events=100)
    assert [(row.events, len(row.payload)) for row in rows] == [(3, 3), (4, 4), (5, 5)]
    assert inbox.depth() == Depth(3, 12, 12, 1003)
    inbox.delete([row.number for row in rows])
    inbox.delete([row.number for row in rows])
    assert inbox.depth() == Depth(0, 0, 0, None)
    put(inbox, 1)
    assert inbox.take(events=1)[0].number > rows[-1].number


def test_as_many_as_asked_for_and_at_least_one(inbox: Inbox) -> None:
    put(inbox, 50, 10, 10, 10)
    first, second, third, _ = inbox.take(events=1000)
    assert inbox.take(events=20) == [first]
    assert inbox.take(without=[first.number], events=20) == [second, third]
    assert inbox.take(without=[first.number, third.number], events=10) == [second]
    held = len(first.payload)
    assert inbox.take(events=1000, size_bytes=held) == [first]
    assert inbox.take(events=1000, size_bytes=1) == [first], "at least one"
    assert len(inbox.take(events=1000, size_bytes=100 * held)) == 4
    assert inbox.rows([third.number, 99, first.number]) == [first, third]
    assert inbox.count([first.number, 99]) == 1
    inbox.delete([first.number, third.number])
    assert inbox.depth().rows == 2


def test_two_processes_may_open_it_at_once(state_url: str, inbox: Inbox) -> None:
    put(inbox, 1)
    with Inbox.open(state_url) as other:
        put(other, 2)
        assert other.depth() == inbox.depth() == Depth(2, 3, 3, 1001)
        other.checkpoint()
        other.checkpoint(restart=True)
    assert inbox.depth().rows == 2


def test_what_was_written_is_there_after_the_log_began_anew(tmp_path: Path) -> None:
    with Inbox.open(f"sqlite:///{tmp_path / 'inbox.db'}") as inbox:
        put(inbox, 100_000, 100_000)
        assert inbox.log_bytes() > 200_000
        inbox.checkpoint(restart=True)
        assert inbox.log_bytes() == 0
        assert inbox.depth().events == 200_000
        assert inbox.folder == tmp_path


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError):
        Inbox.open(f"sqlite:///{tmp_path / 'file' / 'inbox.db'}")
