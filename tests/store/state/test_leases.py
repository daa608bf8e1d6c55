from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import BusyError
from jingzhe.store.state import Lease, Publication, State, leases
from jingzhe.store.state.tables import lease as lease_table
from tests.store.state.conftest import NOON
from tests.store.state.other_process import Other


def expire(state: State) -> None:
    """Makes the lease's row look as if its holder had been silent for long."""
    with state.writing() as connection:
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        connection.execute(sa.update(lease_table).values(expires_at=long_ago))


def silence(lease: Lease) -> None:
    """Stops the renewal without anybody noticing, as a stopped process would."""
    lease._in_publication = True


def expiry(state: State) -> datetime:
    with state.reading() as connection:
        found = connection.scalar(sa.select(lease_table.c.expires_at))
    assert isinstance(found, datetime)
    return found


def publication(seq: int) -> Publication:
    return Publication(seq, NOON, "test", {"events": seq})


def test_one_holder_at_a_time_across_processes(state: State, other: Other) -> None:
    before = datetime.now(UTC)
    assert other.ask("hold", "write", "0") == "done"
    after = datetime.now(UTC)
    with pytest.raises(BusyError) as caught:
        state.lease("write", wait_seconds=0.2, purpose="mine")
    told = str(caught.value)
    assert f"process {other.process.pid} on {os.uname().nodename}" in told
    assert "the other's work" in told
    assert any(f"since {moment:%Y-%m-%d}" in told for moment in (before, after))
    with state.lease("another", wait_seconds=0, purpose="names do not meet"):
        pass
    assert other.ask("release") == "done"
    with state.lease("write", wait_seconds=0, purpose="mine") as lease:
        lease.check()
        code, _ = other.ask("hold", "write", "0")
        assert code == "busy"


def test_who_waits_gets_it_when_it_is_released(state: State, other: Other) -> None:
    with state.lease("write", wait_seconds=0, purpose="first"):
        other.tell("hold", "write", "60")
        time.sleep(0.3)
    begun = time.monotonic()
    assert other.answer() == "done"
    assert time.monotonic() - begun < leases.LEASE_SECONDS


def test_another_thread_of_the_process_waits_as_well(state: State) -> None:
    order: list[str] = []

    def second() -> None:
        with state.lease("write", wait_seconds=60, purpose="second"):
            order.append("second")

    with state.lease("write", wait_seconds=0, purpose="first"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_killed_holder_on_this_machine_is_replaced_at_once(state: State, state_url: str) -> None:
    with Other() as doomed:
        assert doomed.ask("open", state_url) == "done"
        assert doomed.ask("hold", "write", "0") == "done"
        doomed.kill()
        begun = time.monotonic()
        with state.lease("write", wait_seconds=60, purpose="mine") as lease:
            # Else it was had because it had expired.
            assert time.monotonic() - begun < leases.LEASE_SECONDS - leases.RENEW_SECONDS
            state.publish(lease, publication(1))


def test_a_holder_elsewhere_keeps_it_until_it_expires(state: State) -> None:
    silence(state.lease("write", wait_seconds=0, purpose="on another machine"))
    gone = {"machine": "elsewhere", "pid": 2**22 - 1}
    with state.writing() as connection:
        connection.execute(sa.update(lease_table).values(gone))
    with pytest.raises(BusyError):
        state.lease("write", wait_seconds=0.2, purpose="mine")
    expire(state)
    state.lease("write", wait_seconds=0, purpose="mine").release()


def test_a_recycled_process_number_is_not_taken_for_the_holder(state: State) -> None:
    state.lease("write", wait_seconds=0, purpose="a process that had this number before")
    with state.writing() as connection:
        connection.execute(sa.update(lease_table).values(process_started="1"))
    state.lease("write", wait_seconds=0, purpose="mine").release()


def test_fencing(state: State, state_url: str, clock: FixedClock) -> None:
    with State.open(state_url, clock=clock) as rival:
        late = state.lease("write", wait_seconds=0, purpose="slept too long")
        silence(late)
        expire(state)
        with rival.lease("write", wait_seconds=0, purpose="took over") as lease:
            # The late one does not know yet, and tries.
            with pytest.raises(BusyError, match="taken it over"):
                state.publish(late, publication(1))
            with pytest.raises(BusyError, match="taken it over"):
                late.check()
            assert state.latest() is None
            rival.publish(lease, publication(1))
            late.release()
            # Releasing what was lost must not take it from the one who has it.
            lease.check()
            rival.publish(lease, publication(2))
        assert state.next_batch() == 3


def test_an_expired_lease_that_nobody_took_still_publishes(state: State) -> None:
    with state.lease("write", wait_seconds=0, purpose="slept, alone") as lease:
        silence(lease)
        lease._valid_until = 0.0
        expire(state)
        lease.check()
        state.publish(lease, publication(1))
    assert state.next_batch() == 2


def test_renewal_pushes_the_expiry_ahead(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.state.leases.RENEW_SECONDS", 0.05)
    with state.lease("write", wait_seconds=0, purpose="long work"):
        before = expiry(state)
        give_up = time.monotonic() + 60
        while expiry(state) <= before and time.monotonic() < give_up:
            time.sleep(0.02)
        assert expiry(state) > before


def test_renewal_that_finds_another_holder_loses_the_lease(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.state.leases.RENEW_SECONDS", 0.05)
    lease = state.lease("write", wait_seconds=0, purpose="robbed")
    with state.writing() as connection:
        connection.execute(sa.update(lease_table).values({"token": "another"}))
    lease._thread.join(timeout=60)
    assert not lease._thread.is_alive()
    with pytest.raises(BusyError, match="taken it over"):
        lease.check()
    lease.release()


def test_renewal_that_fails_until_the_expiry_loses_the_lease(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.store.state.leases.RENEW_SECONDS", 0.05)
    monkeypatch.setattr("jingzhe.store.state.leases.LEASE_SECONDS", 0.4)
    lease = state.lease("write", wait_seconds=0, purpose="cut off")
    with state.writing() as connection:
        connection.execute(sa.text("ALTER TABLE lease RENAME TO gone"))
    lease._thread.join(timeout=60)
    with state.writing() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO lease"))
    with pytest.raises(BusyError, match="could not be renewed"):
        state.publish(lease, publication(1))
    assert state.latest() is None


def test_work_longer_than_the_lease_inside_the_publication_is_published(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jingzhe.store.state.leases.RENEW_SECONDS", 0.05)
    monkeypatch.setattr("jingzhe.store.state.leases.LEASE_SECONDS", 0.2)
    with state.lease("write", wait_seconds=0, purpose="slow") as lease:
        state.publish(lease, publication(1), also=lambda _: time.sleep(0.4))
        lease.check()
        state.publish(lease, publication(2))
    assert state.next_batch() == 3


def test_closing_the_store_gives_its_leases_back(state_url: str, clock: FixedClock, state: State) -> None:
    with State.open(state_url, clock=clock) as closing:
        closing.lease("write", wait_seconds=0, purpose="forgotten")
    state.lease("write", wait_seconds=0, purpose="mine").release()
