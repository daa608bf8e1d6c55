"""Customers whom a file names by telephone or e-mail: behind the reading of the file they are known by a hash."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.collect.people import Graph
from jingzhe.collect.rows import ROWS
from jingzhe.store.engine import LocalSession
from jingzhe.store.query import Step, one

_WRITTEN = one(
    "customers_written", f"SELECT customer FROM {ROWS} WHERE refused IS NULL GROUP BY customer ORDER BY min(rowid)"
)
_HIDDEN = Step(
    ROWS,
    f"""
SELECT * EXCLUDE (place, written, filed) REPLACE (filed AS customer)
FROM (SELECT *, rowid AS place FROM {ROWS}) LEFT JOIN hidden_customers ON customer = written AND refused IS NULL
ORDER BY place""",
)


def hide_customers(session: LocalSession, graph: Graph, kind: str) -> Callable[[Connection], object]:
    """Puts hashes in place of the customers' keys of all rows; refused rows have none any more.

    Args:
        session: has the rows, in order.
        graph: knows how keys are hashed.
        kind: of the customers' keys, a personal one.

    Returns:
        what keeps the keys as they were written, sealed, within the transaction that publishes.
    """
    written = session.run(_WRITTEN)["customer"].combine_chunks().cast(pa.string())
    filed = graph.filed(kind, written)
    session.offer("hidden_customers", pa.table({"written": written, "filed": filed.customers}))
    session.keep(_HIDDEN, ordered=True)
    session.drop("hidden_customers")
    return filed.keep
