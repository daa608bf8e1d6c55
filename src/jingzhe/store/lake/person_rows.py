"""Everything that the lake holds of one person, table by table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from jingzhe.store.facts import FILED, IDENTITIES, QUARANTINE
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse

_FILED = frozenset(table.name for table in FILED)


def rows_of(warehouse: Warehouse, people: Sequence[int], *, tables: Collection[str] = ()) -> dict[str, pa.Table]:
    """Returns the rows of a person from every table that knows people, corrections and overlays applied.

    Facts are looked for as they are filed: who stands for whom the caller knows better than the lake, which learns of a
    merge, or of one undone, a moment later.

    Args:
        warehouse: the stores.
        people: their number, and behind it those of everybody whom they took over.
        tables: names of the only tables to look at; none for all.

    Returns:
        the rows by table, facts under the first of the numbers; tables without any are left out.
    """
    wanted = {"wanted_people": pa.table({"person_id": pa.array(people, pa.int64())})}
    names = [
        table.name
        for table in warehouse.catalogue
        if "person_id" in table.column_names and (not tables or table.name in tables)
    ]
    condition = "person_id IN (SELECT person_id FROM wanted_people)"
    found = filed_rows(warehouse, dict.fromkeys(names, condition), wanted)
    return {name: _under(rows, people[0]) if name in _FILED else rows for name, rows in found.items()}


def filed_rows(
    warehouse: Warehouse, conditions: Mapping[str, str], offered: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """Returns the rows of some tables for which a condition holds, facts as they are filed.

    Args:
        warehouse: the stores.
        conditions: by table.
        offered: tables that the conditions may read, by name.

    Returns:
        the rows by table; tables without any are left out.
    """
    latest = warehouse.state.latest()
    found: dict[str, pa.Table] = {}
    with warehouse.reading(latest.seq if latest else None) as session:
        for name, table in offered.items():
            session.offer(name, table)
        for name, condition in conditions.items():
            if latest is not None and name in _FILED:
                warehouse.attach(session, warehouse.catalogue[name], latest.tables, joined=False)
            rows = session.run(one(f"person_rows_{name}", f"SELECT * FROM {name} WHERE {condition}"))
            if rows.num_rows:
                found[name] = rows
    return found


def _under(rows: pa.Table, person_id: int) -> pa.Table:
    place = rows.column_names.index("person_id")
    return rows.set_column(place, rows.field(place), pa.repeat(pa.scalar(person_id, pa.int64()), rows.num_rows))


def known_as(warehouse: Warehouse, forms: Sequence[str]) -> list[tuple[str, str, int]]:
    """Returns the keys of one value in the table ``identities``, with the people under whom they are filed.

    Args:
        warehouse: the stores.
        forms: the value in every way in which the table may have it.
    """
    known = filed_rows(warehouse, {IDENTITIES.name: "value IN (SELECT value FROM asked)"},
                       {"asked": pa.table({"value": pa.array(forms, pa.string())})})  # fmt: skip
    rows = known[IDENTITIES.name].to_pylist() if known else []
    return [(row["kind"], row["value"], row["person_id"]) for row in rows]


def refused_rows(warehouse: Warehouse) -> pa.Table:
    """Returns the refused rows of all imports: which import, file and line, and the row as it came."""
    with warehouse.reading() as session:
        return session.run(one("refused_imported", f"SELECT * FROM {QUARANTINE.name}"))
