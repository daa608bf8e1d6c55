"""Consents, suppressions, export and erasure through the API."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.access import audit
from jingzhe.app.workspace import open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.server.api.application import create_api
from tests.server.api.client import Client
from tests.server.api.conftest import NOW, Site, Told

ADDRESS = "li.lei@example.com"
ORDERS = "order,customer,day,amount\n" + "".join(f"A{n},C{n % 4},2025-11-{n + 1:02},9.5\n" for n in range(12))
MAPPING = {"order_id": "order", "customer_id": "customer", "ordered_at": "day", "amount": "amount"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Site]:
    """The application over four customers, which may be erased."""
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS, encoding="utf-8")
    clock = FixedClock(NOW)
    with open_workspace(tmp_path / "home", clock=clock, threads=1, memory_limit_mb=300) as workspace:
        workspace.import_(path, mapping=MAPPING)
        workspace.refresh()
        app = create_api(workspace, log=Told())
        yield Site(app, workspace, clock)
        app.state.services.close()


def person(client: Client, key: str = "C1") -> int:
    (number,) = client.get("/people", kind="customer", value=key).json()["items"]
    return int(number)


def ended(client: Client, job_id: str) -> dict[str, object]:
    for _ in range(600):
        job: dict[str, object] = client.get(f"/jobs/{job_id}").json()
        if job["status"] not in {"waiting", "running"}:
            return job
        time.sleep(0.1)
    pytest.fail("the job does not end")


def test_a_consent_is_given_shown_withdrawn_and_seen_as_of_before(small: Site) -> None:
    client = small.signed_in("operator")
    number = person(client)
    path = f"/people/{number}/consents"
    assert client.get(f"{path}/check", channel="email", purpose="marketing").json()["reason"] == "no-consent"
    sent = {"channel": "email", "source": "form", "address": ADDRESS, "evidence": {"text_version": "v1", "ip": "::1"}}
    made = client.post(path, sent)
    assert made.status_code == 201, made.text
    assert (made.json()["granted_at"], made.json()["withdrawn_at"]) == (NOW.isoformat().replace("+00:00", "Z"), None)
    assert ADDRESS not in made.text
    given_at = small.clock.moment
    small.clock.moment += timedelta(days=1)
    client = small.signed_in("operator")  # sessions end
    assert client.post(f"{path}/withdrawals", {"source": "call", "channel": "email"}).status_code == 201
    shown = client.get(path).json()
    assert [one["status"] for one in shown["records"]] == ["granted", "withdrawn"]
    assert [(one["purpose"], one["reason"]) for one in shown["standing"]] == [("marketing", "withdrawn")]
    before = client.get(path, at=given_at.isoformat()).json()
    assert [(one["allowed"], one["zh"]) for one in before["standing"]] == [(True, "该渠道与用途的同意有效")]
    whole = client.get(f"/people/{number}").json()
    assert ([one["reason"] for one in whole["consents"]], whole["personalisation"]) == (["withdrawn"], True)
    assert client.get(f"/people/{number}", as_of="2026-01-05").json()["consents"][0]["allowed"] is True
    refused = client.post(f"/people/{number}/personalisation", {"allowed": False, "source": "letter"})
    assert refused.json()["personalisation"] is False
    actions = {row.action for row in audit.rows(small.workspace.warehouse.state)}
    assert {"consent.granted", "consent.withdrawn", "personalisation.withdrawn"} <= actions


def test_what_cannot_be_said(small: Site) -> None:
    client = small.signed_in("operator")
    path = f"/people/{person(client)}/consents"
    for body, code in (
        ({"channel": "*", "source": "form"}, "setting"),
        ({"channel": "email", "source": "form", "said_at": "2030-01-01T00:00:00Z"}, "setting"),
        ({"channel": "email", "source": "form", "address": "private thing"}, "setting"),
        ({"channel": "email", "source": "form", "status": "granted"}, "invalid-request"),
    ):
        answer = client.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), body
        assert "private thing" not in answer.text
    assert client.post("/people/424242/consents", {"channel": "email", "source": "form"}).status_code == 404


def test_suppressions_are_added_checked_paged_and_lifted_with_a_reason(small: Site) -> None:
    client = small.signed_in("operator")
    number = person(client)
    made = [
        client.post("/suppressions", {"address": f"a{n}@b.cn", "channel": "email", "source": "s"}) for n in range(3)
    ]
    assert {one.status_code for one in made} == {201}
    mine = client.post("/suppressions", {"person_id": number, "source": "call", "reason": "complaint"}).json()
    assert client.post("/suppressions", {"source": "call"}).status_code == 422
    assert client.post("/suppressions", {"person_id": number, "address": "a@b.cn", "source": "c"}).status_code == 422
    first = client.get("/suppressions", limit=3).json()
    rest = client.get("/suppressions", limit=3, cursor=first["next_cursor"]).json()
    assert len({one["suppression_id"] for one in first["items"] + rest["items"]}) == 4
    assert "@" not in json.dumps(first)
    (found,) = client.post("/suppressions/check", {"channel": "email", "address": " A1@B.cn"}).json()["items"]
    assert found["suppression_id"] == made[1].json()["suppression_id"]
    assert client.post("/suppressions/check", {"channel": "email", "address": "z@b.cn"}).json()["items"] == []
    whole = client.get(f"/people/{number}").json()
    assert [one["reason"] for one in whole["suppressions"]] == ["complaint"]
    check = f"/people/{number}/consents/check"
    assert client.get(check, channel="sms", purpose="transactional").json()["reason"] == "suppressed-complaint"
    lift = f"/suppressions/{mine['suppression_id']}/lift"
    assert small.signed_in("integrator").post(lift, {"why": "because"}).status_code == 403
    assert client.post(lift, {"why": ""}).status_code == 422
    lifted = client.post(lift, {"why": "a mistake"}).json()
    assert (lifted["holds"], lifted["lifted_why"]) == (False, "a mistake")
    assert client.post(lift, {"why": "again"}).status_code == 404
    assert client.get(check, channel="sms", purpose="transactional").json()["allowed"]


def test_a_person_is_exported_and_erased_with_a_certificate(small: Site) -> None:
    client = small.signed_in("owner")
    number = person(client)
    client.post(f"/people/{number}/consents", {"channel": "email", "source": "form"}, {"Idempotency-Key": "c1"})
    job = client.post(f"/people/{number}/exports", None).json()
    assert ended(client, job["job_id"])["status"] == "done"
    file = client.get(f"/people/{number}/exports/{job['job_id']}")
    assert file.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(file.content)) as packed:
        read = json.loads(packed.read("person.json"))
    assert ([one["value"] for one in read["identities"]], len(read["events"])) == (["C1"], 3)
    assert client.get(f"/people/{number + 1}/exports/{job['job_id']}").status_code == 404

    path = f"/people/{number}/erasure"
    assert small.signed_in("operator").post(path, {"why": "r", "confirm": str(number)}).status_code == 403
    assert client.post(path, {"why": "request", "confirm": "0"}).json()["where"] == {"field": "confirm"}
    asked = client.post(path, {"why": "request", "confirm": str(number)})
    assert asked.status_code == 202, asked.text
    erasure = asked.json()["erasure_id"]
    assert ended(client, asked.json()["job_id"])["status"] == "done"
    auditor = small.signed_in("auditor")
    said = auditor.get(f"/erasures/{erasure}/certificate").json()
    assert said["lake_rows"]["events"] == 3
    assert said["state_rows"]["repeated_request"] == 1
    assert "删除证明" in auditor.get(f"/erasures/{erasure}/certificate.txt").text
    assert [one["stage"] for one in auditor.get("/erasures").json()["items"]] == ["whole"]
    time.sleep(0.3)  # longer than a publication is taken for the newest
    assert client.get("/people", kind="customer", value="C1").json() == {"items": []}
    assert client.get(f"/people/{number}").status_code == 404
    assert client.get(f"/people/{number}/exports/{job['job_id']}").status_code == 404
    assert client.get(f"/people/{person(client, 'C2')}").status_code == 200
    assert audit.verify(small.workspace.warehouse.state).whole
