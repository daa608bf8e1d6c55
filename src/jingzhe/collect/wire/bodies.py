"""Bytes of a request to JSON: gzip by its magic, JSON by its first sign, forms otherwise; never by Content-Type."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from urllib.parse import parse_qsl

from jingzhe.core.errors import RefusedBodyError

GZIP = b"\x1f\x8b"
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in JSON: both halves of a sign beyond the first 65,536 together, a half alone, or anything else."""
_UNKNOWN_SIGN = rb"\ufffd"
_FORM_FIELDS = 100
_MEMBERS = 100
EVENTS_AT_ONCE = 50_000
"""Events that one request may hold: millions of empty ones in a small body would be a burden to whoever drains them."""


def inflated(data: bytes, limit: int) -> bytes:
    """Returns what gzip (or zlib) data hold.

    Args:
        data: one or several members.
        limit: how many bytes may come out; no more are ever made.

    Raises:
        RefusedBodyError: they are no such data, cut off, or hold more.
    """
    pieces: list[bytes] = []
    size = 0
    while data:
        if len(pieces) == _MEMBERS:
            raise RefusedBodyError(f"The gzip data have more than {_MEMBERS} members", hint="Send it as one.")
        machine = zlib.decompressobj(wbits=47)
        try:
            piece = machine.decompress(data, limit - size + 1)
        except zlib.error as error:
            raise RefusedBodyError("The body is no gzip data", hint="Send it again as it was.") from error
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if not machine.eof:
            raise RefusedBodyError("The gzip data are cut off")
        pieces.append(piece)
        # Zeros behind a member are padding; another member begins with the magic.
        data = machine.unused_data if machine.unused_data.startswith(GZIP) else b""
    return b"".join(pieces)


def too_large(limit: int) -> RefusedBodyError:
    """Returns what to say of a body that holds more than ``limit`` bytes."""
    return RefusedBodyError(f"The body holds more than {limit} bytes", status=413, hint="Send fewer events at once.")


def counted(events: int) -> int:
    """Returns how many events a request holds.

    Raises:
        RefusedBodyError: they are more than :data:`EVENTS_AT_ONCE`.
    """
    if events > EVENTS_AT_ONCE:
        said = f"The body holds {events} events, {EVENTS_AT_ONCE} are allowed"
        raise RefusedBodyError(said, status=413, hint="Send fewer events at once.")
    return events


def with_whole_signs(data: bytes) -> bytes:
    """Returns JSON in which halves of signs are replaced by the sign for what is unknown.

    A browser that cuts a text in the middle of an emoji sends half of it, escaped; no decoder takes that, and with it
    the whole request would be lost.

    Args:
        data: JSON.
    """
    return _ESCAPE.sub(lambda found: _UNKNOWN_SIGN if found["half"] else found[0], data)


def plain(data: bytes, limit: int) -> bytes:
    """Returns a body without compression, byte order mark and surrounding space."""
    if data.startswith(GZIP):
        data = inflated(data, limit)
    if len(data) > limit:
        raise too_large(limit)
    return data.removeprefix(_BOM).strip(_SPACE)


def is_json(data: bytes) -> bool:
    """Tells whether a plain body is meant as a JSON object or array."""
    return data[:1] in {b"{", b"["}


def form(data: bytes) -> dict[str, str]:
    """Returns the fields of a form or a query, the last of each name; bytes that are no text are replaced.

    Raises:
        RefusedBodyError: there are far too many fields.
    """
    try:
        pairs = parse_qsl(
            data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FORM_FIELDS, errors="replace"
        )
    except ValueError as error:
        raise RefusedBodyError(f"The form has more than {_FORM_FIELDS} fields") from error
    return dict(pairs)


def unarmoured(text: str) -> bytes:
    """Returns what base64 stands for: with or without padding, either alphabet, spaces for plus signs.

    A form turns a plus sign that was not escaped into a space; line breaks and padding are passed over.

    Raises:
        RefusedBodyError: it is no base64.
    """
    raw = text.strip("\r\n\t").replace(" ", "+").encode("utf-8", "replace").translate(_URL_SAFE)
    clean = _NOT_BASE64.sub(b"", raw.rstrip(b"="))
    # What is dropped may only be line breaks; other signs mean that this is no base64.
    if len(clean) < len(_without_breaks(raw.rstrip(b"="))):
        raise RefusedBodyError("The data are no base64")
    if len(clean) % 4 == 1:
        raise RefusedBodyError("The base64 data are cut off")
    try:
        return base64.b64decode(clean + b"=" * (-len(clean) % 4))
    except binascii.Error as error:
        raise RefusedBodyError("The data are no base64") from error


def _without_breaks(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\t", b"").replace(b"=", b"")
