"""The first start as people do it: one command, a link, a password, a key, a source, an event, its person."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from jingzhe.access.accounts import Accounts
from jingzhe.access.actor import MACHINE
from jingzhe.access.audit import rows as trail
from jingzhe.core.clock import SystemClock
from jingzhe.store.state import State
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

_SECONDS = 180
_LINK = re.compile(r"(http://[^/]+)/#/set-password\?token=([A-Za-z0-9_-]+)")
PASSWORD = "nine bridges over plum rain"  # noqa: S105 - of nobody


@dataclass
class Served:
    """A server as a process."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def link(self) -> tuple[str, str]:
        """Waits for the one-time link; returns the address and the token."""
        give_up = time.monotonic() + _SECONDS
        while time.monotonic() < give_up:
            found = _LINK.search("".join(self.out))
            if found:
                return found[1], found[2]
            assert self.process.poll() is None, "".join(self.err)
            time.sleep(0.05)
        pytest.fail("no link was printed")

    def logged(self, event: str) -> dict[str, Any]:
        """Waits for a line of the log."""
        give_up = time.monotonic() + _SECONDS
        while time.monotonic() < give_up:
            for line in list(self.err):
                if line.startswith("{") and json.loads(line)["event"] == event:
                    found: dict[str, Any] = json.loads(line)
                    return found
            assert self.process.poll() is None, "".join(self.err)
            time.sleep(0.05)
        pytest.fail(f"{event!r} was not logged")


