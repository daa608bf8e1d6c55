"""Merges, what is kept apart and the rules, through the API, over a project into which live events come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from jingzhe.access.audit import rows as trail
from jingzhe.access.audit import verify
from jingzhe.identity.keys import Key
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.resolving import resolve
from tests.server.api.client import Client
from tests.server.api.conftest import NOW, Site

PHONE = "13912345678"


class Graph:
    """A project with an identity graph."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.state = site.workspace.warehouse.state
        self.told = 0

    def tell(self, *lines: str) -> list[int]:
        """Resolves observations such as ``login=A phone=…``."""
        seen = []
        for line in lines:
            keys = tuple(Key(*word.split("=", 1)) for word in line.split())
            seen.append(Observation(keys, NOW + timedelta(minutes=self.told), f"e{self.told}"))
            self.told += 1
        told = resolve(self.state, Observations.of(seen), batch_id=f"b{self.told}", clock=self.site.clock)
        return [int(person) for person in told.people]

    def actions(self) -> list[tuple[str, str, str]]:
        return [(row.action, row.actor.partition(":")[0], row.subject) for row in trail(self.state)]


@pytest.fixture
def graph(empty: Site) -> Iterator[Graph]:
    made = Graph(empty)
    made.tell("login=A", f"member=m phone={PHONE}", "login=A member=m", f"login=A phone={PHONE}")
    yield made
    assert verify(made.state).whole
    assert PHONE not in str([row.details for row in trail(made.state)])


def test_a_merge_is_listed_explained_and_undone_once(graph: Graph) -> None:
    client = graph.site.signed_in("operator")
    (listed,) = client.get("/identity/merges").json()["items"]
    assert (listed["merge_id"], listed["person_id"], listed["event"]) == (2, 1, "e2")
    shown = client.get("/identity/merges/2")
    assert PHONE not in shown.text
    told = shown.json()
    assert [(one["a"]["kind"], one["b"]["kind"], one["b"]["hashed"], one["event"]) for one in told["between"]] == [
        ("login", "member", False, "e2"), ("login", "phone", True, "e3"),
    ]  # fmt: skip
    refused = client.post("/identity/merges/2/undo", {"why": "two sisters"})
    assert (refused.status_code, refused.json()["code"]) == (409, "identity")
    assert "everything" in refused.json()["hint"]
    body, key = {"why": "two sisters", "everything": True}, {"Idempotency-Key": "undo-2"}
    done = client.post("/identity/merges/2/undo", body, key)
    assert (done.status_code, done.json()["people"]) == (200, [1, 2]), done.text
    again = client.post("/identity/merges/2/undo", body, key)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (done.json(), "true")
    assert client.post("/identity/merges/2/undo", body).status_code == 404
    assert client.get("/identity/merges/2").json()["code"] == "no-data"
    assert graph.tell(f"login=A phone={PHONE}", "member=m") == [1, 2], "later facts go to each"
    assert graph.actions()[0] == ("identity.undone", "account", "person:1")
    details = json.loads(trail(graph.state)[0].details)
    assert (details["why"], details["to"], details["keys"]) == (
        "two sisters", [1, 2], [["login", "phone"], ["login", "member"]],
    ) or details["keys"] == [["login", "member"], ["login", "phone"]]  # fmt: skip


def test_merges_come_by_page_and_filter(graph: Graph) -> None:
    graph.tell("login=B", "till_card=t", "login=B till_card=t")
    client = graph.site.signed_in("analyst")
    first = client.get("/identity/merges", limit=1).json()
    second = client.get("/identity/merges", limit=1, cursor=first["next_cursor"]).json()
    assert [one["merge_id"] for one in (*first["items"], *second["items"])] == [4, 2]
    assert second["next_cursor"] is None
    assert [one["merge_id"] for one in client.get("/identity/merges", kind="till_card").json()["items"]] == [4]
    assert [one["merge_id"] for one in client.get("/identity/merges", person_id=2).json()["items"]] == [2]
    assert client.get("/identity/merges", since="2027-01-01T00:00:00Z").json()["items"] == []
    assert client.get("/identity/merges", cursor="x").status_code == 422


def test_merging_by_hand_is_told_and_can_be_undone(graph: Graph) -> None:
    graph.tell("login=B")
    client = graph.site.signed_in("owner")
    assert client.post("/identity/merges", {"people": [1, 3], "why": "showed both cards"}).json() == {"person_id": 1}
    told = client.get("/identity/merges/3").json()
    assert (told["rule"], told["decision"]["why"]) == ("by hand", "showed both cards")
    assert client.post("/identity/merges", {"people": [3, 1], "why": "again"}).status_code == 409
    assert client.post("/identity/merges", {"people": [1, 99], "why": "nobody"}).status_code == 404
    assert client.post("/identity/merges", {"people": [1], "why": "alone"}).status_code == 422
    assert client.post("/identity/merges", {"people": [1, 3], "why": " "}).status_code == 422
    assert client.post("/identity/merges/3/undo", {"why": "a slip"}).json()["people"] == [1, 3]
    assert [action for action, _, _ in graph.actions()[:2]] == ["identity.undone", "identity.merged"]


