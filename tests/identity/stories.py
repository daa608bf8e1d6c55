"""Observations written as people would, and what tests look at afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from jingzhe.core.clock import FixedClock
from jingzhe.identity.keys import Key
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.people import find
from jingzhe.identity.resolving import Resolved, resolve
from jingzhe.identity.rules import Rules
from jingzhe.store.state import State, bulk
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
        sql = (
            "SELECT k.kind, k.value, coalesce(o.new_person, k.person_id) FROM identity_key k "
            "LEFT JOIN identity_override o ON o.old_person = k.person_id"
        )
        for kind, value, person in bulk.select(connection, sql):
            found[person].add(f"{kind}={value}")
    return {frozenset(keys) for keys in found.values()}


def dump(state: State, *, but: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Returns the rows of all tables of the identity graph, in order."""
    with state.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name.startswith("identity_") and table.name not in but
        }
