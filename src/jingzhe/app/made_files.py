"""Files that are made of people's data, beside an erasure: one that was read before it never appears after it.

They are written beside their place first. They are put in place, and an erasure clears them away, under one lease.
Whoever began to read before an erasure had cleared, and is ready after it had, discards the file and begins again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from jingzhe.core.errors import BusyError
from jingzhe.store.state import State
from jingzhe.store.state.consent_tables import erasure
from jingzhe.store.warehouse import Warehouse

LEASE = "made files"
CLEARED = ("cleared", "emptied", "whole")
"""Stages of an erasure at which the files that were made before are gone."""
_TRIES = 5
T = TypeVar("T")


def placed(warehouse: Warehouse, path: Path, make: Callable[[Path], T]) -> T:
    """Makes a file and puts it in its place; nobody sees half of it.

    Args:
        warehouse: whose data are in it.
        path: where it is to stand.
        make: reads the data and writes the file at the path that it is given.

    Returns:
        what ``make`` returned.

    Raises:
        BusyError: people were erased again and again meanwhile, or the lease was not had in time.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for _ in range(_TRIES):
            before = _cleared(warehouse.state)
            made = make(part)
            with warehouse.state.lease(LEASE, wait_seconds=warehouse.wait_seconds, purpose="placing a file"):
                # An erasure that was killed while it cleared has taken the file and counts itself later.
                if _cleared(warehouse.state) == before and part.is_file():
                    part.replace(path)
                    return made
            part.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)
    raise BusyError("Somebody was erased while this was made", hint="Make it again.")


def _cleared(state: State) -> int:
    wanted = sa.select(sa.func.count()).select_from(erasure).where(erasure.c.stage.in_(CLEARED))
    with state.reading() as connection:
        return int(connection.execute(wanted).scalar_one())
