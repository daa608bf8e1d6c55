"""Takes keys of erased people out of the calls of others: a telephone number that a household shares, an old card.

Such a call is its sender's, and what it says counts: a withdrawal, an order. Only what names the erased one goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec.structs import replace as replace_struct

from jingzhe.collect.calls import Normalised
from jingzhe.collect.wire.call import Call, Key
from jingzhe.collect.wire.values import text
from jingzhe.consent.tombstones import ID_FIELDS, LONG_ENOUGH, Tombstones, words_in

_NUMBERED = 5
"""So many digits at least has a telephone number."""


@dataclass(frozen=True)
class _Gone:
    """What goes from one call.

    Args:
        keys: the keys of erased people that it carries.
        tombstones: of the project.
    """

    keys: frozenset[Key]
    tombstones: Tombstones

    def is_named(self, value: object, field: str) -> bool:
        """Tells whether a value is such a key, or a text in which one stands."""
        said = text(value, limit=100_000)
        if said is None:
            return False
        short = field in ID_FIELDS and any(said == one for _, one in self.keys)
        return short or any(self._is_key(word) for word in (said, *words_in(said)))

    def _is_key(self, word: str) -> bool:
        if any(word == one and len(one) >= LONG_ENOUGH for _, one in self.keys):
            return True
        if "@" not in word and sum(sign.isdigit() for sign in word) < _NUMBERED:
            return False
        return any(self.tombstones.has(kind, word) for kind, one in self.keys if len(one) >= LONG_ENOUGH)

    def pruned(self, value: Any, field: str = "") -> Any:
        """Returns JSON without the fields and entries that are named; None where nothing is left."""
        if isinstance(value, dict):
            made = {name: self.pruned(inner, str(name)) for name, inner in value.items()}
            return {name: inner for name, inner in made.items() if inner is not None or value[name] is None}
        if isinstance(value, list):
            return [made for inner in value if (made := self.pruned(inner, field)) is not None or inner is None]
        return None if self.is_named(value, field) else value

    def written(self, body: str) -> str:
        """Returns JSON as text without what is named in it; of what cannot be read nothing, where it names anybody."""
        try:
            read = json.loads(body)
        except (ValueError, RecursionError):
            return "{}" if self.is_named(body, "") else body
        made = self.pruned(read)
        return body if made == read else json.dumps(made, ensure_ascii=False, separators=(",", ":"))

    def call(self, one: Call) -> Call:
        """Returns the call without them."""
        of_user = one.user_id is not None and self.tombstones.has("login", one.user_id)
        of_client = one.anonymous_id is not None and any(
            self.tombstones.has(kind, one.anonymous_id) for kind in ("cookie", "device")
        )
        return replace_struct(
            one, keys=tuple(key for key in one.keys if key not in self.keys),
            user_id=None if of_user else one.user_id, anonymous_id=None if of_client else one.anonymous_id,
            page=tuple(None if part is not None and self.is_named(part, "") else part for part in one.page),
            properties=self.written(one.properties),
        )  # fmt: skip


def stripped(calls: Normalised, gone: Mapping[int, frozenset[Key]], tombstones: Tombstones) -> Normalised:
    """Returns calls without some of their keys, and without the values of these wherever they stand.

    Args:
        calls: of a drain.
        gone: keys that go, by place of the call.
        tombstones: of the project, looked at just now.
    """
    if not gone:
        return calls
    made, raw = list(calls.calls), list(calls.raw)
    for place, keys in gone.items():
        one = _Gone(keys, tombstones)
        made[place] = one.call(made[place])
        raw[place] = one.written(raw[place].decode("utf-8", "replace")).encode()
    return replace(calls, calls=made, raw=raw)
