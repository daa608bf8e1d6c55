"""A generator of load: several clients that send as SDKs do, and remember what was acknowledged.

They send batches and single events of Segment's protocol and batches of Sensors Data's, with gzip or without, wrong
events among good ones, and some requests a second time. A message whose fate is not known is sent again as it was,
until the collector has answered.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlencode

from tests.worker.sales import mendable, segment_batch, sensors_batch

CLIENTS = 4
_PATIENCE_SECONDS = 300
_AGAIN = 0.1
_KEPT_REQUESTS = 200
_PAUSE_SECONDS = 0.03


class Request(NamedTuple):
    """A request, as it is sent again and again."""

    path: str
    body: bytes
    head: dict[str, str]
    numbers: list[int]


@dataclass
class Clients:
    """Clients that send until they are told to stop.

    Args:
        port: of the server.
        write_key: of their source.
    """

    port: int
    write_key: str
    sent: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    unpaced: int = 0
    """Answers that send the client away without saying for how long."""
    own: set[int] = field(default_factory=set)
    """Numbers that these clients sent, and no SDK."""
    repeated: set[int] = field(default_factory=set)
    """Numbers that were sent more than once."""
    mended: set[int] = field(default_factory=set)
    """Numbers that were refused, corrected and replayed."""
    kept: int = 0
    """Events in requests that were acknowledged, and events that were replayed: each counts as often as it was sent."""
    doubtful: int = 0
    """Events in requests of which nobody can say whether they were kept: the answer was lost, or was an error."""
    _number: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _busy: int = 0
    _held: bool = False
    _before: list[Request] = field(default_factory=list)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Sends until the end."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._send, args=(stop, seed)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Has nothing under way, so that what is remembered stands still."""
        with self._lock:
            self._held = True
            assert self._lock.wait_for(lambda: self._busy == 0, _PATIENCE_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._held = False
                self._lock.notify_all()

    def _send(self, stop: threading.Event, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - what is drawn is no secret
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            while not stop.wait(_PAUSE_SECONDS):
                request = self._next(draw)
                while not self._once(connection, request, stop):
                    connection.close()
                    if stop.wait(0.02):
                        return

    def _next(self, draw: random.Random) -> Request:
        """Returns a new request, or one that was answered already, now or long ago."""
        with self._lock:
            if self._before and draw.random() < _AGAIN:
                request = draw.choice(self._before)
                self.repeated.update(request.numbers)
                return request
            numbers = [next(self._number) for _ in range(draw.choice([1, 1, 3, 20]))]
            self.sent.update(numbers)
            self.own.update(numbers)
        return self._segment(draw, numbers) if draw.random() < 0.6 else self._sensors(draw, numbers)

    def _segment(self, draw: random.Random, numbers: list[int]) -> Request:
        head = {"authorization": "Basic " + b64encode(f"{self.write_key}:".encode()).decode()}
        body = json.dumps(segment_batch(numbers)).encode()
        if draw.random() < 0.4:
            head["content-encoding"], body = "gzip", gzip.compress(body, 1)
        return Request("/v1/batch", body, head, numbers)

    def _sensors(self, draw: random.Random, numbers: list[int]) -> Request:
        batch = sensors_batch(numbers)
        armoured, form = draw.random() < 0.5, {}
        said = json.dumps(batch if len(batch) > 1 else batch[0]).encode()
        form["data_list" if len(batch) > 1 else "data"] = b64encode(gzip.compress(said, 1) if armoured else said)
        form["gzip"] = b"1" if armoured else b"0"
        head = {"content-type": "application/x-www-form-urlencoded"}
        return Request(f"/sa?project={self.write_key}", urlencode(form).encode(), head, numbers)

    def _once(self, connection: http.client.HTTPConnection, request: Request, stop: threading.Event) -> bool:
        with self._lock:
            while self._held and not stop.is_set():
                self._lock.wait(0.05)
            self._busy += 1
        try:
            return self._asked(connection, request)
        finally:
            with self._lock:
                self._busy -= 1
                self._lock.notify_all()

    def _asked(self, connection: http.client.HTTPConnection, request: Request) -> bool:
        try:
            connection.request("POST", request.path, request.body, request.head)
            answer = connection.getresponse()
            answer.read()
        except ConnectionRefusedError:
            return False
        except (OSError, http.client.HTTPException):
            self._in_doubt(request)
            return False
        with self._lock:
            self.answers[answer.status] += 1
            if answer.status == 503:
                self.unpaced += not (answer.getheader("retry-after") or "").isdigit()
            if answer.status == 200:
                self._kept(request)
        if answer.status != 200:
            self._in_doubt(request)
        return answer.status == 200

    def _kept(self, request: Request) -> None:
        self.acknowledged.update(request.numbers)
        self.kept += len(request.numbers)
        # What is to be mended comes once only: else it could come again, as it was, after it was mended.
        if not any(map(mendable, request.numbers)):
            place = hash(request.body) % _KEPT_REQUESTS
            self._before[place : place + 1] = [request]

    def _in_doubt(self, request: Request) -> None:
        with self._lock:
            self.doubtful += len(request.numbers)
            self.repeated.update(request.numbers)

    def take(self) -> int:
        """Returns a number for an event that something else sends, as a client of its own."""
        with self._lock:
            number = next(self._number)
            self.sent.add(number)
        return number

    def hear(self, numbers: set[int]) -> None:
        """Counts events that something else sent as acknowledged."""
        with self._lock:
            self.acknowledged.update(numbers)

    def replayed(self, numbers: set[int], *, mended: bool) -> None:
        """Counts events that were sent through the drain again."""
        with self._lock:
            self.kept += len(numbers)
            if mended:
                self.mended |= numbers

    def more(self, count: int, what: str) -> None:
        """Waits until so many more events are acknowledged."""
        goal, give_up = len(self.acknowledged) + count, time.monotonic() + _PATIENCE_SECONDS
        while len(self.acknowledged) < goal:
            assert time.monotonic() < give_up, f"not within {_PATIENCE_SECONDS} s: {what}"
            time.sleep(0.01)
