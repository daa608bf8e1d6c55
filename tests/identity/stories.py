"""Observations written as people would, and what tests look at afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa

from jingzhe.core.clock import FixedClock
from jingzhe.identity.evidence import EVIDENCE, as_edges, edges_of
from jingzhe.identity.keyring import all_keys, as_rows, keys_of_people
from jingzhe.identity.keys import Key
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.people import current, find
from jingzhe.identity.resolving import Resolved, resolve
from jingzhe.identity.rules import Rules
from jingzhe.store.state import State, packed
from jingzhe.store.state.tables import metadata

NOON = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
CLOCK = FixedClock(NOON)


def key(text: str) -> Key:
    """Returns the key of ``login=A``."""
    return Key(*text.split("=", 1))


def story(lines: Sequence[str], *, begin: int = 0) -> Observations:
    """Returns one observation per line, such as ``login=A device=d1``, a minute apart."""
    return Observations.of(
        Observation(tuple(key(word) for word in line.split()), NOON + timedelta(minutes=begin + n), f"e{begin + n}")
        for n, line in enumerate(lines)
    )


def tell(state: State, lines: Sequence[str], *, begin: int = 0, rules: Rules | None = None) -> Resolved:
    """Resolves one batch."""
    return resolve(state, story(lines, begin=begin), batch_id=f"batch {begin}", clock=CLOCK, rules=rules)


def tell_cut(state: State, lines: Sequence[str], cuts: Sequence[int], *, rules: Rules | None = None) -> list[int]:
    """Resolves the lines in batches that end at ``cuts``; returns under whom each is filed."""
    homes: list[int] = []
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(lines)}), len(lines)]
    for begin, end in pairwise(edges):
        homes += tell(state, lines[begin:end], begin=begin, rules=rules).homes.tolist()
    return homes


def who(state: State, text: str) -> int | None:
    """Returns the person whom a key leads to."""
    return find(state, key(text))


def groups(state: State) -> set[frozenset[str]]:
    """Returns the keys (of kinds that are not personal) by person."""
    found: dict[int, set[str]] = defaultdict(set)
    with state.reading() as connection:
        for row in as_rows(connection, all_keys(connection, texts=2)):
            found[current(connection, row.person_id)].add(f"{row.kind}={row.value}")
    return {frozenset(keys) for keys in found.values()}


PACKED = ("identity_run", "identity_span", "identity_block", "identity_word")
"""How keys and evidence lie there depends on the batches that brought them; what they say does not."""


def dump(state: State, *, but: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Returns keys, evidence and the rows of the other tables of the identity graph, in order."""
    with state.reading() as connection:
        rows = {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name.startswith("identity_") and table.name not in (*but, *PACKED)
        }
        edges = as_edges(connection, packed.read_all(connection, EVIDENCE))
        people = sorted({edge.person_id for edge in edges})
        filed = edges_of(connection, np.array(people, np.int64))
        assert sorted(filed) == sorted(edges), "whoever asks by person is told the same"
        keys = as_rows(connection, all_keys(connection, texts=2))
        owners = np.array(sorted({key.person_id for key in keys}), np.int64)
        assert as_rows(connection, keys_of_people(connection, owners)) == keys
    rows["identity_number"] = [row for row in rows.get("identity_number", []) if row[0] in {"person", "change"}]
    return {**rows, "keys": sorted(keys), "edges": sorted(edges, key=repr)}
