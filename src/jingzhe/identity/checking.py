"""The batch computation: everybody's person anew from all evidence, to be held against what was kept incrementally."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.identity import queries
from jingzhe.identity.components import components
from jingzhe.identity.evidence import OUTCOMES, all_edges
from jingzhe.identity.keyring import all_keys
from jingzhe.identity.known import Numbers, now_of
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State, bulk, words
from jingzhe.store.state.ordering import distinct


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
    keys = all_keys(connection).records
    if not len(keys):
        empty = pa.array([], pa.int64())
        return pa.table({"key_id": empty, "person_id": empty, "kept_id": empty})
    key, person, through = (np.ascontiguousarray(keys[name]) for name in ("key", "person", "joined"))
    now = now_of(connection, person)
    named = words.all_words(connection)
    kinds = np.unique(keys["kind"])
    strong = np.isin(keys["kind"], [kind for kind in kinds.tolist() if rules.kind(named[kind]).merges])
    # A joining key that belongs to nobody holds nothing together.
    nobodys = strong & (keys["shared"] > 0)
    home, a, b, claims, lost = _counting_edges(connection, key[nobodys])
    everybody = distinct(np.concatenate([person, now, home, lost[lost > 0]]))

    def keys_at(numbers: Numbers) -> Numbers:
        return np.searchsorted(key, numbers)

    def people_at(numbers: Numbers) -> Numbers:
        return len(key) + np.searchsorted(everybody, numbers)

    place = np.arange(len(key))
    led = (through > 0) & ~nobodys
    alone = led.copy()
    alone[led] = nobodys[keys_at(through[led])]
    led[led] = strong[keys_at(through[led])]
    led, own = led & ~alone, ~led & ~alone
    known_pair = np.isin(a, key) & np.isin(b, key)
    a_at, b_at = keys_at(np.where(known_pair, a, key[0])), keys_at(np.where(known_pair, b, key[0]))
    both = known_pair & (claims == 0) & strong[a_at] & strong[b_at]
    by_key, by_person = (claims > 0) & strong[a_at], (claims > 0) & ~strong[a_at]
    label = components(
        len(key) + len(everybody),
        np.concatenate([place[led], place[own], a_at[both], a_at[by_key], people_at(home[by_person])]),
        np.concatenate([
            keys_at(through[led]), people_at(person[own]), b_at[both], people_at(lost[by_key]),
            people_at(lost[by_person]),
        ]),
    )  # fmt: skip
    # A component's oldest person stands for it.
    oldest = np.full(len(label), np.iinfo(np.int64).max)
    np.minimum.at(oldest, label[len(key) :], everybody)
    return pa.table({"key_id": key, "person_id": oldest[label[: len(key)]], "kept_id": now})


def _counting_edges(connection: Connection, nobodys: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """Returns the pairs that hold people together: home, both keys, 1 where it is a claim, and who was taken over.

    Args:
        connection: a transaction.
        nobodys: numbers of joining keys that belong to nobody, in order.
    """
    edges = all_edges(connection).records
    kept = edges["outcome"] <= OUTCOMES.index("claimed")
    if len(nobodys):
        kept &= ~np.isin(edges["a"], nobodys)
        # A device that was claimed stands in b, and only joining keys are nobody's here.
        kept &= ~np.isin(edges["b"], nobodys)
    undone = set(bulk.select(connection, queries.ALL_BLOCKED))
    if undone:
        near = np.flatnonzero(kept & np.isin(edges["a"], [a for a, _ in undone]))
        pairs = zip(edges["a"][near].tolist(), edges["b"][near].tolist(), strict=True)
        kept[near] = [pair not in undone for pair in pairs]
    edges = edges[kept]
    claims = (edges["outcome"] == OUTCOMES.index("claimed")).astype(np.int64)
    home, a, b, lost = (np.ascontiguousarray(edges[name]) for name in ("key", "a", "b", "lost"))
    return home, a, b, claims, lost
