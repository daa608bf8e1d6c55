"""Around every request: its number, security headers, one line in the log, a count and a time.

Neither the log nor the labels of the counters hold anything of people: the route's pattern stands there, not the path.
"""

from __future__ import annotations

import re
import secrets
import time
import traceback

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jingzhe.core.log import Log
from jingzhe.core.tracing import span
from jingzhe.server.api.problems import document

MOST_BODY_BYTES = 1_000_000
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""OWASP, REST Security Cheat Sheet; a route that sets one itself keeps its own."""
_HTTPS = {b"strict-transport-security": b"max-age=31536000"}


class Counters:
    """What is counted of requests.

    Args:
        registry: where; it is what ``/metrics`` shows.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        labels = ("method", "route", "status")
        self.requests = Counter("jingzhe_api_requests", "Requests to the API", labels, registry=registry)
        self.seconds = Histogram(
            "jingzhe_api_request_seconds", "Time until the answer", ("method", "route"), registry=registry
        )


class Watched:
    """An application, watched.

    Args:
        app: the application.
        log: one line a request.
        counters: what is counted.
        over_tls: True where people reach it over TLS, whatever comes here.
    """

    def __init__(self, app: ASGIApp, log: Log, counters: Counters, *, over_tls: bool = False) -> None:
        self._app = app
        self._log = log
        self._counters = counters
        self._over_tls = over_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        with span("request", "server", caller) as told:
            status = await self._serve(scope, receive, send)
            # The pattern of the route: the path may hold somebody's key.
            route = scope.get("jingzhe.route", "-")
            told.name(f"{scope['method']} {route}" if route != "-" else "unknown")
            told.set(
                http__request__method=scope["method"] if route != "-" else "_OTHER", http__route=route,
                http__response__status_code=status, jingzhe__role=scope.get("jingzhe.role", "nobody"),
            )  # fmt: skip
            if status >= 500:
                told.failed(str(status))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Serves one request; returns its status."""
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        name = given.decode() if _REQUEST_ID.match(given) else secrets.token_hex(8)
        scope["jingzhe.request_id"] = name
        status, began = 0, time.perf_counter()
        own = {
            **_HEADERS,
            **(_HTTPS if self._over_tls or scope["scheme"] == "https" else {}),
            b"x-request-id": name.encode(),
        }

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                set_already = {header.lower() for header, _ in headers}
                headers += [(header, value) for header, value in own.items() if header not in set_already]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, _bounded(receive), sent)
        except Exception as error:
            self._tell_failure(scope, error)
            if status:
                raise
            detail = "Something is wrong on this side"
            answer = document(Request(scope), 500, "internal", detail, hint="Tell a keeper the number of the request.")
            await answer(scope, receive, sent)
        finally:
            self._note(scope, status, time.perf_counter() - began)
        return status

    def _tell_failure(self, scope: Scope, error: Exception) -> None:
        # Where, not what: a message may hold values of people.
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = [f"{frame.filename.rpartition('/jingzhe/')[2]}:{frame.lineno}" for frame in frames]
        self._log.error("failure", request_id=scope["jingzhe.request_id"], error=type(error).__name__, places=places)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("jingzhe.route", "-")
        self._counters.requests.labels(scope["method"] if route != "-" else "-", route, str(status)).inc()
        self._counters.seconds.labels(scope["method"] if route != "-" else "-", route).observe(seconds)
        values = {"actor": scope.get("jingzhe.actor", "-"), "problem": scope.get("jingzhe.problem")}
        self._log.info(
            "request", request_id=scope["jingzhe.request_id"], method=scope["method"], route=route, status=status,
            ms=round(seconds * 1000, 1), **{name: value for name, value in values.items() if value is not None},
        )  # fmt: skip


def _bounded(receive: Receive) -> Receive:
    """Returns ``receive`` that gives up when a body is larger than any route takes."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MOST_BODY_BYTES} bytes")
        return message

    return bounded
