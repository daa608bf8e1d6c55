"""Rows of an import whose customers were erased: neither facts nor quarantine."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from jingzhe.collect.minding import Minding
from jingzhe.collect.rows import REFUSED_AS_ERASED, ROWS
from jingzhe.store.engine import LocalSession
from jingzhe.store.query import Step, one


def drop_erased(session: LocalSession, minding: Minding | None, kinds: Mapping[str, str]) -> int:
    """Marks the rows that name somebody who was erased, so that nobody reads them; returns how many there are.

    Args:
        session: has the rows.
        minding: knows who was erased; None where nobody does.
        kinds: kind of the keys in each column of the rows that holds some: the customer's, and further ones.
    """
    if minding is None or not minding.any_erased():
        return 0
    named = []
    for column, kind in kinds.items():
        read = f"SELECT DISTINCT {column} AS value FROM {ROWS} WHERE {column} IS NOT NULL"
        values = session.run(one("keys_read", read))["value"].combine_chunks()
        gone = values.filter(pa.array(minding.customers(kind, values)))
        if len(gone):
            session.offer(f"erased_{column}", pa.table({"value": gone}))
            named.append(f"coalesce({column} IN (SELECT value FROM erased_{column}), false)")
    if not named:
        return 0
    marked = f"""
SELECT * EXCLUDE (gone) REPLACE (
  CASE WHEN gone THEN NULL ELSE raw END AS raw,
  CASE WHEN gone THEN CAST({REFUSED_AS_ERASED} AS UTINYINT) ELSE refused END AS refused
) FROM (SELECT *, {" OR ".join(named)} AS gone FROM {ROWS})"""
    session.keep(Step(ROWS, marked), ordered=True)
    counted = f"SELECT count(*) AS rows FROM {ROWS} WHERE refused = {REFUSED_AS_ERASED}"
    return int(session.run(one("erased_rows", counted))["rows"][0].as_py())
