"""Signing in and out, who am I, my sessions, and setting a password by a one-time link."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import Request, Response
from pydantic import Field

from jingzhe.access.actor import Actor
from jingzhe.access.errors import ConflictError
from jingzhe.access.permissions import PERMISSIONS, ROLE_WORDS, ROLES
from jingzhe.access.sessions import csrf_token
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.guarding import COOKIE
from jingzhe.server.api.models import Given, Language, Role, Shown
from jingzhe.server.api.services import Caller, Served, Services

routes = Routes("session")


class SignIn(Given):
    """Address and password."""

    email: str = Field(max_length=254, examples=["li.lei@example.com"])
    password: str = Field(max_length=1024, examples=["plum rain over nine bridges"])


class NewPassword(Given):
    """A one-time link's token, and the password to set by it."""

    token: str = Field(max_length=200, examples=["q3nS1y0kJm5l8J8b0m2gVxT0c6n5w4Zr0b9s7d1fE2A"])
    password: str = Field(
        max_length=1024, description="15 characters at least", examples=["plum rain over nine bridges"]
    )


class ChangedPassword(Given):
    """The password so far, and the one from now on."""

    old_password: str = Field(max_length=1024, examples=["plum rain over nine bridges"])
    password: str = Field(
        max_length=1024, description="15 characters at least", examples=["nine bridges under the moon"]
    )


class Me(Shown):
    """Who calls."""

    kind: Literal["account", "key"]
    id: str
    email: str | None = Field(default=None, description="of an account")
    name: str
    role: Role | None = Field(default=None, description="of an account")
    language: Language = "en"
    permissions: list[str]
    csrf_token: str | None = Field(
        default=None, description="goes into X-CSRF-Token of every write with the session's cookie"
    )


class SessionShown(Shown):
    """One session."""

    session_id: str
    client: str = Field(description="what the browser says it is")
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    current: bool = Field(description="the one that asks")


class RoleShown(Shown):
    """A role and what it may do."""

    role: Role
    en: str
    zh: str
    permissions: list[str]


class PermissionShown(Shown):
    """Something that may be allowed."""

    permission: str
    doc: str
    for_keys: bool = Field(description="false: a key cannot have it as a scope")


class Allowed(Shown):
    """The whole table of what may be allowed to whom."""

    roles: list[RoleShown]
    permissions: list[PermissionShown]


_ME = {
    "kind": "account", "id": "acc_7hq2mkw4x9ab", "email": "li.lei@example.com", "name": "Li Lei", "role": "analyst",
    "language": "zh", "permissions": ["figures.read", "people.read"], "csrf_token": "6b1c0e",
}  # fmt: skip
_SESSION = {
    "session_id": "ses_9hq2mkw4x9ab", "client": "Mozilla/5.0", "created_at": "2026-03-05T08:00:00Z",
    "seen_at": "2026-03-05T09:30:00Z", "expires_at": "2026-03-05T20:00:00Z", "current": True,
}  # fmt: skip
_ALLOWED = {
    "roles": [{"role": "analyst", "en": "Analyst", "zh": "分析师", "permissions": ["people.read"]}],
    "permissions": [{"permission": "people.read", "doc": "one person", "for_keys": True}],
}


@routes.add("POST", "/session", needs="public", example=_ME)
def sign_in(given: SignIn, request: Request, response: Response, served: Served) -> Me:
    """Signs in; the answer sets the session's cookie."""
    network = _network(request)
    client = request.headers.get("User-Agent", "")
    begun = served.sessions.sign_in(given.email, given.password, network=network, client=client)
    response.set_cookie(
        COOKIE, begun.token, max_age=int(served.sessions.limits.absolute.total_seconds()), path="/", httponly=True,
        samesite="lax", secure=_is_over_tls(request, served),
    )  # fmt: skip
    return _me(served, begun.actor, begun.token)


@routes.add("GET", "/session", needs="signed-in", example=_ME)
def who_am_i(request: Request, caller: Caller, served: Served) -> Me:
    """Says who calls, what they may do, and what writes with the cookie must carry."""
    return _me(served, caller, request.cookies.get(COOKIE, ""))


@routes.add("DELETE", "/session", needs="signed-in", status=204)
def sign_out(caller: Caller, request: Request, response: Response, served: Served) -> None:
    """Ends the session that asks."""
    if caller.session_id is None:
        raise ConflictError("A key has no session to end", hint="Revoke the key: DELETE /api/v1/keys/{key_id}")
    served.sessions.end(caller, caller.session_id)
    secure = _is_over_tls(request, served)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=secure)


@routes.add("GET", "/sessions", needs="signed-in", example=[_SESSION])
def my_sessions(caller: Caller, served: Served) -> list[SessionShown]:
    """Lists the sessions of the account that asks; a key has none."""
    if caller.kind != "account":
        return []
    return [
        SessionShown(
            session_id=one.session_id,
            client=one.client,
            created_at=one.created_at,
            seen_at=one.seen_at,
            expires_at=one.expires_at,
            current=one.session_id == caller.session_id,
        )
        for one in served.sessions.of(caller.actor_id)
    ]


@routes.add("DELETE", "/sessions/{session_id}", needs="signed-in", status=204)
def end_session(session_id: str, caller: Caller, served: Served) -> None:
    """Ends one of the caller's own sessions."""
    served.sessions.end(caller, session_id, of=caller.actor_id)


@routes.add("POST", "/session/password", needs="public", status=204)
def set_password(given: NewPassword, served: Served) -> None:
    """Sets a password by a one-time link; every session of the account ends."""
    served.accounts.set_password(given.token, given.password)


@routes.add("PUT", "/session/password", needs="signed-in", status=204)
def change_password(given: ChangedPassword, request: Request, caller: Caller, served: Served) -> None:
    """Changes the caller's own password; their other sessions end. Attempts count with those of signing in."""
    served.sessions.change_password(caller, given.old_password, given.password, network=_network(request))


@routes.add("GET", "/roles", needs="signed-in", example=_ALLOWED)
def what_is_allowed(served: Served) -> Allowed:
    """Says which roles there are, and which permissions, which are also the scopes of keys."""
    del served
    return Allowed(
        roles=[
            RoleShown(
                role=role,
                en=ROLE_WORDS[role].en,
                zh=ROLE_WORDS[role].zh,
                permissions=sorted(one.name for one in PERMISSIONS.values() if role in one.roles),
            )
            for role in ROLES
        ],
        permissions=[
            PermissionShown(permission=one.name, doc=one.doc, for_keys=one.for_keys) for one in PERMISSIONS.values()
        ],
    )


def _network(request: Request) -> str:
    return request.client.host if request.client else "-"


def _is_over_tls(request: Request, served: Services) -> bool:
    # Where a proxy ends TLS, what comes here is plain HTTP; the setting says how it left the browser.
    return request.url.scheme == "https" or served.workspace.settings.is_public_over_tls


def _me(served: Services, actor: Actor, token: str) -> Me:
    permissions = sorted(actor.permissions)
    if actor.kind == "key":
        return Me(kind="key", id=actor.actor_id, name=served.keys.get(actor.actor_id).name, permissions=permissions)
    own = served.accounts.get(actor.actor_id)
    return Me(
        kind="account", id=own.account_id, email=own.email, name=own.name, role=own.role, language=own.language,
        permissions=permissions, csrf_token=csrf_token(token),
    )  # fmt: skip
