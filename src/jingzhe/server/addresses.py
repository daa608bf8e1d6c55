"""What is kept of a client's address: its class, never the address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def address_class(address: str) -> str:
    """Returns ``loopback``, ``private``, ``public-v4``, ``public-v6`` or ``unknown``."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if found.is_loopback:
        return "loopback"
    return "private" if found.is_private else f"public-v{found.version}"
