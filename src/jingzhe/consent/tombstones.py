"""Tombstones: keyed hashes of the keys of erased people, by which a re-import, a live event or a replay is dropped.

A call is an erased person's when its strongest key has a tombstone, or all of them have. A weaker key with one (a
telephone number that a household shares) is taken out of the call, which is somebody else's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.wire.call import Key
from jingzhe.consent.addresses import salt_of
from jingzhe.identity.keys import HASHED, NORMALISERS, base_kind, hash_filed, hidden, is_junk, is_other
from jingzhe.identity.normalising import written_all
from jingzhe.identity.observations import Coder
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State
from jingzhe.store.state.consent_tables import tombstone as table

_AT_ONCE = 500
_KNOWN_AT_MOST = 500_000
"""Keys of calls of which is remembered whether they have a tombstone: most come again and again."""
LONG_ENOUGH = 6
"""Values of so many signs are looked for anywhere in a text; shorter ones (customer 7) only where an id stands."""
ID_FIELDS = (
    "userId", "user_id", "anonymousId", "anonymous_id", "previousId", "distinct_id", "original_id", "login_id", "id",
    "customer_id", "customerId", "member_id", "unionid", "openid",
)  # fmt: skip
_IDS = re.compile(rf'"(?:{"|".join(ID_FIELDS)})"\s*:\s*"?([^",}}\s]+)')
_COARSE = re.compile(r"""[^\s"'\\,;|{}\[\]()<>]+""")
_FINE = re.compile(r"[=&?/:#]+")
_PHONE = re.compile(r"\+?\d[\d \-().]{5,20}\d")


def words_in(text: str) -> Iterator[str]:
    """Gives whatever in a text may be a key: the words between quotes, commas, brackets and spaces, and their parts."""
    for match in _COARSE.finditer(text):
        word = match[0]
        yield word
        parts = _FINE.split(word)
        if len(parts) > 1:
            yield from (part for part in parts if part)
    yield from (match[0] for match in _PHONE.finditer(text))


def ids_in(text: str) -> Iterator[str]:
    """Gives what stands behind the names of ids in JSON, also where the JSON is broken."""
    yield from (match[1] for match in _IDS.finditer(text))


def texts_in(body: str) -> Iterator[str]:
    """Gives the body itself and, where it is JSON, every string in it as it reads when its escapes are undone."""
    yield body
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            yield value


def mark_of(kind: str, stored: str, salt: bytes) -> str:
    """Returns the hash of a key.

    Args:
        kind: of the key.
        stored: its value as the identity graph stores it: a hash where the kind is personal.
        salt: the project's.
    """
    return hidden(f"tombstone/{kind}", stored, salt)


class Told(NamedTuple):
    """What tombstones say of calls.

    Args:
        gone: which calls are of erased people.
        carried: keys of erased people in calls of others, by place of the call.
    """

    gone: NDArray[np.bool_]
    carried: dict[int, frozenset[Key]]


