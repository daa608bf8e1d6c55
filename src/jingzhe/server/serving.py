"""Runs the collector until it is told to end; what is under way is answered first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.write_keys import live_keys
from jingzhe.core.clock import Clock
from jingzhe.core.errors import StateError
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.server.admission import Admission, Limits
from jingzhe.server.collector import Collector
from jingzhe.server.metrics import Metrics
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox

_BACKLOG = 4096

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Listen:
    """Where the collector listens.

    Args:
        host: address.
        port: of TCP.
    """

    host: str = "127.0.0.1"
    port: int = 8090


def collector(
    state: State, inbox: Inbox, *, clock: Clock, limits: Limits | None = None, log: Log | None = None
) -> Collector:
    """Returns the ASGI app over a project's stores.

    Args:
        state: where the sources are.
        inbox: where events go.
        clock: what time it is.
        limits: what is taken.
        log: None: JSON lines on standard error.
    """
    metrics = Metrics()
    commits = GroupCommit(inbox, clock, metrics.committed)
    admission = Admission(inbox, lambda: live_keys(state), limits or Limits())
    return Collector(admission, commits, clock, metrics, log or log_to_stderr())


def serve(app: ASGIApp, listen: Listen) -> None:
    """Serves until SIGTERM or SIGINT; what is under way is answered, then it returns.

    Args:
        app: the collector, or an app in which it is mounted.
        listen: where.

    Raises:
        StateError: the address is taken, or the app could not start.
    """
    uvloop.run(_serve(app, listen))


async def _serve(app: ASGIApp, listen: Listen) -> None:
    server = Server(
        app, address=listen.host, port=listen.port, interface=Interfaces.ASGI, websockets=False, http=HTTPModes.http1,
        backlog=_BACKLOG, log_level=LogLevels.error,
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        await server.serve()
    except (OSError, RuntimeError) as error:
        raise StateError(
            f"The collector cannot listen: {error}", hint="Is the port taken?", address=f"{listen.host}:{listen.port}"
        ) from error
