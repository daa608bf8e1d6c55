from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.access.audit import rows as trail
from jingzhe.app.workspace import open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.server.api.application import create_api
from tests.server.api.client import V1, Client
from tests.server.api.conftest import NOW, PASSWORD, Site, Told

NEW_KEY = {"name": "export", "scopes": ["lists.read"]}


def test_the_first_owner_sets_a_password_signs_in_and_out(empty: Site) -> None:
    link = empty.accounts.first_administrator(MACHINE)
    assert link is not None
    client = Client(empty.app)
    assert client.post("/session/password", {"token": link.token, "password": "short"}).status_code == 422
    assert client.post("/session/password", {"token": link.token, "password": PASSWORD}).status_code == 204
    assert client.post("/session/password", {"token": link.token, "password": PASSWORD}).status_code == 404
    assert client.sign_in("owner@localhost", PASSWORD).json()["role"] == "owner"
    assert client.get("/session").json()["email"] == "owner@localhost"
    assert client.ask("DELETE", f"{V1}/session").status_code == 204
    assert client.cookies.get("jingzhe_session") is None
    assert client.get("/session").status_code == 401


@pytest.mark.parametrize(("base", "secure"), [("http://jingzhe.test", False), ("https://jingzhe.test", True)])
def test_the_cookie_is_for_this_site_only(base: str, secure: bool, site: Site) -> None:
    answer = Client(site.app, base=base).sign_in(site.account("analyst"), PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) == secure
    assert ("strict-transport-security" in answer.headers) == secure
    assert PASSWORD not in answer.text
    assert cookie.split(";")[0].split("=")[1] not in answer.text


@pytest.mark.parametrize(
    ("public_url", "secure"), [("https://jingzhe.example.com", True), ("http://10.0.0.8:8090", False)]
)
def test_behind_a_proxy_that_ends_tls_the_setting_says_how_people_come(
    public_url: str, secure: bool, tmp_path: Path
) -> None:
    clock = FixedClock(NOW)
    with open_workspace(tmp_path / "home", clock=clock, threads=1, public_url=public_url) as workspace:
        app = create_api(workspace, log=Told())
        behind = Site(app, workspace, clock)
        client = Client(app)
        answer = client.sign_in(behind.account("owner"), PASSWORD)
        assert answer.request.url.scheme == "http"
        assert ("Secure" in answer.headers["set-cookie"]) == secure
        assert ("strict-transport-security" in answer.headers) == secure
        headers = {"X-CSRF-Token": answer.json()["csrf_token"]}
        cookie = {**headers, "Cookie": answer.headers["set-cookie"].split(";")[0]}
        made = client.post("/codes", {"name": "poster", "target": "https://shop.example.com/"}, cookie)
        assert made.json()["url"].startswith(f"{public_url}/l/"), made.text
        out = client.ask("DELETE", f"{V1}/session", cookie)
        assert (out.status_code, "Secure" in out.headers["set-cookie"]) == (204, secure)
        app.state.services.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": "0" * 64}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
    ],
)
def test_a_write_with_a_cookie_carries_the_sessions_token(headers: dict[str, str], status: int, site: Site) -> None:
    client = site.signed_in("owner")
    assert client.post("/keys", NEW_KEY, headers).status_code == status


def test_the_token_of_another_session_does_not_do(site: Site) -> None:
    one, other = site.signed_in("owner"), site.signed_in("owner")
    assert one.post("/keys", NEW_KEY, {"X-CSRF-Token": other.headers["X-CSRF-Token"]}).status_code == 403
    assert one.post("/keys", NEW_KEY).status_code == 201


