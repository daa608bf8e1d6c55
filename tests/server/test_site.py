"""Collection and API at one address: who answers what, also while the API is being loaded or cannot be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.errors import StateError
from jingzhe.server.admission import Limits
from jingzhe.server.answers import ACCEPTED
from jingzhe.server.collector import Collector
from jingzhe.server.serving import Listen, collector, site
from jingzhe.server.site import ASGIApp, Later, Site, say
from jingzhe.server.welcome import PAGE, Welcome
from jingzhe.store.state.inbox import Inbox
from tests.collect.live import live, track
from tests.server.asking import Heard

Scenario = Callable[[httpx.AsyncClient], Awaitable[None]]


async def talk(app: Any, scenario: Scenario) -> None:
    await app.start()
    try:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://jingzhe.test", timeout=60) as client:
            await scenario(client)
    finally:
        await app.stop()


def over(folder: Path, scenario: Callable[[httpx.AsyncClient, str, str], Awaitable[None]]) -> Heard:
    """Runs a scenario against a whole server in this process, with a write key and a key that may measure."""
    heard = Heard()

    def opened() -> Workspace:
        return open_workspace(folder, memory_limit_mb=300, threads=1)

    with live(folder / "live") as shop:
        taking = collector(
            shop.warehouse.state, shop.inbox, clock=shop.clock, limits=Limits(free_bytes=0), log=heard, guarded=True
        )
        with opened() as own:
            key = Keys(own.warehouse.state, own.warehouse.clock).make(MACHINE, "p", ["metrics.read"])[1]
        whole = site(collect=taking, workspace=opened, log=heard)

        async def asked(client: httpx.AsyncClient) -> None:
            await scenario(client, shop.write_key, key)

        asyncio.run(talk(whole, asked))
    return heard


def test_both_answer_at_one_address(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, write_key: str, key: str) -> None:
        sent = await client.post("/v1/track", json=track(userId="somebody"), auth=(write_key, ""))
        assert sent.status_code == 200
        document = (await client.get("/api/v1/openapi.json")).json()
        assert {"/api/v1/sources", "/api/v1/people/{person_id}", "/readyz"} <= document["paths"].keys()
        assert not [path for path in document["paths"] if path.startswith(("/v1/", "/sa"))]
        ready = (await client.get("/readyz")).json()
        assert ready == {"ready": True, "state": True, "lake": True, "collecting": True, "draining": None}
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/metrics")).status_code == 401
        page = (await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})).text
        for name in ("jingzhe_collect_events_total", "jingzhe_inbox_events", "jingzhe_api_requests_total"):
            assert name in page
        assert "somebody" not in page
        for path in ("/apix", "/v1/nothing", "/l/none/x"):
            assert (await client.get(path)).status_code == 404
        # The API answers no other site's pages, the collector answers all.
        origin = {"Origin": "https://shop.example"}
        assert "access-control-allow-origin" not in (await client.get("/api/v1/roles", headers=origin)).headers
        beside = await client.post("/v1/track", json=track(), auth=(write_key, ""), headers=origin)
        assert beside.headers["access-control-allow-origin"] == "https://shop.example"

    heard = over(tmp_path, scenario)
    told = [event for event, _ in heard.lines]
    assert told.index("collector started") < told.index("api started")
    assert told.index("api stopped") < told.index("collector stopped")
    assert "somebody" not in str(heard.lines)


def test_a_closed_collector_is_not_ready(tmp_path: Path) -> None:
    def opened() -> Workspace:
        return open_workspace(tmp_path, memory_limit_mb=300, threads=1)

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/readyz")
        while answer.json().get("code") == "starting":
            await asyncio.sleep(0.05)
            answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["collecting"]) == (503, False)

    with live(tmp_path / "live") as shop:
        full = Limits(free_bytes=2**60)
        taking = collector(shop.warehouse.state, shop.inbox, clock=shop.clock, limits=full, log=Heard())
        asyncio.run(talk(site(collect=taking, workspace=opened, log=Heard()), scenario))


class Loading:
    """An API that takes as long to load as the test wants, and fails as often."""

    def __init__(self, failures: int = 0) -> None:
        self.loaded = threading.Event()
        self.left = failures

    def __call__(self) -> AbstractAsyncContextManager[ASGIApp]:
        assert self.loaded.wait(120)
        if self.left:
            self.left -= 1
            raise StateError("The state store cannot be reached")
        return self.held()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[ASGIApp]:
        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await say(send, ACCEPTED)

        yield app


def _taking(folder: Path, inbox: Inbox, state: Any, clock: Any) -> Collector:
    del folder
    return collector(state, inbox, clock=clock, limits=Limits(free_bytes=0), log=Heard())


def test_events_are_taken_while_the_api_is_loading(tmp_path: Path) -> None:
    loading = Loading()

    async def scenario(client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(client.get("/api/v1/roles"))
        for _ in range(3):
            sent = await client.post("/v1/track", json=track(), auth=(shop.write_key, ""))
            assert sent.status_code == 200
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).status_code == 503
        assert not waiting.done()
        loading.loaded.set()
        assert (await waiting).status_code == 200

    with live(tmp_path) as shop:
        taking = _taking(tmp_path, shop.inbox, shop.warehouse.state, shop.clock)
        api = Later(loading, Heard())
        asyncio.run(talk(Site(taking, dict.fromkeys(("api", "healthz", "readyz"), api), Heard()), scenario))


def test_an_api_that_cannot_start_says_so_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.server.site._AGAIN_SECONDS", 0.3)
    loading, heard = Loading(failures=1), Heard()
    loading.loaded.set()

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/v1/roles")
        while not heard.lines:
            await asyncio.sleep(0.01)
            answer = await client.get("/api/v1/roles")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        while answer.status_code == 503:
            await asyncio.sleep(0.05)
            answer = await client.get("/api/v1/roles")
        assert answer.status_code == 200

    with live(tmp_path) as shop:
        taking = _taking(tmp_path, shop.inbox, shop.warehouse.state, shop.clock)
        asyncio.run(talk(Site(taking, {"api": Later(loading, heard)}, heard), scenario))
    assert heard.lines[0][0] == "api cannot start and will be tried again"


def test_what_is_said_when_it_has_begun_is_said_in_a_thread(tmp_path: Path) -> None:
    told: list[str] = []

    async def scenario(client: httpx.AsyncClient) -> None:
        while not told:
            await asyncio.sleep(0.01)
        assert (await client.get("/health")).status_code == 200

    with live(tmp_path) as shop:
        taking = _taking(tmp_path, shop.inbox, shop.warehouse.state, shop.clock)
        begun = Site(taking, {}, Heard(), lambda: told.append(threading.current_thread().name))
        asyncio.run(talk(begun, scenario))
    assert told != [threading.main_thread().name]


def test_a_collector_of_its_own_shows_measurements_to_a_key_only(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for header in ({}, {"Authorization": "Bearer jz_x"}, {"Authorization": "Basic amluZw=="}):
            refused = await client.get("/metrics", headers=header)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="jingzhe"')
        refused = await client.get("/metrics", headers={"Authorization": f"Bearer {other}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert "www-authenticate" not in refused.headers
        page = await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert (page.status_code, "jingzhe_inbox_events 0.0" in page.text) == (200, True)
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).status_code == 200

    with live(tmp_path) as shop:
        keys = Keys(shop.warehouse.state, shop.clock)
        key, other = (keys.make(MACHINE, "k", [scope])[1] for scope in ("metrics.read", "people.read"))
        taking = collector(
            shop.warehouse.state, shop.inbox, clock=shop.clock, limits=Limits(free_bytes=0), log=Heard(), guarded=True
        )
        asyncio.run(talk(site(collect=taking, workspace=None, log=Heard()), scenario))


def test_the_page_behind_the_link_may_run_its_own_script_and_nothing_else() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/")
        policy = answer.headers["content-security-policy"]
        for tag in ("script", "style"):
            (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
            hashed = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{hashed}'" in policy
        assert "default-src 'none'" in policy
        assert not re.search(r"(src|href)=|https?://", answer.text)
        assert (await client.post("/")).status_code == 404
        assert (await client.head("/")).headers["content-length"] == str(len(PAGE))

    asyncio.run(talk(Welcome(), scenario))


def test_a_server_with_nothing_to_do_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to do"):
        site(collect=None, workspace=None)


def test_a_free_port_is_found_and_an_address_that_is_not_here_is_told() -> None:
    assert Listen(port=0).settled().port > 1023
    assert Listen(port=8090).settled() == Listen(port=8090)
    with pytest.raises(StateError, match="cannot listen"):
        Listen("192.0.2.1", 0).settled()
    assert json.dumps(Listen("::", 7).url) == '"http://127.0.0.1:7"'