def test_people_and_keys_are_kept_apart_until_it_is_lifted(graph: Graph) -> None:
    graph.tell("login=B", "till_card=t")
    client = graph.site.signed_in("operator")
    assert client.post("/identity/apart", {"people": [2, 3], "why": "father and son"}).status_code == 200
    keys = [{"kind": "login", "value": "B"}, {"kind": "till_card", "value": "t"}]
    assert client.post("/identity/apart", {"keys": keys, "why": "lent once"}).status_code == 200
    assert graph.tell("login=B till_card=t", "till_card=t") == [3, 4]
    pages = client.get("/identity/apart", limit=1).json()
    assert (pages["items"][0]["sort"], pages["items"][0]["people"]) == ("people", [1, 3])
    (second,) = client.get("/identity/apart", limit=1, cursor=pages["next_cursor"]).json()["items"]
    assert {key["value"] for key in second["keys"]} == {"B", "t"}
    assert client.get("/identity/apart", sort="people").json()["next_cursor"] is None
    assert client.post("/identity/merges", {"people": [1, 3], "why": "no"}).status_code == 409
    assert client.post("/identity/apart/lift", {"people": [1, 3], "why": "one man"}).status_code == 200
    assert client.post("/identity/apart/lift", {"people": [1, 3], "why": "one man"}).status_code == 409
    numbers = [{"number": key["number"]} for key in second["keys"]]
    assert client.post("/identity/apart/lift", {"keys": numbers, "why": "his own"}).status_code == 200
    assert client.post("/identity/apart/lift", {"keys": numbers, "why": "his own"}).status_code == 404
    assert client.get("/identity/apart").json()["items"] == []
    assert client.post("/identity/apart", {"why": "whom"}).json()["code"] == "refused-value"
    assert client.post("/identity/apart", {"keys": [{"number": "1"}, {"number": "2"}], "why": "x"}).status_code == 404
    assert [action for action, _, _ in graph.actions()[:4]] == [
        "identity.keys-allowed-again", "identity.allowed-again", "identity.keys-kept-apart", "identity.kept-apart",
    ]  # fmt: skip


def test_who_has_a_number_is_asked_by_whoever_may_find(graph: Graph) -> None:
    program = graph.site.with_key("people.merge", "people.read")
    keys = [{"kind": "login", "value": "A"}, {"kind": "phone", "value": PHONE}]
    assert program.post("/identity/apart", {"keys": keys, "why": "x"}).status_code == 403
    for role in ("analyst", "integrator", "auditor"):
        assert graph.site.signed_in(role).post("/identity/merges/2/undo", {"why": "x"}).status_code == 403
    assert graph.site.signed_in("auditor").get("/identity/merges").status_code == 403
    assert Client(graph.site.app).get("/identity/merges").status_code == 401


def test_rules_are_set_by_version_and_hold(graph: Graph) -> None:
    client = graph.site.signed_in("operator")
    assert client.get("/identity/rules").json()["version"] == 0
    body = {"version": 0, "why": "staff badges", "kinds": {"badge": {"strength": 45, "single": 1}}}
    made = client.ask("PUT", "/api/v1/identity/rules", json=body)
    assert (made.status_code, made.json()["version"]) == (200, 1), made.text
    assert client.ask("PUT", "/api/v1/identity/rules", json=body).status_code == 409
    wrong = {**body, "version": 1, "kinds": {"device": {"merges": True}}}
    assert client.ask("PUT", "/api/v1/identity/rules", json=wrong).status_code == 422
    never = client.post("/identity/rules/never", {"kind": "phone", "value": "02012345678", "why": "the shop's own"})
    assert (never.json()["version"], len(never.json()["never_hashed"]["phone"])) == (2, 1), never.text
    assert "12345678" not in never.text
    assert graph.tell("login=C phone=02012345678", "badge=7 phone=02012345678") == [3, 4]
    back = client.post("/identity/rules/versions/1/restore", {"why": "a slip"})
    assert (back.json()["version"], back.json()["never_hashed"]) == (3, {})
    assert [one["version"] for one in client.get("/identity/rules/versions").json()] == [3, 2, 1]
    assert client.get("/identity/rules", version=9).status_code == 404
    assert [action for action, _, _ in graph.actions()[:3]] == ["identity.rules-changed"] * 3
    assert graph.site.signed_in("auditor").get("/identity/rules").status_code == 200
    assert graph.site.signed_in("analyst").post("/identity/rules/versions/0/restore", {"why": "x"}).status_code == 403


def test_a_shops_own_number_is_split_off_and_listed(graph: Graph) -> None:
    graph.tell("till_card=t", f"till_card=t phone={PHONE}")
    client = graph.site.signed_in("operator")
    never = {"kind": "phone", "value": PHONE, "why": "the shop's own", "split": True}
    assert client.post("/identity/rules/never", never).status_code == 200
    assert [action for action, _, _ in graph.actions()[:2]] == ["identity.split", "identity.rules-changed"]
    assert graph.tell("login=A", "member=m", "till_card=t") == [1, 1, 3], "login and member met by themselves"
    (listed,) = client.get("/identity/shared").json()["items"]
    assert (listed["key"]["kind"], listed["key"]["hashed"], listed["hang"]) == ("phone", True, 1)
    number = listed["key"]["number"]
    assert client.post(f"/identity/shared/{number}/split", {"why": "x"}).status_code == 409
    assert client.post("/identity/shared/7/split", {"why": "x"}).status_code == 404
