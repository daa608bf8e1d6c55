"""Bodies that are made to hurt: small on the wire and large inside, deep, wide, or full of numbers beyond measure."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

BODY_BYTES = 4 * 2**20
"""What the collector takes of a request as it comes; bodies are made as large as that."""
INFLATED_BYTES = 16 * 2**20
"""What the collector takes of what a compressed one holds."""
MOST_EVENTS = 300_000
"""How many events the bomb with the most events holds."""
_NEARLY = BODY_BYTES - 2**16


def zeros(size: int) -> bytes:
    """Returns gzip data of so many zeros, made without holding them."""
    machine, piece = zlib.compressobj(9, wbits=31), bytes(2**20)
    made = [machine.compress(piece) for _ in range(size // len(piece))]
    return b"".join([*made, machine.flush()])


def in_event(value: bytes) -> bytes:
    """Returns a batch with one good event that has one more property."""
    return b'{"batch":[{"type":"track","event":"Order Completed","userId":"bomb","properties":{"p":' + value + b"}}]}"


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yields name, path without the write key, and body of every bomb."""
    bomb = zeros(2 * 2**30)
    yield "two gigabytes of zeros", "/v1/batch", bomb
    yield "a bomb in a bomb", "/v1/batch", gzip.compress(bomb, 1)
    yield "a bomb in a form", "/sa", b"gzip=1&data_list=" + quote(b64encode(bomb)[: BODY_BYTES // 2], "").encode()
    several = zeros(2**26)
    yield "many members", "/v1/batch", several * (_NEARLY // len(several))
    yield "spaces inside", "/v1/batch", gzip.compress(b" " * 2**24 + in_event(b"1"), 9)
    yield "as much as may come out", "/v1/batch", gzip.compress(in_event(b'"' + b"x" * (2**24 - 2**10) + b'"'), 9)
    depth = _NEARLY // 2
    yield "deep lists", "/v1/batch", in_event(b"[" * depth + b"]" * depth)
    yield "lists that never end", "/v1/batch", b'{"batch":' + b"[" * _NEARLY
    yield "deep objects", "/v1/batch", in_event(b'{"a":' * (_NEARLY // 6) + b"1" + b"}" * (_NEARLY // 6))
    many = b",".join(b'"%x":1' % number for number in range(400_000))
    yield "hundreds of thousands of properties", "/v1/batch", in_event(b"{" + many + b"}")
    million = b",".join(b'"%x":1' % number for number in range(1_000_000))
    yield "a million properties", "/v1/batch", gzip.compress(in_event(b"{" + million + b"}"), 1)
    yield (
        "a few hundred thousand empty events",
        "/v1/batch",
        gzip.compress(b'{"batch":[' + b",".join([b"{}"] * 300_000) + b"]}", 1),
    )
    yield "as many of Sensors", "/sa", gzip.compress(b"[" + b",".join([b"{}"] * 300_000) + b"]", 1)
    yield "a number of millions of digits", "/v1/batch", in_event(b"9" * _NEARLY)
    yield "huge numbers", "/v1/batch", in_event(b"[" + b",".join([b"1e308"] * (_NEARLY // 6)) + b"]")
    yield "numbers beyond measure", "/v1/batch", in_event(b"[" + b",".join([b"1e999999"] * (_NEARLY // 9)) + b"]")
    yield "a long exponent", "/v1/batch", in_event(b"1e" + b"9" * _NEARLY)
