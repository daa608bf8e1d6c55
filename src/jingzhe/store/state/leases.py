"""Leases: one holder at a time, found again by others when the holder dies, fenced when it is too late.

A lease is a row with a token that is new for each holder. The holder pushes the row's expiry ahead of it;
others may replace the token when the expiry has passed, or at once when the holder's process on this machine
is gone. The token is what counts: work becomes visible only in a transaction that finds it unchanged
(fencing, after Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from jingzhe.core.errors import BusyError, JingzheError
from jingzhe.store.state import tables
from jingzhe.store.state.database import Database
from jingzhe.store.state.processes import Process, is_gone, this_process

LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
_POLL_SECONDS = 0.02
"""A writer that writes one thing after the other leaves gaps of a few hundredths of a second."""


class Lease:
    """A lease that this process holds, renewed in the background until it is released.

    Made by :func:`acquire`; a context manager that releases at the end.

    Args:
        database: where the lease's row is.
        name: what is held.
        token: what marks the row as this holder's.
        valid_until: moment on the machine's running clock until which the row is certainly not expired.
    """

    def __init__(self, database: Database, name: str, token: str, valid_until: float) -> None:
        self.name = name
        self._database = database
        self._token = token
        self._valid_until = valid_until
        self._lost = ""
        self._in_publication = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """Makes sure that the lease is still held.

        Raises:
            BusyError: it was lost or released; says why.
        """
        if not self._lost and not self._stop.is_set() and _running_seconds() > self._valid_until:
            # The process was stopped for a while. Nobody may have taken over yet: ask.
            try:
                self._renew()
            except (JingzheError, SQLAlchemyError) as error:
                self._lose(f"it could not be renewed: {error}")
        if self._lost or self._stop.is_set():
            raise BusyError(
                f"The lease {self.name!r} is not held any more: {self._lost or 'it was released'}",
                hint="Nothing was made visible; run the work again.",
            )

    def fence(self, connection: Connection) -> None:
        """Makes sure, within a transaction that writes, that nobody else takes the lease before its end.

        Raises:
            BusyError: somebody has taken it.
        """
        # An update, not a look: it keeps the row locked until the transaction ends.
        if not self._extend(connection):
            self._lose("another process has taken it over")
            self.check()

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Surrounds a transaction that calls :meth:`fence`: the renewal would only wait for that transaction.

        Raises:
            BusyError: the lease was lost or released.
        """
        self.check()
        self._in_publication = True
        try:
            yield
        finally:
            self._in_publication = False

    def release(self) -> None:
        """Gives the lease back; does nothing the second time."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(timeout=LEASE_SECONDS)
        mine = (tables.lease.c.name == self.name) & (tables.lease.c.token == self._token)
        # The work is done or has failed by now, and that is what the caller shall hear. A row that cannot be
        # deleted expires by itself.
        with suppress(JingzheError, SQLAlchemyError), self._database.writing() as connection:
            connection.execute(sa.delete(tables.lease).where(mine))

    def _keep(self) -> None:
        """Renews until released or lost; whatever ends it otherwise counts as lost."""
        try:
            while not self._stop.wait(RENEW_SECONDS) and not self._lost:
                if not self._in_publication:
                    self._try_to_renew()
        finally:
            if not self._stop.is_set():
                self._lose("its renewal has ended")

    def _try_to_renew(self) -> None:
        try:
            self._renew()
        except (JingzheError, SQLAlchemyError) as error:
            # A short disturbance does no harm: the row is this holder's at least until then.
            if not self._in_publication and _running_seconds() > self._valid_until:
                self._lose(f"it could not be renewed: {error}")

    def _renew(self) -> None:
        # Taken before the statement: the row's expiry is counted from later, so this errs on the safe side.
        begun = _running_seconds()
        with self._database.writing() as connection:
            held = self._extend(connection)
        if held:
            self._valid_until = begun + LEASE_SECONDS
        elif not self._stop.is_set():
            self._lose("another process has taken it over")

    def _extend(self, connection: Connection) -> bool:
        """Moves the expiry ahead; tells whether the row is still this holder's.

        An expired row that nobody took is still this holder's: the token decides, time only lets others in.
        """
        mine = (tables.lease.c.name == self.name) & (tables.lease.c.token == self._token)
        ahead = self._database.moment(in_seconds=LEASE_SECONDS)
        return connection.execute(sa.update(tables.lease).where(mine).values(expires_at=ahead)).rowcount == 1

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason


def acquire(database: Database, name: str, *, wait_seconds: float, purpose: str) -> Lease:
    """Takes the lease ``name``, waiting for its holder where there is one.

    Args:
        database: where leases are kept.
        name: what to hold.
        wait_seconds: how long to wait; 0 tries once.
        purpose: what it is held for; told to those who wait.

    Raises:
        BusyError: it was not had in time; says who holds it.
    """
    give_up = time.monotonic() + wait_seconds
    while True:
        holder = _holder(database, name)
        if holder is None or holder.expired or is_gone(_process(holder)):
            lease = _take(database, name, purpose, holder)
            if lease is not None:
                return lease
        left = give_up - time.monotonic()
        if left <= 0:
            raise _held_by(name, holder)
        time.sleep(min(_POLL_SECONDS, left))


def is_held(database: Database, name: str) -> bool:
    """Tells whether somebody who lives holds the lease ``name``."""
    holder = _holder(database, name)
    return holder is not None and not holder.expired and not is_gone(_process(holder))


def _holder(database: Database, name: str) -> sa.Row[Any] | None:
    expired = (tables.lease.c.expires_at <= database.moment()).label("expired")
    with database.reading() as connection:
        return connection.execute(sa.select(tables.lease, expired).where(tables.lease.c.name == name)).first()


def _take(database: Database, name: str, purpose: str, seen: sa.Row[Any] | None) -> Lease | None:
    """Puts this process in the place of the holder that was seen; None when somebody else was quicker."""
    me, token, begun = this_process(), str(uuid.uuid4()), _running_seconds()
    row = {
        "token": token,
        "host": me.host,
        "machine": me.machine,
        "pid": me.pid,
        "process_started": me.started,
        "purpose": purpose,
        "acquired_at": database.moment(),
        "expires_at": database.moment(in_seconds=LEASE_SECONDS),
    }
    if seen is None:
        try:
            with database.writing() as connection:
                connection.execute(sa.insert(tables.lease).values(name=name, **row))
        except IntegrityError:
            return None
        return Lease(database, name, token, begun + LEASE_SECONDS)
    # Only as it was seen: another may have taken it since, or the holder may have woken and renewed it.
    unchanged = (
        (tables.lease.c.name == name)
        & (tables.lease.c.token == seen.token)
        & (tables.lease.c.expires_at == seen.expires_at)
    )
    with database.writing() as connection:
        taken = connection.execute(sa.update(tables.lease).where(unchanged).values(**row)).rowcount == 1
    return Lease(database, name, token, begun + LEASE_SECONDS) if taken else None


def _held_by(name: str, holder: sa.Row[Any] | None) -> BusyError:
    if holder is None:
        return BusyError(f"The lease {name!r} was wanted by several at once and went to another; try again")
    return BusyError(
        f"{name!r} is held by process {holder.pid} on {holder.host} for: {holder.purpose}, "
        f"since {holder.acquired_at.isoformat(timespec='seconds')}",
        hint="Wait until it has finished, or end that process. One that dies is replaced within "
        f"{LEASE_SECONDS:.0f} seconds.",
    )


def _process(holder: sa.Row[Any]) -> Process:
    return Process(holder.host, holder.machine, holder.pid, holder.process_started)


def _running_seconds() -> float:
    """Returns seconds of a clock that nobody sets, if possible one that goes on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
