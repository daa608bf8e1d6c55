"""What happens before every call: who is it, may they, is it the company's own page, did the request come before.

A program shows its key (``Authorization: Bearer jz_…``), a browser its session's cookie. A browser sends the cookie
also when another site makes it ask, so a write with a cookie must carry the session's token in ``X-CSRF-Token``, which
another site cannot read; see OWASP, Cross-Site Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from jingzhe.access.actor import NOBODY, Actor
from jingzhe.access.errors import ConflictError, ForbiddenError, NotSignedInError
from jingzhe.access.repeats import Answer
from jingzhe.access.sessions import is_csrf_token
from jingzhe.server.api.declaring import SAFE, GuardedRoute
from jingzhe.server.api.services import Services

COOKIE = "jingzhe_session"
CSRF_HEADER = "X-CSRF-Token"
REPEAT_HEADER = "Idempotency-Key"
Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """Stands before every route.

    Args:
        services: with sessions, keys and kept answers.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def answer(self, request: Request, route: GuardedRoute, handler: Handler) -> Response:
        """Lets a request through to its handler, or says why not.

        Raises:
            NotSignedInError: nobody is signed in, and the route is not public.
            ForbiddenError: whoever calls may not, or another site made the browser ask.
            RepeatedKeyError: the idempotency key came before with another request.
            StillRunningError: the first request with that key is under way.
        """
        writes = request.method not in SAFE
        if writes:
            _refuse_other_sites(request)
        actor = NOBODY
        if route.needs != "public":
            actor, by_cookie = await run_in_threadpool(self._actor, request)
            request.scope["jingzhe.role"] = actor.role or actor.kind
            if not isinstance(route.needs, str):
                actor.check(route.needs)
            if by_cookie and writes:
                _check_csrf(request)
        request.state.actor = actor
        request.scope["jingzhe.actor"] = actor.label
        key = request.headers.get(REPEAT_HEADER)
        once = key is not None and writes and route.needs != "public"
        answer = await self._once(request, route, handler, key or "") if once else await handler(request)
        if route.location and answer.status_code < 300:
            # From the answer itself, so that one that is given again has it as well.
            answer.headers["Location"] = route.location.format(**json.loads(bytes(answer.body)))
        return answer

    def _actor(self, request: Request) -> tuple[Actor, bool]:
        """Returns who calls, and whether the browser's cookie says so."""
        scheme, _, written = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise NotSignedInError("A key is sent as: Authorization: Bearer jz_…")
            return self._services.keys.actor(written.strip()), False
        token = request.cookies.get(COOKIE)
        if not token:
            raise NotSignedInError("Nobody is signed in", hint="Sign in, or send a key: Authorization: Bearer jz_…")
        return self._services.sessions.actor(token)[0], True

    async def _once(self, request: Request, route: GuardedRoute, handler: Handler, key: str) -> Response:
        repeats, content = self._services.repeats, await request.body()
        what = f"{request.method} {request.url.path}?{request.url.query}"
        actor: Actor = request.state.actor
        name, known = await run_in_threadpool(repeats.begin, actor, what, key, content)
        if known is not None:
            return _again(known)
        try:
            response = await handler(request)
        except BaseException:
            await run_in_threadpool(repeats.forget, name)
            raise
        body = getattr(response, "body", None)
        if response.status_code >= 300 or not isinstance(body, bytes):
            await run_in_threadpool(repeats.forget, name)
            return response
        kept = None if route.has_secret_answer else body
        media_type = response.headers.get("content-type", "")
        await run_in_threadpool(repeats.end, name, Answer(response.status_code, media_type, kept))
        return response


def _again(known: Answer) -> Response:
    if known.body is None:
        raise ConflictError(
            "This was done before; its answer held a secret, which is shown once",
            hint="List what there is, and make a new one where the secret was lost.",
        )
    headers = {"Idempotency-Replayed": "true", **({"content-type": known.media_type} if known.media_type else {})}
    return Response(known.body, known.status, headers)


def _refuse_other_sites(request: Request) -> None:
    # Browsers send it, and pages cannot change it (Fetch Metadata); programs do not send it.
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise ForbiddenError("Another site asked for this", hint="Use the console's own address.")


def _check_csrf(request: Request) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not is_csrf_token(given, request.cookies.get(COOKIE, "")):
        raise ForbiddenError(
            f"The header {CSRF_HEADER} is missing or is not of this session",
            hint="GET /api/v1/session says what it is to hold.",
        )
