"""What the collector hands to the worker: requests as they were checked, packed into rows of the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Protocol = Literal["segment", "sensors"]
HISTORICAL = "historical"
"""Call of a refused event whose batch said that its times are to be left alone: they are when it is replayed, too."""

WHOLE = "whole"
"""Call of a refused batch whose events could not be told apart: it is replayed as it came."""


class Received(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One request that is to be acknowledged.

    Args:
        source_id: whose write key it carried.
        protocol: whose SDK sent it.
        call: what its route says of it: ``batch``, ``track`` …; empty where the events say it themselves.
        received_us: when, UTC microseconds.
        sent_at: when the client says that it was sent, from a header; empty where it does not.
        user_agent: of the client.
        client: class of its address (``public``, ``private`` …), never the address.
        events: how many events it holds.
        body: the events as JSON, as the client wrote them.
    """

    source_id: int
    protocol: Protocol
    call: str
    received_us: int
    sent_at: str
    user_agent: str
    client: str
    events: int
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Received]).decode


def packed(requests: Sequence[Received]) -> bytes:
    """Returns requests as one payload."""
    return _encode(requests)


def unpacked(payload: bytes) -> list[Received]:
    """Returns the requests of a payload."""
    return _decode(payload)
