"""The redirect of short links: ``GET /l/{slug}`` answers 302, and the scan goes into the inbox.

Whoever scans is on their way whatever happens here: the answer waits for the disk only for a moment, and where the
inbox is full or cannot be written the scan is counted as lost, in a metric that says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter

from jingzhe.collect.group_commit import GroupCommit
from jingzhe.collect.received import Received
from jingzhe.collect.write_keys import Source
from jingzhe.core.clock import Clock
from jingzhe.core.errors import JingzheError
from jingzhe.core.log import Log
from jingzhe.core.settings import Settings
from jingzhe.links.codes import LETTERS, PATH, SLUG_LENGTH, SOURCE_PREFIX, Code, Codes
from jingzhe.links.scans import COOKIE, Seen, host_of, is_bot, new_visitor, scanned, visitor_in
from jingzhe.server.addresses import address_class
from jingzhe.server.admission import Admission
from jingzhe.server.answers import Answer, problem
from jingzhe.server.collector import Collector, Receive, Scope, Send
from jingzhe.store.state import State

KNOWN_SECONDS = 5.0
"""How long a code is known without looking again: so long a code that was disabled still leads somewhere."""
_KNOWN_AT_MOST = 20_000
_DAY_SECONDS = 86_400
_NO_STORE = [(b"cache-control", b"no-store"), (b"content-length", b"0")]
_UNKNOWN = problem(404, "no-code", "There is no such code.")
_ENDED = problem(410, "code-ended", "This code leads nowhere any more.")
_AWAY = problem(503, "unavailable", "The code cannot be looked up at the moment.", retry_after=2)
_WRONG_METHOD = problem(405, "method", "A short link is only read.")


@dataclass(frozen=True)
class Scanning:
    """What a project wants of scans.

    Args:
        cookie_days: how long a browser is known; 0: not at all, and no cookie is set or read.
        keep_address: whether scans keep the client's address.
        wait_seconds: how long an answer waits for the scan to be on the disk.
        over_tls: whether browsers reach the links over TLS, whatever comes here.
    """

    cookie_days: int = 0
    keep_address: bool = False
    wait_seconds: float = 0.25
    over_tls: bool = False


class Counted:
    """What is counted; labels name outcomes, never codes or people.

    Args:
        registry: where it is shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._scans = Counter(
            "jingzhe_scans", "Requests for short links: kept, lost, unknown or ended", ["outcome"], registry=registry
        )
        for outcome in ("kept", "lost", "unknown", "ended"):
            self._scans.labels(outcome)

    def scan(self, outcome: str) -> None:
        """Counts one request."""
        self._scans.labels(outcome).inc()


def short_links(collect: Collector, state: State, settings: Settings, *, clock: Clock, log: Log) -> ShortLinks:
    """Returns the app of short links beside a collector, into whose inbox the scans go.

    Args:
        collect: the collector.
        state: where the codes are.
        settings: of the project.
        clock: what time it is.
        log: is told when scans are lost.
    """
    over_tls = settings.resolved_links_url.startswith("https://")
    wish = Scanning(settings.scan_cookie_days, settings.scan_address, over_tls=over_tls)
    counted = Counted(collect.metrics.registry)
    return ShortLinks(Codes(state, clock).known, collect.admission, collect.commits, clock, counted, log, wish)


