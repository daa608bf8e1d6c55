"""Every route, asked by everybody: what is expected is read from the table of permissions."""

from __future__ import annotations

from collections import defaultdict

import pytest
from fastapi import FastAPI

from jingzhe.access.permissions import PERMISSIONS, ROLES
from jingzhe.server.api.application import create_api
from jingzhe.server.api.declaring import GuardedRoute, Routes, routes_of
from tests.server.api.client import Client
from tests.server.api.conftest import PASSWORD, Site

UNKNOWN = {"person_id": "999999999", "account_id": "acc_none", "source_id": "999999999", "number": "999999999"}
"""Names of what is not there; what is not listed is called none."""
SIGN_OUT = ("DELETE", "/api/v1/session")
SCOPES = [one.name for one in PERMISSIONS.values() if one.for_keys]


def asked(client: Client, route: GuardedRoute) -> tuple[int, str]:
    """Asks a route for what is not there, with a body that fits nothing: nothing is changed."""
    path = route.path_format.format_map(defaultdict(lambda: "none", UNKNOWN))
    method = route.method
    answer = client.ask(method, path, json={"nothing": "known"} if method in {"POST", "PUT", "PATCH"} else None)
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return answer.status_code, answer.json()["code"] if is_problem else ""


def expected(route: GuardedRoute, permissions: frozenset[str] | None) -> str:
    """Returns what the table says: let in, sent away, or asked to sign in (None: nobody is)."""
    if route.needs == "public":
        return "in"
    if permissions is None:
        return "not-signed-in"
    if route.needs == "signed-in":
        return "in"
    assert not isinstance(route.needs, str)
    return "in" if route.needs.name in permissions else "forbidden"


def found(status: int, code: str) -> str:
    assert status < 500
    return {401: "not-signed-in", 403: "forbidden"}.get(status, "in") if code != "throttled" else "in"


def check(site: Site, client: Client, permissions: frozenset[str] | None) -> int:
    routes = list(routes_of(site.app))
    wrong = []
    for route in routes:
        if (route.method, route.path_format) == SIGN_OUT and permissions is not None:
            continue  # asked by a test of its own: it would end the session
        status, code = asked(client, route)
        if found(status, code) != expected(route, permissions):
            wrong.append((route.path_format, route.method, status, code))
    assert wrong == []
    return len(routes)


def test_whoever_has_not_signed_in_sees_what_is_public_and_nothing_else(site: Site) -> None:
    assert check(site, Client(site.app), None) > 25


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says(role: str, site: Site) -> None:
    permissions = frozenset(one.name for one in PERMISSIONS.values() if role in one.roles)
    assert check(site, site.signed_in(role), permissions) > 25


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_may_what_its_scope_says(scope: str, site: Site) -> None:
    assert check(site, site.with_key(scope), frozenset({scope})) > 25


def test_every_permission_is_needed_somewhere(site: Site) -> None:
    needed = {route.needs.name for route in routes_of(site.app) if not isinstance(route.needs, str)}
    assert needed == set(PERMISSIONS)


@pytest.mark.parametrize("role", ROLES)
def test_everybody_may_sign_out(role: str, site: Site) -> None:
    client = site.signed_in(role)
    assert client.ask(*SIGN_OUT).status_code == 204
    assert client.get("/session").status_code == 401


def test_the_document_says_the_same(site: Site) -> None:
    document = site.app.openapi()
    for route in routes_of(site.app):
        operation = document["paths"][route.path_format][route.method.lower()]
        if isinstance(route.needs, str):
            assert operation["x-permission"] == route.needs
        else:
            assert operation["x-roles"] == sorted(route.needs.roles)
        assert (operation["security"] == []) == (route.needs == "public")


def test_a_route_that_does_not_say_who_may_call_it_cannot_be_declared() -> None:
    routes = Routes("test")
    with pytest.raises(TypeError, match="does not say who may call it"):
        routes.get("/open")(lambda: None)
    with pytest.raises(ValueError, match="neither a permission"):
        routes.add("GET", "/open", needs="everybody")(lambda: None)  # type: ignore[arg-type]


def test_an_application_with_a_route_from_elsewhere_does_not_start(site: Site) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_api_route("/open", lambda: None)
    with pytest.raises(TypeError, match="/open does not say"):
        routes_of(app)
    foreign = FastAPI(openapi_url=None, docs_url=None, redoc_url=None).router
    foreign.add_api_route("/open", lambda: None)
    with pytest.raises(TypeError, match="/open does not say"):
        create_api(site.workspace, also=[foreign])  # type: ignore[list-item]


def test_a_route_of_another_part_is_guarded_too(site: Site) -> None:
    routes = Routes("other")
    routes.add("GET", "/other", needs=PERMISSIONS["audit.read"], example=1)(lambda: 1)
    app = create_api(site.workspace, also=[routes])
    try:
        for role, status in (("auditor", 200), ("analyst", 403)):
            client = Client(app)
            client.sign_in(site.account(role), PASSWORD)
            assert client.get("/other").status_code == status
        assert Client(app).get("/other").status_code == 401
    finally:
        app.state.services.close()
