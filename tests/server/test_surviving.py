"""The collector lives on after failures that nobody foresaw: it goes on looking, and always ends whole."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jingzhe.collect.write_keys import revoke_keys
from jingzhe.server import admission
from jingzhe.server.answers import ACCEPTED
from jingzhe.server.site import Receive, Scope, Send, Site, say
from tests.server.asking import Asked, Heard, ask
from tests.server.test_collector import PAGE

PERSONAL = "13800000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(admission, "_KEYS_SECONDS", 0.0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("failure", [FileNotFoundError(2, "No such file"), RuntimeError(PERSONAL)])
def test_a_disk_that_cannot_be_looked_at_closes_the_door_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(_folder: Path) -> None:
        raise failure

    async def scenario(asked: Asked) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(shutil, "disk_usage", fails)
            await until(lambda: bool(asked.admission.closed))
            answer = await asked.post("/v1/page", PAGE)
            assert (answer.status_code, answer.json()["code"]) == (503, "closed")
        await until(lambda: not asked.admission.closed)
        assert (await asked.post("/v1/page", PAGE)).status_code == 200
        said = [values for event, values in asked.heard.lines if event == "cannot be looked at"]
        assert len(said) == 1
        assert said[0]["reason"].startswith(type(failure).__name__)
        assert PERSONAL not in str(asked.heard.lines)

    ask(tmp_path, scenario)


def test_a_key_that_was_revoked_ends_although_looks_failed(tmp_path: Path) -> None:
    left = [1, 1]

    async def scenario(asked: Asked) -> None:
        known = asked.admission._known
        real = known.read

        def sometimes() -> object:
            if left:
                left.pop()
                raise RuntimeError(PERSONAL)
            return real()

        known.read = sometimes  # type: ignore[assignment]
        await until(lambda: not left)
        assert (await asked.post("/v1/page", PAGE)).status_code == 200
        revoke_keys(asked.shop.warehouse.state, "shop", clock=asked.shop.clock)
        await until(lambda: known._by_hash == {})
        assert (await asked.post("/v1/page", PAGE)).status_code == 401
        assert PERSONAL not in str(asked.heard.lines)

    ask(tmp_path, scenario)


def test_it_ends_whole_although_it_stopped_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ends(_admission: object) -> None:
        raise RuntimeError(PERSONAL)

    monkeypatch.setattr(admission.Admission, "keep_looking", ends)
    kept: list[Asked] = []

    async def scenario(asked: Asked) -> None:
        kept.append(asked)
        assert (await asked.post("/v1/page", PAGE)).status_code == 200

    ask(tmp_path, scenario)
    assert [event for event, _ in kept[0].heard.lines][-2:] == ["looking at the stores had ended", "collector stopped"]
    assert PERSONAL not in str(kept[0].heard.lines)


class _Part:
    def __init__(self, ended: list[str], name: str, failure: Exception | None = None) -> None:
        self.ended, self.name, self.failure = ended, name, failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await say(send, ACCEPTED)

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.ended.append(self.name)
        if self.failure is not None:
            raise self.failure


def test_a_part_that_cannot_end_keeps_no_other_from_it() -> None:
    ended: list[str] = []
    heard = Heard()

    def fails() -> None:
        raise RuntimeError(PERSONAL)

    async def run() -> None:
        bad = _Part(ended, "api", RuntimeError(PERSONAL))
        server = Site(_Part(ended, "collector"), {"api": bad, "l": _Part(ended, "links")}, heard, fails)
        await server.start()
        await server.stop()

    asyncio.run(run())
    assert ended == ["links", "api", "collector"]
    assert [event for event, _ in heard.lines] == [
        "the start is not complete", "a part of the server did not end well",
    ]  # fmt: skip
    assert PERSONAL not in str(heard.lines)
