"""Runs collector and API until they are told to end; what is under way is answered first."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from jingzhe.access.errors import AccessError
from jingzhe.access.keys import Keys
from jingzhe.access.permissions import METRICS_READ
from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.write_keys import live_keys
from jingzhe.core.clock import Clock
from jingzhe.core.errors import StateError
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.server.admission import Admission, Limits
from jingzhe.server.collector import Collector
from jingzhe.server.metrics import Metrics
from jingzhe.server.site import API_PARTS, Later, Part, Site
from jingzhe.server.welcome import Welcome
from jingzhe.server.worker_metrics import WorkerMetrics
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jingzhe.app.workspace import Workspace

_BACKLOG = 4096
_TURN_SECONDS = 0.0005
_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - names them, to say them otherwise

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Listen:
    """Where the server listens.

    Args:
        host: address.
        port: of TCP; 0 for one that is free.
    """

    host: str = "127.0.0.1"
    port: int = 8090

    def settled(self) -> Listen:
        """Returns where it will really be: a port that is free in place of 0.

        Raises:
            StateError: there is no such address here.
        """
        if self.port:
            return self
        try:
            with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
                probe.bind((self.host, 0))
                return replace(self, port=int(probe.getsockname()[1]))
        except OSError as error:
            raise _cannot_listen(error, self) from error

    @property
    def url(self) -> str:
        """Returns how a browser on this machine gets there.

        >>> Listen("0.0.0.0", 80).url, Listen("::1", 80).url
        ('http://127.0.0.1:80', 'http://[::1]:80')
        """
        host = "127.0.0.1" if self.host in _ANYWHERE else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def collector(
    state: State,
    inbox: Inbox,
    *,
    clock: Clock,
    limits: Limits | None = None,
    log: Log | None = None,
    guarded: bool = False,
) -> Collector:
    """Returns the ASGI app of the collection routes over a project's stores.

    Args:
        state: where the sources are.
        inbox: where events go.
        clock: what time it is.
        limits: what is taken.
        log: None: JSON lines on standard error.
        guarded: True to show measurements only to a key with the scope ``metrics.read``, as the API does.
    """
    metrics = Metrics()
    metrics.registry.register(WorkerMetrics(state))
    said = log or log_to_stderr()
    commits = GroupCommit(inbox, clock, metrics.committed, said)
    admission = Admission(inbox, lambda: live_keys(state), limits or Limits(), log=said)
    may = _may_measure(Keys(state, clock)) if guarded else None
    return Collector(admission, commits, clock, metrics, said, may_measure=may)


def site(
    *,
    collect: Collector | None,
    workspace: Callable[[], Workspace] | None,
    log: Log | None = None,
    started: Callable[[], None] | None = None,
    links: Part | None = None,
    works: bool = False,
) -> Site:
    """Returns the ASGI app of a server: collection, the API, or both at one address.

    Args:
        collect: the collection routes; None: this server takes no events.
        workspace: opens the project for the API, in a thread, after the server listens; None: there is no API.
        log: None: JSON lines on standard error.
        started: called in a thread when the server has begun.
        links: the redirect of short links; None: this server has none.
        works: whether this server has a worker, so that it is not ready where nothing drains.

    Raises:
        ValueError: there is neither.
    """
    told = log or log_to_stderr()
    short: dict[str, Part] = {"l": links} if links else {}
    if workspace is None:
        if collect is None:
            raise ValueError("A server without collection and without API has nothing to do")
        return Site(collect, short, told, started)
    api = Later(_api(workspace, collect, told, works), told)
    parts: dict[str, Part] = {**dict.fromkeys(API_PARTS, api), "": Welcome(), **short}
    return Site(collect or api, parts, told, started)


def _api(
    workspace: Callable[[], Workspace], beside: Collector | None, log: Log, works: bool
) -> Callable[[], AbstractAsyncContextManager[FastAPI]]:
    def make() -> AbstractAsyncContextManager[FastAPI]:
        from jingzhe.server.api.application import create_api  # noqa: PLC0415 - loads everything; takes seconds

        opened = workspace()
        try:
            app = create_api(
                opened,
                log=log,
                registry=beside.metrics.registry if beside else None,
                closed=(lambda: beside.closed) if beside else None,
                works=works,
            )
        except BaseException:
            opened.close()
            raise
        return _alive(app, opened)

    return make


@asynccontextmanager
async def _alive(app: FastAPI, workspace: Workspace) -> AsyncIterator[FastAPI]:
    try:
        async with app.router.lifespan_context(app):
            yield app
    finally:
        await asyncio.to_thread(workspace.close)


def _may_measure(keys: Keys) -> Callable[[str], bool | None]:
    def may(authorization: str) -> bool | None:
        scheme, _, written = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return keys.actor(written.strip()).may(METRICS_READ)
        except AccessError:
            return None

    return may


def serve(app: ASGIApp, listen: Listen) -> None:
    """Serves until SIGTERM or SIGINT; what is under way is answered, then it returns.

    Args:
        app: a collector or a site.
        listen: where.

    Raises:
        StateError: the address is taken, or the app could not start.
    """
    # Answers of the API are put together in threads; taking an event must not wait five milliseconds for each of them.
    sys.setswitchinterval(_TURN_SECONDS)
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
        raise _cannot_listen(error, listen) from error


def _cannot_listen(error: Exception, listen: Listen) -> StateError:
    return StateError(
        f"The server cannot listen: {error}", hint="Is the port taken?", address=f"{listen.host}:{listen.port}"
    )
