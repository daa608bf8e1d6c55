"""One address for everything: the first part of a path says which app answers; what no other app has is collection.

Collection is what has to be quick, so it costs one look-up more than alone, and the API, which takes seconds to load,
is made after the server listens: the first events do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from jingzhe.core.errors import JingzheError
from jingzhe.core.failures import told
from jingzhe.core.log import Log
from jingzhe.server.answers import ALIVE, Answer, problem
from jingzhe.server.lifespan import live

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

API_PARTS = ("api", "healthz", "readyz", "metrics")
"""First parts of the API's paths."""
_AGAIN_SECONDS = 5.0


class Part(Protocol):
    """An app with a beginning and an end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        ...

    async def start(self) -> None:
        """Begins."""
        ...

    async def stop(self) -> None:
        """Ends; what is under way is done first."""
        ...


class Later:
    """An app that is made after the server listens; requests wait for it, those that ask whether it is there do not.

    Args:
        make: makes it, in a thread; its context is left when the server ends. A JingzheError (a store that does not
            answer) is logged, and it is tried again.
        log: is told of failures and of how long it took.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[ASGIApp]], log: Log) -> None:
        self._make = make
        self._log = log
        self._app: ASGIApp | None = None
        self._held: AbstractAsyncContextManager[ASGIApp] | None = None
        self._making: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._tried = asyncio.Event()

    async def start(self) -> None:
        """Begins to make it; does not wait."""
        self._making = asyncio.create_task(self._made())

    async def stop(self) -> None:
        """Leaves its context."""
        self._ending.set()
        if self._making is not None:
            await self._making
        if self._held is not None:
            await self._held.__aexit__(None, None, None)
            self._log.info("api stopped")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, as soon as the app is there."""
        if self._app is None and scope["path"] == "/healthz":
            await say(send, ALIVE)
            return
        if self._app is None and scope["path"] != "/readyz":
            await self._tried.wait()
        if self._app is not None:
            await self._app(scope, receive, send)
            return
        answer = problem(503, "starting", "The API is not ready yet.", retry_after=int(_AGAIN_SECONDS))
        await say(send, answer)

    async def _made(self) -> None:
        began = asyncio.get_running_loop().time()
        while not self._ending.is_set():
            try:
                held = await asyncio.to_thread(self._make)
                self._app = await held.__aenter__()
                self._held = held
                self._tried.set()
            except JingzheError as error:
                self._tried.set()
                self._log.error("api cannot start and will be tried again", code=error.code, reason=error.message)
                await _pause(self._ending, _AGAIN_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 - nobody expected it; who waits is told, and it may pass
                self._tried.set()
                self._log.error("api cannot start and will be tried again", code="internal", reason=told(error))
                await _pause(self._ending, _AGAIN_SECONDS)
                continue
            took = asyncio.get_running_loop().time() - began
            self._log.info("api started", seconds=round(took, 3))
            return


class Site:
    """The ASGI app of the server.

    Args:
        rest: answers what no other app has.
        parts: apps by the first part of their paths, such as ``{"api": …}`` for ``/api/v1/people``; one that
            stands there several times is begun once.
        started: is called in a thread when everything has begun; None: nothing is.
        log: is told where ``started`` fails.
    """

    def __init__(
        self, rest: Part, parts: Mapping[str, Part], log: Log, started: Callable[[], None] | None = None
    ) -> None:
        self._rest = rest
        self._parts = dict(parts)
        self._log = log
        self._started = started
        self._telling: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the beginning and end of the server."""
        if scope["type"] == "http":
            first = scope["path"].split("/", 2)
            app = self._parts.get(first[1] if len(first) > 1 else "", self._rest)
            await app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await live(receive, send, self.start, self.stop)

    async def start(self) -> None:
        """Begins all parts, the one that has to be quick first."""
        begun: list[Part] = []
        try:
            for part in self._all():
                await part.start()
                begun.append(part)
        except BaseException:
            await self._end(begun)
            raise
        if self._started is not None:
            self._telling = asyncio.create_task(self._tell(self._started))

    async def stop(self) -> None:
        """Ends all parts, in the other order; one that cannot end keeps no other from it."""
        if self._telling is not None:
            await self._telling
        await self._end(self._all())

    async def _end(self, parts: list[Part]) -> None:
        for part in reversed(parts):
            try:
                await part.stop()
            except Exception as error:  # noqa: BLE001 - the others have something to end, too
                self._log.error("a part of the server did not end well", part=type(part).__name__, error=told(error))

    def _all(self) -> list[Part]:
        return list({id(part): part for part in (self._rest, *self._parts.values())}.values())

    async def _tell(self, started: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(started)
        except JingzheError as error:
            self._log.error("the start is not complete", code=error.code, reason=error.message)
        except Exception as error:  # noqa: BLE001 - the server listens and can be ended
            self._log.error("the start is not complete", code="internal", reason=told(error))


async def say(send: Send, answer: Answer) -> None:
    """Sends an answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _pause(ending: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(ending.wait(), seconds)
    except TimeoutError:
        return
