"""Rows of an import whose customers were erased: neither facts nor quarantine."""

from __future__ import annotations

import pyarrow as pa

from jingzhe.collect.minding import Minding
from jingzhe.collect.rows import REFUSED_AS_ERASED, ROWS
from jingzhe.store.engine import LocalSession
from jingzhe.store.query import Step, one

_CUSTOMERS = f"SELECT DISTINCT customer FROM {ROWS} WHERE customer IS NOT NULL"


def drop_erased(session: LocalSession, minding: Minding | None, kind: str) -> int:
    """Marks the rows of customers who were erased, so that nobody reads them; returns how many there are.

    Args:
        session: has the rows.
        minding: knows who was erased; None where nobody does.
        kind: kind of the customers' keys.
    """
    if minding is None or not minding.any_erased():
        return 0
    customers = session.run(one("customers_read", _CUSTOMERS))["customer"].combine_chunks()
    gone = customers.filter(pa.array(minding.customers(kind, customers)))
    if not len(gone):
        return 0
    session.offer("erased_customers", pa.table({"customer": gone}))
    marked = f"""
SELECT * EXCLUDE (gone) REPLACE (
  CASE WHEN gone THEN NULL ELSE raw END AS raw,
  CASE WHEN gone THEN CAST({REFUSED_AS_ERASED} AS UTINYINT) ELSE refused END AS refused
) FROM (
  SELECT *, coalesce(customer IN (SELECT customer FROM erased_customers), false) AS gone FROM {ROWS}
)"""
    session.keep(Step(ROWS, marked), ordered=True)
    counted = f"SELECT count(*) AS rows FROM {ROWS} WHERE refused = {REFUSED_AS_ERASED}"
    return int(session.run(one("erased_rows", counted))["rows"][0].as_py())
