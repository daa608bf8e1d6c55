"""Ports for servers that have to be told where to listen."""

from __future__ import annotations

import socket
from random import SystemRandom

_BELOW = 32_768
"""From here on Linux gives ports to whoever asks for any, and to every connection that goes out."""


def free_port() -> int:
    """Returns a port nobody listens on.

    A server may be away for a while and come back to it, so it is none that the system would give to others meanwhile.
    """
    draw = SystemRandom()
    while True:
        port = draw.randrange(10_000, _BELOW)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
