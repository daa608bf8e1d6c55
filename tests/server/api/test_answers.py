"""How answers look, whatever the subject: problems, pages, repeated requests, headers, measurements, the log."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from jingzhe.access import errors as refusals
from jingzhe.core import errors
from jingzhe.server.api.application import create_api
from jingzhe.server.api.problems import STATUS, status_of
from tests.server.api.client import V1, Client
from tests.server.api.conftest import Site, Told

NEW_KEY = {"name": "export", "scopes": ["lists.read"]}


def test_every_error_has_a_status_of_its_own_or_of_its_kind() -> None:
    for module in (errors, refusals):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, errors.JingzheError) and kind is not errors.JingzheError:
                assert kind in STATUS, kind
    assert status_of(refusals.AccessError("no")) == 403


@pytest.mark.parametrize(
    "row",
    [
        ("GET", "/nothing", None, 404, "not-found"),
        ("PUT", "/keys", {}, 405, "method-not-allowed"),
        ("GET", "/people/x", None, 422, "invalid-request"),
        ("GET", "/people/99999999999999999999", None, 422, "invalid-request"),
        ("GET", "/people/999999999", None, 404, "no-data"),
        ("GET", "/keys?limit=0", None, 422, "invalid-request"),
        ("GET", "/keys?cursor=WyJhIl0", None, 422, "refused-value"),
        ("GET", "/keys/none", None, 404, "not-there"),
        ("GET", "/quarantine?reason=none", None, 422, "setting"),
        ("POST", "/keys", {"name": "k", "scopes": ["everything"]}, 422, "refused-value"),
        ("POST", "/keys", {"name": "k", "scopes": ["lists.read"], "more": 1}, 422, "invalid-request"),
        ("POST", "/jobs", {"kind": "backtest"}, 422, "setting"),
        ("POST", "/keys", {"name": "x" * 2_000_000, "scopes": []}, 413, "content-too-large"),
    ],
    ids=lambda row: f"{row[0]} {row[1]} {row[4]}",
)
def test_what_goes_wrong_is_told_as_a_problem(row: tuple[str, str, Any, int, str], site: Site) -> None:
    method, path, body, status, code = row
    answer = site.signed_in("owner").ask(method, V1 + path, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"] == f"urn:jingzhe:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert {"title", "detail", "instance"} <= problem.keys()


def test_what_is_wrong_with_a_body_is_pointed_at_and_not_repeated(site: Site) -> None:
    body = {"email": "secret@example.com", "name": "secret", "role": "emperor", "extra": "secret"}
    problem = site.signed_in("owner").post("/accounts", body).json()
    assert {fault["pointer"] for fault in problem["errors"]} == {"/role", "/extra"}
    assert "secret" not in json.dumps(problem)
    broken = site.signed_in("owner").ask(
        "POST", f"{V1}/accounts", {"Content-Type": "application/json"}, content=b'{"secret": '
    )
    assert (broken.status_code, broken.json()["errors"][0]["pointer"]) == (422, "")


def test_a_store_that_fails_is_told_without_its_words(empty: Site) -> None:
    client = empty.signed_in("owner")
    path = Path(empty.workspace.settings.home) / "state.db"
    ready = client.ask("GET", "/readyz").json()
    assert ready == {"ready": True, "state": True, "lake": True, "collecting": None, "draining": None}
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE api_key RENAME TO gone")
    connection.close()
    answer = client.get("/keys")
    assert answer.status_code == 503
    assert answer.json()["code"] == "state"
    assert "api_key" not in answer.text
    assert str(path) not in answer.text
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE publication RENAME TO gone_too")
    connection.close()
    unready = client.ask("GET", "/readyz")
    assert (unready.status_code, unready.json()["state"], unready.json()["lake"]) == (503, False, True)
    assert client.ask("GET", "/healthz").status_code == 200


def test_the_second_of_two_equal_requests_gets_the_first_answer(site: Site) -> None:
    client, before = site.signed_in("operator"), len(site.app.state.services.jobs.all())
    # It writes nothing that others are shown: everybody else looks at the same shop.
    sent = {"kind": "backtest", "cut": "2025-06-30", "horizon_days": 30}
    first = client.post("/jobs", sent, {"Idempotency-Key": "one"})
    second = client.post("/jobs", sent, {"Idempotency-Key": "one"})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"] == f"/api/v1/jobs/{first.json()['job_id']}"
    other = client.post("/jobs", {**sent, "horizon_days": 31}, {"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["code"]) == (422, "repeated-key")
    assert len(site.app.state.services.jobs.all()) == before + 1


def test_of_two_equal_requests_at_once_one_is_carried_out(site: Site) -> None:
    client, before = site.signed_in("owner"), len(site.keys.all())
    sent = ("POST", f"{V1}/keys", {"Idempotency-Key": "two"}, {"json": NEW_KEY})
    answers = client.ask_at_once(sent, sent, sent)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(site.keys.all()) == before + 1


def test_an_answer_with_a_secret_is_not_kept(site: Site) -> None:
    client = site.signed_in("owner")
    made = client.post("/keys", NEW_KEY, {"Idempotency-Key": "three"})
    again = client.post("/keys", NEW_KEY, {"Idempotency-Key": "three"})
    assert (made.status_code, again.status_code, again.json()["code"]) == (201, 409, "conflict")
    path = Path(site.workspace.settings.home) / "state.db"
    secret = made.json()["secret"].split("_", 2)[2].encode()
    files = [file for file in path.parent.glob("state.db*") if file.is_file()]
    assert files
    assert not any(secret in file.read_bytes() for file in files)


def test_what_was_refused_may_be_sent_again_mended(site: Site) -> None:
    client, key = site.signed_in("owner"), {"Idempotency-Key": "four"}
    assert client.post("/keys", {"name": "", "scopes": ["lists.read"]}, key).status_code == 422
    assert client.post("/keys", NEW_KEY, key).status_code == 201


def test_pages_show_every_row_once_also_when_rows_come_between(site: Site) -> None:
    client = site.signed_in("owner")
    for number in range(5):
        client.post("/keys", {**NEW_KEY, "name": f"k{number}"})
    wanted = {one.key_id for one in site.keys.all()}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = client.get("/keys", limit=2, **cursor).json()
        seen += [row["key_id"] for row in body["items"]]
        if body["next_cursor"] is None:
            break
        cursor = {"cursor": body["next_cursor"]}
        client.post("/keys", {**NEW_KEY, "name": "between"})
        if len(seen) > 200:
            pytest.fail("the pages do not end")
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)


def test_the_trail_is_paged_and_filtered(site: Site) -> None:
    for _ in range(6):
        client = site.signed_in("auditor")  # leaves a row, whatever ran before
    first = client.get("/audit", limit=3).json()
    second = client.get("/audit", limit=3, cursor=first["next_cursor"]).json()
    numbers = [row["number"] for row in first["items"] + second["items"]]
    assert numbers == list(range(numbers[0], numbers[0] - 6, -1))
    made = client.get("/audit", action="account.made", actor="machine:cli").json()["items"]
    assert {(row["action"], row["actor"]) for row in made} == {("account.made", "machine:cli")}


def test_secrets_among_the_settings_are_masked(empty: Site) -> None:
    shown = {row["name"]: row for row in empty.signed_in("owner").get("/settings").json()}
    assert shown["state_url"] == {**shown["state_url"], "value": None, "is_secret": True}
    assert shown["timezone"] == {**shown["timezone"], "value": "UTC", "is_secret": False, "is_set": False}
    assert set(shown) == set(type(empty.workspace.settings).model_fields)


def test_headers_keep_browsers_careful(site: Site) -> None:
    answer = site.signed_in("analyst").get("/states")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "access-control-allow-origin" not in answer.headers
    named = Client(site.app).ask("GET", "/healthz", {"X-Request-Id": "my-request-7"})
    assert named.headers["x-request-id"] == "my-request-7"
    forged = Client(site.app).ask("GET", "/healthz", {"X-Request-Id": "two words"})
    assert forged.headers["x-request-id"] != "two words"


def test_neither_log_nor_measurements_hold_anything_of_people(empty: Site) -> None:
    told = Told()
    empty.app.state.services.close()
    app = create_api(empty.workspace, log=told)
    try:
        client = Client(app)
        client.sign_in(empty.account("owner"), "plum rain over nine bridges")
        client.get("/people/424242")
        client.get("/people", kind="phone", value="13800138000")
        client.get("/nothing/13800138000")
        scraped = client.ask("GET", "/metrics").text
    finally:
        app.state.services.close()
    for text in (scraped, json.dumps(told.lines)):
        assert "/api/v1/people/{person_id}" in text
        for personal in ("424242", "13800138000", "owner@example.com", "127.0.0.1"):
            assert personal not in text
    assert told.lines[-1]["route"] == "/metrics"
    assert all(line["request_id"] for line in told.lines)
