"""How large an event may be: bytes, names of properties, levels."""

from __future__ import annotations

from collections.abc import Iterator

from jingzhe.collect.wire.call import BadCallError

EVENT_BYTES = 512 * 2**10
PROPERTIES_AT_MOST = 2000
_DEPTH = 64
_NAME_BYTES = 4
"""The least that a name and its colon take in JSON: ``"":`` and a value."""


def check_size(raw: bytes) -> None:
    """Refuses what would be a burden to everybody who reads it."""
    if len(raw) > EVENT_BYTES:
        raise BadCallError("too-large", detail=f"{len(raw)} bytes, {EVENT_BYTES} are allowed")
    many = len(raw) > PROPERTIES_AT_MOST * _NAME_BYTES and raw.count(b":") > PROPERTIES_AT_MOST
    if many and _names(raw) > PROPERTIES_AT_MOST:
        raise BadCallError("too-many-properties", detail=f"more than {PROPERTIES_AT_MOST}")
    if raw.count(b"[") + raw.count(b"{") > _DEPTH and _depth(raw) > _DEPTH:
        raise BadCallError("too-deep", detail=f"more than {_DEPTH} levels")


def _names(raw: bytes) -> int:
    """Returns how many names the objects of a JSON text have."""
    count = 0
    for sign in _signs(raw):
        count += sign == 0x3A
    return count


def _depth(raw: bytes) -> int:
    """Returns how deeply a JSON text is nested."""
    depth = deepest = 0
    for sign in _signs(raw):
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest


def _signs(raw: bytes) -> Iterator[int]:
    """Gives what stands outside the strings of a JSON text."""
    inside = escaped = False
    for sign in raw:
        if inside:
            if escaped:
                escaped = False
            elif sign == 0x5C:
                escaped = True
            elif sign == 0x22:
                inside = False
        elif sign == 0x22:
            inside = True
        else:
            yield sign
