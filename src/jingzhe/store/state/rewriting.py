"""Writes a SQLite file anew, so that nothing of what was deleted is left in it.

A deleted row stays in its page until something is written over it, and older copies of the page stay in the log. On
PostgreSQL the server sees to that in its own time (autovacuum), or at once with ``VACUUM FULL``.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from jingzhe.core.errors import BusyError, StateError
from jingzhe.store.state.database import LOCK_SECONDS, Database


def rewrite(database: Database) -> bool:
    """Writes the file anew and empties its log; does nothing on PostgreSQL. Needs the file's size again, for a while.

    Returns:
        True where it was done.

    Raises:
        BusyError: somebody read or wrote for longer than ``LOCK_SECONDS``; what was deleted may still be in the log.
    """
    if database.is_postgres:
        return False
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if driver is None:
            raise StateError("The state store has no connection", database=database.label)
        connection.rollback()
        give_up = time.monotonic() + LOCK_SECONDS
        try:
            _emptied(driver, give_up)
            driver.execute("VACUUM").close()
            _emptied(driver, give_up)
        except sqlite3.Error as error:
            if "locked" in str(error) or "busy" in str(error):
                raise _busy() from error
            raise StateError(f"The state store cannot be written anew: {error}", database=database.label) from error
    return True


def _emptied(driver: Any, give_up: float) -> None:
    """Moves the log into the file and cuts it to nothing, as soon as nobody reads from it."""
    while True:
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        if time.monotonic() >= give_up:
            raise _busy()
        time.sleep(0.05)


def _busy() -> BusyError:
    return BusyError(
        f"Somebody has used the state store for more than {LOCK_SECONDS} s, so it cannot be written anew",
        hint="Nothing is lost; what was deleted may still stand in its file. Try again.",
    )
