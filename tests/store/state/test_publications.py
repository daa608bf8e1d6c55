from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.errors import BusyError, StateError
from jingzhe.store.state import Publication, State
from tests.store.state.conftest import NOON


def batch(seq: int, purpose: str = "import") -> Publication:
    return Publication(seq, NOON + timedelta(seconds=seq), purpose, {"events": seq * 2, "items": seq})


def test_an_empty_store_has_no_publication(state: State) -> None:
    assert state.latest() is None
    assert state.publications() == []
    assert state.next_batch() == 1
    with pytest.raises(StateError, match="no such publication"):
        state.publication(1)


def test_what_was_published_is_read_back(state: State) -> None:
    with state.lease("write", wait_seconds=0, purpose="test") as lease:
        for seq in (1, 2, 3):
            assert state.next_batch() == seq
            state.publish(lease, batch(seq))
    assert state.latest() == batch(3)
    assert state.publication(1) == batch(1)
    assert state.publications(limit=2) == [batch(3), batch(2)]


def test_moments_keep_their_zone(state: State) -> None:
    shanghai = datetime(2026, 3, 6, 1, 30, 0, 5, tzinfo=timezone(timedelta(hours=8)))
    with state.lease("write", wait_seconds=0, purpose="test") as lease:
        state.publish(lease, Publication(1, shanghai, "night", {}))
        naive = Publication(2, datetime(2026, 3, 6), "naive", {})  # noqa: DTZ001 - refused for this very reason
        with pytest.raises(sa.exc.StatementError, match="no time zone"):
            state.publish(lease, naive)
    found = state.publication(1).published_at
    assert found == shanghai
    assert found.tzinfo is UTC
    assert found.isoformat() == "2026-03-05T17:30:00.000005+00:00"


def test_rows_of_other_parts_become_visible_with_the_publication_or_not_at_all(state: State) -> None:
    def write(connection: Connection) -> None:
        state.put_document("watermark", "profile", {"seq": 1}, connection=connection)

    def write_and_fail(connection: Connection) -> None:
        write(connection)
        raise ValueError("disk full")

    with state.lease("write", wait_seconds=0, purpose="test") as lease:
        with pytest.raises(ValueError, match="disk full"):
            state.publish(lease, batch(1), also=write_and_fail)
        assert state.latest() is None
        assert state.document("watermark", "profile") is None
        # The lease is still good for another try.
        state.publish(lease, batch(1), also=write)
    assert state.latest() == batch(1)
    assert state.document("watermark", "profile") is not None


@pytest.mark.parametrize("seq", [1, 3])
def test_numbers_neither_repeat_nor_skip(state: State, seq: int) -> None:
    with state.lease("write", wait_seconds=0, purpose="test") as lease:
        state.publish(lease, batch(1))
        with pytest.raises(StateError, match="does not follow"):
            state.publish(lease, batch(seq))
    assert state.latest() == batch(1)


def test_a_released_lease_publishes_nothing(state: State) -> None:
    with state.lease("write", wait_seconds=0, purpose="test") as lease:
        pass
    with pytest.raises(BusyError, match="released"):
        state.publish(lease, batch(1))
    assert state.latest() is None
