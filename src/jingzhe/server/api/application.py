"""Puts the API together for one project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from jingzhe import __version__
from jingzhe.access.sessions import Limits
from jingzhe.app.workspace import Workspace
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.server.api import problems
from jingzhe.server.api.declaring import Routes, routes_of
from jingzhe.server.api.describing import describe
from jingzhe.server.api.guarding import Guard
from jingzhe.server.api.routes import (
    accounts,
    audit,
    codes,
    collection,
    consents,
    exports,
    figures,
    identity,
    identity_rules,
    imports,
    jobs,
    keys,
    names,
    operations,
    people,
    privacy,
    refused,
    session,
    sources,
    webhooks,
)
from jingzhe.server.api.routes import settings as settings_routes
from jingzhe.server.api.services import Services
from jingzhe.server.api.watching import Counters, Watched
from jingzhe.server.worker_metrics import WorkerMetrics

_SUBJECTS = (
    session,
    accounts,
    keys,
    audit,
    settings_routes,
    sources,
    names,
    collection,
    imports,
    refused,
    figures,
    people,
    identity,
    identity_rules,
    consents,
    privacy,
    codes,
    webhooks,
    exports,
    jobs,
    operations,
)
"""What the routes are about, one module each."""


def create_api(
    workspace: Workspace,
    *,
    limits: Limits | None = None,
    log: Log | None = None,
    registry: CollectorRegistry | None = None,
    closed: Callable[[], str] | None = None,
    works: bool = False,
    also: Sequence[Routes] = (),
) -> FastAPI:
    """Returns the API of a project, as an ASGI application.

    Its lifespan closes what it holds; the workspace stays open.

    Args:
        workspace: of the project; used from several threads.
        limits: how long sessions last.
        log: one line a request; None: JSON lines on standard error.
        registry: where measurements go, for ``/metrics``; None: one of its own.
        closed: says why the collector beside it takes nothing, empty where it does; None: there is none beside it.
        works: whether a worker belongs to this server, which is not ready then where nothing drains.
        also: routes of other parts, declared in the same way.

    Raises:
        TypeError: a route does not say who may call it.
    """

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        yield
        # In a thread: it waits for the job under way, and answers of others must not.
        await run_in_threadpool(started.state.services.close)

    app = FastAPI(
        title="Jingzhe", version=__version__, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    for routes in (*(subject.routes for subject in _SUBJECTS), *also):
        app.include_router(routes)
    routes_of(app)
    services = Services.of(workspace, limits, log)
    app.state.services = services
    app.state.guard = Guard(services)
    app.state.closed = closed
    app.state.works = works
    counters = Counters(registry or CollectorRegistry())
    if registry is None:
        counters.registry.register(WorkerMetrics(services.state, services.inbox))
    app.state.registry = counters.registry
    problems.install(app)
    over_tls = workspace.settings.is_public_over_tls
    app.add_middleware(Watched, log=log or log_to_stderr(), counters=counters, over_tls=over_tls)
    described: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not described:
            described.append(describe(app))
        return described[0]

    app.openapi = openapi  # type: ignore[method-assign]
    return app
