"""Bodies that are made to hurt, sent to the served command one by one and many at once: its memory stays bounded."""

from __future__ import annotations

import http.client
import json
import random
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jingzhe.collect.draining import _BYTES_AT_ONCE
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import SystemClock
from jingzhe.store.state import State
from tests.ports import free_port
from tests.worker.bombing import BODY_BYTES, INFLATED_BYTES, MOST_EVENTS, bodies
from tests.worker.books import SHOP, opened
from tests.worker.killing_commands import Command, Killed, until
from tests.worker.sales import segment_batch
from tests.worker.sending import Clients

pytestmark = pytest.mark.slow
_AT_ONCE = 8
_NUMBERS = "SELECT CAST(json_extract_string(properties, '$.n') AS BIGINT) AS n FROM event_details"
_EVENT_BYTES = 1000
"""More than Python holds of an event that is refused: where it stands, its own bytes, why, its row in quarantine."""
_SERVER_MAY = _AT_ONCE * (2 * BODY_BYTES + 3 * INFLATED_BYTES) + MOST_EVENTS * _EVENT_BYTES
"""Bodies as they came, in pieces and as a whole; what they hold, by itself, in a group and sealed; and the events of
one, since they are looked at one after the other. If any of it grew with what a bomb holds, it would be gigabytes."""
_WORKER_MAY = 4 * _BYTES_AT_ONCE + 300 * 10**6 + 2 * MOST_EVENTS * _EVENT_BYTES
"""What it takes of the inbox at once: sealed, opened, by request and by event; the engine's limit; events refused."""


def test_bombs_are_refused_or_taken_and_memory_stays_bounded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with State.open(f"sqlite:///{home / 'state.db'}", clock=SystemClock()) as state:
        key = add_source(state, SHOP, clock=SystemClock())
    clients = Clients(free_port(), key)
    killed = Killed(home, "", clients, random.Random(1), tmp_path / "log")  # noqa: S311 - no secret
    with killed.running() as server:
        until(lambda: server.answers, "the server answers")
        good(clients, home)
        # Waits until all of the API is loaded, so that what is measured is not that.
        assert ask(clients, "GET", "/api/v1/openapi.json") == 200
        before = peaks(server)
        bombs = list(bodies())
        answers = [(name, post(clients, path, body)) for name, path, body in bombs]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            again = pool.map(lambda bomb: (bomb[0], post(clients, bomb[1], bomb[2])), [*bombs, *bombs[::-1]])
            answers += list(again)
        wrong = [(name, status) for name, status in answers if status != 200 and not 400 <= status < 500]
        assert not wrong, wrong
        assert {status for _, status in answers} == {200, 400, 413}
        good(clients, home)
        grown = [after - first for after, first in zip(peaks(server), before, strict=True)]
        assert grown[0] < _SERVER_MAY, grown
        assert grown[1] < _WORKER_MAY, grown
        assert server.end() == 0


def good(clients: Clients, home: Path) -> None:
    """Sends good events, and waits until the worker has drained them."""
    numbers = {clients.take() for _ in range(3)}
    assert post(clients, "/v1/batch", json.dumps(segment_batch(sorted(numbers))).encode()) == 200
    with opened(home, "") as workspace:
        until(lambda: numbers <= set(workspace.sql(_NUMBERS)["n"].to_pylist()), "good events are drained", seconds=300)


def post(clients: Clients, path: str, body: bytes) -> int:
    return ask(clients, "POST", f"{path}?token={clients.write_key}", body)


def ask(clients: Clients, method: str, path: str, body: bytes = b"") -> int:
    head = {"authorization": "Basic " + b64encode(f"{clients.write_key}:".encode()).decode()}
    with closing(http.client.HTTPConnection("127.0.0.1", clients.port, timeout=120)) as connection:
        connection.request(method, path, body, head)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def peaks(server: Command) -> tuple[int, int]:
    """Returns the most memory that server and worker have had resident, bytes."""
    (worker,) = server.workers()
    return peak(server.process.pid), peak(worker)


def peak(pid: int) -> int:
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
