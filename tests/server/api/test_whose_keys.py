"""Look-up, page, consents and export by every kind of key, also of people of whom there is no behaviour."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.received import Received, packed
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.identity.rules import rules_from, save_rules
from jingzhe.server.api.application import create_api
from jingzhe.store.state.inbox import Group
from tests.server.api.client import Client
from tests.server.api.conftest import NOW, Site, Told

ORDERS = "order,customer,day,amount\nA1,C-EARLY-1,2025-11-01,9.5\n"
LATER = "order,customer,day,amount\nA2,C-LATER-1,2025-11-02,9.5\n"
MAPPING = {"order_id": "order", "customer_id": "customer", "ordered_at": "day", "amount": "amount"}
SAID: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "login": ({"userId": "login-10001"}, [("login", "login-10001"), ("customer", " login-10001 ")]),
    "member": ({"traits": {"member_id": "MEM-10002"}}, [("member", "MEM-10002"), ("member", " MEM-10002")]),
    "phone": (
        {"traits": {"phone": "13712345603"}},
        [("phone", "13712345603"), ("phone", "+86 137 1234 5603"), ("phone", "0086-137-1234-5603")],
    ),
    "email": (
        {"traits": {"email": "Li.Lei@Example.com", "email_opt_in": True}},
        [("email", "li.lei@example.com"), ("email", " LI.LEI@EXAMPLE.COM"), ("email", "mailto:Li.Lei@Example.com")],
    ),
    "unionid": ({"traits": {"unionid": "UNI-10005"}}, [("unionid", "UNI-10005")]),
    "till_card": ({"traits": {"till_card": "CARD-10006"}}, [("till_card", "CARD-10006")]),
    "cookie": ({"anonymousId": "cookie-10007"}, [("cookie", "cookie-10007")]),
    "device": (
        {"anonymousId": "DEVICE-10008", "context": {"library": {"name": "analytics-ios"}, "os": {"name": "iOS"}}},
        [("device", "device-10008"), ("device", "DEVICE-10008")],
    ),
}  # fmt: skip
PERSONAL = {"phone", "email"}


def put(workspace: Workspace, protocol: Literal["segment", "sensors"], body: dict[str, Any]) -> None:
    raw, now = json.dumps(body).encode(), int(NOW.timestamp() * 1e6)
    request = Received(1, protocol, "identify" if protocol == "segment" else "", now, "", "t", "loopback", 1, raw)
    with open_inbox(workspace.settings) as inbox:
        inbox.append(Group(1, 1, now, packed([request])))
        done = drain_of(workspace, inbox).run()
    assert (done.calls, done.quarantined) == (1, 0), body


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application over people who are known by one key each."""
    folder: Path = tmp_path_factory.mktemp("known")
    clock = FixedClock(NOW)
    with open_workspace(folder / "home", clock=clock, threads=1, memory_limit_mb=300) as workspace:
        state = workspace.warehouse.state
        add_source(state, "shop", clock=clock)
        save_rules(state, rules_from({"kinds": {"loyalty": {"normaliser": "plain", "strength": 60}}}))
        (folder / "early.csv").write_text(ORDERS, encoding="utf-8")
        workspace.import_(folder / "early.csv", mapping=MAPPING)
        for number, (body, _) in enumerate(SAID.values()):
            put(workspace, "segment", {"type": "identify", "messageId": f"i{number}", **body})
        for wechat in ("wx111", "wx222"):
            identities = {f"$identity_mp_{wechat}_openid": "OPENID-1"}
            call = {"type": "track", "event": "$MPLaunch", "distinct_id": f"d-{wechat}", "identities": identities}
            put(workspace, "sensors", {**call, "time": int(NOW.timestamp() * 1000), "properties": {}})
        (folder / "later.csv").write_text(LATER, encoding="utf-8")
        workspace.import_(folder / "later.csv", mapping=MAPPING)
        (folder / "loyal.csv").write_text(LATER.replace("LATER", "LOYAL"), encoding="utf-8")
        workspace.import_(folder / "loyal.csv", mapping=MAPPING, key_kind="loyalty")
        workspace.refresh()
        app = create_api(workspace, log=Told())
        yield Site(app, workspace, clock)
        app.state.services.close()


