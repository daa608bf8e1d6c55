"""Guessing is slowed down: after some failures each further attempt has to wait, longer every time.

Counted per account (also per account that does not exist) and per address of the network, in the state store, so that
all processes count together. An attempt is counted before the password is looked at and taken back when it was right:
a hundred attempts sent at once do not all see a counter that has not moved yet. Names are stored as hashes.

NIST SP 800-63B-4, 3.2.2 allows at most 100 consecutive failures for one account; with these limits that takes a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access.errors import ThrottledError
from jingzhe.access.secrets import hashed
from jingzhe.store.state.access_tables import access_failure

FORGOTTEN_AFTER = timedelta(days=1)
"""Failures are forgotten when there was none for this long."""
_LONGEST = timedelta(minutes=15)
_FIRST_WAIT = timedelta(seconds=15)


@dataclass(frozen=True)
class Subject:
    """Something whose failures are counted.

    Args:
        kind: ``account`` or ``address``.
        name: the address of the mail or of the network.
        free: failures that have no consequence.
    """

    kind: str
    name: str
    free: int

    @property
    def stored(self) -> str:
        """Returns what stands in the store."""
        return hashed(self.name, f"failure {self.kind}")


def account(email: str) -> Subject:
    """Returns the subject of an account, whether it exists or not."""
    return Subject("account", email, 5)


def address(network: str) -> Subject:
    """Returns the subject of an address of the network; a whole office may stand behind one."""
    return Subject("address", network, 30)


def wait_after(failures: int, free: int) -> timedelta:
    """Returns how long the next attempt waits after so many failures: 15 s, 30 s, a minute … 15 minutes.

    >>> [int(wait_after(failures, 5).total_seconds()) for failures in (4, 5, 6, 7, 99)]
    [0, 15, 30, 60, 900]
    """
    if failures < free:
        return timedelta(0)
    return min(_LONGEST, _FIRST_WAIT * (1 << min(failures - free, 10)))


def begin(connection: Connection, subjects: tuple[Subject, ...], now: datetime) -> None:
    """Counts an attempt as failed, for now.

    Args:
        connection: a transaction that writes.
        subjects: for whom; always in the same order, so that writers do not wait for each other in a ring.
        now: the moment.

    Raises:
        ThrottledError: one of them has to wait; nothing is counted then.
    """
    for subject in subjects:
        wait = _open_for(connection, subject, now)
        if wait > timedelta(0):
            raise ThrottledError(
                "Too many attempts have failed", retry_after_seconds=int(wait.total_seconds()) + 1, counted=subject.kind
            )
    for subject in subjects:
        changed = connection.execute(
            sa.update(access_failure)
            .where(access_failure.c.subject == subject.stored)
            .values(failures=access_failure.c.failures + 1, failed_at=now)
        )
        if changed.rowcount == 0:
            connection.execute(sa.insert(access_failure).values(subject=subject.stored, failures=1, failed_at=now))


def succeeded(connection: Connection, subjects: tuple[Subject, ...]) -> None:
    """Takes back what :func:`begin` counted: an account starts anew, an address loses the one attempt.

    Else whoever has one account could try all others from the same address for ever.
    """
    for subject in subjects:
        row = access_failure.c.subject == subject.stored
        if subject.kind == "account":
            connection.execute(sa.delete(access_failure).where(row))
        else:
            one_less = {"failures": access_failure.c.failures - 1}
            connection.execute(sa.update(access_failure).where(row, access_failure.c.failures > 0).values(one_less))


def forget(connection: Connection, now: datetime) -> int:
    """Removes what is forgotten; returns how many subjects."""
    return int(
        connection.execute(
            sa.delete(access_failure).where(access_failure.c.failed_at <= now - FORGOTTEN_AFTER)
        ).rowcount
    )


def _open_for(connection: Connection, subject: Subject, now: datetime) -> timedelta:
    row = connection.execute(
        sa.select(access_failure).where(access_failure.c.subject == subject.stored).with_for_update()
    ).first()
    if row is None:
        return timedelta(0)
    if now - row.failed_at >= FORGOTTEN_AFTER:
        connection.execute(sa.delete(access_failure).where(access_failure.c.subject == subject.stored))
        return timedelta(0)
    wait, failed_at = wait_after(int(row.failures), subject.free), cast("datetime", row.failed_at)
    # A clock that was set back must not make anybody wait longer than that.
    return min(wait, max(timedelta(0), failed_at + wait - now))
