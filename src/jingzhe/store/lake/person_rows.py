"""Everything that the lake holds of one person, table by table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from jingzhe.store.facts import QUARANTINE
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse


def rows_of(warehouse: Warehouse, people: Sequence[int]) -> dict[str, pa.Table]:
    """Returns the rows of a person from every table that knows people, corrections and overlays applied.

    Args:
        warehouse: the stores.
        people: their number and those of everybody whom they took over.

    Returns:
        the rows by table; tables without any are left out.
    """
    found: dict[str, pa.Table] = {}
    with warehouse.reading() as session:
        session.offer("wanted_people", pa.table({"person_id": pa.array(people, pa.int64())}))
        for table in warehouse.catalogue:
            if "person_id" in table.column_names:
                sql = f"SELECT * FROM {table.name} WHERE person_id IN (SELECT person_id FROM wanted_people)"
                rows = session.run(one(f"person_rows_{table.name}", sql))
                if rows.num_rows:
                    found[table.name] = rows
    return found


def known_as(warehouse: Warehouse, value: str, kind: str = "") -> list[int]:
    """Returns who is known by a key that the table ``identities`` shows.

    Args:
        warehouse: the stores.
        value: as the source writes it.
        kind: of this kind only; empty for any.
    """
    sql = "SELECT DISTINCT person_id FROM identities WHERE value = $value AND ($kind = '' OR kind = $kind)"
    with warehouse.reading() as session:
        rows = session.run(one("known_as", sql), {"value": value, "kind": kind})
    return sorted(int(number) for number in rows["person_id"].to_pylist())


def refused_rows(warehouse: Warehouse) -> pa.Table:
    """Returns the refused rows of all imports: which import, file and line, and the row as it came."""
    with warehouse.reading() as session:
        return session.run(one("refused_imported", f"SELECT * FROM {QUARANTINE.name}"))