@dataclass
class Tombstones:
    """The tombstones of a project, read again when they have changed.

    Args:
        state: the state store.
    """

    state: State
    _version: tuple[int, str] | None = None
    _kinds: dict[str, frozenset[str]] = field(default_factory=dict)
    _rules: Rules | None = None
    _salt: bytes = b""
    _known: dict[Key, bool] = field(default_factory=dict)

    def look(self) -> bool:
        """Reads what has changed; tells whether there are any at all."""
        with self.state.reading() as connection:
            count, newest = connection.execute(sa.select(sa.func.count(), sa.func.max(table.c.made_at))).one()
            version = int(count), str(newest)
            if version == self._version:
                return bool(count)
            found: dict[str, set[str]] = {}
            for kind, key_hash in connection.execute(sa.select(table.c.kind, table.c.key_hash)):
                found.setdefault(kind, set()).add(key_hash)
        self._known.clear()
        self._kinds = {kind: frozenset(hashes) for kind, hashes in found.items()}
        if count:
            self._rules, self._salt = load_rules(self.state), salt_of(self.state)
        self._version = version
        return bool(count)

    def has(self, kind: str, value: str) -> bool:
        """Tells whether a key, as a source writes it, has a tombstone; :meth:`look` goes before."""
        for name in self._names(kind):
            stored = stored_as(name, value, self._known_rules, self._salt)
            if stored is not None and mark_of(name, stored, self._salt) in self._kinds[name]:
                return True
        return False

    def _names(self, kind: str) -> list[str]:
        """Returns the kinds with tombstones whose keys are those of ``kind``: a customer's is also a login."""
        return [name for name in self._kinds if self._known_rules.are_same(name, kind)] if self._kinds else []

    def which(self, kind: str, values: pa.Array) -> NDArray[np.bool_]:
        """Tells which of many values have a tombstone; :meth:`look` goes before."""
        gone = np.zeros(len(values), bool)
        for name in self._names(kind):
            gone |= self._which(name, values)
        return gone

    def _which(self, kind: str, values: pa.Array) -> NDArray[np.bool_]:
        hashes, rules, salt = self._kinds[kind], self._known_rules, self._salt
        known = rules.kinds.get(base_kind(kind))
        filed = Coder(rules, salt).filed(kind, values.fill_null("")) if known else None
        if filed is None:
            stored = written_all(known.normaliser if known else "plain", values, rules.region).to_pylist()
        else:
            stored = [one.removeprefix(HASHED) for one in filed.to_pylist()]
        return np.fromiter(
            (one is not None and mark_of(kind, one, salt) in hashes for one in stored), bool, len(stored)
        )

    def of_calls(self, calls: Sequence[Sequence[Key]]) -> Told:
        """Tells which calls, by their keys, are of erased people, and which others carry keys of such."""
        told = Told(np.zeros(len(calls), bool), {})
        if not self.look():
            return told
        known, ranks = self._known, dict[str, tuple[bool, int]]()
        if len(known) > _KNOWN_AT_MOST:
            known.clear()
        for place, keys in enumerate(calls):
            marked = set()
            for key in keys:
                found = known.get(key)
                if found is None:
                    found = known[key] = self.has(*key)
                if found:
                    marked.add(key)
            if marked:
                usable = [key for key in keys if key in marked or self._says_something(key)]
                for key in usable:
                    ranks.setdefault(key.kind, _rank(key.kind, self._known_rules))
                strongest = max(usable, key=lambda key: ranks[key.kind])
                told.gone[place] = strongest in marked or marked.issuperset(usable)
                if not told.gone[place]:
                    told.carried[place] = frozenset(marked)
        return told

    def _says_something(self, key: Key) -> bool:
        """Tells whether a key is none of the values that programs write where they have none."""
        rules = self._known_rules
        known = rules.kinds.get(base_kind(key.kind))
        if known is None:
            return True
        written = NORMALISERS[known.normaliser](key.value, rules.region)
        return written is not None and not is_junk(written, rules.never_everywhere[known.name])

    def in_text(self, body: str) -> bool:
        """Tells whether a text that could not be understood names an erased person; :meth:`look` goes before."""
        if not self._kinds:
            return False
        plain = {kind for kind in self._kinds if not is_kind(kind, self._known_rules, "personal")}
        personal = set(self._kinds) - plain
        for value in ids_in(body):
            if any(self.has(kind, value) for kind in self._kinds):
                return True
        for text in texts_in(body):
            for word in words_in(text):
                kinds = personal | plain if len(word) >= LONG_ENOUGH else personal
                if any(self.has(kind, word) for kind in kinds):
                    return True
        return False

    @property
    def _known_rules(self) -> Rules:
        if self._rules is None:
            self._rules = load_rules(self.state)
        return self._rules


def erasure_of(connection: Connection, kind: str, value: str, rules: Rules, salt: bytes) -> str | None:
    """Returns the erasure of whoever had a key, as a source writes it; None where nobody who had it was erased."""
    kinds = connection.scalars(sa.select(table.c.kind).distinct()).all()
    hashes = [
        mark_of(name, stored, salt)
        for name in kinds
        if rules.are_same(name, kind) and (stored := stored_as(name, value, rules, salt)) is not None
    ]
    found = connection.scalar(sa.select(table.c.erasure_id).where(table.c.key_hash.in_(hashes)).limit(1))
    return None if found is None else str(found)


def stored_as(kind: str, value: str, rules: Rules, salt: bytes) -> str | None:
    """Returns a value as the identity graph stores it; None where it is none of that kind.

    Args:
        kind: of the key; kinds that the rules do not know are plain.
        value: as a source writes it, or as the lake has it.
        rules: of the project.
        salt: its secret.
    """
    known = rules.kinds.get(base_kind(kind))
    if known and known.personal and (filed := value if is_other(value) else hash_filed(value)) is not None:
        return filed
    written = NORMALISERS[known.normaliser if known else "plain"](value, rules.region)
    if written is None:
        return None
    return hidden(kind, written, salt) if known and known.personal else written


def _rank(kind: str, rules: Rules) -> tuple[bool, int]:
    known = rules.kinds.get(base_kind(kind))
    return (known.merges, known.strength) if known else (True, 0)


def is_kind(kind: str, rules: Rules, what: str) -> bool:
    """Tells whether keys of a kind are ``merges`` or ``personal``; those of a kind that the rules lack only merge."""
    known = rules.kinds.get(base_kind(kind))
    return bool(getattr(known, what)) if known else what == "merges"


def put_up(connection: Connection, keys: Iterable[tuple[str, str]], salt: bytes, erasure_id: str, now: datetime) -> int:
    """Puts up tombstones within a transaction that writes; those that stand already stay as they are.

    Args:
        connection: the transaction.
        keys: kind, and value as the identity graph stores it.
        salt: the project's.
        erasure_id: which erasure.
        now: when.

    Returns:
        how many are new.
    """
    rows = {mark_of(kind, stored, salt): kind for kind, stored in keys}
    hashes, added = list(rows), 0
    for start in range(0, len(hashes), _AT_ONCE):
        some = hashes[start : start + _AT_ONCE]
        known = set(connection.scalars(sa.select(table.c.key_hash).where(table.c.key_hash.in_(some))))
        new = [
            {"key_hash": one, "kind": rows[one], "erasure_id": erasure_id, "made_at": now}
            for one in some
            if one not in known
        ]
        if new:
            connection.execute(sa.insert(table), new)
        added += len(new)
    return added
