"""The collector: an ASGI app that takes what SDKs send and answers when it is durable.

The way of a request is kept short: whose key, how much, is it events at all, into the inbox. Everything else (what
the events mean, whether each of them is right) is the drain's work.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.naming import Names
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.received import Protocol, Received
from jingzhe.collect.wire import bodies, pixel, segment, sensors
from jingzhe.collect.wire.segment import Checked
from jingzhe.collect.write_keys import Source
from jingzhe.core.clock import Clock
from jingzhe.core.errors import BusyError, JingzheError, RefusedBodyError
from jingzhe.core.failures import told
from jingzhe.core.log import Log
from jingzhe.server import answers
from jingzhe.server.addresses import address_class
from jingzhe.server.admission import Admission
from jingzhe.server.answers import ACCEPTED, ALIVE, GIF, NOT_FOUND, Answer, problem
from jingzhe.server.lifespan import live
from jingzhe.server.metrics import Metrics, Waiting

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SENSORS_PATHS = frozenset({"/sa", "/sa.gif", "/debug"})
_POSTED = {
    **{f"/v1/{last}": call for last, call in segment.CALLS.items()},
    "/v1/m": "metrics",
    "/beacon/v1/batch": "batch",
}
"""Calls of the POST routes."""
_AGENT_LENGTH = 512
_LENGTH_DIGITS = 18
_NO_KEY = problem(401, "not-signed-in", "Measurements need a key with the scope metrics.read.", bearer=True)
_SILENT_SECONDS = 1.0


class Request(NamedTuple):
    """What is read of a request's head.

    Args:
        path: of the URL.
        method: of HTTP.
        query: of the URL, as it stands.
        headers: those that count, in lower case.
        client: class of the address.
    """

    path: str
    method: str
    query: bytes
    headers: dict[bytes, bytes]
    client: str

    def header(self, name: bytes) -> str:
        """Returns a header as text, empty where there is none."""
        return self.headers.get(name, b"").decode("latin-1")


class Collector:
    """The ASGI app of the collection routes; it can be mounted in another one, which then calls start and stop.

    Args:
        admission: who may send.
        commits: makes requests durable.
        clock: what time it is.
        metrics: counts.
        log: is told what was refused, without anything of people in it.
        may_measure: tells whether whoever sends this Authorization may read ``/metrics``, which say how much is sold
            where, None where it names nobody; None in place of it: everybody may.
    """

    def __init__(
        self,
        admission: Admission,
        commits: GroupCommit,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        *,
        may_measure: Callable[[str], bool | None] | None = None,
    ) -> None:
        self._admission = admission
        self._commits = commits
        self._clock = clock
        self._metrics = metrics
        self._may_measure = may_measure
        metrics.watch(self._waiting)
        self._log = log
        self._watch: asyncio.Task[None] | None = None
        self._silent_until = float("-inf")
        self._unsaid = 0

    @property
    def metrics(self) -> Metrics:
        """Returns what is counted."""
        return self._metrics

    @property
    def admission(self) -> Admission:
        """Returns who may send, and how much."""
        return self._admission

    @property
    def commits(self) -> GroupCommit:
        """Returns what makes requests durable."""
        return self._commits

    @property
    def closed(self) -> str:
        """Returns why nothing is taken at the moment; empty where it is."""
        return self._admission.closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the beginning and end of the server."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await live(receive, send, self.start, self.stop)

    async def start(self) -> None:
        """Begins to take requests."""
        await asyncio.to_thread(self._admission.read_keys)
        await asyncio.to_thread(self._admission.look)
        self._commits.start(asyncio.get_running_loop())
        self._watch = asyncio.create_task(self._admission.keep_looking())
        self._log.info("collector started")

    async def stop(self) -> None:
        """Commits what is under way, then ends."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            if not self._watch.cancelled() and (error := self._watch.exception()) is not None:
                self._log.error("looking at the stores had ended", error=told(error))
        try:
            await self._admission.end()
        finally:
            await asyncio.to_thread(self._commits.stop)
        self._log.info("collector stopped")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        request = Request(
            scope["path"], scope["method"], scope.get("query_string", b""), dict(scope["headers"]),
            address_class(peer[0]) if peer else "unknown",
        )  # fmt: skip
        protocol: Protocol = "sensors" if request.path in SENSORS_PATHS else "segment"
        origin = request.headers.get(b"origin", b"")
        try:
            answer = await self._answer(request, protocol, scope, receive)
        except RefusedBodyError as error:
            self._refused(protocol, request, error, error.status)
            answer = problem(error.status, error.code, f"{error.message}. {error.hint}".strip())
        except BusyError as error:
            self._refused(protocol, request, error, 503)
            answer = problem(503, error.code, f"{error.message}. {error.hint}".strip(), retry_after=1)
        except JingzheError as error:
            # Not durable, so not acknowledged: every SDK sends again after this.
            self._log.error("stores cannot be used", reason=error.message)
            answer = problem(503, "unavailable", "Nothing was kept; send it again.", retry_after=self._retry)
        self._metrics.answered(protocol, answer.status)
        headers = [*answer.headers, *answers.cors(origin)] if origin and request.method != "OPTIONS" else answer.headers
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _refused(self, protocol: Protocol, request: Request, error: JingzheError, status: int) -> None:
        """Logs a refusal; a client that is refused again and again is told of once in a while, with how often."""
        self._unsaid += 1
        now = self._admission.seconds()
        if now < self._silent_until:
            return
        self._log.warning(
            "request refused", protocol=protocol, route=request.path[:40], status=status, code=error.code,
            reason=error.message[:200], since_last=self._unsaid,
        )  # fmt: skip
        self._unsaid, self._silent_until = 0, now + _SILENT_SECONDS

    @property
    def _retry(self) -> int:
        return self._admission.limits.retry_seconds

    async def _answer(self, request: Request, protocol: Protocol, scope: Scope, receive: Receive) -> Answer:
        if request.method == "OPTIONS":
            wanted = request.headers.get(b"access-control-request-headers", b"")
            return answers.preflight(request.headers.get(b"origin", b""), wanted)
        if protocol == "sensors":
            return await self._sensors(request, receive)
        if request.method == "POST":
            call = _POSTED.get(request.path) or _POSTED.get(request.path.rstrip("/"))
            if call == "metrics":
                await self._body(request, receive)
                return ACCEPTED
            return await self._segment(request, call, receive) if call else NOT_FOUND
        return await self._asked(request, scope) if request.method in {"GET", "HEAD"} else NOT_FOUND

    async def _segment(self, request: Request, call: str, receive: Receive) -> Answer:
        data = await self._body(request, receive)
        if self._admission.closed:
            return self._closed()
        checked = segment.check(data, call, self._admission.limits.inflated_bytes)
        return await self._take_segment(request, call, checked)

    async def _take_segment(self, request: Request, call: str, checked: Checked) -> Answer:
        key = _basic(request.headers) or checked.write_key or bodies.form(request.query).get("writeKey", "")
        source = self._admission.known(key) or await self._admission.source(key)
        if source is None:
            return problem(401, "write-key", "No source has this write key; `jingzhe source add` makes one.")
        if not self._admission.within_rate(source):
            return problem(429, "rate", "Too many requests a second from this source.", retry_after=1)
        await self._kept(request, source, "segment", call, checked)
        self._metrics.accepted(source.name, checked.events)
        return ACCEPTED

    async def _sensors(self, request: Request, receive: Receive) -> Answer:
        data = await self._body(request, receive) if request.method == "POST" else b""
        if self._admission.closed:
            return self._closed()
        checked = sensors.check(data, request.query, self._admission.limits.inflated_bytes)
        asked = bodies.form(request.query)
        keys = [asked.get(name, "") for name in ("token", "writeKey", "project")]
        if not any(map(self._admission.known, keys)):
            keys.append(sensors.write_key(checked.body))
        source = await self._admission.source(*keys)
        if source is None:
            # The clients keep their events on 403, and delete them on 401.
            said = "Neither the URL nor the first event names a write key; give it as ?token=… or ?project=…."
            return problem(403, "write-key", said)
        if request.path == "/debug" and request.header(b"dry-run").lower() == "true":
            return answers.json_answer(_dry_run(source, checked, self._now_us()))
        if not self._admission.within_rate(source):
            return problem(503, "rate", "Too many requests a second from this source.", retry_after=1)
        await self._kept(request, source, "sensors", "", checked)
        self._metrics.accepted(source.name, checked.events)
        return GIF if request.path == "/sa.gif" else ACCEPTED

    async def _asked(self, request: Request, scope: Scope) -> Answer:
        path = request.path.rstrip("/")
        if path in {"/health", "/readyz"}:
            return self._closed() if self._admission.closed else ACCEPTED
        if path == "/healthz":
            return ALIVE
        if path == "/metrics":
            return await self._measured(request)
        if path.startswith("/v1/projects/") and path.endswith("/settings"):
            key = path.removeprefix("/v1/projects/").removesuffix("/settings")
            host = request.header(b"host")
            scheme = request.header(b"x-forwarded-proto") or scope.get("scheme", "http")
            return answers.segment_settings(key, host, scheme)
        if path == "/sourceConfig":
            return await self._rudder_source(request)
        call = pixel.call_of(path)
        return await self._pixel(request, call) if call else NOT_FOUND

    async def _pixel(self, request: Request, call: str) -> Answer:
        if self._admission.closed:
            return self._closed()
        limit = self._admission.limits.inflated_bytes
        answer = await self._take_segment(request, call, segment.check(pixel.body(request.query, limit), call, limit))
        return GIF if answer is ACCEPTED else answer

    async def _rudder_source(self, request: Request) -> Answer:
        key = _basic(request.headers) or bodies.form(request.query).get("writeKey", "")
        source = await self._admission.source(key)
        if source is None:
            return problem(401, "write-key", "No source has this write key.")
        return answers.rudder_source(key, source.name, source.created_at.isoformat())

    async def _measured(self, request: Request) -> Answer:
        if self._may_measure is not None:
            said = request.header(b"authorization")
            may = await asyncio.to_thread(self._may_measure, said)
            if may is None:
                return _NO_KEY
            if not may:
                return problem(403, "forbidden", "This key has not the scope metrics.read.")
        # In a thread: what the worker did is read from the state store.
        text = await asyncio.to_thread(self._metrics.text)
        headers = [(b"content-type", b"text/plain; version=0.0.4"), (b"content-length", str(len(text)).encode())]
        return Answer(200, headers, text)

    def _waiting(self) -> Waiting:
        admission = self._admission
        now_us = self._clock.now().timestamp() * 1e6
        oldest = admission.oldest_us
        age = 0.0 if oldest is None else max(0.0, (now_us - oldest) / 1e6)
        return Waiting(admission.waiting_bytes, admission.waiting_events, age)

    def _now_us(self) -> int:
        return int(self._clock.now().timestamp() * 1_000_000)

    def _closed(self) -> Answer:
        said = f"Nothing is taken at the moment: {self._admission.closed}."
        return problem(503, "closed", said, retry_after=self._retry)

    def _kept(
        self, request: Request, source: Source, protocol: Protocol, call: str, checked: Checked
    ) -> asyncio.Future[None]:
        """Makes a request durable; what it returns is done when it is."""
        agent = request.header(b"user-agent")[:_AGENT_LENGTH]
        received_us = self._now_us()
        self._admission.took(len(checked.body))
        sent_at = request.header(b"sentat")[:64]
        return self._commits.put(
            Received(
                source.source_id, protocol, call, received_us, sent_at, agent, request.client, checked.events,
                checked.body,
            )
        )  # fmt: skip

    async def _body(self, request: Request, receive: Receive) -> bytes:
        """Returns the body; stops reading where it is too large."""
        limit = self._admission.limits.body_bytes
        said = request.headers.get(b"content-length", b"0")
        # Python reads no number of thousands of digits.
        if said.isdigit() and (len(said) > _LENGTH_DIGITS or int(said) > limit):
            raise bodies.too_large(limit)
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit:
                raise bodies.too_large(limit)
            return body
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise bodies.too_large(limit)
            pieces.append(piece)
        if message["type"] == "http.disconnect":
            raise RefusedBodyError("The client went away before its request was complete")
        return b"".join(pieces)


def _basic(headers: dict[bytes, bytes]) -> str:
    """Returns the user of Basic authorization, which is where SDKs put the write key; empty where there is none."""
    said = headers.get(b"authorization", b"")
    if said[:6].lower() != b"basic ":
        return ""
    return _user_of(said[6:])


@lru_cache(maxsize=4096)
def _user_of(armoured: bytes) -> str:
    try:
        return base64.b64decode(armoured).partition(b":")[0].decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _dry_run(source: Source, checked: Checked, received_us: int) -> dict[str, Any]:
    """Says what would become of the events of a debugging request: what the drain would say of each."""
    normaliser, found = Normaliser({source.source_id: source}, Names()), []
    for raw in sensors.events(checked.body):
        one_event = Received(source.source_id, "sensors", "", received_us, "", "", "", 1, b"[" + raw + b"]")
        done = normaliser.normalise([one_event])
        found += [{"name": call.name, "type": call.kind, "accepted": True} for call in done.calls]
        found += [
            {"accepted": False, "reason": one.reason, "field": one.field, "detail": one.detail} for one in done.refused
        ]
    return {"success": True, "dry_run": True, "events": found}
