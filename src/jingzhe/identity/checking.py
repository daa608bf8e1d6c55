"""The batch computation: everybody's person anew from all evidence, to be held against what was kept incrementally."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.components import components
from jingzhe.identity.known import Numbers, distinct
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State, bulk


def recomputed(state: State, *, rules: Rules | None = None) -> pa.Table:
    """Returns the person of every key, computed from all evidence at once.

    Args:
        state: the state store.
        rules: None for the project's.

    Returns:
        ``key_id``, ``person_id`` (recomputed) and ``kept_id`` (as kept incrementally), by key.
    """
    known = rules or load_rules(state)
    with state.reading() as connection:
        return _recomputed(connection, known)


def differences(state: State, *, rules: Rules | None = None) -> pa.Table:
    """Returns the keys whose recomputed person is not the one kept; none in a sound store."""
    found = recomputed(state, rules=rules)
    wrong = found["person_id"].to_numpy() != found["kept_id"].to_numpy()
    return found.filter(pa.array(wrong))


def _recomputed(connection: Connection, rules: Rules) -> pa.Table:
    rows = bulk.select(connection, queries.ALL_KEYS)
    if not rows:
        empty = pa.array([], pa.int64())
        return pa.table({"key_id": empty, "person_id": empty, "kept_id": empty})
    ids, kinds, people, joined, kept = zip(*rows, strict=True)
    key, person, now = (np.array(column, np.int64) for column in (ids, people, kept))
    through = np.array([0 if number is None else number for number in joined], np.int64)
    strong_kinds = {kind for kind in set(kinds) if rules.kind(kind).merges}
    strong = np.array([kind in strong_kinds for kind in kinds], bool)
    edges = np.array(bulk.select(connection, queries.ALL_EDGES), np.int64).reshape(-1, 5)
    everybody = distinct(np.concatenate([person, now, edges[:, 0], edges[:, 4][edges[:, 4] > 0]]))

    def keys_at(numbers: Numbers) -> Numbers:
        return np.searchsorted(key, numbers)

    def people_at(numbers: Numbers) -> Numbers:
        return len(key) + np.searchsorted(everybody, numbers)

    place = np.arange(len(key))
    led = through > 0
    led[led] = strong[keys_at(through[led])]
    home, a, b, claims, lost = edges.T
    known_pair = np.isin(a, key) & np.isin(b, key)
    a_at, b_at = keys_at(np.where(known_pair, a, key[0])), keys_at(np.where(known_pair, b, key[0]))
    both = known_pair & (claims == 0) & strong[a_at] & strong[b_at]
    by_key, by_person = (claims > 0) & strong[a_at], (claims > 0) & ~strong[a_at]
    label = components(
        len(key) + len(everybody),
        np.concatenate([place[led], place[~led], a_at[both], a_at[by_key], people_at(home[by_person])]),
        np.concatenate([
            keys_at(through[led]), people_at(person[~led]), b_at[both], people_at(lost[by_key]),
            people_at(lost[by_person]),
        ]),
    )  # fmt: skip
    # A component's oldest person stands for it.
    oldest = np.full(len(label), np.iinfo(np.int64).max)
    np.minimum.at(oldest, label[len(key) :], everybody)
    return pa.table({"key_id": key, "person_id": oldest[label[: len(key)]], "kept_id": now})
