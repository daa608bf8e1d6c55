"""What keepers and machines ask: alive, ready, measurements, and the document of this API."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from prometheus_client import generate_latest
from pydantic import Field

from jingzhe.access.permissions import METRICS_READ
from jingzhe.core.errors import JingzheError
from jingzhe.server.api.declaring import PREFIX, Routes
from jingzhe.server.api.models import Shown
from jingzhe.server.api.services import Served

routes = Routes("operations", prefix="")
_METRICS = "text/plain; version=1.0.0; charset=utf-8"


class Alive(Shown):
    """The process answers."""

    status: str = "alive"


class Ready(Shown):
    """Whether the stores can be reached."""

    ready: bool
    state: bool = Field(description="the state store answers")
    lake: bool = Field(description="the lake answers")
    collecting: bool | None = Field(
        default=None, description="events are taken; null where this server takes none of its own"
    )


@routes.add("GET", "/healthz", needs="public", example={"status": "alive"})
def alive() -> Alive:
    """Says that the process answers."""
    return Alive()


@routes.add(
    "GET", "/readyz", needs="public", example={"ready": True, "state": True, "lake": True, "collecting": True},
    responses={503: {"model": Ready, "description": "not ready"}},
)  # fmt: skip
def ready(request: Request, served: Served, response: Response) -> Ready:
    """Says whether state store and lake can be reached and events are taken; 503 where something is not so."""
    warehouse = served.workspace.warehouse
    state, lake = _answers(warehouse.state.latest), _answers(warehouse.lake.place.check)
    closed = request.app.state.closed
    collecting = None if closed is None else not closed()
    all_well = state and lake and collecting is not False
    if not all_well:
        response.status_code = 503
    return Ready(ready=all_well, state=state, lake=lake, collecting=collecting)


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
