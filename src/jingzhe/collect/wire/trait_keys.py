"""Keys of people in Segment's and RudderStack's calls beside ``userId`` and ``anonymousId``: traits, and ids to merge.

Source: https://rudderstack.com/docs/event-spec/standard-events/merge/.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from jingzhe.collect.wire.call import UNREADABLE, BadCallError, Key, bad_json
from jingzhe.collect.wire.values import text

TRAIT_KEYS = {
    "email": "email", "phone": "phone", "mobile": "phone", "unionid": "unionid", "unionId": "unionid",
    "member_id": "member", "memberId": "member", "till_card": "till_card",
}  # fmt: skip
"""Traits that are keys of the person, with their kind."""
MERGED_KEYS = {
    **TRAIT_KEYS, "user_id": "login", "userId": "login", "anonymous_id": "cookie", "anonymousId": "cookie",
    "device_id": "device", "deviceId": "device",
}  # fmt: skip
"""Types of ids that a call can merge, with their kind."""
_NOTHING = frozenset({b"", b"null", b"{}"})


class _Merged(Struct, gc=False):
    type: Any = None
    value: Any = None


_traits = msgspec.json.Decoder(dict[str, Any]).decode
_merged = msgspec.json.Decoder(list[_Merged]).decode


def trait_keys(raw: bytes) -> list[Key]:
    """Returns the keys among traits.

    Args:
        raw: the traits as JSON; empty where there are none.

    Raises:
        BadCallError: they are no object.
    """
    if raw in _NOTHING:
        return []
    try:
        traits = _traits(raw)
    except UNREADABLE as error:
        raise BadCallError("bad-field", "traits", str(error)) from error
    found = ((kind, text(traits.get(name))) for name, kind in TRAIT_KEYS.items())
    return [Key(kind, value) for kind, value in found if value]


def merged_keys(raw: Raw) -> list[Key]:
    """Returns the keys of ``mergeProperties``: pairs of type and value.

    Args:
        raw: the list as JSON; empty where there is none.

    Raises:
        BadCallError: there is none, a type is not known, or a value is missing.
    """
    try:
        listed = _merged(raw) if bytes(raw) not in _NOTHING else []
    except UNREADABLE as error:
        raise bad_json(error, "mergeProperties") from error
    if not listed:
        raise BadCallError("bad-field", "mergeProperties", "a merge names the ids that are one person's")
    return [_merged_key(one, f"mergeProperties[{place}]") for place, one in enumerate(listed)]


def _merged_key(one: _Merged, where: str) -> Key:
    kind, value = MERGED_KEYS.get(one.type) if isinstance(one.type, str) else None, text(one.value)
    if kind is None:
        known = ", ".join(MERGED_KEYS)
        raise BadCallError("bad-field", f"{where}.type", f"{one.type!r} is no type of id; one of: {known}"[:300])
    if value is None:
        raise BadCallError("bad-field", f"{where}.value", "an id has no value")
    return Key(kind, value)
