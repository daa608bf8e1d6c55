"""Errors as problem documents (RFC 9457): one table says which error has which status.

What a caller did wrong is told with its place and what to do. What went wrong here is told by its kind only: messages
about stores may hold SQL, folders or values; the log has the kind and the request's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, IntegrityError
from starlette.exceptions import HTTPException

from jingzhe.access.errors import (
    AccessError,
    ConflictError,
    ForbiddenError,
    NotSignedInError,
    NotThereError,
    RefusedValueError,
    RepeatedKeyError,
    StillRunningError,
    ThrottledError,
)
from jingzhe.core.errors import (
    BusyError,
    EngineError,
    IdentityError,
    ImportRefusedError,
    JingzheError,
    LakeError,
    ModelError,
    NoDataError,
    RefusedBodyError,
    SealError,
    SettingError,
    StateError,
)

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[type[JingzheError], int] = {
    NotSignedInError: 401,
    ForbiddenError: 403,
    NotThereError: 404,
    ConflictError: 409,
    StillRunningError: 409,
    RepeatedKeyError: 422,
    RefusedValueError: 422,
    ThrottledError: 429,
    AccessError: 403,
    NoDataError: 404,
    SettingError: 422,
    ImportRefusedError: 422,
    RefusedBodyError: 422,
    ModelError: 422,
    IdentityError: 409,
    BusyError: 503,
    StateError: 503,
    SealError: 503,
    LakeError: 503,
    EngineError: 500,
    JingzheError: 500,
}
"""The status of each error, and of those that are a kind of it."""
_RETRY_SECONDS = {BusyError: 5, StateError: 5, LakeError: 5, StillRunningError: 1}
_CODES = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "content-too-large"}
"""Codes of what the framework refuses; its own words differ between versions of Python."""
_OURS = "Something is wrong on this side"
_SAFE_PLACES = frozenset(
    {"field", "permission", "scope", "account", "key", "session", "as_of", "counted", "job", "option"}
)


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    detail: str = Field(description="what is wrong")
    pointer: str | None = Field(default=None, description="JSON pointer into the body (RFC 6901)")
    parameter: str | None = Field(
        default=None, description="name of the parameter of the path, the query or the header"
    )


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{
        "type": "urn:jingzhe:forbidden", "title": "Forbidden", "status": 403,
        "detail": "This needs the permission people.read", "instance": "/api/v1/people/7",
        "code": "forbidden", "request_id": "4f0c2d9b6a7e4f1d",
        "hint": "Roles that have it: analyst, operator, owner. Ask an owner for it, or for a key with that scope.",
        "where": {"permission": "people.read"},
    }]})  # fmt: skip

    type: str = Field(description="stable name of the kind of problem")
    title: str = Field(description="the same for every problem of the kind")
    status: int = Field(description="of HTTP")
    detail: str = Field(description="what was wrong this time")
    instance: str = Field(description="path that was asked")
    code: str = Field(description="the last part of the type")
    request_id: str = Field(description="names this request in the log")
    hint: str | None = Field(default=None, description="what to do about it")
    where: dict[str, str] | None = Field(default=None, description="named places")
    errors: list[Fault] | None = Field(default=None, description="each thing that is wrong with the request")


def status_of(error: JingzheError) -> int:
    """Returns the status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def document(
    request: Request, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Returns a problem as an answer.

    Args:
        request: what was asked.
        status: of HTTP.
        code: stable name of the kind of problem.
        detail: what was wrong this time.
        headers: of the answer.
        more: ``hint``, ``where``, ``errors``.
    """
    problem = Problem(
        type=f"urn:jingzhe:{code}", title=code.replace("-", " ").capitalize(), status=status, detail=detail,
        instance=request.url.path, code=code, request_id=request.scope.get("jingzhe.request_id", "-"), **more,
    )  # fmt: skip
    return JSONResponse(problem.model_dump(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE)


def of_error(request: Request, error: JingzheError) -> JSONResponse:
    """Returns the answer to an error of the tree."""
    status = status_of(error)
    request.scope["jingzhe.problem"] = error.code
    headers: dict[str, str] = {}
    if isinstance(error, ThrottledError):
        headers["Retry-After"] = str(error.retry_after_seconds)
    for kind, seconds in _RETRY_SECONDS.items():
        if isinstance(error, kind):
            headers["Retry-After"] = str(seconds)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="jingzhe"'
    if status >= 500:
        return document(
            request, status, error.code, _OURS, headers=headers, hint="Try again; tell a keeper the number."
        )
    where = {name: str(value) for name, value in error.where.items() if name in _SAFE_PLACES}
    return document(
        request, status, error.code, error.message, headers=headers, hint=error.hint or None, where=where or None
    )


def of_validation(request: Request, found: Iterable[Mapping[str, Any]]) -> JSONResponse:
    """Returns the answer to a request that is not as the route wants it; what was sent is never repeated."""
    faults = []
    for one in found:
        place, *rest = one["loc"]
        if place == "body":
            escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in rest)
            # A fault of the JSON itself has its offset as place, which is no pointer.
            pointer = "" if one["type"] == "json_invalid" else "".join(f"/{part}" for part in escaped)
            faults.append(Fault(detail=str(one["msg"]), pointer=pointer))
        else:
            faults.append(Fault(detail=str(one["msg"]), parameter=str(rest[0]) if rest else str(place)))
    request.scope["jingzhe.problem"] = "invalid-request"
    return document(request, 422, "invalid-request", "The request is not as this route wants it", errors=faults)


def install(app: FastAPI) -> None:
    """Has every error of ``app`` answered as a problem."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, JingzheError)  # noqa: S101 - what it is registered for
        return of_error(request, error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return of_validation(request, error.errors())

    async def plain(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101
        code = _CODES.get(error.status_code, "refused")
        request.scope["jingzhe.problem"] = code
        return document(request, error.status_code, code, f"{error.detail}.", headers=error.headers)

    async def unkept(request: Request, _error: Exception) -> JSONResponse:
        request.scope["jingzhe.problem"] = "invalid-request"
        # Not its words: they may hold the value. PostgreSQL keeps no NUL in a text, for one.
        said = "The request holds a value that cannot be kept or looked for"
        return document(request, 422, "invalid-request", said, hint="Leave out signs such as NUL (U+0000).")

    async def twice(request: Request, error: Exception) -> JSONResponse:
        if not _is_taken(error):
            raise error
        request.scope["jingzhe.problem"] = "conflict"
        said = "Somebody else made the same at this moment"
        return document(request, 409, "conflict", said, hint="Look what is there, then try again.")

    app.add_exception_handler(DataError, unkept)
    app.add_exception_handler(IntegrityError, twice)
    app.add_exception_handler(JingzheError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


def _is_taken(error: Exception) -> bool:
    """Tells whether a row could not be written because another one has its name; anything else is a fault of ours."""
    orig = getattr(error, "orig", None)
    return getattr(orig, "sqlstate", None) == "23505" or "UNIQUE constraint failed" in str(orig)
