"""What keepers and machines ask: alive, ready, measurements, and the document of this API."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from prometheus_client import generate_latest
from pydantic import Field

from jingzhe.access.permissions import METRICS_READ
from jingzhe.app.worker_counts import DRAINED_AT, read_counts
from jingzhe.core.errors import JingzheError, StateError
from jingzhe.server.api.declaring import PREFIX, Routes
from jingzhe.server.api.models import Shown
from jingzhe.server.api.services import Served, Services

routes = Routes("operations", prefix="")
_STUCK_SECONDS = 60.0
"""So long something may wait while nothing is drained."""
_METRICS = "text/plain; version=1.0.0; charset=utf-8"


class Alive(Shown):
    """The process answers."""

    status: str = "alive"


class Ready(Shown):
    """Whether the stores can be reached and what was taken is brought into the lake."""

    ready: bool
    state: bool = Field(description="the state store answers")
    lake: bool = Field(description="the lake answers")
    collecting: bool | None = Field(
        default=None, description="events are taken; null where this server takes none of its own"
    )
    draining: bool | None = Field(
        default=None,
        description="false: something has waited in the inbox for more than a minute, and nothing was drained in the "
        "last; null where the worker is another server's",
    )


@routes.add("GET", "/healthz", needs="public", example={"status": "alive"})
def alive() -> Alive:
    """Says that the process answers."""
    return Alive()


@routes.add(
    "GET", "/readyz", needs="public",
    example={"ready": True, "state": True, "lake": True, "collecting": True, "draining": True},
    responses={503: {"model": Ready, "description": "not ready"}},
)  # fmt: skip
def ready(request: Request, served: Served, response: Response) -> Ready:
    """Says whether the stores can be reached, events are taken and drained; 503 where something is not so."""
    warehouse = served.workspace.warehouse
    state, lake = _answers(warehouse.state.latest), _answers(warehouse.lake.place.check)
    closed = request.app.state.closed
    collecting = None if closed is None else not closed()
    draining = _answers(lambda: _check_drain(served)) if request.app.state.works else None
    all_well = state and lake and collecting is not False and draining is not False
    if not all_well:
        response.status_code = 503
    return Ready(ready=all_well, state=state, lake=lake, collecting=collecting, draining=draining)


@routes.add(
    "GET", "/metrics", needs=METRICS_READ, media_type="text/plain", example="# HELP jingzhe_api_requests_total …",
    response_class=Response,
)  # fmt: skip
def metrics(request: Request) -> Response:
    """Gives the measurements as Prometheus reads them; labels name routes, never people."""
    return Response(generate_latest(request.app.state.registry), media_type=_METRICS)


@routes.add("GET", f"{PREFIX}/openapi.json", needs="public", example={"openapi": "3.1.0"})
def openapi(request: Request) -> dict[str, Any]:
    """Gives the description of this API."""
    described: dict[str, Any] = request.app.openapi()
    return described


def _answers(question: Any) -> bool:
    try:
        question()
    except JingzheError:
        return False
    return True


def _check_drain(served: Services) -> None:
    """Raises StateError where events wait and nobody drains them."""
    oldest_us, now = served.inbox.depth().oldest_us, served.now().timestamp()
    if oldest_us is None or now - oldest_us / 1e6 <= _STUCK_SECONDS:
        return
    if now - read_counts(served.state).get(DRAINED_AT, 0) > _STUCK_SECONDS:
        raise StateError("Events wait in the inbox and nothing drains them")
