"""Events as no SDK would send them, for fuzzing: any value anywhere, and bytes that are no text, JSON or number."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["2026-03-05T12:00:00Z", "track", "\x00", "\ud83d\ude00", "1e999", "0", "-1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
SEGMENT_FIELDS = (
    "type", "event", "userId", "anonymousId", "previousId", "messageId", "timestamp", "originalTimestamp", "sentAt",
    "properties", "traits", "context", "historical", "name", "mergeProperties",
)  # fmt: skip
SENSORS_FIELDS = (
    "type", "event", "distinct_id", "original_id", "login_id", "anonymous_id", "identities", "time", "_flush_time",
    "_track_id", "time_free", "lib", "properties",
)  # fmt: skip
KINDS = st.sampled_from(
    ["track", "page", "identify", "alias", "merge", "screen", "group", "track_signup", "track_id_unbind", "profile_set"]
)
ORDER = ("revenue", "total", "products", "quantity", "price", "order_id", "currency", "$lib", "$is_login_id", "url")


def events(fields: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    known = dict.fromkeys(fields, values)
    known["type"] = KINDS | values
    known["properties"] = st.dictionaries(st.sampled_from(ORDER), values, max_size=6) | values
    return st.fixed_dictionaries({}, optional=known)


ODD = st.sampled_from(
    [b"\x80", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\x00", b"\\u0000", b"1e999", b"9" * 400, b"-"]
)


def damaged(body: bytes, data: st.DataObject) -> bytes:
    """Returns a body of which bytes were changed, lost or put in at a few places."""
    found = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(found) - 1)))
        found[place : place + data.draw(st.integers(0, 2))] = data.draw(ODD | st.binary(max_size=2))
    return bytes(found)
