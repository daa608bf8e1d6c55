"""Events in the URL of a picture: Segment's pixel holds base64 JSON, RudderStack's the fields one by one."""

from __future__ import annotations

from typing import Any

import msgspec

from jingzhe.collect.wire import bodies

_CALLS = frozenset({"track", "page", "screen", "identify", "group", "alias"})
_TOP = frozenset({
    "event", "name", "userId", "anonymousId", "previousId", "messageId", "originalTimestamp", "timestamp", "sentAt",
    "channel", "writeKey",
})  # fmt: skip
_OBJECTS = frozenset({"properties", "context", "traits", "integrations"})


def call_of(path: str) -> str | None:
    """Returns the call of ``/v1/pixel/<call>`` and ``/pixel/v1/<call>``, None for other routes."""
    for prefix in ("/v1/pixel/", "/pixel/v1/"):
        if path.startswith(prefix) and path[len(prefix) :] in _CALLS:
            return path[len(prefix) :]
    return None


def body(query: bytes, limit: int) -> bytes:
    """Returns the event of a picture's URL as JSON.

    Args:
        query: of the URL.
        limit: how many bytes may come out.

    Raises:
        RefusedBodyError: ``data`` is no base64.
    """
    fields = bodies.form(query)
    if "data" in fields:
        return bodies.plain(bodies.unarmoured(fields["data"]), limit)
    event: dict[str, Any] = {}
    for name, value in fields.items():
        head, _, rest = name.partition(".")
        if name in _TOP:
            event[name] = value
        elif head in _OBJECTS and rest:
            _put(event.setdefault(head, {}), rest, value)
        else:
            event.setdefault("properties", {})[name] = value
    return msgspec.json.encode(event)


def _put(inside: dict[str, Any], name: str, value: str) -> None:
    head, _, rest = name.partition(".")
    below = inside.get(head)
    if rest and below is None:
        inside[head] = {rest: value}
    elif rest and isinstance(below, dict):
        below[rest] = value
    else:
        inside[head] = value
