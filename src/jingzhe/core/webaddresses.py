"""Which addresses of the web are public: those behind which nobody's own network stands.

An address that a keeper types in, or that a receiver of webhooks resolves to, may lead into the network this
software runs in (server-side request forgery, OWASP). What counts as public is the registry of special-purpose
addresses (IANA, RFC 6890) as Python's ``ipaddress`` has it, with the forms that hide an address in another one.
"""

from __future__ import annotations

import ipaddress

_INNER_NAMES = (".localhost", ".local", ".internal", ".lan", ".home", ".intranet", ".corp", ".home.arpa")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public_address(address: str) -> bool:
    """Tells whether an IP address is one of the public internet.

    >>> is_public_address("10.0.0.8"), is_public_address("::ffff:127.0.0.1"), is_public_address("8.8.8.8")
    (False, False, True)

    Args:
        address: IPv4 or IPv6, as text; anything else is not public.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        hidden = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            hidden = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public_address(str(hidden))
    return found.is_global and not found.is_multicast


def is_public_name(host: str) -> bool:
    """Tells whether a host in a URL may be one of the public internet, without asking anybody.

    >>> [is_public_name(host) for host in ("shop.example.com", "localhost", "till-3", "2130706433", "192.168.1.4")]
    [True, False, False, False, False]

    Args:
        host: a name or an address, as it stands in the URL (an IPv6 address without its brackets).
    """
    plain = host.lower().rstrip(".")
    if ":" in plain:
        return is_public_address(plain)
    last = plain.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        # Browsers take every such host for an IPv4 address, also 127.1 and 0x7f000001 (WHATWG URL, 3.5).
        return is_public_address(plain)
    return "." in plain and not f".{plain}".endswith(_INNER_NAMES)