@contextmanager
def served(home: Path, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--home", str(home), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        found = Served(process)
        readers = [
            threading.Thread(target=lambda pipe, lines: lines.extend(pipe), args=pair)
            for pair in ((process.stdout, found.out), (process.stderr, found.err))
        ]
        for reader in readers:
            reader.start()
        try:
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            for reader in readers:
                reader.join(_SECONDS)
            process.wait(_SECONDS)
    assert process.returncode == 0, "".join(found.err)


@pytest.mark.slow
def test_from_the_first_start_to_a_person(tmp_path: Path) -> None:
    with served(tmp_path / "home") as server:
        address, token = server.link()
        # What is asked while the API is being loaded waits for it; who asks whether the server lives does not.
        with httpx.Client(base_url=address, timeout=_SECONDS) as client:
            assert client.get("/healthz").json() == {"status": "alive"}
            assert client.get("/").headers["content-type"].startswith("text/html")
            write_key, key = _let_in(client, token)
            _send(client, write_key)
            person = _await_person(client, key, "login", "u-77")
            assert person["profile"]["purchases"] == 1
            assert person["profile"]["monetary"] == 41.5
            days = client.get("/api/v1/collection", headers=key).json()["days"]
            assert [(one["source"], one["accepted"]) for one in days] == [("till 3", 1)]
            measured = client.get("/metrics", headers=key).text
            assert 'jingzhe_collect_events_total{source="till 3"} 1.0' in measured
            assert "jingzhe_api_requests_total" in measured
            assert client.get("/metrics").status_code == 401
    said = "".join(server.err)
    for secret in (token, write_key, PASSWORD, "u-77", key["Authorization"].split("_")[-1]):
        assert secret not in said
    for event in ("api stopped", "collector stopped", "drained", "refreshed"):
        assert f'"event": "{event}"' in said
    with served(tmp_path / "home", "--role", "api") as again:
        again.logged("api started")
    assert not _LINK.search("".join(again.out))


def _let_in(client: httpx.Client, token: str) -> tuple[str, dict[str, str]]:
    """Sets the password, signs in, makes a source and a key; returns the write key and the header with the key."""
    v1 = "/api/v1"
    given = {"token": token, "password": PASSWORD}
    assert client.post(f"{v1}/session/password", json=given).status_code == 204
    assert client.post(f"{v1}/session/password", json=given).status_code == 404
    me = client.post(f"{v1}/session", json={"email": "owner@localhost", "password": PASSWORD})
    assert me.json()["role"] == "owner"
    client.headers["X-CSRF-Token"] = me.json()["csrf_token"]
    source = client.post(f"{v1}/sources", json={"name": "till 3", "kind": "till"})
    assert source.status_code == 201, source.text
    scopes = ["people.read", "people.find", "collection.read", "metrics.read"]
    made = client.post(f"{v1}/keys", json={"name": "look", "scopes": scopes})
    assert made.status_code == 201, made.text
    client.cookies.clear()
    del client.headers["X-CSRF-Token"]
    return source.json()["write_key"], {"Authorization": f"Bearer {made.json()['secret']}"}


def _send(client: httpx.Client, write_key: str) -> None:
    event = {"event": "Order Completed", "userId": "u-77", "properties": {"revenue": 41.5}}
    answer = client.post("/v1/track", json=event, auth=(write_key, ""))
    assert answer.status_code == 200, answer.text


def _await_person(client: httpx.Client, key: dict[str, str], kind: str, value: str) -> dict[str, Any]:
    give_up = time.monotonic() + _SECONDS
    while time.monotonic() < give_up:
        found = client.get("/api/v1/people", params={"kind": kind, "value": value}, headers=key).json()["items"]
        if found:
            answer = client.get(f"/api/v1/people/{found[0]}", headers=key)
            # Their keys are known as soon as it is drained, their profile after the next refresh.
            if answer.status_code == 200 and answer.json()["profile"] is not None:
                person: dict[str, Any] = answer.json()
                return person
        time.sleep(0.2)
    pytest.fail("the event did not reach its person")


@pytest.mark.slow
def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    answers: list[tuple[int, int]] = []
    with served(tmp_path / "home", "--role", "api") as server:
        address, _ = server.link()
        asking = HTTPConnection(urlsplit(address).netloc, timeout=_SECONDS)
        # Asked while the API is being loaded, so it is under way when the signal comes.
        asking.request("GET", "/api/v1/openapi.json")

        def read() -> None:
            answer = asking.getresponse()
            answers.append((answer.status, len(answer.read())))

        reading = threading.Thread(target=read)
        reading.start()
        # Who asks later is answered at once: so the server has the other request too.
        assert httpx.get(f"{address}/healthz", timeout=_SECONDS).status_code == 200
        time.sleep(0.3)
    reading.join(_SECONDS)
    asking.close()
    ((status, size),) = answers
    assert status == 200
    assert size > 10_000
    assert "api stopped" in "".join(server.err)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_of_two_servers_that_start_at_once_one_makes_the_owner(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("postgres_url") if store == "postgres" else f"sqlite:///{tmp_path / 'state.db'}"
    monkeypatch.setenv("JINGZHE_STATE_URL", url)
    # Hosts of one project have one key file.
    monkeypatch.setenv("JINGZHE_SEAL_KEY_FILE", str(tmp_path / "seal.keys"))
    with served(tmp_path / "one", "--role", "api") as one, served(tmp_path / "two", "--role", "api") as two:
        for server in (one, two):
            server.logged("api started")
    links = [_LINK.search("".join(server.out)) for server in (one, two)]
    assert sum(link is not None for link in links) == 1
    with State.open(url, clock=SystemClock()) as state:
        assert len(Accounts(state, SystemClock()).all()) == 1
        assert [row.action for row in trail(state)] == ["account.link-made", "account.made"]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_first_owner_is_made_once_however_many_ask(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if store == "postgres" else f"sqlite:///{tmp_path / 'state.db'}"
    clock, made = SystemClock(), []
    with State.open(url, clock=clock) as state:
        accounts, begin = Accounts(state, clock), threading.Barrier(4)

        def start() -> None:
            begin.wait()
            made.append(accounts.first_administrator(MACHINE))

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(link is not None for link in made) == 1
        assert len(accounts.all()) == 1
