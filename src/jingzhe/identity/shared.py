"""Joining keys that belong to nobody, because they were seen with too many; and people who still hang on one.

Such a person is split at the moment at which the key passes its limit. Stores that are older than that may have some
left: they are listed and split by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity.deciding import Also, By, check_reason
from jingzhe.identity.dissolving import dissolve
from jingzhe.identity.keyring import KeyRow, all_keys
from jingzhe.identity.listing import Shown, shown
from jingzhe.identity.parting import blocked_of
from jingzhe.identity.people import NobodyError, current, keys_numbered, member, moment
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.identity.splitting import parts_without
from jingzhe.identity.writing import Change
from jingzhe.store.state import State, words


@dataclass(frozen=True)
class SharedKey:
    """A joining key that belongs to nobody.

    Args:
        key: the key.
        since: since when.
        partners: with how many other joining keys it was seen then.
        person_id: under whom it stands.
        hang: how many people there would be in place of that one; 1 where nobody hangs on the key any more.
    """

    key: Shown
    since: datetime
    partners: int
    person_id: int
    hang: int


def list_shared(state: State, *, after: int = 0, limit: int = 50) -> tuple[list[SharedKey], int | None]:
    """Returns joining keys that belong to nobody, by number, and behind which to go on; None at the end.

    Args:
        state: the state store.
        after: number of the last key of the page before.
        limit: at most this many.
    """
    rules = load_rules(state)
    with state.reading() as connection:
        keys = all_keys(connection).records
        named = words.all_words(connection)
        kinds = [kind for kind in np.unique(keys["kind"]).tolist() if rules.kind(named[kind]).merges]
        wanted = (keys["shared"] > 0) & np.isin(keys["kind"], kinds) & (keys["key"] > after)
        numbers = np.sort(keys["key"][wanted])[: limit + 1].tolist()
        rows = {row.key_id: row for row in keys_numbered(connection, numbers)}
        found = [_shared(connection, rules, rows[number]) for number in numbers[:limit]]
    return found, numbers[limit - 1] if len(numbers) > limit else None


def split_shared(state: State, number: int, by: By, *, clock: Clock, also: Also | None = None) -> tuple[int, ...]:
    """Takes back what a key that belongs to nobody still holds together; returns the people there are now.

    Args:
        state: the state store.
        number: of the key.
        by: who decides, and why.
        clock: when.
        also: writes in the same transaction.

    Raises:
        NobodyError: there is no such key.
        IdentityError: it belongs to somebody, or nobody hangs on it.
    """
    check_reason(by, "split")
    rules = load_rules(state)
    with state.writing() as connection:
        take_turn(connection)
        row = next(iter(keys_numbered(connection, [number])), None)
        if row is None:
            raise NobodyError("There is no such key", hint="List them: identity shared")
        if row.shared_us is None or not rules.kind(row.kind).merges:
            raise IdentityError("This key belongs to somebody", hint="Undo a merge, or say that the value never joins.")
        change = Change(next_change(connection), clock.now())
        people = dissolve(connection, rules, number, change, by=by, also=also)
        if not people:
            raise IdentityError("Nobody hangs on this key any more")
    return tuple(people)


def _shared(connection: Connection, rules: Rules, row: KeyRow) -> SharedKey:
    found = member(connection, current(connection, row.person_id))
    parts = parts_without(found, blocked_of(connection, found), lambda kind: rules.kind(kind).merges)
    return SharedKey(shown(row, rules), moment(row.shared_us or 0), row.partners, found.person_id, len(parts))
