"""Takes over people who were numbered elsewhere: the customers of imported files keep the numbers that they have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity.known import FRESH, read_known
from jingzhe.identity.observations import Coder, KeyColumn, Observations
from jingzhe.identity.resolving import take_turn
from jingzhe.identity.rules import load_rules, project_salt
from jingzhe.identity.writing import KEY_COLUMNS
from jingzhe.store.state import State, bulk, counting
from jingzhe.store.state import identity_tables as tables


def adopt(
    state: State, kind: str, values: pa.Array, people: NDArray[np.int64], *, clock: Clock, event: str = "imported"
) -> int:
    """Adds keys with the people that they have; keys that are known stay whose they are.

    New people of this library are numbered above all that were adopted.

    Args:
        state: the state store.
        kind: kind of the keys; one that joins people.
        values: keys as the source writes them.
        people: ``person_id`` of each, 1 and up.
        clock: when.
        event: what explanations show as the reason.

    Returns:
        how many were new.

    Raises:
        IdentityError: the kind does not join people, or a number is none.
        SettingError: there is no such kind.
    """
    rules = load_rules(state)
    if not rules.kind(kind).merges:
        raise IdentityError("Keys that strangers may share cannot say who somebody is", kind=kind)
    if len(people) and int(people.min()) < 1:
        raise IdentityError("A person's number is 1 or more", number=int(people.min()))
    now = round(clock.now().timestamp() * 1e6)
    observations = Observations((KeyColumn(kind, values),), np.full(len(people), now), [event] * len(people))
    with state.writing() as connection:
        take_turn(connection)
        coded = Coder(rules, project_salt(state, connection)).encode(observations)
        if not len(coded.ids):
            return 0
        known = read_known(connection, coded, rules)
        held = coded.matrix[:, 0] >= 0
        person = np.zeros(len(coded.ids), np.int64)
        # Backwards, so that the first of a key that stands twice is written last.
        person[coded.matrix[held, 0][::-1]] = people[held][::-1]
        new = np.flatnonzero(known.person == FRESH)
        new = new[np.argsort(coded.ids[new])]
        stored = coded.values.take(pa.array(new)).to_pylist()
        rows = zip(coded.ids[new].tolist(), stored, person[new].tolist(), strict=True)
        bulk.insert(
            connection,
            tables.identity_key,
            KEY_COLUMNS,
            [(number, kind, value, who, None, 0, None, now, event) for number, value, who in rows],
        )
        counting.raise_to(connection, counting.PEOPLE, int(people.max()))
    return len(new)