@dataclass
class ShortLinks:
    """The ASGI app of short links; begins and ends with the collector whose commits it uses.

    Args:
        known: looks a code up by its slug.
        admission: of the collector; says when the inbox is full, and bounds how many scans a second are kept.
        commits: of the collector.
        clock: what time it is.
        counted: what is counted.
        log: is told when scans are lost.
        wish: what the project wants of scans.
        seconds: a clock that nobody sets.
    """

    known: Callable[[str], Code | None]
    admission: Admission
    commits: GroupCommit
    clock: Clock
    counted: Counted
    log: Log
    wish: Scanning = field(default_factory=Scanning)
    seconds: Callable[[], float] = time.monotonic
    _codes: OrderedDict[str, tuple[float, Code | None]] = field(default_factory=OrderedDict)
    _silent_until: float = float("-inf")

    async def start(self) -> None:
        """Begins; the collector has begun by then."""

    async def stop(self) -> None:
        """Ends; what is under way is the collector's to commit."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        del receive
        answer = await self._answer(scope)
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> Answer:
        if scope["method"] not in {"GET", "HEAD"}:
            return _WRONG_METHOD
        slug = scope["path"].removeprefix(PATH).rstrip("/").lower()
        try:
            code = await self._code(slug)
        except JingzheError as error:
            self._tell("codes cannot be looked up", error.message)
            return _AWAY
        now = self.clock.now()
        if code is None or not code.works(now):
            self.counted.scan("unknown" if code is None else "ended")
            return _UNKNOWN if code is None else _ENDED
        headers = dict(scope["headers"])
        seen, is_new = self._seen(scope, headers)
        # A mail scanner that only asks for the head is no scan.
        if scope["method"] == "GET":
            await self._keep(code, scanned(code, seen, now))
        found = [(b"location", code.destination(seen.visitor).encode("ascii")), *_NO_STORE]
        if is_new:
            found.append((b"set-cookie", self._cookie(seen.visitor, scope, headers)))
        return Answer(302, found, b"")

    async def _code(self, slug: str) -> Code | None:
        """Returns a code, from memory where it was looked up lately."""
        if len(slug) != SLUG_LENGTH or not set(slug) <= set(LETTERS):
            return None
        remembered = self._codes.get(slug)
        if remembered is not None and self.seconds() - remembered[0] < KNOWN_SECONDS:
            return remembered[1]
        code = await asyncio.to_thread(self.known, slug)
        self._codes[slug] = (self.seconds(), code)
        self._codes.move_to_end(slug)
        while len(self._codes) > _KNOWN_AT_MOST:
            self._codes.popitem(last=False)
        return code

    def _seen(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[Seen, bool]:
        """Returns what the request says of who scans, and whether the browser is to be given an id."""

        def said(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        agent = said(b"user-agent")
        purpose = " ".join((said(b"sec-purpose"), said(b"purpose"), said(b"x-moz")))
        bot = is_bot(agent, purpose)
        peer = scope.get("client")
        address = str(peer[0]) if peer else ""
        visitor, is_new = "", False
        if self.wish.cookie_days and not bot:
            visitor = visitor_in(said(b"cookie"))
            is_new = not visitor
            visitor = visitor or new_visitor()
        seen = Seen(
            agent, host_of(said(b"referer")), bot, visitor, address_class(address) if address else "unknown",
            address if self.wish.keep_address else "",
        )  # fmt: skip
        return seen, is_new

    def _cookie(self, visitor: str, scope: Scope, headers: dict[bytes, bytes]) -> bytes:
        scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1") or scope.get("scheme", "http")
        secure = "; Secure" if self.wish.over_tls or scheme == "https" else ""
        age = self.wish.cookie_days * _DAY_SECONDS
        return f"{COOKIE}={visitor}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}".encode("ascii")

    async def _keep(self, code: Code, scan: Received) -> None:
        """Puts a scan into the inbox; one that cannot be kept is counted, and nobody waits for it."""
        source = Source(code.source_id, f"{SOURCE_PREFIX}{code.channel}", code.channel, (), self.clock.now())
        if self.admission.closed or not self.admission.within_rate(source):
            self._lost(self.admission.closed or "too many scans a second")
            return
        try:
            kept = self.commits.put(scan)
        except JingzheError as error:
            self._lost(error.message)
            return
        self.admission.took(len(scan.body))
        kept.add_done_callback(self._settled)
        await asyncio.wait({kept}, timeout=self.wish.wait_seconds)

    def _settled(self, kept: asyncio.Future[None]) -> None:
        error = None if kept.cancelled() else kept.exception()
        if kept.cancelled() or error is not None:
            self._lost(str(error) if error else "the collector ended")
        else:
            self.counted.scan("kept")

    def _lost(self, why: str) -> None:
        self.counted.scan("lost")
        self._tell("scans are lost", why)

    def _tell(self, what: str, why: str) -> None:
        """Logs, at most once a second."""
        if self.seconds() >= self._silent_until:
            self.log.warning(what, reason=why[:200])
            self._silent_until = self.seconds() + 1.0