def test_another_site_cannot_sign_a_browser_in(site: Site) -> None:
    sent = {"email": site.account("owner"), "password": PASSWORD}
    assert Client(site.app).post("/session", sent, {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    plain = Client(site.app).ask("POST", f"{V1}/session", {"Content-Type": "text/plain"}, content=b'{"email": "a@b"}')
    assert plain.status_code == 422


def test_a_program_needs_no_csrf_token_and_its_key_goes_before_a_cookie(site: Site) -> None:
    client = site.signed_in("owner")
    client.headers = site.with_key("jobs.run").headers
    assert client.get("/session").json()["kind"] == "key"
    assert client.get("/accounts").status_code == 403
    assert client.post("/jobs", {"kind": "nothing"}).status_code == 422
    assert client.ask("DELETE", f"{V1}/session").json()["code"] == "conflict"


def test_a_session_ends_with_time(site: Site) -> None:
    client = site.signed_in("auditor")
    moments = [(timedelta(minutes=119), 200), (timedelta(minutes=238), 200), (timedelta(hours=6), 401)]
    try:
        for after, status in moments:
            site.clock.moment = NOW + after
            assert client.get("/session").status_code == status
    finally:
        site.clock.moment = NOW


def test_guessing_is_slowed_down(site: Site) -> None:
    email = site.account("integrator")
    wrong = {"email": email, "password": "wrong, and for ever wrong"}
    codes = [Client(site.app).post("/session", wrong).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = Client(site.app).post("/session", {"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "throttled", "16")
    try:
        site.clock.moment = NOW + timedelta(seconds=16)
        assert Client(site.app).sign_in(email, PASSWORD).status_code == 200
    finally:
        site.clock.moment = NOW


def test_ones_sessions_are_listed_and_ended_one_by_one(site: Site) -> None:
    one, other = site.signed_in("operator"), site.signed_in("operator")
    listed = one.get("/sessions").json()
    (theirs,) = [row["session_id"] for row in other.get("/sessions").json() if row["current"]]
    assert theirs in [row["session_id"] for row in listed]
    stranger = site.signed_in("owner")
    assert stranger.ask("DELETE", f"{V1}/sessions/{theirs}").status_code == 404
    assert one.ask("DELETE", f"{V1}/sessions/{theirs}").status_code == 204
    assert other.get("/session").status_code == 401
    assert one.get("/session").status_code == 200


def test_an_owner_invites_changes_and_shuts_an_account(site: Site) -> None:
    owner = site.signed_in("owner")
    sent = {"email": "New@Example.com", "name": "New", "role": "analyst"}
    made = owner.post("/accounts", sent)
    assert (made.status_code, made.json()["account"]["email"]) == (201, "new@example.com")
    assert owner.post("/accounts", sent).json()["code"] == "conflict"
    where = f"{V1}/accounts/{made.json()['account']['account_id']}"
    token = made.json()["link"]["path"].rpartition("token=")[2]
    newcomer = Client(site.app)
    assert newcomer.post("/session/password", {"token": token, "password": PASSWORD}).status_code == 204
    assert newcomer.sign_in("new@example.com", PASSWORD).status_code == 200
    assert owner.ask("PATCH", where, json={"role": "auditor"}).json()["role"] == "auditor"
    assert newcomer.get("/session").status_code == 401
    assert owner.ask("PATCH", where, json={"disabled": True}).json()["disabled_at"] is not None
    assert newcomer.sign_in("new@example.com", PASSWORD).status_code == 401
    assert owner.ask("POST", f"{where}/link").json()["code"] == "conflict"
    actions = [row["action"] for row in owner.get("/audit").json()["items"]]
    assert {"account.made", "account.changed", "account.disabled"} <= set(actions)
    assert owner.get("/audit/verification").json()["whole"]


def test_people_change_their_own_password_and_their_other_sessions_end(empty: Site) -> None:
    new = {"old_password": PASSWORD, "password": "nine bridges under the moon"}
    one, other = empty.signed_in("analyst"), empty.signed_in("analyst")
    bystander = empty.signed_in("owner")
    wrong = one.ask("PUT", f"{V1}/session/password", json={**new, "old_password": "plum rain over ten bridges"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")
    simple = one.ask("PUT", f"{V1}/session/password", json={**new, "password": "short"})
    assert (simple.status_code, simple.json()["where"]) == (422, {"field": "password"})
    assert other.get("/session").status_code == 200
    assert one.ask("PUT", f"{V1}/session/password", json=new).status_code == 204
    assert one.get("/session").status_code == 200
    assert other.get("/session").status_code == 401
    assert bystander.get("/session").status_code == 200
    assert Client(empty.app).sign_in("analyst@example.com", PASSWORD).status_code == 401
    assert Client(empty.app).sign_in("analyst@example.com", new["password"]).status_code == 200
    told = [row for row in trail(empty.workspace.warehouse.state) if row.action.startswith("account.password")]
    assert [row.action for row in told[:2]] == ["account.password-set", "account.password-refused"]
    assert new["password"] not in str(told)
    with_key = empty.with_key("people.read").ask("PUT", f"{V1}/session/password", json=new)
    assert (with_key.status_code, with_key.json()["code"]) == (409, "conflict")


def test_guessing_the_old_password_is_slowed_down_as_signing_in_is(empty: Site) -> None:
    client = empty.signed_in("analyst")
    given = {"old_password": "plum rain over ten bridges", "password": "nine bridges under the moon"}
    statuses = [client.ask("PUT", f"{V1}/session/password", json=given).status_code for _ in range(6)]
    assert statuses == [403] * 5 + [429]
    right = client.ask("PUT", f"{V1}/session/password", json={**given, "old_password": PASSWORD})
    assert (right.status_code, right.headers["retry-after"]) == (429, "16")
    assert Client(empty.app).sign_in("analyst@example.com", PASSWORD).status_code == 429
    empty.clock.moment = NOW + timedelta(seconds=16)
    assert client.ask("PUT", f"{V1}/session/password", json={**given, "old_password": PASSWORD}).status_code == 204
