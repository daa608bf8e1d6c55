"""One request to a receiver: where it may go, and what becomes of bad receivers."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.core.webaddresses import is_public_address, is_public_name
from jingzhe.outgoing.sending import checked_url, post
from tests.outgoing.receiver import Receiver

HEADERS = {"webhook-id": "msg_1"}


def test_a_message_arrives_as_it_was_signed(receiver: Receiver) -> None:
    reply = post(receiver.url, HEADERS, b'{"a":1}', private=True)
    assert (reply.status, reply.text, reply.took_it) == (200, "as told", True)
    (got,) = receiver.got
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/hook?from=jingzhe", b'{"a":1}', "msg_1")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_goes_into_the_own_network_unless_it_is_allowed(receiver: Receiver, host: str) -> None:
    # Also for a name that looks public and resolves to a private address: what counts is where it leads.
    reply = post(f"http://{host}:{receiver.port}/hook", HEADERS, b"{}")
    assert reply.status is None
    assert "private" in reply.text
    assert receiver.got == []


def test_a_name_is_looked_up_once_and_the_connection_goes_where_it_led(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers otherwise the second time (DNS rebinding) is not asked a second time."""
    plain, asked = socket.getaddrinfo, []

    def answer(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host != "crm.example.com":
            return plain(host, port, *more, **options)
        asked.append(host)
        return plain("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    reply = post(f"http://crm.example.com:{receiver.port}/hook", HEADERS, b"{}", private=True)
    assert reply.took_it
    assert asked == ["crm.example.com"]
    assert receiver.got[0].headers["host"] == f"crm.example.com:{receiver.port}"


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_host: Any, port: Any, *_: Any, **__: Any) -> Any:
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*stream, ("8.8.8.8", port)), (*stream, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    reply = post(f"http://crm.example.com:{receiver.port}/hook", HEADERS, b"{}")
    assert "private" in reply.text
    assert receiver.got == []


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.status, receiver.reply_headers = 307, {"location": elsewhere.url}
        reply = post(receiver.url, HEADERS, b"{}", private=True)
        assert (reply.status, reply.took_it) == (307, False)
        assert elsewhere.got == []


def test_a_receiver_that_is_slow_is_given_up() -> None:
    with Receiver(wait=threading.Event()) as slow:
        begun = time.monotonic()
        reply = post(slow.url, HEADERS, b"{}", private=True, timeout_seconds=0.6)
        assert reply.status is None
        assert time.monotonic() - begun < 10


def test_a_receiver_that_drips_is_given_up_too() -> None:
    """Each byte is in time, the whole would take for ever."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            wire, _ = listening.accept()
            with wire:
                try:
                    while not over.wait(0.1):
                        wire.sendall(b"H")
                except OSError:
                    return  # it was given up

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        reply = post(f"http://127.0.0.1:{listening.getsockname()[1]}/", HEADERS, b"{}", private=True, timeout_seconds=1)
        over.set()
        thread.join(120)
    assert reply.status is None
    assert "no answer within 1 s" in reply.text


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    reply = post(f"http://127.0.0.1:{port}/", HEADERS, b"{}", private=True)
    assert reply.status is None
    assert "ConnectionRefused" in reply.text


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.com/hook", "ftp://crm.example.com", "javascript:alert(1)", "https://", "https://localhost/x",
        "https://10.0.0.8/x", "https://[::1]/x", "https://[::ffff:169.254.169.254]/x", "https://2130706433/",
        "https://0x7f.1/", "https://user:secret@crm.example.com/", "https://crm/", "https://crm.internal/",
        "https://crm.example.com:99999/", "https://crm.example.com/a b", "https://crm.example.com/\nX: y",
    ],
)  # fmt: skip
def test_addresses_that_no_webhook_may_have(url: str) -> None:
    with pytest.raises(SettingError):
        checked_url(url, private=False)


def test_addresses_that_a_webhook_may_have() -> None:
    assert checked_url(" https://crm.example.com:8443/hook?a=1 ", private=False) == (
        "https://crm.example.com:8443/hook?a=1"
    )
    assert checked_url("http://10.0.0.8/hook", private=True) == "http://10.0.0.8/hook"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:7f00:1::", "nonsense",
    ],
)  # fmt: skip
def test_private_addresses_in_all_their_forms(address: str) -> None:
    assert not is_public_address(address)


def test_public_addresses_and_names() -> None:
    assert all(is_public_address(one) for one in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"))
    assert all(is_public_name(one) for one in ("shop.example.com", "Shop.Example.COM.", "1.1.1.1", "店.example"))
    assert not any(is_public_name(one) for one in ("", ".", "a.localhost", "nas.local", "127.1", "0177.0.0.1"))
