"""The beginning and the end of an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from jingzhe.core.errors import JingzheError

_Step = Callable[[], Awaitable[object]]


async def live(
    receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]], begin: _Step, end: _Step
) -> None:
    """Begins when the server asks for it, and ends when it does; a beginning that fails is told to the server.

    Args:
        receive: of the ASGI specification's lifespan protocol.
        send: as well.
        begin: what is done before anything is answered.
        end: what is done after everything is answered.
    """
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await begin()
            except JingzheError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await end()
            await send({"type": "lifespan.shutdown.complete"})
            return
