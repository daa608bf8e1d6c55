"""What belongs to one person: their numbers, their keys, and how to find them named in somebody's text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from jingzhe.consent import queries
from jingzhe.consent.owning import owners
from jingzhe.consent.tombstones import LONG_ENOUGH, ids_in, is_kind, stored_as, texts_in, words_in
from jingzhe.consent.words import everybody_of
from jingzhe.identity.keyring import show_keys
from jingzhe.identity.keys import HASHED
from jingzhe.identity.rules import Rules
from jingzhe.store.state import bulk

_STRONG = re.compile(r'"(?:userId|user_id|login_id|customer_id|customerId|member_id)"\s*:\s*"?([^",}\s]+)')
_NOBODY = frozenset({"null", "none", ""})


@dataclass(frozen=True)
class Subject:
    """One person.

    Args:
        person_id: who they are now.
        people: everybody whom they took over, and themselves.
        keys: kind and value as the identity graph stores it: a hash of personal values.
        values: kind and value of the other keys, as sources write them, and of personal ones, as the lake has them.
    """

    person_id: int
    people: tuple[int, ...]
    keys: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """Returns the subject in JSON's terms."""
        return {
            "person_id": self.person_id, "people": list(self.people), "keys": [list(key) for key in self.keys],
            "values": [list(value) for value in self.values],
        }  # fmt: skip

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Subject:
        """Returns the subject that :meth:`document` wrote."""
        pairs = {name: tuple((str(a), str(b)) for a, b in document[name]) for name in ("keys", "values")}
        return cls(int(document["person_id"]), tuple(map(int, document["people"])), pairs["keys"], pairs["values"])


def subject_of(
    connection: Connection,
    person: int,
    written: Iterable[tuple[str, str]],
    rules: Rules,
    salt: bytes,
    *,
    elsewhere: Iterable[tuple[str, str]] = (),
) -> Subject:
    """Returns a person with all keys that are theirs now.

    Args:
        connection: a transaction of the state store.
        person: their number, now or before a merge.
        written: kind and value of keys as sources write them, which the lake files under the person: theirs unless the
            graph says that they are another's.
        rules: of the identity graph.
        salt: of the project.
        elsewhere: the same of keys that are theirs only where the graph says so.
    """
    people = everybody_of(connection, person)
    show_keys(connection, people)
    keys = {(kind, value): None for _, kind, value in bulk.select(connection, queries.KEYS, people)}
    values = {(kind, _filed(kind, value, rules)): None for kind, value in keys}
    filed = dict.fromkeys(written)
    owned = owners(connection, [*filed, *elsewhere], rules)
    theirs = [key for key, owner in owned.items() if owner in people]
    for kind, value in [*theirs, *(key for key in filed if key not in owned and is_kind(key[0], rules, "merges"))]:
        stored = stored_as(kind, value, rules, salt)
        if stored is not None:
            keys[kind, stored] = None
            values[kind, value] = None
    return Subject(people[0], tuple(people), tuple(sorted(keys)), tuple(sorted(values)))


def _filed(kind: str, stored: str, rules: Rules) -> str:
    """Returns a key as the lake has it: the value, or the hash of a personal one and a mark."""
    return HASHED + stored if is_kind(kind, rules, "personal") else stored


@dataclass(frozen=True)
class Finder:
    """Finds a person in texts.

    A key that says who somebody is counts wherever it stands; short ones (customer 7) only behind the name of an id. A
    device or cookie counts only in a text that names nobody else: strangers may share one.

    Args:
        subject: whom.
        rules: of the identity graph.
        salt: of the project.
    """

    subject: Subject
    rules: Rules
    salt: bytes

    @cached_property
    def _strong(self) -> frozenset[str]:
        return frozenset(value for kind, value in self.subject.values if is_kind(kind, self.rules, "merges"))

    @cached_property
    def _weak(self) -> frozenset[str]:
        return frozenset(value for kind, value in self.subject.values if not is_kind(kind, self.rules, "merges"))

    @cached_property
    def _hashed(self) -> dict[str, frozenset[str]]:
        kinds = {kind for kind, _ in self.subject.keys if is_kind(kind, self.rules, "personal")}
        return {kind: frozenset(value for name, value in self.subject.keys if name == kind) for kind in kinds}

    @cached_property
    def _long(self) -> frozenset[str]:
        return frozenset(value for value in self._strong if len(value) >= LONG_ENOUGH)

    def is_theirs(self, value: str) -> bool:
        """Tells whether a value, alone, is a key of theirs."""
        return value in self._strong or self._is_hashed(value)

    def names(self, text: str) -> bool:
        """Tells whether a text names the person."""
        if any(value in self._strong for value in ids_in(text)) or any(value in text for value in self._spaced):
            return True
        for part in texts_in(text):
            if part in self._long or self._is_hashed(part):
                return True
            for word in words_in(part):
                if word in self._long or self._is_hashed(word):
                    return True
        if not self._weak or not any(value in self._weak for value in ids_in(text)):
            return False
        return all(value.lower() in _NOBODY for value in _STRONG.findall(text))

    @cached_property
    def _spaced(self) -> frozenset[str]:
        """Long keys that are no single word."""
        return frozenset(value for value in self._long if list(words_in(value))[:1] != [value])

    def _is_hashed(self, value: str) -> bool:
        if "@" not in value and sum(sign.isdigit() for sign in value) < 5:
            return False
        if len(value) > 320:
            return False
        return any(stored_as(kind, value, self.rules, self.salt) in hashes for kind, hashes in self._hashed.items())

    def without(self, value: Any) -> tuple[Any, int]:
        """Returns JSON with their values blotted out, and how many there were."""
        if isinstance(value, dict):
            made = {key: self.without(inner) for key, inner in value.items()}
            return {key: one for key, (one, _) in made.items()}, sum(count for _, count in made.values())
        if isinstance(value, list):
            listed = [self.without(inner) for inner in value]
            return [one for one, _ in listed], sum(count for _, count in listed)
        if isinstance(value, str) and (self.is_theirs(value) or value in self._weak or self.names(value)):
            return "[erased]", 1
        return value, 0


def row_names(finder: Finder, row: str, columns: Iterable[str]) -> bool:
    """Tells whether a refused row of an import is a person's.

    Args:
        finder: of the person.
        row: the row as JSON, or the line as it stood.
        columns: of the customer's key in its file, as far as known.
    """
    try:
        read = json.loads(row)
    except ValueError:
        return finder.names(row)
    if isinstance(read, dict) and any(finder.is_theirs(str(read.get(name, "")).strip()) for name in columns):
        return True
    return finder.names(row)