@pytest.fixture
def client(known: Site) -> Client:
    return known.signed_in("owner")


def person(client: Client, kind: str, value: str) -> int:
    (number,) = client.post("/people/find", {"kind": kind, "value": value}).json()["items"]
    assert client.get("/people", kind=kind, value=value).json() == {"items": [number]}
    return int(number)


@pytest.mark.parametrize("kind", SAID)
def test_somebody_is_found_by_any_key_in_any_spelling_and_everything_is_there(client: Client, kind: str) -> None:
    spellings = SAID[kind][1]
    (number,) = {person(client, *key) for key in spellings}
    shown = client.get(f"/people/{number}")
    assert shown.status_code == 200, shown.text
    (key,) = shown.json()["identities"]
    assert (key["kind"], key["hashed"]) == (kind, kind in PERSONAL)
    assert key["value"] == (None if kind in PERSONAL else spellings[0][1])
    assert key["first_seen"] is not None
    assert key["strength"] > 0
    assert not any(value in shown.text for _, value in spellings if kind in PERSONAL)
    path = f"/people/{number}"
    assert client.get(f"{path}/timeline").json()["items"] == []
    assert client.post(f"{path}/consents", {"channel": "sms", "source": "form"}).status_code == 201
    assert client.post(f"{path}/consents/withdrawals", {"source": "call", "channel": "sms"}).status_code == 201
    assert client.get(f"{path}/consents/check", channel="sms", purpose="marketing").json()["reason"] == "withdrawn"
    stopped = client.post("/suppressions", {"person_id": number, "source": "call", "channel": "push"})
    assert stopped.status_code == 201
    assert client.post(f"{path}/exports", None).status_code == 202
    words = client.get(f"{path}/consents").json()["records"]
    assert len(words) == (3 if kind == "email" else 2)
    assert client.get(path, as_of="2026-01-05").status_code == 200
    assert client.get(path, as_of="2025-12-31").status_code == 404


def test_an_openid_belongs_to_its_app(client: Client) -> None:
    one, other = (person(client, f"openid/{app}", "OPENID-1") for app in ("wx111", "wx222"))
    assert one != other
    kinds = {key["kind"] for key in client.get(f"/people/{one}").json()["identities"]}
    assert "openid/wx111" in kinds
    assert client.post("/people/find", {"kind": "openid", "value": "OPENID-1"}).json() == {"items": []}


@pytest.mark.parametrize("value", ["C-EARLY-1", "C-LATER-1"])
def test_customers_of_files_are_found_whether_the_graph_has_taken_them_over_or_not(client: Client, value: str) -> None:
    number = person(client, "customer", value)
    assert person(client, "login", value) == number
    (key,) = client.get(f"/people/{number}").json()["identities"]
    assert (key["kind"], key["value"]) == ("customer", value)


def test_somebody_is_found_by_a_key_of_a_kind_of_the_projects_own(client: Client) -> None:
    (key,) = client.get(f"/people/{person(client, 'loyalty', 'C-LOYAL-1')}").json()["identities"]
    assert (key["kind"], key["value"], key["strength"]) == ("loyalty", "C-LOYAL-1", 60)


@pytest.mark.parametrize("kind", ["email", "no_such_kind", "No Kind", "openid/wx111", "customer"])
def test_nobody_is_found_by_what_nobody_has(client: Client, kind: str) -> None:
    for answer in (client.post("/people/find", {"kind": kind, "value": "x@nobody.example"}),
                   client.get("/people", kind=kind, value="x@nobody.example")):  # fmt: skip
        assert (answer.status_code, answer.json()) == (200, {"items": []})
    for path in ("/people/424242", "/people/424242/timeline", "/people/424242/consents"):
        assert client.get(path).status_code == 404
    assert client.post("/people/424242/consents/withdrawals", {"source": "call"}).status_code == 404
