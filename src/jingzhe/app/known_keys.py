"""The keys of one person, as they are shown: all that the identity graph has, and those that only the lake has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from jingzhe.consent.owning import owners, stored_key
from jingzhe.consent.tombstones import is_kind
from jingzhe.identity.keyring import as_rows, keys_of_people
from jingzhe.identity.keys import base_kind
from jingzhe.identity.people import moment
from jingzhe.identity.rules import Rules, known_salt, load_rules
from jingzhe.store.state import State


@dataclass(frozen=True)
class KnownKey:
    """A key of a person.

    Args:
        kind: such as ``login``, ``openid/wx123``.
        value: as a source writes it; None of personal kinds (e-mail, telephone), of which a keyed hash is kept.
        strength: of the kind; None where the rules do not know it.
        first_seen: when an event first showed it; None where the graph has not taken it over yet.
    """

    kind: str
    value: str | None
    strength: int | None = None
    first_seen: datetime | None = None


def keys_of(state: State, people: Sequence[int], filed: Iterable[tuple[str, str]]) -> tuple[KnownKey, ...]:
    """Returns the keys of a person, those of a kind together.

    Args:
        state: the state store.
        people: their number and those of everybody whom they took over.
        filed: kind and value of the keys that the lake files under them.
    """
    rules = load_rules(state)
    with state.reading() as connection:
        rows = as_rows(connection, keys_of_people(connection, np.array(people, np.int64)))
        salt = known_salt(connection) or b""
        seen = {(row.kind, row.value): moment(row.seen_us) for row in rows if row.shared_us is None}
        stored = {key: stored_key(rules, salt, *key) or key for key in filed}
        unsure = [key for key, place in stored.items() if place not in seen]
        others = owners(connection, unsure, rules) if unsure else {}
    found = {_shown(rules, kind, value, seen.get(stored[kind, value])) for kind, value in stored.keys() - others.keys()}
    found |= {_shown(rules, *place, at) for place, at in seen.items() if place not in stored.values()}
    return tuple(sorted(found, key=lambda key: (key.kind, key.value or "", key.first_seen is None, key.first_seen)))


def _shown(rules: Rules, kind: str, value: str, at: datetime | None) -> KnownKey:
    known = rules.kinds.get(base_kind(kind))
    shown = None if is_kind(kind, rules, "personal") else value
    return KnownKey(kind, shown, known.strength if known else None, at)
