"""Whose keys are: the identity graph decides for every key that it has, the lake only for those that it does not.

The lake keeps a key under the person whom it led to when it was first met. A merge that was undone, or a device that
followed somebody else, changes whose it is; the rows of the lake stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.consent.tombstones import is_kind
from jingzhe.consent.words import everybody_of
from jingzhe.core.errors import SettingError
from jingzhe.identity import queries
from jingzhe.identity.evidence import all_edges
from jingzhe.identity.keyring import KeyRow, as_rows, keys_of_people
from jingzhe.identity.keys import Key
from jingzhe.identity.known import PROBES
from jingzhe.identity.observations import Coder
from jingzhe.identity.people import keys_numbered
from jingzhe.identity.rules import Rules, known_salt
from jingzhe.store.state import bulk
from jingzhe.store.state.identity_tables import identity_decision
from jingzhe.store.state.ordering import among

NOBODY = 0
"""Whose a key is that too many people were seen with."""


def owners(connection: Connection, keys: Iterable[tuple[str, str]], rules: Rules) -> dict[tuple[str, str], int]:
    """Returns who has keys now, as far as the identity graph has them.

    Args:
        connection: a transaction of the state store.
        keys: kind and value, as sources write them or as the lake has them.
        rules: of the project.

    Returns:
        who, by key; :data:`NOBODY` for those that belong to nobody. Keys that the graph does not have are left out.
    """
    rows = _rows(connection, dict.fromkeys(keys), rules)
    people = sorted({row.person_id for row in rows.values()})
    now = {old: new for old, new, *_ in bulk.select(connection, queries.NOW, people)} if people else {}
    return {
        key: NOBODY if row.shared_us is not None else int(now.get(row.person_id, row.person_id))
        for key, row in rows.items()
    }


def _rows(connection: Connection, keys: Iterable[tuple[str, str]], rules: Rules) -> dict[tuple[str, str], KeyRow]:
    salt = known_salt(connection)
    if salt is None:
        return {}  # whoever stores the first key makes the salt
    wanted = {key: stored for key in keys if (stored := _stored(rules, salt, *key)) is not None}
    numbers = {number + probe for _, _, number in wanted.values() for probe in range(PROBES)}
    known = {(row.kind, row.value): row for row in keys_numbered(connection, numbers)} if numbers else {}
    return {key: known[kind, value] for key, (kind, value, _) in wanted.items() if (kind, value) in known}


def stored_key(rules: Rules, salt: bytes, kind: str, value: str) -> tuple[str, str] | None:
    """Returns the kind and value under which the graph would have a key; None where it is none, or of no known kind."""
    found = _stored(rules, salt, kind, value)
    return None if found is None else found[:2]


def _stored(rules: Rules, salt: bytes, kind: str, value: str) -> tuple[str, str, int] | None:
    try:
        called = rules.called(kind)
    except SettingError:
        return None  # a kind of a file that the rules do not have, or do not have any more
    found = Coder(rules, salt).stored(Key(kind, value), filed=True)
    return None if found is None else (called, *found)


def once_with(connection: Connection, people: Sequence[int]) -> list[int]:
    """Returns other people from whom a person was parted by hand: what was filed before then may name the person.

    Args:
        connection: a transaction of the state store.
        people: the person and everybody whom they took over.
    """
    undone = sa.select(identity_decision.c.details).where(identity_decision.c.action == "undo")
    parted = [_parted(details) for details in connection.scalars(undone)]
    found, waiting = set(people), set(people)
    while waiting:
        met = {other for parts in parted if parts & waiting for other in parts} - found
        # A decision names who stood for others then; these may have gone with somebody else since.
        waiting = {one for person in met for one in everybody_of(connection, person)} - found
        found |= waiting
    return sorted(found - set(people))


def met_with(connection: Connection, people: Sequence[int], rules: Rules) -> list[int]:
    """Returns other people who came with a key that says who a person is, whatever became of it.

    The evidence is read through: for an erasure, which does so anyway.

    Args:
        connection: a transaction of the state store.
        people: the person and everybody whom they took over.
        rules: of the project.
    """
    own = as_rows(connection, keys_of_people(connection, np.array(people, np.int64)))
    theirs = [row.key_id for row in own if row.shared_us is None and is_kind(row.kind, rules, "merges")]
    numbers = np.array(sorted(theirs), np.int64)
    edges = all_edges(connection).records
    edges = edges[among(edges["a"], numbers) | among(edges["b"], numbers)]
    met = {int(number) for name in ("key", "kept", "lost") for number in edges[name].tolist() if number}
    found = {one for person in met for one in everybody_of(connection, person)}
    return sorted(found - set(people))


def _parted(details: Mapping[str, object]) -> frozenset[int]:
    before, after = details.get("from"), details.get("to")
    numbers = [before, *(after if isinstance(after, list) else [])]
    return frozenset(number for number in numbers if isinstance(number, int))
