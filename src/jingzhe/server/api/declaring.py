"""The one way to add a route: it says who may call it, and shows an example of its answer.

A route that says nothing is refused when it is declared; one that was added in another way is refused when the
application starts.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts

from jingzhe.access.permissions import PERMISSIONS, Permission

PREFIX = "/api/v1"
Needs = Permission | Literal["public", "signed-in"]
"""Who may call a route: everybody, whoever is signed in (with a session or a key), or who has a permission."""
MARK = "x-permission"
SECRET = "x-secret-answer"  # noqa: S105 - the name of a mark
LOCATION = "x-location"
"""Marks; the document shows the first one only."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class GuardedRoute(APIRoute):
    """A route before whose every call the guard looks at who calls."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        marks = options.get("openapi_extra") or {}
        if MARK not in marks:
            raise TypeError(f"The route {path} does not say who may call it; add it with Routes.add(…, needs=…)")
        self.needs = needs_of(marks[MARK])
        self.has_secret_answer = bool(marks.get(SECRET))
        self.location: str = marks.get(LOCATION, "")
        super().__init__(path, endpoint, **options)

    @property
    def method(self) -> str:
        """Returns the one method of the route."""
        return next(iter(self.methods or {"GET"}))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns the handler, guarded."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.scope["jingzhe.route"] = self.path_format
            answered: Response = await request.app.state.guard.answer(request, self, handler)
            return answered

        return guarded


class Routes(APIRouter):
    """Some routes of one subject.

    Args:
        tag: the subject.
        prefix: of their paths.
    """

    def __init__(self, tag: str, *, prefix: str = PREFIX) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=GuardedRoute)

    def add(
        self,
        method: str,
        path: str,
        *,
        needs: Needs,
        example: Any = None,
        status: int = 200,
        media_type: str = "application/json",
        secret_answer: bool = False,
        location: str = "",
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declares a route.

        Args:
            method: of HTTP.
            path: behind the prefix.
            needs: who may call it.
            example: of its answer, as JSON; None where the answer has no body.
            status: of its answer when all is well.
            media_type: of its answer.
            secret_answer: True where the answer holds a secret: it is not kept for repeated requests.
            location: where what was begun can be looked at, behind the prefix, with fields of the answer in braces; it
                goes into the header ``Location``, also where the answer is given again.
            options: as FastAPI takes them.
        """
        content = {} if example is None else {media_type: {"example": example}}
        extra = {MARK: needs if isinstance(needs, str) else needs.name}
        if secret_answer:
            extra[SECRET] = "yes"
        answer: dict[str, Any] = {"content": content} if content else {}
        if location:
            extra[LOCATION] = f"{self.prefix}{location}"
            answer["headers"] = {"Location": {"description": "where to look", "schema": {"type": "string"}}}
        answers = {status: answer, **options.pop("responses", {})}
        return self.api_route(
            path, methods=[method], status_code=status, openapi_extra=extra, responses=answers, **options
        )


def needs_of(mark: str) -> Needs:
    """Returns what a mark says; raises ValueError where it says nothing that is known."""
    if mark in PERMISSIONS:
        return PERMISSIONS[mark]
    if mark == "public":
        return "public"
    if mark == "signed-in":
        return "signed-in"
    raise ValueError(f"{mark!r} is neither a permission nor public nor signed-in")


def routes_of(app: FastAPI) -> Iterable[GuardedRoute]:
    """Returns every route.

    Raises:
        TypeError: one of them was not declared with :class:`Routes`.
    """
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, GuardedRoute):
            raise TypeError(
                f"The route {context.path} does not say who may call it; add it with Routes.add(…, needs=…)"
            )
        found.append(route)
    return found
