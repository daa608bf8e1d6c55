"""Reads payloads of the inbox in a process of its own, whose Python does not wait for that of the drain.

The process knows nothing of the stores: it is given payloads and gives back their events.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

import msgspec

from jingzhe.collect.calls import Normalised
from jingzhe.collect.naming import Names
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.received import unpacked

_END_SECONDS = 10.0


class Contents(msgspec.Struct, array_like=True, frozen=True):
    """What payloads hold.

    Args:
        requests: how many.
        oldest_us: when the oldest of them was received, UTC microseconds; None where there is none.
        found: their events.
    """

    requests: int
    oldest_us: int | None
    found: Normalised

    @classmethod
    def of(cls, payloads: Sequence[bytes], normaliser: Normaliser) -> Contents:
        """Reads payloads."""
        requests = [request for payload in payloads for request in unpacked(payload)]
        oldest_us = min((request.received_us for request in requests), default=None)
        return cls(len(requests), oldest_us, normaliser.normalise(requests))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Contents).decode
_payloads = msgspec.msgpack.Decoder(list[bytes]).decode


class Reader:
    """A process that reads payloads. It ends when this one does, however that ends."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "jingzhe.collect.reading_process", str(theirs.fileno())]
            # In a session of its own: an interrupt at the terminal is for whoever drains, who ends this one.
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)  # noqa: S603
        self._line = Connection(ours.detach())
        self._told: Normaliser | None = None

    @property
    def pid(self) -> int:
        """Returns the number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tells whether the process has died."""
        return self._process.poll() is not None

    def read(self, payloads: Sequence[bytes], normaliser: Normaliser) -> Contents | None:
        """Returns what payloads hold; None where the process has died, or could not read them."""
        try:
            self._line.send(None if normaliser == self._told else normaliser)
            self._told = normaliser
            self._line.send_bytes(_encode(payloads))
            answer = self._line.recv_bytes()
        except (EOFError, OSError):
            return None
        return _decode(answer) if answer else None

    def close(self) -> None:
        """Ends the process."""
        self._line.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # It holds nothing that anybody misses.
            self._process.kill()
            self._process.wait()


def serve(line: Connection) -> None:
    """Answers in the process of a :class:`Reader` until nobody asks any more.

    Args:
        line: to whoever asks.
    """
    normaliser = Normaliser({}, Names())
    while True:
        try:
            normaliser = line.recv() or normaliser
            line.send_bytes(_answer(line.recv_bytes(), normaliser))
        except (EOFError, OSError):
            return


def _answer(payloads: bytes, normaliser: Normaliser) -> bytes:
    try:
        return _encode(Contents.of(_payloads(payloads), normaliser))
    except Exception:  # noqa: BLE001 - whoever asked reads them then, and is told by that
        return b""


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as _asking:
        serve(_asking)
