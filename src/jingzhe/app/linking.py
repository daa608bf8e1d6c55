"""Proposals for the people of a list, without those who were erased: a list must not bring them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jingzhe.app.workspace import Workspace
from jingzhe.consent.tombstones import Tombstones
from jingzhe.identity import linking
from jingzhe.identity.linking import Proposal
from jingzhe.store.warehouse import LEASE

_KEYS = frozenset({"email", "phone"})
"""Sorts of columns that hold keys of that kind."""


@dataclass(frozen=True)
class Proposed:
    """What came of a list.

    Args:
        waiting: proposals that wait for a decision, the surest first.
        left_out: records passed over because they name somebody who was erased.
    """

    waiting: list[Proposal]
    left_out: int


def propose(
    workspace: Workspace,
    records: pa.Table,
    columns: Mapping[str, str],
    *,
    source: str,
    keys: Mapping[str, str] | None = None,
    threshold: float = 0.5,
) -> Proposed:
    """Does what :func:`jingzhe.identity.linking.propose` does, with the records of people who were not erased.

    Raises:
        BusyError: another process is writing and did not finish in time; nothing was changed.
        IdentityError: the list was brought before with other keys.
        SettingError: a column is not there or of no known sort, too few can be compared, or splink is missing.
    """
    warehouse, named = workspace.warehouse, keys or {}
    workspace.adopt()
    tombstones = Tombstones(warehouse.state)
    while True:
        gone = _gone(tombstones, records, columns, named, source)
        places = np.flatnonzero(~gone)
        pairs = linking.match(records.take(pa.array(places)), columns, threshold=threshold)
        # Tombstones are put up under this lease: none can come between the last look and the proposals.
        with warehouse.state.lease(LEASE, wait_seconds=warehouse.wait_seconds, purpose="proposals"):
            if np.array_equal(gone, _gone(tombstones, records, columns, named, source)):
                found = linking.keep(
                    warehouse.state, records, columns, pairs, places, source=source, clock=warehouse.clock, keys=named
                )
                return Proposed(found, int(gone.sum()))


def _gone(
    tombstones: Tombstones, records: pa.Table, columns: Mapping[str, str], keys: Mapping[str, str], source: str
) -> NDArray[np.bool_]:
    """Tells which records name somebody who was erased."""
    gone = np.zeros(records.num_rows, bool)
    if not tombstones.look():
        return gone
    lines = pa.array([f"{source}:{line}" for line in range(1, records.num_rows + 1)], pa.string())
    gone |= tombstones.which(linking.RECORD, lines)
    for name, kind in [*keys.items(), *((name, sort) for name, sort in columns.items() if sort in _KEYS)]:
        if name in records.column_names:  # a column that is not there is told of by whoever compares
            values = pc.cast(records[name], pa.string())
            gone |= tombstones.which(kind, values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    return gone
