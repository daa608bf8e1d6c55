"""Write keys that were made this moment hold, and keys that nobody has cannot make it slow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jingzhe.collect.write_keys import Source, add_source, key_hash
from jingzhe.core.errors import BusyError, StateError
from jingzhe.server import known_keys
from jingzhe.server.known_keys import LOOK_SECONDS, KnownKeys
from tests.collect.live import NOON
from tests.server.asking import Asked, ask
from tests.server.test_collector import PAGE

WEB = Source(1, "web", "web", (), NOON)


class Kept:
    """Keys as a state store has them: a look takes a snapshot, and may take its time to come back with it."""

    def __init__(self) -> None:
        self.keys: dict[str, Source] = {}
        self.looks = 0
        self.begun = threading.Event()
        self.answered = threading.Event()
        self.answered.set()
        self.failure: Exception | None = None

    def add(self, key: str) -> str:
        self.keys[key_hash(key)] = WEB
        return key

    def __call__(self) -> dict[str, Source]:
        self.looks += 1
        snapshot = dict(self.keys)
        self.begun.set()
        assert self.answered.wait(120)
        if self.failure is not None:
            raise self.failure
        return snapshot


def with_keys(scenario: Callable[[Kept, KnownKeys], Awaitable[None]]) -> None:
    async def run() -> None:
        kept = Kept()
        known = KnownKeys(kept)
        known.read_now()
        await scenario(kept, known)
        await known.end()

    asyncio.run(run())


def test_requests_at_once_with_a_key_made_this_moment_are_all_let_in() -> None:
    async def scenario(kept: Kept, known: KnownKeys) -> None:
        key = kept.add("new")
        assert await asyncio.gather(*(known.source(key) for _ in range(5))) == [WEB] * 5
        assert kept.looks == 2

    with_keys(scenario)


def test_a_key_made_after_the_look_that_is_under_way_is_let_in_by_the_next() -> None:
    async def scenario(kept: Kept, known: KnownKeys) -> None:
        kept.begun.clear()
        kept.answered.clear()
        first = asyncio.create_task(known.source("of nobody"))
        await asyncio.to_thread(kept.begun.wait, 30)
        second = asyncio.create_task(known.source(kept.add("new")))
        await asyncio.sleep(0)
        kept.answered.set()
        assert (await first, await second) == (None, WEB)

    with_keys(scenario)


def test_however_many_keys_of_nobody_come_there_are_few_looks() -> None:
    async def scenario(kept: Kept, known: KnownKeys) -> None:
        begun = asyncio.get_running_loop().time()
        for crowd in range(3):
            found = await asyncio.gather(*(known.source(f"{crowd} {number}") for number in range(100)))
            assert found == [None] * 100
        took = asyncio.get_running_loop().time() - begun
        assert kept.looks - 1 <= 1 + took / LOOK_SECONDS
        # What was looked up in vain is answered without a look, until the keys are read anew.
        looks = kept.looks
        assert await known.source("0 1", "2 99") is None
        assert kept.looks == looks

    with_keys(scenario)


def test_one_more_than_may_wait_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "MOST_WAITING", 2)

    async def scenario(kept: Kept, known: KnownKeys) -> None:
        key = kept.add("new")
        found = await asyncio.gather(known.source("x"), known.source(key), known.source("y"), return_exceptions=True)
        assert (found[0], found[1]) == (None, WEB)
        assert isinstance(found[2], BusyError)
        assert await known.source("y") is None

    with_keys(scenario)


def test_keys_that_cannot_be_read_are_no_unknown_keys() -> None:
    async def scenario(kept: Kept, known: KnownKeys) -> None:
        old = kept.add("old")
        await known.read_anew()
        kept.failure = StateError("away")
        new = kept.add("new")
        for _ in range(2):
            with pytest.raises(StateError, match="away"):
                await known.source(new)
        assert await known.source(old) == WEB
        kept.failure = None
        assert await known.source(new) == WEB

    with_keys(scenario)


def test_a_store_that_hangs_is_waited_for_no_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "_WAIT_SECONDS", 0.05)

    async def scenario(kept: Kept, known: KnownKeys) -> None:
        kept.answered.clear()
        with pytest.raises(BusyError, match="in time"):
            await known.source("new")
        kept.answered.set()

    with_keys(scenario)


def test_the_collector_takes_the_first_events_of_a_new_key(tmp_path: Path) -> None:
    async def scenario(asked: Asked) -> None:
        state, clock = asked.shop.warehouse.state, asked.shop.clock
        for name in ("till", "app"):
            # The second is made right after a look that the first caused.
            key = add_source(state, name, clock=clock)
            answers = await asyncio.gather(*(asked.post("/v1/page", PAGE, key=key) for _ in range(5)))
            assert [answer.status_code for answer in answers] == [200] * 5
        assert len(asked.kept()) == 10

    ask(tmp_path, scenario)


def test_the_collector_says_503_where_too_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "MOST_WAITING", 3)
    monkeypatch.setattr(known_keys, "_WAIT_SECONDS", 60.0)

    async def scenario(asked: Asked) -> None:
        known, gate = asked.admission._known, threading.Event()
        real = known.read
        known.read = lambda: real() if gate.wait(60) else {}
        posts = [asyncio.create_task(asked.post("/v1/page", PAGE, key=f"guess {number}")) for number in range(4)]
        (refused,), _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        sensors = await asked.client.get("/sa.gif?token=wrong&data=e30=")
        assert (await asked.post("/v1/page", PAGE)).status_code == 200
        gate.set()
        answers = await asyncio.gather(*posts)
        assert sorted(answer.status_code for answer in answers) == [401, 401, 401, 503]
        for answer in (refused.result(), sensors):
            assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", "busy")

    ask(tmp_path, scenario)
