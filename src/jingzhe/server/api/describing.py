"""The OpenAPI 3.1 document: what FastAPI knows of the routes, with who may call them and how errors look."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jingzhe import __version__
from jingzhe.access.permissions import PERMISSIONS
from jingzhe.server.api.declaring import LOCATION, MARK, SAFE, SECRET
from jingzhe.server.api.guarding import COOKIE, CSRF_HEADER, REPEAT_HEADER
from jingzhe.server.api.problems import MEDIA_TYPE, Problem

_ABOUT = """Who has gone quiet, who is about to, why, and what they are worth.

Sign in with `POST /api/v1/session`, or send a key as `Authorization: Bearer jz_…`. Every route says which permission
it needs (`x-permission`) and which roles have it (`x-roles`). Errors are problem documents (RFC 9457). Lists come in
pages: give `next_cursor` back as `cursor`. A write with an `Idempotency-Key` is carried out once, however often it is
sent."""
_REF = {"$ref": "#/components/schemas/Problem"}
_REPEAT = {
    "name": REPEAT_HEADER, "in": "header", "required": False,
    "description": "any text of your own, such as a UUID: sent again within 24 hours, the first answer comes again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255}, "example": "5f0c7a0e-3f5b-4a51-9a55-1d9a7c0f6f6b",
}  # fmt: skip
_CSRF = {
    "name": CSRF_HEADER, "in": "header", "required": False,
    "description": "needed with a session's cookie; `csrf_token` of the session",
    "schema": {"type": "string", "maxLength": 200},
}  # fmt: skip


def describe(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI document of an application."""
    made = get_openapi(
        title="Jingzhe 惊蛰", version=__version__, description=_ABOUT, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    made["components"]["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        "key": {"type": "http", "scheme": "bearer", "description": "an API key: jz_…"},
    }
    for path in made["paths"].values():
        for method, operation in path.items():
            _complete(operation, writes=method.upper() not in SAFE)
    return made


def _complete(operation: dict[str, Any], *, writes: bool) -> None:
    mark = operation[MARK]
    for hidden in (SECRET, LOCATION):
        operation.pop(hidden, None)
    content = {MEDIA_TYPE: {"schema": _REF}}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "What went wrong", "content": content}
    if mark in PERMISSIONS:
        operation["x-roles"] = sorted(PERMISSIONS[mark].roles)
    if mark == "public":
        operation["security"] = []
        return
    operation["security"] = [{"session": []}, {"key": []}]
    if writes:
        operation.setdefault("parameters", []).extend([_REPEAT, _CSRF])
