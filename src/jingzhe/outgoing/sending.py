"""One message, one request: to the address that was looked up and checked, and to no other.

A receiver's name is resolved once, every address it has must be public, and the connection goes to one of those very
addresses: a name that answers otherwise a moment later (DNS rebinding) leads nowhere else. Redirects are not followed,
proxies of the environment are not used, and the whole exchange has one deadline.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from jingzhe.core.errors import SettingError
from jingzhe.core.webaddresses import is_public_address, is_public_name

TIMEOUT_SECONDS = 15.0
_ANSWER_BYTES = 2048
_SHOWN = 500
_LONGEST = 2000


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        status: of HTTP; None where there was no answer.
        text: the beginning of the answer, or why there was none.
    """

    status: int | None
    text: str

    @property
    def took_it(self) -> bool:
        """Tells whether the receiver says that it has the message."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Tells whether the receiver wants nothing more."""
        return self.status == http.HTTPStatus.GONE


class _RefusedAddressError(OSError):
    """The name leads into a network that webhooks may not reach."""


def checked_url(url: str, *, private: bool) -> str:
    """Returns an address that messages may be sent to.

    Args:
        url: ``https://…``; also ``http://…`` where ``private``.
        private: True where the keeper allows addresses of the own network.

    Raises:
        SettingError: it cannot be one; says why.
    """
    plain = url.strip()
    if not plain or len(plain) > _LONGEST or not plain.isascii() or not plain.isprintable() or " " in plain:
        raise SettingError(f"An address has 1 to {_LONGEST} visible ASCII signs", field="url")
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingError(f"The address cannot be read: {error}", field="url") from error
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise SettingError("Messages are sent over https only", field="url", hint="Give an address with https://.")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise SettingError("An address has a host, and no user, password or fragment", field="url")
    if not private and not is_public_name(host):
        raise SettingError(
            "The address is of a private network", field="url",
            hint="Set webhook_private = true where the receiver stands in the own network.",
        )  # fmt: skip
    return plain


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    private: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    context: ssl.SSLContext | None = None,
) -> Reply:
    """Sends one message; whatever goes wrong is told in the reply.

    Args:
        url: as :func:`checked_url` gave it.
        headers: with the signature.
        body: as it was signed.
        private: True where addresses of the own network are allowed.
        timeout_seconds: after which the exchange is over, whatever state it is in.
        context: of TLS; None: the machine's certificates.
    """
    parts = urlsplit(url)
    try:
        wire = _connected(parts, private=private, timeout_seconds=timeout_seconds, context=context)
    except (OSError, UnicodeError) as error:
        return Reply(None, _said(error))
    over = threading.Event()

    def end() -> None:
        over.set()
        with suppress(OSError):
            # Of the plain socket: TLS would forget its state under the thread that reads.
            socket.socket.shutdown(wire, socket.SHUT_RDWR)

    deadline = threading.Timer(timeout_seconds, end)
    deadline.daemon = True
    deadline.start()
    try:
        return _exchanged(parts, wire, headers, body)
    except (OSError, http.client.HTTPException) as error:
        return Reply(None, f"no answer within {timeout_seconds:g} s" if over.is_set() else _said(error))
    finally:
        deadline.cancel()
        wire.close()


def _connected(
    parts: SplitResult, *, private: bool, timeout_seconds: float, context: ssl.SSLContext | None
) -> socket.socket:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    if not private:
        for address in addresses:
            if not is_public_address(address):
                raise _RefusedAddressError(f"{host} leads to a private address; set webhook_private to allow it")
    wire = _first(addresses, port, timeout_seconds)
    if parts.scheme != "https":
        return wire
    try:
        return (context or _trusted()).wrap_socket(wire, server_hostname=host)
    except BaseException:
        wire.close()
        raise


def _first(addresses: Sequence[str], port: int, timeout_seconds: float) -> socket.socket:
    """Connects to the first address that answers."""
    tried: OSError | None = None
    for address in dict.fromkeys(addresses):
        try:
            return socket.create_connection((address, port), timeout=timeout_seconds / 3)
        except OSError as error:
            tried = error
    raise tried or OSError("the name has no address")


def _exchanged(parts: SplitResult, wire: socket.socket, headers: Mapping[str, str], body: bytes) -> Reply:
    connection = http.client.HTTPConnection(parts.netloc)
    # Connected already: http.client connects by itself only where there is no socket.
    connection.sock = wire
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"content-type": "application/json", "user-agent": "jingzhe-webhooks/1", "connection": "close"}
    connection.request("POST", target, body, {**own, **headers})
    response = connection.getresponse()
    text = response.read(_ANSWER_BYTES).decode("utf-8", "replace").replace("\0", "")
    return Reply(response.status, " ".join(text.split())[:_SHOWN])


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _said(error: Exception) -> str:
    return f"{type(error).__name__.strip('_')}: {error}"[:_SHOWN]
