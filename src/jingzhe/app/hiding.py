"""Carries projects over in which files named customers by telephone or e-mail before the lake had hashes of these."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.app.customers import Customers
from jingzhe.collect.importing import KIND as IMPORTS
from jingzhe.collect.masking import shape
from jingzhe.consent.forgetting import LEASE
from jingzhe.identity import personal_keys
from jingzhe.identity.filing import IS_FILED
from jingzhe.identity.rules import load_rules
from jingzhe.store.facts import IDENTITIES
from jingzhe.store.lake.erase import erase_rows
from jingzhe.store.lake.person_rows import filed_rows
from jingzhe.store.state.tables import document
from jingzhe.store.warehouse import Warehouse

_DONE = ("identity", "filed_as_hashes")
_OPEN = f"split_part(kind, '/', 1) IN (SELECT kind FROM personal_kinds) AND NOT ({IS_FILED})"


def hide_filed(warehouse: Warehouse) -> int:
    """Puts hashes in place of keys of personal kinds in the table ``identities``; returns how many there were.

    Costs a look at the state store once it was done. Older publications keep the keys until a compaction removes them.

    Raises:
        BusyError: another process is writing and did not finish in time.
    """
    state = warehouse.state
    if state.document(*_DONE) is not None:
        return 0
    # Nobody else does the same meanwhile, and nobody is erased whose rows would be written again here.
    with state.lease(LEASE, wait_seconds=warehouse.wait_seconds, purpose="hashes in place of keys"):
        return 0 if state.document(*_DONE) is not None else _hide(warehouse)


def _hide(warehouse: Warehouse) -> int:
    state = warehouse.state
    rules = load_rules(state)
    customers = Customers(warehouse)
    personal = [name for name, kind in rules.kinds.items() if kind.personal]
    offered = {"personal_kinds": pa.table({"kind": pa.array(personal, pa.string())})}
    found = filed_rows(warehouse, {IDENTITIES.name: _OPEN}, offered)
    if not found:
        state.put_document(*_DONE, {"keys": 0})
        return 0
    # Two ways of writing one telephone number were two people: the graph makes them one.
    customers.adopt()
    rows = found[IDENTITIES.name].sort_by("person_id").to_pylist()
    filed: dict[tuple[str, str], dict[str, Any]] = {}
    written: dict[str, str] = {}
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        values = customers.hashed(kind, pa.array([row["value"] for row in own], pa.string()))
        for row, value in zip(own, values.to_pylist(), strict=True):
            filed.setdefault((kind, value), {**row, "value": value})
            written.setdefault(value, row["value"])
    sealed = personal_keys.sealed(state, personal_keys.not_kept(state, written))
    texts = {row["value"] for row in rows}

    def also(connection: Connection, _: object) -> None:
        personal_keys.keep(connection, sealed)
        _mask_samples(connection, texts)
        state.put_document(*_DONE, {"keys": len(rows)}, connection=connection)

    instead = {IDENTITIES.name: pa.Table.from_pylist(list(filed.values()), IDENTITIES.arrow_schema)}
    erase_rows(warehouse, [], conditions={IDENTITIES.name: _OPEN}, offered=offered, instead=instead, also=also)
    return len(rows)


def _mask_samples(connection: Connection, texts: AbstractSet[str]) -> None:
    """Puts shapes in place of the keys among the samples of what imports said of themselves."""
    key = (document.c.kind, document.c.name, document.c.version)
    for *place, body in connection.execute(sa.select(*key, document.c.body).where(document.c.kind == IMPORTS)).all():
        matches = [match for mapping in body["mappings"] for match in mapping["matches"]]
        if all(texts.isdisjoint(match["samples"]) for match in matches):
            continue
        for match in matches:
            match["samples"] = [shape(one) if one in texts else one for one in match["samples"]]
        which = [column == value for column, value in zip(key, place, strict=True)]
        connection.execute(sa.update(document).where(*which).values(body=body))
